"""Make few large segments of many small ones, day by day, while others write and read.

Which segments become one is decided by ``due`` alone: small ones of a day as soon as there are ``MERGE_COUNT``, and all
of a day that is over, if they are more than ``FEW``, and to which nothing was added for a while. A late event reopens
its day no further than that its small segment joins the others after the same while. Segments of older formats are
written anew on the way.

Rows are read in the order of time from all segments at once, a row group each at a time, so that memory is bounded
by what overlaps (``MOST_INPUTS`` row groups) and not by the day. A crash leaves files that the catalogue does not know;
doing it again begins anew. Readers keep what they look at: old files go only after a grace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.model.event import EVENT_ID, TIMESTAMP
from soc_core.store.embedded.batches import concat
from soc_core.store.embedded.sealing import BY_TIME, ROW_GROUP, Sealed, SegmentWriter, arranged
from soc_core.store.embedded.segments import FORMAT, Segment

FULL: Final = 512 * 1024
"""Events a compacted segment has at most: about 90 MB, and well below what the index of ids can number."""
SMALL: Final = 32 * 1024
MERGE_COUNT: Final = 8
MERGE_EVENTS: Final = 64 * 1024
MOST_INPUTS: Final = 16
FEW: Final = 4
"""Segments of a day that are left as they are: questions read row groups, in whatever file they lie, and writing all
anew costs a third of what storing costs."""
LATENESS: Final = timedelta(hours=1)
"""How long after its end a day waits for what comes late; and how long nothing must have been added to it."""


def due(segments: Sequence[Segment], now: datetime, *, at_once: bool = False) -> Iterator[list[Segment]]:
    """Yield the segments (by day) that should become one now; ``at_once`` does not wait for what may come late."""
    limit = now - LATENESS
    last_over = f"{limit - timedelta(days=1):%Y%m%d}"  # days are compared as texts: a calendar has ends
    for day, group in groupby(segments, key=lambda segment: segment.day):
        of_day = list(group)
        over = day <= last_over
        quiet = max(segment.created for segment in of_day) <= limit.timestamp()
        if at_once or (over and quiet):
            yield from _settled(of_day)
            continue
        small = [segment for segment in of_day if segment.events < SMALL]
        if len(small) >= MERGE_COUNT:
            yield from _groups(small, MERGE_EVENTS)


def _settled(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Yield what makes a day few segments: those that are not half full together, old formats in any case."""
    open_ones = [segment for segment in segments if segment.events < FULL // 2 or segment.format < FORMAT]
    if len(open_ones) > FEW:
        yield from (group for group in _groups(open_ones, FULL) if len(group) > 1 or _is_old(group[0]))
        return
    yield from ([segment] for segment in open_ones if _is_old(segment))


def _is_old(segment: Segment) -> bool:
    return segment.format < FORMAT


def _groups(segments: Sequence[Segment], most: int) -> Iterator[list[Segment]]:
    """Yield runs of segments, in the order they came, of at most so many events and ``MOST_INPUTS`` segments."""
    group: list[Segment] = []
    for segment in segments:
        full = sum(item.events for item in group) + segment.events > most
        if group and (full or len(group) == MOST_INPUTS):
            yield group
            group = []
        group.append(segment)
    if group:
        yield group


def compact(directory: Path, segments: Sequence[Segment], between: Callable[[], None]) -> Sealed:
    """Write one segment with the rows of several of one day; raise ``OSError`` or Arrow's errors.

    ``between`` is called after each row group: what can't wait for the whole is done then. The caller makes the
    name durable and enters the change in the catalogue.
    """
    names = frozenset[str]().union(*(segment.columns for segment in segments))
    inputs = [_Input(directory / segment.name) for segment in segments]
    try:
        with SegmentWriter(directory, segments[0].day, names) as writer:
            total = sum(segment.events for segment in segments)
            for part in _row_groups(_in_order(inputs), total):
                writer.add(part)
                between()
            return writer.finish()
    finally:
        for item in inputs:
            item.close()


@dataclass(slots=True)
class _Input:
    """Read a segment a row group at a time; ``rows`` are sorted by time and id, ``low`` no later than what follows."""

    path: Path
    rows: pa.Table | None = None
    low: str = ""
    _next: int = 0
    _file: pq.ParquetFile = field(init=False)

    def __post_init__(self) -> None:
        self._file = pq.ParquetFile(self.path, page_checksum_verification=True)
        self._look()

    @property
    def is_done(self) -> bool:
        return self.rows is None and self._next >= self._file.num_row_groups

    def _look(self) -> None:
        """Set ``low`` to the first time of the next row group."""
        if self._next < self._file.num_row_groups:
            group = self._file.metadata.row_group(self._next)
            column = next(
                group.column(at)
                for at in range(group.num_columns)
                if group.column(at).path_in_schema == TIMESTAMP
            )
            bounds = column.statistics
            self.low = str(bounds.min) if bounds is not None and bounds.has_min_max else ""

    def load(self) -> None:
        if self.rows is None:
            self.rows = self._file.read_row_group(self._next).sort_by(BY_TIME)
            self._next += 1

    def last(self) -> tuple[str, str]:
        """Return time and id of the last row that is loaded."""
        assert self.rows is not None  # noqa: S101 for the type checker
        return str(self.rows[TIMESTAMP][-1].as_py()), str(self.rows[EVENT_ID][-1].as_py())

    def take(self, until: tuple[str, str]) -> pa.Table | None:
        """Take out and return the rows up to a time and id, if there are any."""
        rows = self.rows
        assert rows is not None  # noqa: S101 for the type checker
        time, name = pa.scalar(until[0]), pa.scalar(until[1])
        same = pc.and_(pc.equal(rows[TIMESTAMP], time), pc.less_equal(rows[EVENT_ID], name))
        count = int(pc.or_(pc.less(rows[TIMESTAMP], time), same).to_numpy().sum())
        if count == len(rows):
            self.rows = None
            self._look()
        elif count:
            self.rows = rows.slice(count)
            self.low = str(self.rows[TIMESTAMP][0].as_py())
        return rows.slice(0, count) if count else None

    def close(self) -> None:
        self._file.close()


def _in_order(inputs: Sequence[_Input]) -> Iterator[pa.Table]:
    """Yield all rows in runs none of which has a row before one of the run before."""
    while live := [item for item in inputs if not item.is_done]:
        min(live, key=lambda item: item.low).load()
        while True:
            loaded = [item for item in live if item.rows is not None]
            until = min(item.last() for item in loaded)
            earlier = [item for item in live if item.rows is None and item.low <= until[0]]
            if not earlier:
                break
            for item in earlier:
                item.load()
        parts = [part for item in loaded if (part := item.take(until)) is not None]
        yield parts[0] if len(parts) == 1 else concat(parts).sort_by(BY_TIME)


def _row_groups(runs: Iterator[pa.Table], total: int) -> Iterator[pa.Table]:
    """Yield the rows in row groups of about equal size."""
    count = -(-total // ROW_GROUP)
    held: list[pa.Table] = []
    have, number, done = 0, 0, 0
    for run in runs:
        held.append(run)
        have += len(run)
        while number < count and have >= (size := total * (number + 1) // count - done) > 0:
            rows = concat(held)
            yield from arranged(rows.slice(0, size).combine_chunks())
            held, have = [rows.slice(size)], have - size
            done, number = done + size, number + 1
