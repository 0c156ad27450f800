"""Send the pieces of sources to the parent, each exactly once in its store.

Of each source the position, how many events were sent in the current life (those are the offsets of the wire), and
whether an answer is outstanding are rows of the cursors. When it is not known what became of a piece, a new life
begins: its offsets say nothing about the old one, so the parent passes over nothing, and ids drop the doubles.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import orjson
from sqlalchemy import Connection

from intake.forwarding.sources import ForwardSource, Piece
from intake.pipeline import read_cursor, set_cursor
from soc_core.clock import Clock, format_instant
from soc_core.errors import StoreError
from soc_core.state.database import Database
from soc_core.uplink.answers import Receipt
from soc_core.uplink.heartbeat import EVERY, Heartbeat, SourceState
from soc_core.uplink.wire import HEARTBEAT, RECORDS, Item, encode_records

AT_ONCE: Final = 2_000
MOST_BYTES: Final = 8 << 20
HEARTBEAT_EPOCH: Final = "centre"


class Ask(Protocol):
    """Ask the parent (``collectors.uplink.asking.Asker``)."""

    def ask(self, path: str, epoch: str, body: bytes) -> Receipt:
        """Return the receipt; raise ``InputError`` or one of its kind otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class LaneState:
    """Hold how far a source is: ``sent`` events in this ``life``, ``pending`` while an answer is outstanding."""

    position: int = 0
    sent: int = 0
    life: int = 0
    pending: int = 0


class Forwarder:
    """Forward sources to one parent. For one thread."""

    def __init__(
        self, database: Database, sources: Sequence[ForwardSource], asker: Ask, digest: str, clock: Clock
    ) -> None:
        """Take where positions are kept, what goes, who is asked, and what tells the policy from others."""
        self._database, self._sources, self._asker = database, sources, asker
        self._digest, self._clock = digest, clock
        self._started = format_instant(clock())
        self._beat_due = clock()
        self.sent = 0

    def step(self, stop: Callable[[], bool]) -> bool:
        """Send what there is, at most one piece a source; return whether anything was sent.

        Raises ``InputError`` (and its kinds) when the parent can't be reached or refuses: nothing is lost, try later.
        """
        worked = False
        if self._clock() >= self._beat_due or self._beat_due > self._clock() + EVERY:
            self._beat_due = self._clock() + EVERY
            self._heartbeat()
        for source in self._sources:
            if not stop():
                worked = self._send(source) or worked
        return worked

    def _send(self, source: ForwardSource) -> bool:
        with self._database.read() as connection:
            state = _read(connection, source.name)
        if not state.life or state.pending:
            state = replace(state, life=secrets.randbelow(2**52) + 1, sent=0)
        piece = source.following(state.position, AT_ONCE)
        if not piece.events:
            if piece.position != state.position:
                self._keep(source.name, replace(state, position=piece.position, pending=0))
            return False
        self._keep(source.name, replace(state, pending=1))
        for lines in _cut(piece):
            self._ask(source, state, lines)
            state = replace(state, sent=state.sent + len(lines))
        self._keep(source.name, replace(state, position=piece.position, pending=0))
        self.sent += len(piece.events)
        return True

    def _ask(self, source: ForwardSource, state: LaneState, lines: Sequence[bytes]) -> None:
        body = encode_records([Item(state.sent, lines)])
        epoch = f"{source.name}-{self._digest}-{state.life:x}"
        receipt = self._asker.ask(RECORDS, epoch, body)
        if receipt.mark < state.sent + len(lines):
            raise StoreError("the parent did not take what was sent", todo="see the parent's log")

    def _heartbeat(self) -> None:
        with self._database.read() as connection:
            states = {source.name: _read(connection, source.name) for source in self._sources}
        waiting = {source.name: source.waiting(states[source.name].position) for source in self._sources}
        beat = Heartbeat(
            started=self._started,
            platform="centre",
            waiting=sum(waiting.values()),
            sources=[SourceState(name, "agent", {"waiting": count}) for name, count in waiting.items()],
        )
        self._asker.ask(HEARTBEAT, HEARTBEAT_EPOCH, beat.encode())

    def _keep(self, name: str, state: LaneState) -> None:
        with self._database.write() as connection:
            for part in LaneState.__slots__:
                set_cursor(connection, _cursor(name, part), getattr(state, part))


def _read(connection: Connection, name: str) -> LaneState:
    return LaneState(**{part: read_cursor(connection, _cursor(name, part)) for part in LaneState.__slots__})


def _cursor(name: str, part: str) -> str:
    return f"parent.{name}.{part}"


def _cut(piece: Piece) -> list[list[bytes]]:
    """Return the events' lines in bodies of bounded size."""
    bodies: list[list[bytes]] = [[]]
    size = 0
    for event in piece.events:
        line = orjson.dumps(event)
        if bodies[-1] and size + len(line) > MOST_BYTES:
            bodies.append([])
            size = 0
        bodies[-1].append(line)
        size += len(line)
    return bodies
