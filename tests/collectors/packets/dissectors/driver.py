"""Drive the dissectors over captures without the engine: dpkt reads, a small reassembler of its own orders."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import dpkt

from collectors.packets.dissectors.base import Message, StreamDissector
from collectors.packets.dissectors.http_head import METHODS
from collectors.packets.dissectors.registry import DATAGRAM_DATASETS, DATAGRAMS, STREAMS

Endpoint = tuple[str, int]
SERVERS = {22, 53, 80, 139, 443, 445}


@dataclass
class Side:
    next: int | None = None
    base: int = 0
    waiting: dict[int, tuple[int, bytes]] = field(default_factory=dict)


class Observed(Protocol):
    """Say what conformance tests ask of an event, wherever it comes from."""

    @property
    def dataset(self) -> str: ...
    @property
    def source(self) -> Endpoint: ...
    @property
    def destination(self) -> Endpoint: ...
    def get(self, name: str) -> object: ...


@dataclass
class Seen:
    """A message with the addressing the engine would add: ``source`` is the originator."""

    message: Message
    source: Endpoint
    destination: Endpoint
    transport: str

    @property
    def dataset(self) -> str:
        return self.message.dataset

    def get(self, name: str) -> object:
        fixed = {
            "source.ip": self.source[0],
            "source.port": self.source[1],
            "destination.ip": self.destination[0],
            "destination.port": self.destination[1],
            "transport": self.transport,
        }
        return fixed.get(name, self.message.fields.get(name))


class Conversation:
    """Order the bytes of both directions and feed them; a hole is given up when the peer
    acknowledges it, when its side ends or 200 pieces wait."""

    def __init__(self, source: Endpoint, destination: Endpoint) -> None:
        self.source, self.destination = source, destination
        self.sides = (Side(), Side())
        self.dissector: StreamDissector | None = None
        self.early: list[tuple[int, int, int, bytes]] = []
        self.messages: list[Message] = []
        self.given_up = False

    def packet(self, side: int, tcp: dpkt.tcp.TCP, time_us: int) -> None:
        state = self.sides[side]
        data = bytes(tcp.data)
        other = self.sides[1 - side]
        if other.waiting and tcp.flags & dpkt.tcp.TH_ACK:
            first = min(other.waiting, key=lambda s: s - (other.next or 0) & 0xFFFFFFFF)
            if (tcp.ack - first + 0x80000000 & 0xFFFFFFFF) >= 0x80000000:  # received, but not captured
                self.jump(1 - side)
        if tcp.flags & dpkt.tcp.TH_SYN:
            state.next = state.base = (tcp.seq + 1) & 0xFFFFFFFF
            if data:
                self.add(side, state.next, time_us, data)
            return
        if state.next is None:
            state.next = state.base = tcp.seq
        if data:
            self.add(side, tcp.seq, time_us, data)

    def add(self, side: int, sequence: int, time_us: int, data: bytes) -> None:
        state = self.sides[side]
        assert state.next is not None
        ahead = (sequence - state.next + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if ahead > 0:
            if len(data) > len(state.waiting.get(sequence, (0, b""))[1]):
                state.waiting[sequence] = (time_us, data)
            if len(state.waiting) > 200:
                self.jump(side)
            return
        if -ahead >= len(data):
            return
        self.deliver(side, time_us, data[-ahead:])
        self.drain(side)

    def drain(self, side: int) -> None:
        state = self.sides[side]
        moved = True
        while moved and state.waiting:
            moved = False
            for sequence in sorted(state.waiting, key=lambda s: s - (state.next or 0) & 0xFFFFFFFF):
                ahead = (sequence - (state.next or 0) + 0x80000000 & 0xFFFFFFFF) - 0x80000000
                if ahead <= 0:
                    time_us, data = state.waiting.pop(sequence)
                    if -ahead < len(data):
                        self.deliver(side, time_us, data[-ahead:])
                    moved = True
                    break

    def jump(self, side: int) -> None:
        state = self.sides[side]
        state.next = min(state.waiting, key=lambda s: s - (state.next or 0) & 0xFFFFFFFF)
        self.drain(side)

    def deliver(self, side: int, time_us: int, data: bytes) -> None:
        state = self.sides[side]
        assert state.next is not None
        offset = (state.next - state.base) & 0xFFFFFFFF
        state.next = (state.next + len(data)) & 0xFFFFFFFF
        if self.dissector is None:
            if not self.given_up:
                self.early.append((side, offset, time_us, data))
                self.choose()
            return
        self.messages += self.dissector.feed(side, offset, time_us, data)

    def choose(self) -> None:
        """Pick the dissector by the first bytes; after 16 pieces without a sign there is none."""
        for side in (0, 1):
            start = b"".join(data for s, _, _, data in self.early if s == side)[:64]
            name = protocol_of(start, self.source[1], self.destination[1])
            if name in STREAMS:
                self.dissector = STREAMS[name]()
                for piece in self.early:
                    self.messages += self.dissector.feed(*piece)
                self.early = []
                return
        for place, (_, _, _, data) in enumerate(self.early):  # STARTTLS and its like
            if data[:2] == b"\x16\3" and data[5:6] == b"\1":
                self.dissector = STREAMS["tls"]()
                for piece in self.early[place:]:
                    self.messages += self.dissector.feed(*piece)
                self.early = []
                return
        self.given_up = len(self.early) > 16
        if self.given_up:
            self.early = []

    def close(self) -> None:
        for side in (0, 1):
            while self.sides[side].waiting:
                self.jump(side)
        if self.dissector is not None:
            self.messages += self.dissector.close()


def protocol_of(start: bytes, *ports: int) -> str:
    if start[:1] in (b"\x16", b"\x15") and start[1:2] in (b"\3", b"\1"):
        return "tls"
    if (
        start[:1] >= b"\x80"
        and start[2:3] == b"\1"
        and start[3:5] in (b"\3\0", b"\3\1", b"\3\2", b"\3\3", b"\0\2")
    ):
        return "tls"
    if start.startswith(b"HTTP/1.") or (b" " in start and start.partition(b" ")[0] in METHODS):
        return "http"
    if start.startswith(b"SSH-"):
        return "ssh"
    if start[4:8] in (b"\xffSMB", b"\xfeSMB", b"\xfdSMB", b"\xfcSMB") or start[:1] == b"\x81":
        return "smb"
    if 53 in ports and len(start) >= 12:
        return "dns"
    return ""


def datagram_protocol(data: bytes, source: int, destination: int) -> str:
    ports = {source, destination}
    if 53 in ports:
        return "dns"
    if 5353 in ports:
        return "mdns"
    if 5355 in ports:
        return "llmnr"
    if 137 in ports:
        return "nbns"
    if 53 in ports or (
        len(data) > 12 and data[2] & 0x78 == 0 and data[4:6] == b"\0\1" and data[6:12] == b"\0" * 6
    ):
        return "dns"
    return ""


def packets(path: Path) -> Iterator[tuple[int, dpkt.Packet]]:
    """Yield (time, IP packet) of a capture; what dpkt can't read is left out."""
    raw = path.read_bytes()
    try:
        reader = (
            dpkt.pcapng.Reader(io.BytesIO(raw))
            if raw[:4] == b"\n\r\r\n"
            else dpkt.pcap.Reader(io.BytesIO(raw))
        )
    except (ValueError, dpkt.Error):
        return
    link = reader.datalink()
    with_errors = iter(reader)
    while True:
        try:
            stamp, frame = next(with_errors)
        except (StopIteration, dpkt.Error, ValueError):
            return
        yield from ((round(stamp * 1_000_000), ip) for ip in ip_packets(link, frame))


