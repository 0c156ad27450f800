"""Fetch whole events: those that a search found, and those whose ids are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event, partition_of
from soc_core.store.embedded.asking import ALWAYS
from soc_core.store.embedded.batches import concat, to_events
from soc_core.store.embedded.blocks import Block, Blocks, Span, instant
from soc_core.store.embedded.catalogue import Segment
from soc_core.store.embedded.cells import text_column
from soc_core.store.embedded.engine import UnreadableError, View
from soc_core.store.embedded.hashing import hash_texts
from soc_core.store.embedded.ids import IdIndex
from soc_core.store.embedded.schema import SEQUENCE


class Fetching:
    """Read the columns that events have, from the blocks they lie in, and no others."""

    def __init__(self, blocks: Blocks, ids: IdIndex) -> None:
        """Take how blocks are read and ids are found."""
        self._blocks, self._ids = blocks, ids

    def whole(self, view: View, rows: pa.Table) -> pa.Table:
        """Return all columns of rows of which number, time and data set are known."""
        numbers = rows[SEQUENCE].combine_chunks()
        try:
            times = np.array([instant(str(text)) for text in rows[TIMESTAMP].to_pylist()])
        except ValueError as error:  # what a damaged page can say
            raise UnreadableError(
                f"a segment can't be read: {error}", todo="run: edusoc store verify"
            ) from error
        named = text_column(rows, DATASET).to_pylist()
        low, high = pc.min(numbers).as_py(), pc.max(numbers).as_py()
        span = Span(int(times.min()), int(times.max()) + 1)
        near = [s for s in view.segments if s.low <= high and s.high >= low]
        meant: dict[Block, set[str]] = {}
        for block in self._blocks.in_order(near, span, None):
            places = np.flatnonzero((times >= block.first) & (times <= block.last)).tolist()
            if places:
                meant[block] = {str(named[place]) for place in places}

        def choose(block: Block, alone: bool) -> pa.Table:
            names = self._blocks.columns_of(block.segment, meant[block])
            table = self._blocks.read(block, names, alone=alone)
            return table.filter(pc.is_in(table[SEQUENCE], value_set=numbers))

        tail = view.tail.filter(pc.is_in(view.tail[SEQUENCE], value_set=numbers))
        return concat([tail, *(table for table in self._blocks.each(list(meant), choose) if table.num_rows)])

    def named(self, view: View, wanted: Sequence[str]) -> list[Event]:
        """Return the events that have one of the ids."""
        named = pa.array(wanted, pa.string())
        tables = [view.tail.filter(pc.is_in(view.tail[EVENT_ID], value_set=named))]
        days: dict[str, list[str]] = {}
        for name in wanted:
            days.setdefault(partition_of(name), []).append(name)
        for segment in view.segments:
            names = days.get(segment.day, [])
            rows = self._ids.rows(segment, names, hash_texts(names)) if names else {}
            tables.extend(self._at(segment, rows, named))
        return [event for table in tables if table.num_rows for event in to_events(table)]

    def _at(
        self, segment: Segment, rows: Mapping[str, Sequence[int]], named: pa.Array[Any]
    ) -> Iterator[pa.Table]:
        """Yield the rows of a segment that have one of the ids, looking at no more blocks than can have them."""
        if not rows:
            return
        places: dict[Block, list[int]] = {}
        for block, row in (self._blocks.holding(segment, row) for found in rows.values() for row in found):
            places.setdefault(block, []).append(row)
        if segment.format == 1:
            places = {block: [] for block in self._blocks.of(segment, ALWAYS, None)}
        for block, chosen in places.items():
            columns = self._columns_at(block, chosen)
            table = self._blocks.read(block, columns)
            table = table.take(chosen) if chosen else table
            yield table.filter(pc.is_in(table[EVENT_ID], value_set=named))

    def _columns_at(self, block: Block, rows: Sequence[int]) -> frozenset[str] | None:
        """Return the columns that the events in some rows of a block have; ``None`` if that is not known."""
        if block.segment.format == 1:
            return None
        datasets = text_column(self._blocks.read(block, {DATASET}), DATASET).take(rows)
        return self._blocks.columns_of(block.segment, {str(name) for name in datasets.to_pylist()})
