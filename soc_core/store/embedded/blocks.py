"""Choose the row groups that a question needs, and read them: the newest first, none that can't hold an answer.

A block is one row group of a segment (all of a segment of format 1). What lies beside the segments tells when its rows
happened, which values they hold and where an id lies; so most questions read a few blocks and not days.
"""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.clock import epoch_us, format_epoch_us, parse_instant
from soc_core.model.event import TIMESTAMP
from soc_core.store.embedded.batches import nulls, widened
from soc_core.store.embedded.columns import Column, Columns
from soc_core.store.embedded.filters import Prune
from soc_core.store.embedded.narrowing import Narrowing
from soc_core.store.embedded.schema import EMPTY, SEQUENCE, arrow_schema, arrow_type
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import Sidecars

THREADS: Final = 2
_AHEAD: Final = 3
KEPT_BYTES: Final = 96 * 1024 * 1024
FEW_ROWS: Final = 8
"""Rows that are wanted of a block before its columns are kept: single events lie far apart, and would push out all."""
_FEW_WORDS: Final = 8 * 1024
"""Bytes of a column's numbers and words below which making a text of each number takes longer than all else."""
_ELEMENT: Final = ".list.element"
_FEW_OF_ALL: Final = 8_192
_Item = TypeVar("_Item")
_FOOTERS: Final = 12 * 1024 * 1024
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


def overlapping(segments: Sequence[Segment], start: int, end: int) -> list[Segment]:
    """Return the segments that have events in a time, in microseconds since 1970."""
    # As texts, which are in the order of time: of ten thousand segments few are looked at more closely.
    low, high = _text(start, ""), _text(end, "~")
    return [segment for segment in segments if segment.last >= low and segment.first < high]


def _text(microseconds: int, beyond: str) -> str:
    try:
        return format_epoch_us(microseconds)
    except OverflowError:
        return beyond


