"""Read Windows event logs (EVTX) that grow: only chunks with records whose number is higher than the last one's.

A live log is a ring: when it is full the oldest chunk is overwritten. Records are told by their number, which only
rises until the log is cleared, and events by computer, log, number and time (``collectors.windows_ids``), so an
archived or exported copy gives the same ids. Files of a running Windows were not at hand: 未经实机验证.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from collectors.base import HEAD_BYTES, Collector, Resume
from collectors.evtx import CHUNK_BYTES, CHUNK_MAGIC, HEADER_BYTES
from collectors.live.files.content import Content, PartSource
from collectors.live.files.gathering import Gatherer
from collectors.live.files.marks import Mark
from soc_core.model.event import BadRecord, Event

CHUNKS_AT_ONCE: Final = 16
_BAD_KEPT: Final = 1_000
_CHUNK: Final = struct.Struct("<8sQQQQ")


class _Chunk(NamedTuple):
    """Say where a chunk lies and the numbers of its first and last record."""

    first: int
    last: int
    position: int


class WindowsReader:
    """Read one event log file."""

    held_since: float | None = None

    def __init__(self, mark: Mark, collector: Collector, settle: float) -> None:
        """``settle``: seconds without change after which a chunk that is cut off is read as it is."""
        self.mark = mark
        self._collector = collector
        self._settle = settle
        self._bad: set[tuple[int, str]] = set()
        self._changed: tuple[int, int] = (-1, -1)
        self._changed_at = 0.0
        self._cut_off = False

    @property
    def waits(self) -> bool:
        """Tell whether the file is looked at although it does not change."""
        return self._cut_off

    def rest(self) -> None:
        """Let go of memory: there is little."""

    def step(
        self, content: Content, path: str, gatherer: Gatherer, now: float, *, final: bool = False
    ) -> bool:
        """Read some chunks; return whether there is more to read at once."""
        status = content.status()
        if (status.st_size, status.st_mtime_ns) != self._changed:
            self._changed, self._changed_at = (status.st_size, status.st_mtime_ns), now
        settled = final or now - self._changed_at >= self._settle
        chunks = list(self._chunks(content, status.st_size))
        last = max((chunk.last for chunk in chunks), default=0)
        if chunks and last < self.mark.record:  # cleared: numbers begin anew
            self.mark = replace(self.mark, record=0)
        fresh = sorted(chunk for chunk in chunks if chunk.last > self.mark.record)
        for chunk in fresh[:CHUNKS_AT_ONCE]:
            self._read(content, chunk, path, gatherer, status.st_mtime)
        self._read_rest(content, path, gatherer, status, settled=settled)
        self.mark = replace(self.mark, raw=status.st_size)
        return len(fresh) > CHUNKS_AT_ONCE

    def skip_all(self, content: Content) -> None:
        """Take the records that are there for read."""
        chunks = self._chunks(content, content.status().st_size)
        self.mark = replace(self.mark, record=max((chunk.last for chunk in chunks), default=0))

    def _chunks(self, content: Content, size: int) -> Iterator[_Chunk]:
        """Yield the chunks that lie there in full."""
        for position in range(HEADER_BYTES, size - CHUNK_BYTES + 1, CHUNK_BYTES):
            head = content.at(position, _CHUNK.size)
            if len(head) == _CHUNK.size and head.startswith(CHUNK_MAGIC):
                _, _, _, first, last = _CHUNK.unpack(head)
                yield _Chunk(first, last, position)

    def _read(self, content: Content, chunk: _Chunk, path: str, gatherer: Gatherer, modified: float) -> None:
        """Deliver the records of a chunk that are new."""
        data = content.at(chunk.position, CHUNK_BYTES)
        for events, bad in self._collected(data, chunk.position, path, gatherer, modified):
            gatherer.add(events, bad, {}, path)
        self.mark = replace(self.mark, record=max(self.mark.record, chunk.last))

    def _collected(
        self, data: bytes, position: int, path: str, gatherer: Gatherer, modified: float
    ) -> Iterator[tuple[list[Event], list[BadRecord]]]:
        source = PartSource(path, data[:HEAD_BYTES], data, Resume(position), modified)
        for batch in self._collector.read(source, gatherer.context(modified)):
            events = [event for event in batch.events if _number(event) > self.mark.record]
            bad = [record for record in batch.bad if self._is_new(record)]
            yield events, bad

    def _is_new(self, record: BadRecord) -> bool:
        """Tell whether a bad record was not said before; a chunk is read again whenever it grew."""
        key = (record.position, record.reason)
        if key in self._bad or len(self._bad) >= _BAD_KEPT:
            return False
        self._bad.add(key)
        return True

    def _read_rest(
        self, content: Content, path: str, gatherer: Gatherer, status: os.stat_result, *, settled: bool
    ) -> None:
        """Read a last chunk that is cut off, once nothing followed it for a while."""
        size = (status.st_size - HEADER_BYTES) % CHUNK_BYTES if status.st_size > HEADER_BYTES else 0
        self._cut_off = size > 0 and not settled
        if not size or not settled:
            return
        position = status.st_size - size
        data = content.at(position, size)
        highest = self.mark.record
        for events, bad in self._collected(data, position, path, gatherer, status.st_mtime):
            highest = max([highest, *(_number(event) for event in events)])
            gatherer.add(events, bad, {}, path)
        self.mark = replace(self.mark, record=highest)


def _number(event: Event) -> int:
    """Return a record's number, 0 where it says none."""
    text = str(event.get("winlog.record_id", ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
