"""Drive parsers whose records span lines: statements with line breaks, blocks, kernel audit records of one event.

Memory is bounded: a record holds at most ``MAX_RECORD_BYTES`` and ``MAX_RECORD_LINES``. The position of a batch never
passes the first byte of a record that is still open, so a file that is read on from there gives every record whole and
with the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from collectors.base import MAX_RECORD_BYTES, Batch, ByteSource, ReadContext
from collectors.lines import Line, decode_text, read_lines
from collectors.making import BatchMaker, EventMaker, RecordError, fault_reason
from soc_core.errors import InputError
from soc_core.model.event import Event

MAX_RECORD_LINES: Final = 10_000
TOO_LONG: Final = "record is longer than 1 MiB or 10,000 lines"


class Parsed(NamedTuple):
    """Hold the events of one whole record with its bytes and place; ``fault`` says why it gave none."""

    events: Sequence[Event]
    raw: bytes
    position: int
    number: int
    fault: str = ""


class GroupParser(Protocol):
    """Parse the lines of one reading, of which several make a record."""

    def feed(self, line: Line) -> Sequence[Parsed]:
        """Return the records that ``line`` finishes."""
        ...

    def rest(self) -> Sequence[Parsed]:
        """Return the records that are still open; nothing follows them."""
        ...

    def held_from(self) -> int | None:
        """Return the offset of the first byte that belongs to an open record."""
        ...


class Gatherer:
    """Put lines together: one that ``starts`` a record ends the one before. Lines before the first start stand alone.

    ``parse`` gives the events of a record, joined by line feeds; it raises ``RecordError`` for what can't be read.
    """

    def __init__(
        self, parse: Callable[[bytes], Sequence[Event]], starts: Callable[[bytes, Sequence[bytes]], bool]
    ) -> None:
        """``starts`` is asked with a line and those of the open record."""
        self._parse = parse
        self._starts = starts
        self._lines: list[bytes] = []
        self._size = 0
        self._position = 0
        self._number = 0
        self._overflown = False

    def feed(self, line: Line) -> Sequence[Parsed]:
        """Return the record that ``line`` ends by starting another."""
        if not self._lines or self._starts(line.raw, self._lines):
            found = self.rest()
            self._lines, self._size = [line.raw], len(line.raw)
            self._position, self._number, self._overflown = line.position, line.number, False
            return found
        self._size += len(line.raw) + 1
        if self._size > MAX_RECORD_BYTES or len(self._lines) >= MAX_RECORD_LINES:
            self._overflown = True
        else:
            self._lines.append(line.raw)
        return ()

    def rest(self) -> Sequence[Parsed]:
        """Return the open record."""
        if not self._lines:
            return ()
        raw = b"\n".join(self._lines)
        self._lines = []
        if self._overflown:
            return (Parsed((), raw, self._position, self._number, TOO_LONG),)
        try:
            return (Parsed(self._parse(raw), raw, self._position, self._number),)
        except RecordError as fault:
            return (Parsed((), raw, self._position, self._number, str(fault)),)

    def held_from(self) -> int | None:
        """Return where the open record begins."""
        return self._position if self._lines else None


def read_group_events(
    source: ByteSource, context: ReadContext, parser: GroupParser, *, name: str, module: str
) -> Iterator[Batch]:
    """Yield batches of the events that ``parser`` finds; what may be unfinished stays if the source is growing."""
    maker, batches = EventMaker(name, module, context), BatchMaker(source.name)
    try:
        for line in read_lines(source):
            batches.count("records")
            if line.too_long:
                batches.bad(line.position, line.number, "line is longer than 1 MiB", line.raw)
            else:
                _take_all(maker, batches, parser.feed(line))
            held = parser.held_from()
            batches.at(line.position if held is None else min(held, line.position))
            yield from batches.ready()
    except InputError as fault:
        batches.bad(source.offset, 0, fault_reason(fault, source.name))
    if not context.growing:
        _take_all(maker, batches, parser.rest())
    yield from batches.rest()


def _take_all(maker: EventMaker, batches: BatchMaker, found: Sequence[Parsed]) -> None:
    for record in found:
        if record.fault:
            batches.bad(record.position, record.number, record.fault, record.raw)
            continue
        # The first line alone: the record it belongs to may have been cut off when the file was read before.
        maker.seen(record.raw.partition(b"\n")[0])
        try:
            for ordinal, event in enumerate(record.events):
                if maker.context.keep_original:
                    event.setdefault("event.original", decode_text(record.raw))
                batches.add(maker.finish(event, record.raw, record.position, ordinal))
        except RecordError as fault:
            batches.bad(record.position, record.number, str(fault), record.raw)