class Blocks:
    """Find and read blocks of the segments in a directory; safe for threads."""

    def __init__(self, sidecars: Sidecars, kept_bytes: int = KEPT_BYTES) -> None:
        """Take what lies beside the segments, and how many bytes of columns may be kept read."""
        self._sidecars = sidecars
        self._columns = Columns(kept_bytes)
        self._footers = _Footers(sidecars.directory)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="edusoc-blocks")

    def in_order(self, segments: Sequence[Segment], span: Span, prune: Prune | None) -> Iterator[Block]:
        """Yield the blocks that may hold answers, by their last time falling (or their first rising).

        Segments are looked into no further than blocks are taken. Raises ``FileNotFoundError`` when one is gone.
        """
        usable = overlapping(segments, span.start, span.end)
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
        wanted = np.ones(len(spans), np.bool_) if prune is None else prune(beside)
        if not wanted.any():
            return []
        wanted &= (spans[:, 1] >= span.start) & (spans[:, 0] < span.end)
        places = np.flatnonzero(wanted).tolist()
        return [Block(segment, at, *_span(spans[at].tolist())) for at in places]

    def holding(self, segment: Segment, row: int) -> tuple[Block, int]:
        """Return the block that holds a row of a segment of format 2, and the row's place in it."""
        spans = self._sidecars.of(segment).arrays["spans"]
        ends = np.cumsum(spans[:, 2])
        at = int(np.searchsorted(ends, row, side="right"))
        return Block(segment, at, *_span(spans[at].tolist())), row - int(ends[at] - spans[at, 2])

    def read(
        self, block: Block, names: Collection[str] | None, *, alone: bool = True, keep: bool = True
    ) -> pa.Table:
        """Return the rows of a block with these columns and the sequence (``None``: all columns there are).

        ``alone`` says that no other block is read meanwhile: the columns are then shared out among threads. What is
        read is kept for the next question unless ``keep`` says that it is not worth it.
        """
        return self._read(block, self._chosen(block, names), alone=alone, keep=keep)

    def rows(
        self, block: Block, names: Collection[str] | None, rows: Sequence[int], *, alone: bool
    ) -> pa.Table:
        """Return some rows of a block as ``read`` does; of few the columns are not kept, but read in half the time."""
        return self._some(block, self._chosen(block, names), rows, alone=alone)

    def _some(self, block: Block, names: Sequence[str], rows: Sequence[int], *, alone: bool) -> pa.Table:
        """Return rows of a block, in rising order, with these columns."""
        if len(rows) >= FEW_ROWS or block.group < 0:
            return self._read(block, names, alone=alone).take(rows)
        columns = self._columns.known(block.segment.name, block.group, names)
        found = {name: column.take(rows) for name, column in columns.items()}
        missing = [name for name in names if name not in columns]
        if missing:
            found.update(self._beginning(block, missing, rows, alone=alone))
        return _table(names, found)

    def _narrowed(self, block: Block, names: Sequence[str], narrowing: Narrowing, *, alone: bool) -> pa.Table:
        """Return the rows of a block that may match; where it has none, no more is read than to know it."""
        seen = sorted(narrowing.fields & block.segment.columns)
        table = self._read(block, seen, alone=alone) if seen else EMPTY
        rows: list[int] = np.flatnonzero(narrowing.mask(table)).tolist() if table.num_columns else []
        if not rows:
            return EMPTY
        others = self._some(block, [name for name in names if name not in seen], rows, alone=alone)
        known = table.take(rows)
        columns = {name: part[name] for part in (known, others) for name in part.column_names}
        return _table(list(columns), columns)

    def _chosen(self, block: Block, names: Collection[str] | None) -> list[str]:
        known = self._footers.of(block.segment).names
        return known if names is None else [name for name in known if name in names or name == SEQUENCE]

    def _read(self, block: Block, names: Sequence[str], *, alone: bool, keep: bool = True) -> pa.Table:
        """Return the rows of a block with these columns."""
        place = (block.segment.name, block.group)
        columns = self._columns.known(*place, names)
        missing = [name for name in names if name not in columns]
        if missing:
            table = self._decoded(block, missing, alone=alone)
            fresh = dict(zip(table.column_names, table.columns, strict=True))
            if keep and block.group >= 0:
                self._columns.keep(*place, fresh)
            columns.update(fresh)
        return _table(names, columns)

    def _known(self, block: Block, names: Sequence[str]) -> pa.Table | None:
        """Return the rows of a block with these columns if all of them are kept."""
        columns = self._columns.known(block.segment.name, block.group, names)
        return _table(names, columns) if len(columns) == len(names) else None

    def _decoded(self, block: Block, names: Sequence[str], *, alone: bool) -> pa.Table:
        """Return columns from the file."""
        footer = self._footers.of(block.segment)
        path = self._sidecars.directory / block.segment.name
        with pq.ParquetFile(path, metadata=footer.metadata) as file:
            groups = list(range(file.num_row_groups)) if block.group < 0 else [block.group]
            return file.reader.read_row_groups(groups, column_indices=footer.places(names), use_threads=alone)

    def _beginning(
        self, block: Block, names: Sequence[str], rows: Sequence[int], *, alone: bool
    ) -> dict[str, Column]:
        """Return rows of columns from the file, of which no more is decoded than what lies before them.

        Words that occur often are left as numbers until the rows are chosen.
        """
        footer = self._footers.of(block.segment)
        path, words = self._sidecars.directory / block.segment.name, footer.words(block.group)
        with pq.ParquetFile(path, metadata=footer.metadata, read_dictionary=[*words]) as file:
            places = footer.places(names)
            needed, parts = rows[-1] + 1, list[pa.RecordBatch]()
            for part in file.reader.iter_batches(
                needed, [block.group], column_indices=places, use_threads=alone
            ):
                parts.append(part)
                needed -= part.num_rows
                if needed <= 0:
                    break
        if not parts:
            raise pa.ArrowInvalid("a row group is empty")
        table = pa.Table.from_batches(parts)
        chosen = table.slice(rows[0], 1) if len(rows) == 1 else table.take(rows)
        coded = set(words.values())
        return {
            name: column.cast(arrow_type(name)) if name in coded else column
            for name, column in zip(chosen.column_names, chosen.columns, strict=True)
        }

    def each(
        self,
        items: Sequence[_Item],
        take: Callable[[_Item, bool], pa.Table],
        known: Callable[[_Item], pa.Table | None] = lambda _item: None,
    ) -> Iterator[pa.Table]:
        """Yield what ``take`` makes of each item (told whether it is alone), in order, some being read ahead.

        What ``known`` has at once is not given to a thread: that takes longer.
        """
        coming = iter(items)
        ahead: deque[Future[pa.Table] | pa.Table] = deque()
        try:
            while True:
                for item in islice(coming, _AHEAD - len(ahead)):
                    alone = len(items) == 1
                    there = take(item, True) if alone else known(item)
                    ahead.append(self._pool.submit(take, item, False) if there is None else there)
                if not ahead:
                    return
                first = ahead.popleft()
                yield first.result() if isinstance(first, Future) else first
        finally:
            for future in ahead:
                if isinstance(future, Future):
                    future.cancel()

    def stream(
        self,
        blocks: Sequence[Block],
        names: Collection[str],
        within: Span | None = None,
        narrowing: Narrowing | None = None,
    ) -> pa.RecordBatchReader | pa.Table:
        """Return the rows of blocks with these columns: a table if all are kept or they are few, else a reader.

        They are null where a segment lacks one. Time and sequence of rows that all lie ``within`` a span, if one is
        given, are left out: nobody asks more of them. So are rows that ``narrowing`` tells to match in no case.
        """
        schema = arrow_schema(names)

        def chosen(block: Block) -> list[str]:
            left_out = {TIMESTAMP, SEQUENCE} if _lies_within(block, within) else set[str]()
            there = {SEQUENCE, *block.segment.columns} - left_out
            return [name for name in schema.names if name in there]

        def take(block: Block, alone: bool) -> pa.Table:
            wanted = chosen(block)
            if narrowing is not None:
                return widened(self._narrowed(block, wanted, narrowing, alone=alone), schema)
            table = self._read(block, wanted, alone=alone) if wanted else _nulls(block, schema)
            return widened(table, schema)

        def known(block: Block) -> pa.Table | None:
            table = self._known(block, chosen(block))
            if table is None or not table.num_columns:
                return None
            return widened(table, schema) if narrowing is None else take(block, False)

        if narrowing is not None:
            return _few_or_all(self.each(blocks, take, known), schema)
        kept = self._all_known(blocks, chosen, schema)
        return kept if kept is not None else _reader(self.each(blocks, take, known), schema)

    def _all_known(
        self, blocks: Sequence[Block], chosen: Callable[[Block], list[str]], schema: pa.Schema
    ) -> pa.Table | None:
        """Return the rows of blocks if all their columns are kept."""
        chunks: dict[str, list[pa.Array[Any]]] = {name: [] for name in schema.names}
        for block in blocks:
            wanted = chosen(block)
            columns = self._columns.known(block.segment.name, block.group, wanted)
            if len(columns) < len(wanted):
                return None
            for field in schema:
                column = columns.get(field.name)
                chunks[field.name].extend(
                    [nulls(block.rows, field.type)] if column is None else column.chunks
                )
        return pa.table([pa.chunked_array(chunks[field.name], field.type) for field in schema], schema=schema)

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
        """End the threads and free what is kept."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._columns.clear()


def _reader(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(
        schema, (batch for table in tables for batch in table.to_batches())
    )


def _few_or_all(tables: Iterator[pa.Table], schema: pa.Schema) -> pa.RecordBatchReader | pa.Table:
    """Return one table where there are few rows: DuckDB need not wait for them to come one by one."""
    few: list[pa.Table] = [schema.empty_table()]
    count = 0
    for table in tables:
        few.append(table)
        count += table.num_rows
        if count > _FEW_OF_ALL:
            return _reader(chain(few, tables), schema)
    return pa.concat_tables(few).combine_chunks()


def _lies_within(block: Block, span: Span | None) -> bool:
    return span is not None and span.start <= block.first and block.last < span.end


def _table(names: Sequence[str], columns: Mapping[str, Column]) -> pa.Table:
    there = [name for name in names if name in columns]
    return pa.table([columns[name] for name in there], names=there)


def _nulls(block: Block, schema: pa.Schema) -> pa.Table:
    """Return as many rows as a block has, of which nothing is asked."""
    return pa.table([nulls(block.rows, field.type) for field in schema], schema=schema)


def _span(row: list[int]) -> tuple[int, int, int]:
    first, last, rows = row
    return rows, first, last


class _Footer:
    """Hold what a file says of itself, and where its columns are."""

    def __init__(self, path: Path) -> None:
        self.metadata = pq.read_metadata(path)
        self._leaves: dict[str, int] = {}
        self._words: dict[int, dict[str, str]] = {}
        for at in range(self.metadata.num_columns):
            leaf = self.metadata.schema.column(at).path
            self._leaves[leaf.removesuffix(_ELEMENT)] = at

    def words(self, group: int) -> dict[str, str]:
        """Return the columns of a row group that hold few words, by their paths."""
        if group not in self._words:
            chunks = self.metadata.row_group(group)
            columns = [chunks.column(at) for at in range(chunks.num_columns)]
            self._words[group] = {
                item.path_in_schema: item.path_in_schema.removesuffix(_ELEMENT)
                for item in columns
                if item.total_uncompressed_size < _FEW_WORDS
                and item.physical_type == "BYTE_ARRAY"
                and "RLE_DICTIONARY" in item.encodings
            }
        return self._words[group]

    @property
    def names(self) -> list[str]:
        return list(self._leaves)

    def places(self, names: Sequence[str]) -> list[int]:
        return [self._leaves[name] for name in names if name in self._leaves]


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
