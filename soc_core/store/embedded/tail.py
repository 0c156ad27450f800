"""Hold the part of the log that is not sealed yet as a table, reading only what is new since the last question."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from soc_core.log import LogReader, Record
from soc_core.store.embedded.batches import concat, to_table
from soc_core.store.embedded.schema import EMPTY, SEQUENCE

_GROUP_BYTES: Final = 4 * 1024 * 1024
_MAX_CHUNKS: Final = 16


class StaleSnapshotError(Exception):
    """Tell that what a snapshot names is gone already: the question must be asked of a newer one."""


class Tail:
    """Keep the unsealed events of a log as one table; safe for threads."""

    def __init__(self, log: LogReader) -> None:
        """Take the log to follow."""
        self._log = log
        self._lock = threading.Lock()
        self._table = EMPTY
        self._start = self._end = 0

    def table(self, sealed: int, *, lost: bool = False) -> pa.Table:
        """Return all committed events from offset ``sealed`` on.

        Raises ``StaleSnapshotError`` if some were dropped, unless they are known to be lost.
        """
        with self._lock:
            committed = self._log.end_offset()
            if not self._start <= sealed <= self._end:
                self._forget(sealed)
            if self._end < committed:
                self._follow(committed, lost=lost)
            if sealed > self._start:
                self._cut(sealed)
            return self._table

    @property
    def missing(self) -> int:
        """Return how many events of the log's unsealed part can't be read."""
        with self._lock:
            return max(0, self._end - self._start - self._table.num_rows)

    def _forget(self, sealed: int) -> None:
        self._table = EMPTY
        self._start = self._end = sealed

    def _follow(self, committed: int, *, lost: bool) -> None:
        if not lost and self._log.start_offset() > self._end:
            raise StaleSnapshotError
        tables = [
            self._table,
            *(to_table(group) for group in grouped(self._log.records(self._end, committed))),
        ]
        if not lost and self._log.start_offset() > self._end:  # dropped while we read
            raise StaleSnapshotError
        table = concat([item for item in tables if item.num_rows] or tables[:1])
        if table[SEQUENCE].num_chunks > _MAX_CHUNKS:
            table = table.combine_chunks()
        self._table, self._end = table, committed

    def _cut(self, sealed: int) -> None:
        """Leave out what has been sealed since; rows are in order of their offsets."""
        gone = 0
        for chunk in self._table[SEQUENCE].chunks:
            values = chunk.to_numpy()
            gone += int((values < sealed).sum())
        self._table, self._start = self._table.slice(gone), sealed


def grouped(records: Iterator[Record], limit: int = _GROUP_BYTES) -> Iterator[list[Record]]:
    """Yield runs of records whose compressed sizes sum to about ``limit`` bytes."""
    group: list[Record] = []
    size = 0
    for record in records:
        group.append(record)
        size += len(record.payload)
        if size >= limit:
            yield group
            group, size = [], 0
    if group:
        yield group
