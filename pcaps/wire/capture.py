"""Collect frames in any order and write them as pcap or pcapng, packed or not, always the same bytes."""

from __future__ import annotations

import gzip
import random
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

import zstandard

from pcaps.wire.frames import ETHER_IPV4, ETHER_IPV6, Endpoint, Packet, ethernet, icmp_packet, udp_packet

SNAP_LENGTH: Final = 262_144
Link: TypeAlias = Callable[[Packet, Endpoint, Endpoint], "Packet"]
"""Put an IP packet into a frame: on plain Ethernet, in a VLAN, in a tunnel."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold one recorded frame: µs since 1970 UTC, the bytes kept, the bytes there were on the wire."""

    time_us: int
    data: bytes
    length: int


def on_ethernet(*vlans: int) -> Link:
    """Return a link that puts packets on Ethernet, inside ``vlans`` (outermost first) if given."""

    def link(packet: Packet, source: Endpoint, destination: Endpoint) -> Packet:
        kind = ETHER_IPV6 if packet.data[0] >> 4 == 6 else ETHER_IPV4
        return Packet(ethernet(source.mac, destination.mac, kind, packet.data, vlans), packet.missing)

    return link


class Capture:
    """Gather frames; ``rng`` is the only source of chance, seeded by the scenario's name.

    ``link`` may be exchanged at any time: what is added from then on goes that way.
    """

    def __init__(self, name: str, start: datetime) -> None:
        """Take the scenario's name and the instant it starts at."""
        self.rng = random.Random(f"edusoc:{name}")
        self.start_us = int(start.timestamp()) * 1_000_000
        self.link: Link = on_ethernet()
        self._frames: list[Frame] = []
        self._idents: defaultdict[str, int] = defaultdict(lambda: self.rng.randrange(65_536))
        self._ports: defaultdict[str, int] = defaultdict(lambda: self.rng.randrange(49_152, 60_000))

    def at(self, seconds: float) -> int:
        """Return the instant ``seconds`` after the start, in µs since 1970."""
        return self.start_us + round(seconds * 1_000_000)

    def next_ident(self, address: str) -> int:
        """Return the next IPv4 identification of a sender: most stacks count up."""
        self._idents[address] = (self._idents[address] + 1) & 0xFFFF
        return self._idents[address]

    def next_port(self, address: str) -> int:
        """Return the next ephemeral port of a device (RFC 6335: 49152–65535), in turn as Windows gives them out."""
        port = self._ports[address]
        self._ports[address] = 49_152 if port >= 65_535 else port + 1
        return port

    def add_frame(self, time_us: int, data: bytes, length: int | None = None) -> None:
        """Add a whole frame; ``length`` is its length on the wire when more than was kept."""
        self._frames.append(Frame(time_us, data, len(data) if length is None else length))

    def add(self, time_us: int, packet: Packet, source: Endpoint, destination: Endpoint) -> None:
        """Add an IP packet by the current link."""
        framed = self.link(packet, source, destination)
        self.add_frame(time_us, framed.data, len(framed.data) + framed.missing)

    def udp(
        self,
        time_us: int,
        source: Endpoint,
        destination: Endpoint,
        ports: tuple[int, int],
        payload: bytes,
        *,
        missing: int = 0,
    ) -> None:
        """Add one UDP datagram."""
        ident = 0 if source.is_v6 else self.next_ident(source.ip)
        packet = udp_packet(source, destination, ports, payload, ident=ident, missing=missing)
        self.add(time_us, packet, source, destination)

    def icmp(
        self, time_us: int, source: Endpoint, destination: Endpoint, kind: tuple[int, int], rest: bytes
    ) -> None:
        """Add one ICMP message."""
        ident = 0 if source.is_v6 else self.next_ident(source.ip)
        self.add(time_us, icmp_packet(source, destination, kind, rest, ident=ident), source, destination)

    def frames(self) -> list[Frame]:
        """Return the frames by time; of equal times the one added first comes first."""
        return sorted(self._frames, key=lambda frame: frame.time_us)


def pcap_bytes(frames: Iterable[Frame]) -> bytes:
    """Return a classic pcap file with µs times, little-endian, of Ethernet frames (draft-ietf-opsawg-pcap)."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP_LENGTH, 1)]
    for frame in frames:
        seconds, micros = divmod(frame.time_us, 1_000_000)
        parts += (struct.pack("<IIII", seconds, micros, len(frame.data), frame.length), frame.data)
    return b"".join(parts)


def pcapng_bytes(frames: Iterable[Frame], interface: str = "eth0") -> bytes:
    """Return a pcapng file with one Ethernet interface (draft-ietf-opsawg-pcapng)."""
    name = interface.encode()
    options = _option(2, name) + _option(9, b"\x06") + struct.pack("<HH", 0, 0)
    parts = [
        _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        _block(1, struct.pack("<HHI", 1, 0, SNAP_LENGTH) + options),
    ]
    for frame in frames:
        head = struct.pack(
            "<IIIII",
            0,
            frame.time_us >> 32,
            frame.time_us & 0xFFFFFFFF,
            len(frame.data),
            frame.length,
        )
        parts.append(_block(6, head + _padded(frame.data)))
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def pack(content: bytes, name: str) -> bytes:
    """Return ``content`` packed as the ending of ``name`` says; without names or times, so that it repeats."""
    if name.endswith(".gz"):
        return gzip.compress(content, 9, mtime=0)
    if name.endswith(".zst"):
        return zstandard.ZstdCompressor(level=19).compress(content)
    return content


def unpack(data: bytes, name: str) -> bytes:
    """Return the content of a file packed by ``pack``. Compressors differ between versions, contents don't."""
    if name.endswith(".gz"):
        return gzip.decompress(data)
    if name.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompress(data)
    return data
