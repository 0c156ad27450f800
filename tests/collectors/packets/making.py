"""Make frames and captures byte by byte, for tests; nothing here is shared with the code under test."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence

from collectors.base import Batch, ReadContext
from collectors.opening import open_bytes
from collectors.packets.collector import PacketsCollector
from collectors.reading import ReadBatch, Statistics
from soc_core.clock import EPOCH
from soc_core.model.event import Event

Timed = tuple[float, bytes]
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
BEGIN = 1_700_000_000.0


def ethernet(payload: bytes, kind: int = 0x0800, *, vlans: Sequence[int] = (), source: int = 1) -> bytes:
    tags = b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in vlans)
    return b"\x02\0\0\0\0\x09" + b"\x02\0\0\0\0" + bytes([source]) + tags + struct.pack(">H", kind) + payload


def ipv4(
    source: str, destination: str, protocol: int, payload: bytes, *, identity: int = 0, fragment: int = 0
) -> bytes:
    ends = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), identity, fragment, 64, protocol, 0)
    return head + ends + payload


def ipv6(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    ends = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
    return struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64) + ends + payload


def tcp(sport: int, dport: int, seq: int, flags: int, payload: bytes = b"") -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, 0, 0x50, flags, 8192, 0, 0) + payload


def udp(sport: int, dport: int, payload: bytes) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp_frame(
    client: bool, seq: int, flags: int, payload: bytes = b"", *, dport: int = 80, sport: int = 40000
) -> bytes:
    """Return a frame between 10.0.0.1 (client) and 10.0.0.2."""
    if client:
        return ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(sport, dport, seq, flags, payload)))
    return ethernet(ipv4("10.0.0.2", "10.0.0.1", 6, tcp(dport, sport, seq, flags, payload)), source=9)


def udp_frame(
    payload: bytes,
    sport: int = 5000,
    dport: int = 53,
    source: str = "10.0.0.1",
    destination: str = "10.0.0.2",
) -> bytes:
    return ethernet(ipv4(source, destination, 17, udp(sport, dport, payload)))


def connection(
    request: bytes, answer: bytes = b"", *, dport: int = 80, start: float = BEGIN, sport: int = 40000
) -> list[Timed]:
    """Return a whole TCP connection, a packet each 10 ms."""
    ports = {"dport": dport, "sport": sport}
    frames = [
        tcp_frame(True, 99, SYN, **ports),
        tcp_frame(False, 499, SYN | ACK, **ports),
        tcp_frame(True, 100, ACK, **ports),
        tcp_frame(True, 100, PSH | ACK, request, **ports),
        tcp_frame(False, 500, PSH | ACK, answer, **ports),
        tcp_frame(True, 100 + len(request), FIN | ACK, **ports),
        tcp_frame(False, 500 + len(answer), FIN | ACK, **ports),
        tcp_frame(True, 101 + len(request), ACK, **ports),
    ]
    return [(start + number / 100, frame) for number, frame in enumerate(frames)]


def dns_query(name: str = "www.example.com", identity: int = 7, *, answer: str = "") -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    flags, answers = (0x8180, 1) if answer else (0x0100, 0)
    question = labels + struct.pack(">HH", 1, 1)
    record = b""
    if answer:
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + ipaddress.IPv4Address(answer).packed
    return struct.pack(">HHHHHH", identity, flags, 1, answers, 0, 0) + question + record


def pcap(
    packets: Iterable[Timed],
    *,
    order: str = "<",
    nanos: bool = False,
    link: int = 1,
    modified: bool = False,
    snap: int = 262144,
) -> bytes:
    magic = 0xA1B23C4D if nanos else 0xA1B2CD34 if modified else 0xA1B2C3D4
    parts = [struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, snap, link)]
    for moment, data in packets:
        microseconds = round(moment * 1_000_000)
        seconds, fraction = divmod(microseconds, 1_000_000)
        parts.append(
            struct.pack(order + "IIII", seconds, fraction * (1000 if nanos else 1), len(data), len(data))
        )
        if modified:
            parts.append(struct.pack(order + "IHBB", 1, 0, 0, 0))
        parts.append(data)
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    size = 12 + len(body)
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    link: int = 1, *, resolution: int | None = None, offset: int = 0, snap: int = 0, order: str = "<"
) -> bytes:
    options = b""
    if resolution is not None:
        options += struct.pack(order + "HHBxxx", 9, 1, resolution)
    if offset:
        options += struct.pack(order + "HHq", 14, 8, offset)
    if options:
        options += struct.pack(order + "HH", 0, 0)
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(units: int, data: bytes, *, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data, order)


def pcapng(packets: Iterable[Timed], *, order: str = "<") -> bytes:
    parts = [section(order), interface(order=order)]
    parts += [enhanced(round(moment * 1_000_000), data, order=order) for moment, data in packets]
    return b"".join(parts)


def read_batches(capture: bytes, **options: str) -> list[Batch]:
    """Read a capture in memory with the collector."""
    context = ReadContext(reference=EPOCH, options=options)
    with open_bytes(capture) as source:
        return list(PacketsCollector().read(source, context))


def read(capture: bytes, **options: str) -> tuple[list[Event], Statistics]:
    """Return all events and the statistics; fail when packets are not conserved."""
    statistics, events = Statistics(), []
    for batch in read_batches(capture, **options):
        statistics.add(ReadBatch("memory", "packets", batch.events, batch.bad, batch.counters))
        events += batch.events
    assert statistics.conserved, statistics.counters
    return events, statistics


def flows(capture: bytes) -> list[Event]:
    """Return the flow events in order of their beginning."""
    events, _ = read(capture)
    found = [event for event in events if event["event.dataset"] == "packets.flow"]
    return sorted(found, key=lambda event: str(event["@timestamp"]))
