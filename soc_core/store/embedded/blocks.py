"""Choose the row groups that a question needs, and read them: the newest first, none that can't hold an answer.

A block is one row group of a segment (all of a segment of format 1). What lies beside the segments tells when its rows
happened, which values they hold and where an id lies; so most questions read a few blocks and not days.
"""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.clock import epoch_us, parse_instant
from soc_core.model.event import TIMESTAMP
from soc_core.store.embedded.batches import widened
from soc_core.store.embedded.catalogue import Segment
from soc_core.store.embedded.filters import Prune
from soc_core.store.embedded.narrowing import Narrowing
from soc_core.store.embedded.schema import EMPTY, SEQUENCE, arrow_schema
from soc_core.store.embedded.sidecars import Sidecars

THREADS: Final = 2
_AHEAD: Final = 3
_TOGETHER: Final = 4
_FEW_ROWS: Final = 8_192
_Item = TypeVar("_Item")
_FOOTERS: Final = 10 * 1024 * 1024
"""Bytes of footers, as they lie in files, that are kept read; in memory they take ten times as much.

Half a year of days fits: reading a footer takes longer than reading a column, and a question that goes through more
files than are kept would find none of them."""


@dataclass(frozen=True, slots=True)
class Block:
    """Name rows of a segment that are read together: row group (-1: all), number, first and last time (µs)."""

    segment: Segment
    group: int
    rows: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Span:
    """Hold a time asked about in microseconds, ``start`` inclusive and ``end`` exclusive, and the order of answers."""

    start: int
    end: int
    ascending: bool = False


@lru_cache(maxsize=16_384)
def instant(text: str) -> int:
    """Return microseconds since 1970 of a canonical time."""
    return epoch_us(parse_instant(text))


class Blocks:
    """Find and read blocks of the segments in a directory; safe for threads."""

    def __init__(self, sidecars: Sidecars) -> None:
        """Take what lies beside the segments."""
        self._sidecars = sidecars
        self._footers = _Footers(sidecars.directory)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="edusoc-blocks")

    def in_order(self, segments: Sequence[Segment], span: Span, prune: Prune | None) -> Iterator[Block]:
        """Yield the blocks that may hold answers, by their last time falling (or their first rising).

        Segments are looked into no further than blocks are taken. Raises ``FileNotFoundError`` when one is gone.
        """
        usable = [s for s in segments if instant(s.last) >= span.start and instant(s.first) < span.end]
        sign = 1 if span.ascending else -1
        usable.sort(key=lambda s: sign * instant(s.first if span.ascending else s.last))
        waiting: list[tuple[int, int, Block]] = []
        number = 0
        for segment in usable:
            edge = sign * instant(segment.first if span.ascending else segment.last)
            while waiting and waiting[0][0] < edge:
                yield heapq.heappop(waiting)[2]
            for block in self.of(segment, span, prune):
                number += 1
                place = sign * (block.first if span.ascending else block.last)
                heapq.heappush(waiting, (place, number, block))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def of(self, segment: Segment, span: Span, prune: Prune | None) -> list[Block]:
        """Return the blocks of a segment that may hold answers."""
        if segment.format == 1:
            return [Block(segment, -1, segment.events, instant(segment.first), instant(segment.last))]
        beside = self._sidecars.of(segment)
        spans = beside.arrays["spans"]
        wanted = (spans[:, 1] >= span.start) & (spans[:, 0] < span.end)
        if prune is not None and wanted.any():
            wanted &= prune(beside)
        places = np.flatnonzero(wanted).tolist()
        return [Block(segment, at, *_span(spans[at].tolist())) for at in places]

    def holding(self, segment: Segment, row: int) -> tuple[Block, int]:
        """Return the block that holds a row of a segment of format 2, and the row's place in it."""
        spans = self._sidecars.of(segment).arrays["spans"]
        ends = np.cumsum(spans[:, 2])
        at = int(np.searchsorted(ends, row, side="right"))
        return Block(segment, at, *_span(spans[at].tolist())), row - int(ends[at] - spans[at, 2])

    def read(self, block: Block, names: Collection[str] | None, *, alone: bool = True) -> pa.Table:
        """Return the rows of a block with these columns and the sequence (``None``: all columns there are).

        ``alone`` says that no other block is read meanwhile: the columns are then shared out among threads.
        """
        return self._read([block], None if names is None else {SEQUENCE, *names}, alone=alone)

    def _read(self, run: Sequence[Block], names: Collection[str] | None, *, alone: bool) -> pa.Table:
        """Return the rows of blocks of one segment."""
        with self._opened(run) as read:
            return read(names, alone)

    @contextmanager
    def _opened(self, run: Sequence[Block]) -> Iterator[Callable[[Collection[str] | None, bool], pa.Table]]:
        """Open the file of blocks of one segment; what comes back reads columns of them."""
        segment = run[0].segment
        footer = self._footers.of(segment)
        with pq.ParquetFile(self._sidecars.directory / segment.name, metadata=footer.metadata) as file:
            groups = list(range(file.num_row_groups)) if run[0].group < 0 else [block.group for block in run]
            yield lambda names, alone: file.reader.read_row_groups(
                groups, column_indices=footer.places(names), use_threads=alone
            )

    def each(self, items: Sequence[_Item], take: Callable[[_Item, bool], pa.Table]) -> Iterator[pa.Table]:
        """Yield what ``take`` makes of each item (told whether it is alone), in order, some being read ahead."""
        if len(items) == 1:
            yield take(items[0], True)
            return
        coming = iter(items)
        ahead: deque[Future[pa.Table]] = deque()
        try:
            while True:
                free = _AHEAD - len(ahead)
                ahead.extend(self._pool.submit(take, item, False) for item in islice(coming, free))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def stream(
        self,
        blocks: Sequence[Block],
        names: Collection[str],
        within: Span | None = None,
        narrowing: Narrowing | None = None,
    ) -> pa.RecordBatchReader | pa.Table:
        """Return a reader (of few rows a table) of the rows of blocks with these columns.

        They are null where a segment lacks one. Time and sequence of rows that all lie ``within`` a span, if one is
        given, are left out: nobody asks more of them. Rows that
        ``narrowing`` tells to be none of those looked for are left out too.
        """
        schema = arrow_schema(names)

        def take(run: Sequence[Block], alone: bool) -> pa.Table:
            left_out = {TIMESTAMP, SEQUENCE} if _lies_within(run[0], within) else set[str]()
            wanted = set(schema.names) - left_out
            if narrowing is None:
                return widened(self._read(run, wanted, alone=alone), schema)
            return widened(self._narrowed(run, wanted, narrowing, alone=alone), schema)

        tables = self.each(_runs(blocks, within), take)
        if narrowing is not None:
            few, is_all = _few(tables)
            if is_all:  # DuckDB need not wait for rows that come one by one
                return pa.concat_tables([schema.empty_table(), *few])
            tables = chain(few, tables)
        batches = (batch for table in tables for batch in table.to_batches())
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _narrowed(
        self, run: Sequence[Block], names: set[str], narrowing: Narrowing, *, alone: bool
    ) -> pa.Table:
        """Return the rows of blocks that may match; of blocks that have none, no more is read than to know it."""
        seen = narrowing.fields & run[0].segment.columns
        if not seen:
            return EMPTY
        with self._opened(run) as read:
            table = read(seen, alone)
            mask = narrowing.mask(table)
            if not mask.any():
                return EMPTY
            rest = (names - seen) & {SEQUENCE, *run[0].segment.columns}
            if rest:
                others = read(rest, alone)
                columns = [*table.columns, *others.columns]
                table = pa.table(columns, names=[*table.column_names, *others.column_names])
        return table.filter(pa.array(mask))

    def columns_of(self, segment: Segment, datasets: Collection[str]) -> frozenset[str] | None:
        """Return the columns that events of some data sets have in a segment; ``None`` if that is not known."""
        if segment.format == 1:
            return None
        beside = self._sidecars.of(segment)
        rows = [at for at, name in enumerate(beside.texts["datasets"]) if name in datasets]
        there = np.unpackbits(beside.arrays["present"][rows], axis=1, bitorder="little").any(axis=0)
        names = sorted(segment.columns)
        return frozenset(names[at] for at in np.flatnonzero(there).tolist())

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _few(tables: Iterator[pa.Table]) -> tuple[list[pa.Table], bool]:
    """Return the first tables, of little more than ``_FEW_ROWS`` rows, and whether there are no others."""
    few: list[pa.Table] = []
    count = 0
    for table in tables:
        few.append(table)
        count += table.num_rows
        if count > _FEW_ROWS:
            return few, False
    return few, True


