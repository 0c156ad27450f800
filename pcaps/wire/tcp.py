"""Play TCP connections: handshake, segments, acknowledgements, orderly and disorderly ends (RFC 9293)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from pcaps.wire.capture import Capture
from pcaps.wire.frames import ACK, FIN, PSH, RST, SYN, Endpoint, Segment, tcp_packet

CLIENT: Final = 0
SERVER: Final = 1
# MSS 1460, no-operation, window scale 8, no-operation twice, SACK permitted: what Windows 10 sends.
WINDOWS_OPTIONS: Final = struct.pack("!BBHBBBBBBBB", 2, 4, 1460, 1, 3, 3, 8, 1, 1, 4, 2)
SCANNER_OPTIONS: Final = struct.pack("!BBH", 2, 4, 1460)
BIG_SEGMENTS: Final = 44
"""Full segments that receive offload (GRO) merges into one packet at most, as a Linux gateway's capture shows them."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Say how fast a connection is: round trip in µs as seen from the capture point, bytes a second of bulk data."""

    rtt_us: int = 18_000
    rate: int = 2_500_000


class Connection:
    """Play one TCP connection between a client near the capture point and a server ``pace.rtt_us`` away.

    ``now`` is the instant of the next packet in µs; every method moves it on.
    """

    def __init__(
        self,
        capture: Capture,
        ends: tuple[Endpoint, Endpoint],
        port: int,
        at_us: int,
        *,
        source_port: int = 0,
        pace: Pace | None = None,
    ) -> None:
        """Take client and server, the server's port and the instant of the first packet."""
        self.capture, self.ends, self.now = capture, ends, at_us
        self.pace = pace or Pace()
        self.mss = 1440 if ends[0].is_v6 else 1460
        source_port = source_port or capture.next_port(ends[0].ip)
        self.ports = ((source_port, port), (port, source_port))
        self.seq = [capture.rng.getrandbits(32), capture.rng.getrandbits(32)]
        self._windows = (1026, 501)

    def emit(
        self,
        side: int,
        flags: int,
        *,
        payload: bytes = b"",
        missing: int = 0,
        options: bytes = b"",
        at_us: int | None = None,
    ) -> None:
        """Add one segment of ``side`` and move its sequence number on."""
        ack = self.seq[1 - side] if flags & ACK else 0
        window = 64_240 if flags & SYN else self._windows[side]
        segment = Segment(self.seq[side], ack, flags, window, options, payload, missing)
        ends = (self.ends[side], self.ends[1 - side])
        ident = 0 if ends[0].is_v6 else self.capture.next_ident(ends[0].ip)
        packet = tcp_packet(*ends, self.ports[side], segment, ident=ident)
        self.capture.add(self.now if at_us is None else at_us, packet, *ends)
        length = len(payload) + missing + bool(flags & SYN) + bool(flags & FIN)
        self.seq[side] = (self.seq[side] + length) & 0xFFFFFFFF

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1_000_000)

    def open(self) -> Connection:
        """Shake hands."""
        self.emit(CLIENT, SYN, options=WINDOWS_OPTIONS)
        self._pass(SERVER)
        self.emit(SERVER, SYN | ACK, options=WINDOWS_OPTIONS)
        self._pass(CLIENT)
        self.emit(CLIENT, ACK)
        return self

    def _pass(self, side: int) -> None:
        """Let the time pass until ``side`` reacts: the far side after a round trip."""
        rng = self.capture.rng
        base = self.pace.rtt_us if side == SERVER else 150
        self.now += base + rng.randrange(20 + base // 8)

    def send(self, side: int, data: bytes, *, think: float = 0.0) -> None:
        """Send ``data`` in segments after ``think`` seconds; every second one and the last are acknowledged."""
        self.wait(think)
        self._pass(side)
        pieces = [data[start : start + self.mss] for start in range(0, len(data), self.mss)]
        for number, piece in enumerate(pieces, start=1):
            last = number == len(pieces)
            self.emit(side, ACK | PSH if last else ACK, payload=piece)
            self.now += 12 + len(piece) * 8 // 1000
            if last or number % 2 == 0:
                self._acknowledge(1 - side)

    def send_cut(self, side: int, size: int, *, think: float = 0.0) -> None:
        """Send ``size`` bytes of which only headers are recorded, in packets as receive offload leaves them."""
        self.wait(think)
        self._pass(side)
        rng = self.capture.rng
        while size > 0:
            count = 1 if size < 8 * self.mss else rng.randrange(BIG_SEGMENTS // 2, BIG_SEGMENTS + 1)
            piece = min(size, count * self.mss)
            size -= piece
            self.emit(side, ACK if size else ACK | PSH, missing=piece)
            self.now += max(12, piece * 1_000_000 // self.pace.rate)
            if size == 0 or rng.random() < 0.5:
                self._acknowledge(1 - side)

    def _acknowledge(self, side: int) -> None:
        delay = 40 if side == CLIENT else self.pace.rtt_us // 2
        self.emit(side, ACK, at_us=self.now + delay + self.capture.rng.randrange(30))
        self.now += 60

    def close(self, side: int = CLIENT) -> None:
        """End in order; ``side`` begins."""
        self._pass(side)
        self.now += self.pace.rtt_us
        self.emit(side, FIN | ACK)
        self._pass(1 - side)
        self.emit(1 - side, FIN | ACK)
        self._pass(side)
        self.emit(side, ACK)

    def reset(self, side: int) -> None:
        """End at once."""
        self._pass(side)
        self.now += self.pace.rtt_us
        self.emit(side, RST | ACK)

    def refused(self) -> None:
        """Play a connection that a closed port refuses."""
        self.emit(CLIENT, SYN, options=SCANNER_OPTIONS)
        self._pass(SERVER)
        # A refusal's own sequence number is zero (RFC 9293, 3.10.7.1).
        self.seq[SERVER] = 0
        self.emit(SERVER, RST | ACK)

    def half_open(self) -> None:
        """Play what a SYN scan does with an open port: the answer is torn down at once."""
        self.emit(CLIENT, SYN, options=SCANNER_OPTIONS)
        self._pass(SERVER)
        self.emit(SERVER, SYN | ACK, options=SCANNER_OPTIONS)
        self._pass(CLIENT)
        self.emit(CLIENT, RST)

    def unanswered(self, repeats: int = 0) -> None:
        """Play a connection nobody answers: the SYN, repeated after 1, 2, 4 … seconds (RFC 6298)."""
        isn = self.seq[CLIENT]
        for number in range(repeats + 1):
            self.seq[CLIENT] = isn
            self.emit(CLIENT, SYN, options=SCANNER_OPTIONS)
            self.now += (1 << number) * 1_000_000
