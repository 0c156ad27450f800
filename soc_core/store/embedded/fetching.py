"""Fetch whole events: those that a search found, and those whose ids are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from soc_core.model.event import DATASET, EVENT_ID, Event, partition_of
from soc_core.store.embedded.asking import ALWAYS
from soc_core.store.embedded.batches import to_events, whole_numbers
from soc_core.store.embedded.blocks import Block, Blocks
from soc_core.store.embedded.cells import text_column
from soc_core.store.embedded.engine import View
from soc_core.store.embedded.hashing import hash_texts
from soc_core.store.embedded.ids import IdIndex
from soc_core.store.embedded.schema import SEQUENCE

_Places: TypeAlias = dict[Block, list[int]]


class Fetching:
    """Read the columns that events have, from the blocks they lie in, and no others."""

    def __init__(self, blocks: Blocks, ids: IdIndex) -> None:
        """Take how blocks are read and ids are found."""
        self._blocks, self._ids = blocks, ids

    def whole(self, view: View, rows: pa.Table) -> dict[int, Event]:
        """Return the events of rows of which id, number and data set are known, by their numbers."""
        numbers = rows[SEQUENCE].combine_chunks()
        names = [str(name) for name in rows[EVENT_ID].to_pylist()]
        kinds = dict(zip(names, text_column(rows, DATASET).to_pylist(), strict=True))
        places, kinds_of = _Places(), dict[Block, set[str]]()
        for block, name, chosen in self._found(view, names):
            places.setdefault(block, []).extend(chosen)
            kinds_of.setdefault(block, set()).add(str(kinds[name]))

        def take(block: Block, alone: bool) -> pa.Table:
            columns = self._blocks.columns_of(block.segment, kinds_of[block])
            table = self._rows(block, columns, places[block], alone=alone)
            return table.filter(pc.is_in(table[SEQUENCE], value_set=numbers))

        tail = view.tail.filter(pc.is_in(view.tail[SEQUENCE], value_set=numbers))
        events = dict(_numbered_events([tail, *self._blocks.each(list(places), take)]))
        if len(events) < len(numbers):  # an index or an id is damaged
            events.update(
                _numbered_events(self._numbered(view, set(whole_numbers(rows[SEQUENCE])) - set(events)))
            )
        return events

    def _numbered(self, view: View, numbers: Set[int]) -> Iterator[pa.Table]:
        """Yield the rows that have certain numbers, wherever they may lie."""
        wanted = pa.array(sorted(numbers), pa.int64())
        for segment in view.segments:
            if not any(segment.low <= number <= segment.high for number in numbers):
                continue
            for block in self._blocks.of(segment, ALWAYS, None):
                here = pc.is_in(self._blocks.read(block, {SEQUENCE}, keep=False)[SEQUENCE], value_set=wanted)
                if pc.any(here).as_py():
                    yield self._blocks.read(block, None, keep=False).filter(here)

    def named(self, view: View, wanted: Sequence[str]) -> list[Event]:
        """Return the events that have one of the ids."""
        named = pa.array(wanted, pa.string())
        tables = [view.tail.filter(pc.is_in(view.tail[EVENT_ID], value_set=named))]
        places = _Places()
        for block, _, chosen in self._found(view, wanted):
            places.setdefault(block, []).extend(chosen)
        for block, rows in places.items():
            table = self._rows(block, self._columns_at(block, rows), rows, alone=True)
            tables.append(table.filter(pc.is_in(table[EVENT_ID], value_set=named)))
        return [event for table in tables if table.num_rows for event in to_events(table)]

    def _found(self, view: View, wanted: Sequence[str]) -> Iterator[tuple[Block, str, list[int]]]:
        """Yield the blocks that may hold ids, each with an id and its rows there (none: look at all)."""
        days: dict[str, list[str]] = {}
        for name in wanted:
            days.setdefault(partition_of(name), []).append(name)
        hashes = {day: hash_texts(names) for day, names in days.items()}
        for segment in view.segments:
            names = days.get(segment.day)
            found = self._ids.rows(segment, names, hashes[segment.day]) if names else {}
            everywhere = segment.format == 1 or any(max(rows) >= segment.events for rows in found.values())
            for name, rows in found.items():
                if everywhere:
                    yield from ((block, name, []) for block in self._blocks.of(segment, ALWAYS, None))
                    continue
                for row in rows:
                    block, at = self._blocks.holding(segment, row)
                    yield block, name, [at]

    def _rows(
        self, block: Block, columns: frozenset[str] | None, rows: Sequence[int], *, alone: bool
    ) -> pa.Table:
        """Return some rows of a block; all if none are named."""
        if not rows:
            return self._blocks.read(block, columns, alone=alone)
        return self._blocks.rows(block, columns, sorted(set(rows)), alone=alone)

    def _columns_at(self, block: Block, rows: Sequence[int]) -> frozenset[str] | None:
        """Return the columns that the events in some rows of a block have; ``None`` if that is not known."""
        if block.segment.format == 1:
            return None
        datasets = text_column(self._blocks.read(block, {DATASET}), DATASET).take(rows)
        return self._blocks.columns_of(block.segment, {str(name) for name in datasets.to_pylist()})


def _numbered_events(tables: Iterable[pa.Table]) -> Iterator[tuple[int, Event]]:
    """Yield number and event of each row; of tables one by one, for what they have in common is little."""
    for table in tables:
        if table.num_rows:
            yield from zip(whole_numbers(table[SEQUENCE]), to_events(table), strict=True)