def _lies_within(block: Block, span: Span | None) -> bool:
    return span is not None and span.start <= block.first and block.last < span.end


def _runs(blocks: Sequence[Block], within: Span | None) -> list[list[Block]]:
    """Return the blocks in runs to be read together: of one segment, and alike in whether their time is needed."""
    runs: list[list[Block]] = []
    for block in blocks:
        last = runs[-1] if runs else []
        alike = (
            last
            and block.segment is last[0].segment
            and block.group >= 0
            and len(last) < _TOGETHER
            and _lies_within(block, within) == _lies_within(last[0], within)
        )
        if alike:
            last.append(block)
        else:
            runs.append([block])
    return runs


def _span(row: list[int]) -> tuple[int, int, int]:
    first, last, rows = row
    return rows, first, last


class _Footer:
    """Hold what a file says of itself, and where its columns are."""

    def __init__(self, path: Path) -> None:
        self.metadata = pq.read_metadata(path)
        self._leaves: dict[str, int] = {}
        for at in range(self.metadata.num_columns):
            leaf = self.metadata.schema.column(at).path
            self._leaves[leaf.removesuffix(".list.element")] = at

    def places(self, names: Collection[str] | None) -> list[int]:
        if names is None:
            return list(self._leaves.values())
        return [at for name, at in self._leaves.items() if name in names]


class _Footers:
    """Keep the footers read last, within some memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Footer] = OrderedDict()
        self._bytes = 0

    def of(self, segment: Segment) -> _Footer:
        with self._lock:
            known = self._kept.get(segment.name)
            if known is not None:
                self._kept.move_to_end(segment.name)
                return known
        footer = _Footer(self._directory / segment.name)
        with self._lock:
            if segment.name not in self._kept:
                self._bytes += footer.metadata.serialized_size
            self._kept[segment.name] = footer
            while self._bytes > _FOOTERS and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].metadata.serialized_size
        return footer
