"""Read Windows event log files (EVTX), chunk by chunk.

An EVTX file is a header of 4,096 bytes and chunks of 65,536 bytes that stand alone (MS-EVEN6 and Schuster, "Introducing
the Microsoft Vista event log file format", 2007). Each chunk goes to the parser on its own, so a broken chunk costs
itself only, memory is bounded, and files that come compressed or through a pipe need no temporary copy.

A live log is a ring, so offsets name no record; events are named by computer, log and record number (``windows_ids``).
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson
from evtx import PyEvtxParser

from collectors.base import Batch, ByteSource, ReadContext
from collectors.making import BatchMaker, EventMaker, RecordError, fault_reason
from collectors.windows_ids import give_own_id
from collectors.windows_json import from_event, nested
from collectors.windows_mapping import map_record
from soc_core.errors import InputError
from soc_core.model.event import Event

_FILE_MAGIC: Final = b"ElfFile\x00"
CHUNK_MAGIC: Final = b"ElfChnk\x00"
_RECORD_MAGIC: Final = b"**\x00\x00"
HEADER_BYTES: Final = 4_096
CHUNK_BYTES: Final = 65_536
_CHUNK_HEADER_BYTES: Final = 512
# A record takes at least 28 bytes, so no chunk holds more.
_MAX_RECORDS: Final = CHUNK_BYTES // 28
_NUMBER: Final = re.compile(r"record number (\d+)")
_RECORD_HEADER: Final = struct.Struct("<4sIQQ")


class _Raw(NamedTuple):
    """Hold one record as it lies in its chunk."""

    offset: int
    number: int
    data: bytes


class Evtx:
    """Collect EVTX files."""

    name: str = "evtx"
    datasets: tuple[str, ...] = ("windows",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 100 for the magic number of a file, 90 for a bare chunk (carved, or the header is lost)."""
        if head.startswith(_FILE_MAGIC):
            return 100
        return 90 if head.startswith(CHUNK_MAGIC) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file in file order."""
        reading = _Reading(source, context)
        return reading.batches()


class _Reading:
    """Keep the state of one reading."""

    def __init__(self, source: ByteSource, context: ReadContext) -> None:
        self._source = source
        self._context = context
        self._maker = EventMaker("evtx", "windows", context)
        self._batches = BatchMaker(source.name)

    def batches(self) -> Iterator[Batch]:
        """Yield what the chunks hold; a truncated last chunk gives its whole records."""
        resume = self._source.resume
        position = resume.position if resume is not None else 0
        try:
            if not position and self._source.head.startswith(_FILE_MAGIC):
                position = len(self._take(HEADER_BYTES))
            while chunk := self._take(CHUNK_BYTES):
                self._chunk(chunk, position)
                position += len(chunk)
                self._batches.at(position)
                yield from self._batches.ready()
        except InputError as fault:
            self._batches.bad(position, 0, fault_reason(fault, self._source.name))
        yield from self._batches.rest()

    def _take(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end. What was read before a fault is returned first."""
        parts, length = [], 0
        while length < size and (part := self._source.read(size - length)):
            parts.append(part)
            length += len(part)
        return b"".join(parts)

    def _chunk(self, chunk: bytes, position: int) -> None:
        """Add the records of one chunk."""
        if not chunk.startswith(CHUNK_MAGIC):
            if chunk.strip(b"\0"):
                self._batches.bad(position, 0, "not an event log chunk", chunk)
            return
        raws, fault = _records_of(chunk)
        if fault:
            self._batches.bad(position + fault[0], 0, fault[1], chunk[fault[0] :])
        parsed = _parse(chunk)
        for raw in raws:
            self._batches.count("records")
            self._record(raw, position, parsed.get(raw.number, "record can't be read"))

    def _record(self, raw: _Raw, position: int, parsed: str | bytes) -> None:
        offset = position + raw.offset
        try:
            if isinstance(parsed, str):
                raise RecordError(parsed)
            event = self._event(parsed)
            give_own_id(event, self._context)
            self._batches.add(self._maker.finish(event, raw.data, offset))
        except RecordError as fault:
            self._batches.bad(offset, 0, str(fault), raw.data)

    def _event(self, document: bytes) -> Event:
        try:
            tree = orjson.loads(document)
        except orjson.JSONDecodeError as fault:
            raise RecordError(f"unreadable record: {fault}") from fault
        record = from_event(nested(nested(tree).get("Event")))
        event = map_record(record, self._context.zone_info)
        if self._context.keep_original:
            event["event.original"] = document.decode("utf-8", "replace")
        return event


def _records_of(chunk: bytes) -> tuple[list[_Raw], tuple[int, str] | None]:
    """Return the records of a chunk in order, and offset and reason where the walk had to stop early."""
    free = int.from_bytes(chunk[48:52], "little")
    end = min(free if _CHUNK_HEADER_BYTES <= free <= CHUNK_BYTES else CHUNK_BYTES, len(chunk))
    offset, found = _CHUNK_HEADER_BYTES, list[_Raw]()
    while offset + _RECORD_HEADER.size <= end:
        magic, size, number, _ = _RECORD_HEADER.unpack_from(chunk, offset)
        if magic != _RECORD_MAGIC:
            return found, (offset, "broken record chain in the chunk")
        if size < _RECORD_HEADER.size + 4 or offset + size > len(chunk):
            return found, (offset, "record is cut off")
        found.append(_Raw(offset, number, chunk[offset : offset + size]))
        offset += size
    if free > len(chunk):
        return found, (offset, "chunk is cut off")
    return found, None


def _parse(chunk: bytes) -> dict[int, str | bytes]:
    """Return record number → JSON document, or the reason why there is none.

    The parser is native code: whatever it throws, a panic included, costs this chunk's records only.
    """
    results: dict[int, str | bytes] = {}
    reason = ""
    items = _items(chunk)
    for item in items:
        if isinstance(item, str):
            reason = item
            number = _NUMBER.search(item)
            if number is not None:
                results.setdefault(int(number[1]), item)
        else:
            results[int(str(item["event_record_id"]))] = str(item["data"]).encode("utf-8", "replace")
    if reason:
        for raw in _records_of(chunk)[0]:
            results.setdefault(raw.number, reason)
    return results


def _items(chunk: bytes) -> Iterator[dict[str, object] | str]:
    """Yield what the parser makes of a chunk: records, and reasons where it failed. It may go on after a failure."""
    records: Iterator[object] | None = None
    for _ in range(_MAX_RECORDS):
        try:
            if records is None:
                records = iter(
                    PyEvtxParser(io.BytesIO(_lone_file(chunk)), number_of_threads=1).records_json()
                )
            item = next(records, None)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:
            if not isinstance(fault, Exception) and type(fault).__name__ != "PanicException":
                raise
            yield f"parser: {fault}"[:300]
            if records is None:
                return
            continue
        if item is None:
            return
        if isinstance(item, dict):
            yield item


def _lone_file(chunk: bytes) -> bytes:
    """Return an EVTX file that holds ``chunk`` only."""
    head = struct.pack("<8sQQQIHHHH", _FILE_MAGIC, 0, 0, 1, 128, 1, 3, HEADER_BYTES, 1).ljust(120, b"\0")
    head += struct.pack("<II", 0, zlib.crc32(head))
    return head.ljust(HEADER_BYTES, b"\0") + chunk.ljust(CHUNK_BYTES, b"\0")
