"""Drive a record parser over a source: the loop that all collectors of lines and JSON documents share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from collectors.base import Batch, ByteSource, ReadContext
from collectors.json_records import JsonObject, read_json
from collectors.lines import Line, decode_text, read_lines
from collectors.making import BatchMaker, EventMaker, RecordError, fault_reason
from soc_core.errors import InputError
from soc_core.model.event import Event


class LineParser(Protocol):
    """Parse the lines of one reading; may keep state such as column names."""

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the events of ``line`` without id. Raises ``RecordError`` when it can't be read."""
        ...


class JsonParser(Protocol):
    """Parse the JSON objects of one reading."""

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the events of one object without id. Raises ``RecordError`` when it can't be read."""
        ...


def read_line_events(
    source: ByteSource, context: ReadContext, parser: LineParser, *, name: str, module: str
) -> Iterator[Batch]:
    """Yield batches of the events ``parser`` finds in the lines of ``source``."""
    maker, batches = EventMaker(name, module, context), BatchMaker(source.name)
    try:
        for line in read_lines(source):
            batches.count("records")
            batches.at(line.position)
            if line.too_long:
                batches.bad(line.position, line.number, "line is longer than 1 MiB", line.raw)
            else:
                _take(maker, batches, line, parser)
            yield from batches.ready()
    except InputError as fault:
        batches.bad(source.offset, 0, fault_reason(fault, source.name))
    yield from batches.rest()


def _take(maker: EventMaker, batches: BatchMaker, line: Line, parser: LineParser) -> None:
    try:
        events = parser.parse(line)
        for ordinal, event in enumerate(events):
            if maker.context.keep_original:
                event.setdefault("event.original", decode_text(line.raw))
            batches.add(maker.finish(event, line.raw, line.position, ordinal))
    except RecordError as fault:
        batches.bad(line.position, line.number, str(fault), line.raw)


def read_json_events(
    source: ByteSource, context: ReadContext, parser: JsonParser, *, name: str, module: str
) -> Iterator[Batch]:
    """Yield batches of the events ``parser`` finds in the JSON objects of ``source``."""
    maker, batches = EventMaker(name, module, context), BatchMaker(source.name)
    try:
        for record in read_json(source):
            batches.count("records")
            batches.at(record.position)
            if record.fault:
                batches.bad(record.position, record.line, record.fault, record.raw)
            else:
                _take_json(maker, batches, record, parser)
            yield from batches.ready()
    except InputError as fault:
        batches.bad(source.offset, 0, fault_reason(fault, source.name))
    yield from batches.rest()


def _take_json(maker: EventMaker, batches: BatchMaker, record: JsonObject, parser: JsonParser) -> None:
    try:
        for ordinal, event in enumerate(parser.parse(record)):
            batches.add(maker.finish(event, record.raw, record.position, ordinal))
    except RecordError as fault:
        batches.bad(record.position, record.line, str(fault), record.raw)
