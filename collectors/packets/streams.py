"""Put the pieces of a TCP conversation in order and hand them to its dissector.

Per direction: repetitions and overlaps are cut (the first bytes seen count), pieces ahead of a hole wait until it is
filled, until too much waits (``limit`` bytes) or for too long; then the hole is a gap. Bytes the selector left out on
purpose are a gap at once.
"""

from __future__ import annotations

from typing import Final

from collectors.packets.dissectors.base import Message, StreamDissector
from collectors.packets.meter import Row

MAX_WAIT_US: Final = 2_000_000
MAX_PIECES: Final = 64


class _Direction:
    """Hold what waits in one direction: (position, time, bytes), sorted."""

    __slots__ = ("base", "expected", "held", "waiting")

    def __init__(self, base: int) -> None:
        self.base = base
        self.expected = base
        self.waiting: list[tuple[int, int, bytes]] = []
        self.held = 0


class Conversation:
    """Reassemble both directions of one flow for one dissector.

    Directions are numbered by the sender in the meter's table; ``origin`` is who the originator is there, for the
    dissector's side 0.
    """

    __slots__ = ("_directions", "dissector", "kind", "origin")

    def __init__(self, kind: int, origin: int, dissector: StreamDissector | None) -> None:
        """Start; without a dissector (protocol not known yet) pieces only wait."""
        self.kind = kind
        self.origin = origin
        self.dissector = dissector
        self._directions: list[_Direction | None] = [None, None]

    @property
    def held(self) -> int:
        """Return how many bytes wait."""
        return sum(direction.held for direction in self._directions if direction is not None)

    def add(self, item: Row, data: bytes, limit: int) -> list[Message]:
        """Take the payload of ``item`` (a row ``IT_*``) and return the messages that were completed."""
        _, marked, _, _, position, time_us, _, _, _, base = item
        sender = marked & 1
        direction = self._directions[sender]
        if direction is None:
            direction = self._directions[sender] = _Direction(base)
        dissector, expected = self.dissector, direction.expected
        if position == expected and dissector is not None and not direction.waiting and not dissector.done:
            direction.expected = position + len(data)  # nearly always
            return dissector.feed(sender ^ self.origin, position - direction.base, time_us, data)
        if position + len(data) <= expected:
            return []
        if dissector is None:
            if direction.held + len(data) <= limit:
                _insert(direction, position, time_us, data)
            return []
        in_turn = position <= expected or not marked & 2
        if in_turn and not direction.waiting:
            return self._deliver(sender, direction, position, time_us, data)
        _insert(direction, position, time_us, data)
        late = time_us - min(piece[1] for piece in direction.waiting) > MAX_WAIT_US
        many = direction.held > limit or len(direction.waiting) > MAX_PIECES
        return self._drain(sender, direction, everything=late or many)

    def prefix(self, sender: int, size: int) -> bytes:
        """Return the first bytes of a direction that wait without a hole before them."""
        direction = self._directions[sender]
        parts: list[bytes] = []
        if direction is not None:
            at = direction.expected
            for position, _, data in direction.waiting:
                if position > at:
                    break
                parts.append(data[at - position :])
                at = max(at, position + len(data))
        return b"".join(parts)[:size]

    def start(self, kind: int, dissector: StreamDissector, sender: int, base: int) -> list[Message]:
        """Begin to dissect what waited so far; ``sender``'s stream begins at ``base``."""
        self.kind, self.dissector = kind, dissector
        begun = self._directions[sender]
        if begun is not None and begun.expected != base:
            begun.base = begun.expected = base
        found: list[Message] = []
        for sender, direction in enumerate(self._directions):
            if direction is not None:
                found += self._drain(sender, direction, everything=False)
        return found

    def _deliver(
        self, sender: int, direction: _Direction, position: int, time_us: int, data: bytes
    ) -> list[Message]:
        if position < direction.expected:
            data = data[direction.expected - position :]
            position = direction.expected
        direction.expected = position + len(data)
        dissector = self.dissector
        if dissector is None or dissector.done:
            return []
        return dissector.feed(sender ^ self.origin, position - direction.base, time_us, data)

    def _drain(self, sender: int, direction: _Direction, *, everything: bool) -> list[Message]:
        """Deliver what is in order by now, or everything that waits."""
        found: list[Message] = []
        waiting = direction.waiting
        while waiting and (everything or waiting[0][0] <= direction.expected):
            position, time_us, data = waiting.pop(0)
            direction.held -= len(data)
            if position + len(data) > direction.expected:
                found += self._deliver(sender, direction, position, time_us, data)
        return found

    def close(self) -> list[Message]:
        """Deliver what waits and end the dissector."""
        found: list[Message] = []
        if self.dissector is None:
            return found
        for sender, direction in enumerate(self._directions):
            if direction is not None:
                found += self._drain(sender, direction, everything=True)
        return found + self.dissector.close()


def _insert(direction: _Direction, position: int, time_us: int, data: bytes) -> None:
    """Keep a piece in order of position; of equal positions the first that came stays first."""
    waiting = direction.waiting
    at = len(waiting)
    while at and waiting[at - 1][0] > position:
        at -= 1
    waiting.insert(at, (position, time_us, data))
    direction.held += len(data)
