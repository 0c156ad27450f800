"""Write the addressing of a flow, from its row in the meter's table to ECS fields."""

from __future__ import annotations

import socket
import struct
import time
from functools import lru_cache
from typing import Final

from collectors.packets import layout
from collectors.packets.meter import Row
from soc_core.model.event import Event

_PAIR: Final = struct.Struct(">qq")
WITH_PORTS: Final = frozenset((6, 17, 33, 132, 136))
# www.iana.org/assignments/protocol-numbers
_TRANSPORTS: Final = {
    1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah",
    58: "ipv6-icmp", 88: "eigrp", 89: "ospf", 103: "pim", 112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite",
}  # fmt: skip


@lru_cache(maxsize=1 << 14)
def address_text(high: int, low: int, version: int) -> str:
    """Return the canonical text of an address given as two words."""
    if version == 4:
        return f"{low >> 24}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    return socket.inet_ntop(socket.AF_INET6, _PAIR.pack(high, low))


@lru_cache(maxsize=1 << 12)
def mac_text(number: int) -> str:
    """Return a MAC address as ECS writes it: upper case, hyphens (RFC 7042)."""
    return number.to_bytes(6, "big").hex("-").upper()


@lru_cache(maxsize=1 << 10)
def _second_text(seconds: int) -> str:
    moment = time.gmtime(seconds)
    date = f"{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}"
    return f"{date}T{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}."


def instant_text(microseconds: int) -> str:
    """Return the canonical text of an instant between 1970 and 9999 (as ``soc_core.clock``, faster)."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second_text(seconds)}{fraction:06}Z"


def put_addressing(event: Event, row: Row, community: str) -> None:
    """Write both ends, transport and Community ID of the flow in ``row``; source is the originator."""
    key = row[layout.F_KEY]
    version, protocol = key & 0xFF, key >> 8 & 0xFF
    sport, dport = key >> 40 & 0xFFFF, key >> 24 & 0xFFFF
    source = (row[layout.F_A_HI], row[layout.F_A_LO])
    destination = (row[layout.F_B_HI], row[layout.F_B_LO])
    if row[layout.F_STATE] & layout.ST_ORIGIN_B:
        source, destination, sport, dport = destination, source, dport, sport
    event["source.ip"] = address_text(*source, version)
    event["destination.ip"] = address_text(*destination, version)
    if protocol in WITH_PORTS:
        event["source.port"] = sport
        event["destination.port"] = dport
    elif protocol in (1, 58) and row[layout.F_ICMP] >= 0:
        event["icmp.type"] = row[layout.F_ICMP] >> 8 & 0xFF
        event["icmp.code"] = row[layout.F_ICMP] & 0xFF
    event["network.transport"] = _TRANSPORTS.get(protocol) or str(protocol)
    event["network.iana_number"] = str(protocol)
    event["network.type"] = "ipv4" if version == 4 else "ipv6"
    event["network.community_id"] = community
    if row[layout.F_VLAN] >= 0:
        event["network.vlan.id"] = str(row[layout.F_VLAN])
        if row[layout.F_VLAN_INNER] >= 0:
            event["network.inner.vlan.id"] = str(row[layout.F_VLAN_INNER])
    if row[layout.F_TUNNEL]:
        _put_tunnel(event, row)


def put_macs(event: Event, row: Row) -> None:
    """Write the MAC addresses of the first packet, of source and destination."""
    first_is_source = row[layout.F_FIRST_SIDE] == row[layout.F_STATE] & layout.ST_ORIGIN_B
    sender, receiver = (
        ("source.mac", "destination.mac") if first_is_source else ("destination.mac", "source.mac")
    )
    if row[layout.F_SMAC] >= 0:
        event[sender] = mac_text(row[layout.F_SMAC])
    if row[layout.F_DMAC] >= 0:
        event[receiver] = mac_text(row[layout.F_DMAC])


def _put_tunnel(event: Event, row: Row) -> None:
    """Write the tunnels of the first packet, from outside in, and the addresses of the outermost."""
    codes = [row[layout.F_TUNNEL] >> shift & 0xFF for shift in range(0, 8 * layout.MAX_DEPTH, 8)]
    event["edusoc.tunnel.type"] = [layout.TUNNELS[code] for code in codes if code in layout.TUNNELS]
    outer = row[layout.F_OUTER : layout.F_OUTER + 4]
    version = row[layout.F_OUTER_VERSION]
    ends = [address_text(outer[0], outer[1], version), address_text(outer[2], outer[3], version)]
    if row[layout.F_FIRST_SIDE] != row[layout.F_STATE] & layout.ST_ORIGIN_B:
        ends.reverse()
    event["edusoc.tunnel.source.ip"], event["edusoc.tunnel.destination.ip"] = [ends[0]], [ends[1]]
    if row[layout.F_TUNNEL_ID] >= 0:
        event["edusoc.tunnel.id"] = [str(row[layout.F_TUNNEL_ID])]
