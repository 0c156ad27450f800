"""Write the addressing of a flow, from its row in the meter's table to ECS fields."""

from __future__ import annotations

import socket
import struct
import time
from functools import lru_cache
from operator import itemgetter
from typing import Final

from collectors.packets import layout
from collectors.packets.meter import Row
from soc_core.model.event import Event

_PAIR: Final = struct.Struct(">qq")
_TWO: Final = [f"{number:02}" for number in range(60)]
_THREE: Final = [f"{number:03}" for number in range(1_000)]
_LAST: Final = [f"{number:03}Z" for number in range(1_000)]
_ENDS: Final = itemgetter(
    layout.F_KEY, layout.F_A_HI, layout.F_A_LO, layout.F_B_HI, layout.F_B_LO, layout.F_STATE
)
_MACS: Final = itemgetter(layout.F_FIRST_SIDE, layout.F_STATE, layout.F_SMAC, layout.F_DMAC)
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
        return socket.inet_ntoa(low.to_bytes(4, "big"))
    return socket.inet_ntop(socket.AF_INET6, _PAIR.pack(high, low))


@lru_cache(maxsize=1 << 12)
def mac_text(number: int) -> str:
    """Return a MAC address as ECS writes it: upper case, hyphens (RFC 7042)."""
    return number.to_bytes(6, "big").hex("-").upper()


@lru_cache(maxsize=64)
def _day_text(day: int) -> str:
    moment = time.gmtime(day * 86_400)
    return f"{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}T"


@lru_cache(maxsize=1 << 10)
def _second_text(seconds: int) -> str:
    day, rest = divmod(seconds, 86_400)
    return f"{_day_text(day)}{_TWO[rest // 3_600]}:{_TWO[rest // 60 % 60]}:{_TWO[rest % 60]}."


def instant_text(microseconds: int) -> str:
    """Return the canonical text of an instant between 1970 and 9999 (as ``soc_core.clock``, faster)."""
    second = _second_text(microseconds // 1_000_000)
    return f"{second}{_THREE[microseconds // 1_000 % 1_000]}{_LAST[microseconds % 1_000]}"


def put_ends(event: Event, row: Row) -> None:
    """Write addresses and ports of the flow in ``row``; source is the originator."""
    key, source_high, source_low, high, low, state = _ENDS(row)
    version, sport, dport = key & 0xFF, key >> 40, key >> 24 & 0xFFFF
    if state & layout.ST_ORIGIN_B:
        source_high, source_low, high, low = high, low, source_high, source_low
        sport, dport = dport, sport
    event["source.ip"] = address_text(source_high, source_low, version)
    event["destination.ip"] = address_text(high, low, version)
    if key >> 8 & 0xFF in WITH_PORTS:
        event["source.port"] = sport
        event["destination.port"] = dport


def put_addressing(event: Event, row: Row, community: str) -> None:
    """Write both ends, transport and Community ID of the flow in ``row``."""
    version, protocol = row[layout.F_KEY] & 0xFF, row[layout.F_KEY] >> 8 & 0xFF
    put_ends(event, row)
    if protocol in (1, 58) and row[layout.F_ICMP] >= 0:
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
    first, state, sender, receiver = _MACS(row)
    if first == state & layout.ST_ORIGIN_B:
        if sender >= 0:
            event["source.mac"] = mac_text(sender)
        if receiver >= 0:
            event["destination.mac"] = mac_text(receiver)
    else:
        if sender >= 0:
            event["destination.mac"] = mac_text(sender)
        if receiver >= 0:
            event["source.mac"] = mac_text(receiver)


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