def ip_packets(link: int, frame: bytes) -> Iterator[dpkt.Packet]:
    try:
        if link == dpkt.pcap.DLT_EN10MB:
            packet: object = dpkt.ethernet.Ethernet(frame).data
            while type(packet).__name__ in ("PPPoE", "PPP", "GRE"):
                packet = packet.data  # type: ignore[attr-defined]
        elif link in (101, 12, 14, 228, 229):
            packet = dpkt.ip.IP(frame) if frame[0] >> 4 == 4 else dpkt.ip6.IP6(frame)
        elif link == 113:
            packet = dpkt.sll.SLL(frame).data
        elif link == 276:
            packet = dpkt.sll2.SLL2(frame).data
        elif link == 0:
            packet = dpkt.loopback.Loopback(frame).data
        else:
            return
    except (dpkt.Error, IndexError, ValueError, AttributeError):
        return
    yield from _inner(packet)


def _inner(packet: object) -> Iterator[dpkt.Packet]:
    for _ in range(4):
        if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
            return
        yield packet
        packet = packet.data
        if isinstance(packet, dpkt.gre.GRE):
            packet = packet.data


def read(path: Path) -> list[Seen]:
    """Return what the dissectors say of a capture, in the order of coming out per conversation."""
    conversations: dict[tuple[Endpoint, Endpoint], Conversation] = {}
    ended: list[Conversation] = []
    seen: list[Seen] = []
    for time_us, ip in packets(path):
        family = socket.AF_INET if isinstance(ip, dpkt.ip.IP) else socket.AF_INET6
        source, destination = socket.inet_ntop(family, ip.src), socket.inet_ntop(family, ip.dst)
        layer = ip.data
        if isinstance(layer, dpkt.tcp.TCP):
            one, two = (source, layer.sport), (destination, layer.dport)
            key = (one, two) if (one, two) in conversations else (two, one)
            fresh = layer.flags & dpkt.tcp.TH_SYN and not layer.flags & dpkt.tcp.TH_ACK
            if (
                key in conversations
                and fresh
                and conversations[key].sides[0].next not in (None, layer.seq + 1)
            ):
                ended.append(conversations.pop(key))
            if key not in conversations:
                begun = layer.flags & dpkt.tcp.TH_SYN
                from_server = (
                    layer.flags & 0x12 == 0x12 if begun else one[1] in SERVERS and two[1] not in SERVERS
                )
                key = (two, one) if from_server else (one, two)
                conversations[key] = Conversation(*key)
            conversations[key].packet(0 if key == (one, two) else 1, layer, time_us)
        elif isinstance(layer, dpkt.udp.UDP):
            data = bytes(layer.data)
            name = datagram_protocol(data, layer.sport, layer.dport)
            fields = DATAGRAMS[name](data) if name else None
            one, two = (source, layer.sport), (destination, layer.dport)
            if fields is not None:
                message = Message(DATAGRAM_DATASETS[name], time_us, 0, fields)
                answer = fields["dns.type"] == "answer" and name != "mdns"
                seen.append(Seen(message, *((two, one) if answer else (one, two)), "udp"))
    for conversation in [*ended, *conversations.values()]:
        conversation.close()
        seen += [Seen(m, conversation.source, conversation.destination, "tcp") for m in conversation.messages]
    return seen
