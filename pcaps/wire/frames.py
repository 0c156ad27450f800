"""Build Ethernet, IP, TCP, UDP and ICMP with right lengths and checksums (RFC 791, 8200, 9293, 768, 792, 4443).

A packet may be cut: ``missing`` bytes of payload are counted in every length and taken as zeros by the checksum, but
not written. So a capture keeps real volumes and stays small, as recorders do that keep only the head of each packet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
ETHER_IPV4: Final = 0x0800
ETHER_IPV6: Final = 0x86DD
ETHER_ARP: Final = 0x0806
ETHER_VLAN: Final = 0x8100


@cache
def packed(address: str) -> bytes:
    """Return the 4 or 16 bytes of an address."""
    return ip_address(address).packed


def mac(text: str) -> bytes:
    """Return the 6 bytes of ``aa:bb:cc:dd:ee:ff``."""
    return bytes.fromhex(text.replace(":", ""))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Name one side of a conversation as the capture point sees it.

    ``mac`` is the next hop's for machines behind a router; ``ttl`` what is left of it when the packet is recorded.
    """

    ip: str
    mac: bytes
    ttl: int = 64

    @property
    def is_v6(self) -> bool:
        """Tell whether the address is IPv6."""
        return ":" in self.ip


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold what differs between TCP segments of one direction."""

    seq: int
    ack: int
    flags: int
    window: int = 64_240
    options: bytes = b""
    payload: bytes = b""
    missing: int = 0


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071): 2^16 ≡ 1 mod 65535, so one big remainder replaces the loop."""
    if len(data) % 2:
        data += b"\0"
    total = int.from_bytes(data, "big")
    return 0xFFFF - (total % 0xFFFF or 0xFFFF) if total else 0xFFFF


def pseudo_header(source: Endpoint, destination: Endpoint, protocol: int, length: int) -> bytes:
    """Return what transport checksums cover besides the transport itself."""
    head = packed(source.ip) + packed(destination.ip)
    if source.is_v6:
        return head + struct.pack("!IHBB", length, 0, 0, protocol)
    return head + struct.pack("!BBH", 0, protocol, length)


@dataclass(frozen=True, slots=True)
class Packet:
    """Hold an IP packet: the bytes written, and how many more were on the wire."""

    data: bytes
    missing: int = 0


def ip_packet(
    source: Endpoint, destination: Endpoint, protocol: int, body: bytes, *, ident: int = 0, missing: int = 0
) -> Packet:
    """Return ``body`` behind an IPv4 header (don't fragment) or an IPv6 header, whichever the addresses are."""
    length = len(body) + missing
    if source.is_v6:
        head = struct.pack("!IHBB", 0x60000000, length, protocol, source.ttl)
        return Packet(head + packed(source.ip) + packed(destination.ip) + body, missing)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, ident, 0x4000, source.ttl, protocol, 0)
    head += packed(source.ip) + packed(destination.ip)
    return Packet(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body, missing)


def tcp_packet(
    source: Endpoint, destination: Endpoint, ports: tuple[int, int], segment: Segment, *, ident: int = 0
) -> Packet:
    """Return one TCP segment; ``ports`` are source and destination."""
    offset = (20 + len(segment.options)) // 4 << 4
    head = struct.pack(
        "!HHIIBBHHH", *ports, segment.seq, segment.ack, offset, segment.flags, segment.window, 0, 0
    )
    body = head + segment.options + segment.payload
    total = checksum(pseudo_header(source, destination, TCP, len(body) + segment.missing) + body)
    body = body[:16] + struct.pack("!H", total) + body[18:]
    return ip_packet(source, destination, TCP, body, ident=ident, missing=segment.missing)


def udp_packet(
    source: Endpoint,
    destination: Endpoint,
    ports: tuple[int, int],
    payload: bytes,
    *,
    ident: int = 0,
    missing: int = 0,
) -> Packet:
    """Return one UDP datagram; a checksum of 0 is sent as 0xffff (RFC 768)."""
    length = 8 + len(payload) + missing
    body = struct.pack("!HHHH", *ports, length, 0) + payload
    total = checksum(pseudo_header(source, destination, UDP, length) + body) or 0xFFFF
    body = body[:6] + struct.pack("!H", total) + body[8:]
    return ip_packet(source, destination, UDP, body, ident=ident, missing=missing)


def icmp_packet(
    source: Endpoint, destination: Endpoint, kind: tuple[int, int], rest: bytes, *, ident: int = 0
) -> Packet:
    """Return one ICMP or ICMPv6 message; ``kind`` is type and code, ``rest`` all behind the checksum."""
    protocol = ICMPV6 if source.is_v6 else ICMP
    body = struct.pack("!BBH", *kind, 0) + rest
    covered = pseudo_header(source, destination, ICMPV6, len(body)) + body if source.is_v6 else body
    body = body[:2] + struct.pack("!H", checksum(covered)) + body[4:]
    return ip_packet(source, destination, protocol, body, ident=ident)


def ethernet(source: bytes, destination: bytes, kind: int, body: bytes, vlans: tuple[int, ...] = ()) -> bytes:
    """Return an Ethernet frame; ``vlans`` are 802.1Q tags from the outside in. Short frames are not padded."""
    tags = b"".join(struct.pack("!HH", ETHER_VLAN, vlan) for vlan in vlans)
    return destination + source + tags + struct.pack("!H", kind) + body


def arp(source: Endpoint, target_ip: str, *, answer_to: Endpoint | None = None) -> bytes:
    """Return a whole ARP frame (RFC 826): a question to all, or the answer to ``answer_to``."""
    target = answer_to.mac if answer_to else bytes(6)
    body = struct.pack("!HHBBH", 1, ETHER_IPV4, 6, 4, 2 if answer_to else 1)
    body += source.mac + packed(source.ip) + target + packed(target_ip)
    return ethernet(source.mac, answer_to.mac if answer_to else b"\xff" * 6, ETHER_ARP, body)
