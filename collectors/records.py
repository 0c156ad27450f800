"""Drive a record parser over a source: the loop that all collectors of lines and JSON documents share.

All of them can go on where an earlier reading stopped (``collectors.base.Resume``), which is how files are tailed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from collectors.base import Batch, ByteSource, Reached, ReadContext, Span
from collectors.json_records import JsonObject, read_json
from collectors.lines import Line, decode_text, read_lines
from collectors.making import BatchMaker, EventMaker, RecordError, fault_reason
from soc_core.errors import InputError
from soc_core.model.event import Event

MOST_HEADERS: Final = 64
_LONGEST_KEY: Final = 64
_LONGEST_HEADER: Final = 1 << 16


def header_key(raw: bytes) -> bytes:
    """Return the kind of a line that gave no events: its first word."""
    return raw.split(None, 1)[0][:_LONGEST_KEY]


class LineParser(Protocol):
    """Parse the lines of one reading; may keep state such as column names.

    State must follow from the last line of each kind (first word) that gave no events: those are given again, in their
    order, where a reading resumes.
    """

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the events of ``line`` without id. Raises ``RecordError`` when it can't be read."""
        ...


class JsonParser(Protocol):
    """Parse the JSON objects of one reading."""

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the events of one object without id. Raises ``RecordError`` when it can't be read."""
        ...


class Group(NamedTuple):
    """Hold what several lines together say: the first line, the events without id, the text of all lines.

    The first line's offset and bytes name the events. ``fault`` says why there are none.
    """

    first: Line
    events: Sequence[Event]
    original: str
    fault: str = ""


class GroupParser(Protocol):
    """Parse records of several lines (auditd, statements of databases), which may lie among each other.

    Memory is bounded: what would be held too long is given up as a finished group.
    """

    def parse(self, line: Line) -> Iterable[Group]:
        """Return the groups that are finished now. Raises ``RecordError`` when the line belongs nowhere."""
        ...

    def rest(self) -> Iterable[Group]:
        """Return the groups that are not finished, as they are, and forget them."""
        ...

    def held(self) -> int | None:
        """Return the offset of the first line of the oldest group that is not finished, ``None`` if there is none."""
        ...


class _Making:
    """Hold what every reading needs: the makers of events and batches, and what the next reading must know."""

    def __init__(self, source: ByteSource, context: ReadContext, name: str, module: str) -> None:
        self._source = source
        self.maker = EventMaker(name, module, context)
        self.batches = BatchMaker(source.name)
        self._headers: dict[bytes, Span] = {}
        if source.resume is not None and source.resume.first_record:
            self.maker.seen(source.resume.first_record)

    def header_lines(self) -> Iterator[Line]:
        """Yield the lines to be given to the parser again before it goes on."""
        if self._source.resume is not None:
            for raw in self._source.resume.header:
                yield Line(0, 0, raw)

    def no_events(self, line: Line) -> None:
        """Note a line that gave no events: later ones may be read by it."""
        if self._source.resume is None or len(line.raw) > _LONGEST_HEADER:
            return
        key = header_key(line.raw)
        if key in self._headers or len(self._headers) < MOST_HEADERS:
            self._headers[key] = (line.position, len(line.raw))

    def too_long(self, line: Line) -> None:
        """Keep aside a line that is longer than allowed."""
        self.batches.bad(line.position, line.number, "line is longer than 1 MiB", line.raw)

    def fault(self, fault: InputError) -> None:
        """Keep aside why the source can't be read on."""
        self.batches.bad(self._source.offset, 0, fault_reason(fault, self._source.name))

    def end(self, held: int | None = None) -> Iterator[Batch]:
        """Yield what is left; where the reading was resumed, also how far it came."""
        yield from self.batches.rest()
        if self._source.resume is not None:
            position = self._source.offset if held is None else held
            yield Batch(position=position, reached=Reached(position, self.maker.first, self._headers))


def read_line_events(
    source: ByteSource, context: ReadContext, parser: LineParser, *, name: str, module: str
) -> Iterator[Batch]:
    """Yield batches of the events ``parser`` finds in the lines of ``source``."""
    making = _Making(source, context, name, module)
    batches = making.batches
    for line in making.header_lines():
        try:
            parser.parse(line)
        except RecordError:
            continue
    try:
        for line in read_lines(source):
            batches.count("records")
            batches.at(line.position)
            if line.too_long:
                making.too_long(line)
            else:
                _take(making, line, parser)
            yield from batches.ready()
    except InputError as fault:
        making.fault(fault)
    yield from making.end()


def _take(making: _Making, line: Line, parser: LineParser) -> None:
    maker = making.maker
    try:
        events = parser.parse(line)
        for ordinal, event in enumerate(events):
            if maker.context.keep_original:
                event.setdefault("event.original", decode_text(line.raw))
            making.batches.add(maker.finish(event, line.raw, line.position, ordinal))
        if not events:
            making.no_events(line)
    except RecordError as fault:
        making.batches.bad(line.position, line.number, str(fault), line.raw)


def read_group_events(
    source: ByteSource, context: ReadContext, parser: GroupParser, *, name: str, module: str
) -> Iterator[Batch]:
    """Yield batches of the events ``parser`` finds in groups of lines of ``source``.

    A batch's position never passes the first line of a group that is not finished.
    """
    making = _Making(source, context, name, module)
    batches = making.batches
    try:
        for line in read_lines(source):
            batches.count("records")
            if line.too_long:
                making.too_long(line)
            else:
                _take_groups(making, line, parser)
            held = parser.held()
            if held == line.position:
                making.maker.begin(line.raw, line.position)
            batches.at(line.position if held is None else held)
            yield from batches.ready()
    except InputError as fault:
        making.fault(fault)
    if source.resume is None or not source.resume.more:
        _add_groups(making, parser.rest())
    yield from making.end(parser.held())


def _take_groups(making: _Making, line: Line, parser: GroupParser) -> None:
    try:
        _add_groups(making, parser.parse(line))
    except RecordError as fault:
        making.batches.bad(line.position, line.number, str(fault), line.raw)


def _add_groups(making: _Making, groups: Iterable[Group]) -> None:
    for group in groups:
        line = group.first
        if group.fault:
            making.batches.bad(line.position, line.number, group.fault, line.raw)
        try:
            for ordinal, event in enumerate(group.events):
                if making.maker.context.keep_original:
                    event.setdefault("event.original", group.original)
                making.batches.add(making.maker.finish(event, line.raw, line.position, ordinal))
        except RecordError as fault:
            making.batches.bad(line.position, line.number, str(fault), line.raw)


def read_json_events(
    source: ByteSource, context: ReadContext, parser: JsonParser, *, name: str, module: str
) -> Iterator[Batch]:
    """Yield batches of the events ``parser`` finds in the JSON objects of ``source``."""
    making = _Making(source, context, name, module)
    batches = making.batches
    try:
        for record in read_json(source):
            batches.count("records")
            batches.at(record.position)
            if record.fault:
                batches.bad(record.position, record.line, record.fault, record.raw)
            else:
                _take_json(making.maker, batches, record, parser)
            yield from batches.ready()
    except InputError as fault:
        making.fault(fault)
    yield from making.end()


def _take_json(maker: EventMaker, batches: BatchMaker, record: JsonObject, parser: JsonParser) -> None:
    try:
        for ordinal, event in enumerate(parser.parse(record)):
            batches.add(maker.finish(event, record.raw, record.position, ordinal))
    except RecordError as fault:
        batches.bad(record.position, record.line, str(fault), record.raw)
