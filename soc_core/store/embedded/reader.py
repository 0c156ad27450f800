"""Answer questions from segments and log tail in one consistent view."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Final, Literal, TypeVar

import pyarrow as pa

from soc_core.clock import epoch_us, format_instant
from soc_core.errors import StoreError
from soc_core.log import LogReader
from soc_core.log.writer import RESERVE
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP, Event
from soc_core.query.evaluate import compile_query
from soc_core.query.fields import fields_of
from soc_core.query.tree import And, Exists, Not, Or, Query, Range
from soc_core.store.asking import Key, decode_cursor, encode_cursor, scope_query, whole_query
from soc_core.store.budget import Budget, Clock, too_long
from soc_core.store.counting import MOST_TERMS, merge_days, merge_statistics
from soc_core.store.embedded.aggregates import (
    SealedStatistics,
    SegmentCounts,
    add_up,
    can_be_kept,
    split,
)
from soc_core.store.embedded.asking import Grown, span_of
from soc_core.store.embedded.batches import concat, decode, to_events, whole_numbers
from soc_core.store.embedded.beside import rebuild_sidecar
from soc_core.store.embedded.blocks import Block, Blocks, instant, overlapping
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.cells import CellsCache
from soc_core.store.embedded.condition import health_of
from soc_core.store.embedded.counting import SqlCounting
from soc_core.store.embedded.damage import KnownDamage
from soc_core.store.embedded.engine import Engine, UnreadableError, View
from soc_core.store.embedded.fetching import Fetching
from soc_core.store.embedded.filters import compile_filter
from soc_core.store.embedded.grouping import grouping_sql, groups_of_batch, of_days
from soc_core.store.embedded.ids import IdIndex
from soc_core.store.embedded.narrowing import compile_narrowing
from soc_core.store.embedded.schema import EMPTY, SEQUENCE
from soc_core.store.embedded.sealing import count_days, count_sources
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import Sidecars
from soc_core.store.embedded.sql import compile_condition, quote
from soc_core.store.embedded.summing import (
    add_counts,
    adds_up,
    as_buckets,
    selection_of,
    sum_cells,
    whole_hours,
)
from soc_core.store.embedded.tail import StaleSnapshotError, Tail
from soc_core.store.grouping import BATCH as GROUPS
from soc_core.store.grouping import check_grouping, groups_over
from soc_core.store.interface import (
    Aggregation,
    Buckets,
    Group,
    Grouping,
    Health,
    Page,
    Scope,
    Search,
    SourceDay,
    SourceStatistics,
)

BATCH: Final = 5_000
JUDGED: Final = 2_000
"""Candidates judged at a time: the budget is looked at between."""
_TRIES: Final = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Found:
    """Hold matching rows, the place to go on behind if there is more, and why they may be fewer than asked for."""

    rows: pa.Table
    after: Key | None = None
    partial: str = ""


class Reader:
    """Read events; any number of processes and threads may do so while one writes."""

    def __init__(self, directory: Path, memory_limit_mb: int) -> None:
        """Open the store in ``directory``, which is created when missing."""
        self.directory = directory
        self.segments_directory = directory / "segments"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # whoever owns the directory above
        self.segments_directory.mkdir(exist_ok=True)
        self.catalogue = Catalogue(directory / "catalogue.sqlite", watching=True)
        self.log = LogReader(directory / "log")
        self.sidecars = Sidecars(self.segments_directory, rebuild_sidecar)
        self.ids = IdIndex(self.sidecars)
        self.damage = KnownDamage(self.segments_directory)
        self._tail = Tail(LogReader(directory / "log"))
        kept = memory_limit_mb * 2**20 // 3
        self._blocks, self._cells = Blocks(self.sidecars, kept), CellsCache(self.sidecars)
        self._fetching = Fetching(self._blocks, self.ids)
        self._engine = Engine(self.segments_directory, memory_limit_mb, self._blocks)
        self._counts, self._statistics = SegmentCounts(), SealedStatistics()
        self.clock: Clock = time.monotonic

    def bound_questions(self, seconds: float) -> None:
        """Give up each question to the store after ``seconds``; they then raise ``StoreError``."""
        self._engine.seconds = seconds

    def _budget(self) -> Budget:
        return Budget(self._engine.seconds, self.clock)

    def _view(self) -> View:
        snapshot = self.catalogue.snapshot()
        segments = self.damage.without(snapshot.segments)
        try:
            table = self._tail.table(snapshot.sealed)
        except StaleSnapshotError:
            if self.catalogue.snapshot().sealed != snapshot.sealed:
                raise
            # Only what was sealed is dropped from the log: what is missing behind that was lost.
            table = self._tail.table(snapshot.sealed, lost=True)
        return View(segments, table, snapshot.sealed)

    def _on_view(self, ask: Callable[[View], T]) -> T:
        """Ask of one consistent state; when files of it are merged away meanwhile, of the next."""
        for attempt in range(_TRIES):
            try:
                return ask(self._view())
            except (StaleSnapshotError, FileNotFoundError):
                if attempt >= _TRIES // 2:  # a file is not gone for having been merged: it is lost
                    self.damage.look(self.catalogue.snapshot())
            except (UnreadableError, OSError, pa.ArrowException) as error:
                if not self.damage.look(self.catalogue.snapshot()):
                    if isinstance(error, UnreadableError):
                        raise
                    raise UnreadableError(
                        f"a segment can't be read: {error}", todo="run: edusoc store verify"
                    ) from error
        raise StoreError("the store changes faster than it can be read", where=str(self.directory))

    def search(self, request: Search) -> Page:
        """Return one page. Raises ``UsageError`` for a cursor that is not ours.

        A page that ends early because its question has had its time goes on behind the last event looked at.
        """
        after = decode_cursor(request.cursor, ascending=request.ascending)
        budget = self._budget()
        found = self._page(request, after, (request.limit, None), budget)
        cursor = "" if found.after is None else encode_cursor(found.after, ascending=request.ascending)
        partial = "; ".join(filter(None, (found.partial, self._partial(request))))
        return Page(self._events(found.rows, request), cursor, partial)

    def _partial(self, request: Search) -> str:
        """Say which damaged parts were left out of an answer, if any may have belonged to it."""
        return self.damage.partial(self.catalogue.snapshot(), request, self._tail.missing)

    def scan(self, request: Search) -> Iterator[list[Event]]:
        """Yield all matching events in batches, in time order: those acknowledged before the first batch."""
        yield from (batch for batch in self._scan(request, self._budget) if batch)

    def _scan(self, request: Search, budget: Callable[[], Budget]) -> Iterator[list[Event]]:
        """Yield all matching events, an empty batch where only candidates were found within a budget."""
        request = replace(request, ascending=True)
        bounds = (BATCH, self.end_offset())
        after: Key | None = None
        while True:
            granted = budget()
            found = self._page(request, after, bounds, granted)
            yield self._events(found.rows, request) if found.rows.num_rows else []
            if found.after is None:
                return
            after = found.after

    def _page(
        self, request: Search, after: Key | None, bounds: tuple[int, int | None], budget: Budget
    ) -> _Found:
        """Return up to ``bounds[0]`` matching rows in order, from below the offset ``bounds[1]``."""
        limit, until = bounds
        kept: list[pa.Table] = []
        count = 0
        matches = compile_query(request.query)
        size = limit + 1
        while True:
            try:
                rows, exact = self._on_view(
                    lambda view: self._candidates(view, request, after, (size, until, budget))  # noqa: B023 called at once
                )
            except StoreError:
                if not (kept and budget.is_spent):
                    raise
                return _Found(concat(kept), after, budget.partial)
            exhausted = rows.num_rows < size
            if rows.num_rows:
                after = _key_of(rows, -1)
            if not (exact or request.superset):
                budget.spend(rows.num_rows)
                rows = rows.filter(pa.array([matches(event) for event in to_events(rows)], pa.bool_()))
                size = max(size, JUDGED)
            kept.append(rows)
            count += rows.num_rows
            if count > limit:
                table = concat(kept).slice(0, limit)
                return _Found(table, _key_of(table, -1) if limit else None)
            if exhausted:
                return _Found(concat(kept))
            if budget.is_spent:
                return _Found(concat(kept), after, budget.partial)

    def _candidates(
        self, view: View, request: Search, after: Key | None, bounds: tuple[int, int | None, Budget]
    ) -> tuple[pa.Table, bool]:
        """Return the first rows in order that may match, and whether they surely do.

        Blocks are asked in the order of time, and no further than needed.
        """
        size, until, budget = bounds
        asked = whole_query(request, after)
        condition = compile_condition(asked, view.columns())
        wanted = {TIMESTAMP, EVENT_ID, DATASET} | fields_of(asked)
        if request.fields is not None:
            wanted |= set(request.fields)
        shown = (
            wanted if request.fields is not None or not condition.exact else {TIMESTAMP, EVENT_ID, DATASET}
        )
        order = "ASC" if request.ascending else "DESC"
        names = ", ".join(quote(name) for name in (SEQUENCE, *sorted(shown & view.columns())))
        sql = (
            f"SELECT {names} FROM {{source}} WHERE {condition.sql}{_until(until)} "  # noqa: S608 names from the dictionary
            f"ORDER BY {quote(TIMESTAMP)} {order}, {quote(EVENT_ID)} {order} LIMIT {size}"
        )
        rows = EMPTY
        tail = view.tail
        prune = compile_filter(request.query)
        blocks = self._blocks.in_order(view.segments, span_of(request, after), prune)
        grown = Grown(blocks, size, filtered=prune is not None)
        narrowing = compile_narrowing(request.query)
        for group, rest in grown:
            part = View((), tail, view.sealed, group, narrowing=narrowing)
            tail = EMPTY
            answer = self._engine.ask(part, sql, wanted & view.columns(), condition.parameters, budget)
            rows = _first(concat([rows, answer]), order == "ASC", size)
            grown.found = rows.num_rows
            if rows.num_rows == size and _beyond(_key_of(rows, -1).timestamp, rest, request.ascending):
                break
        return rows, condition.exact

    def _events(self, rows: pa.Table, request: Search) -> list[Event]:
        """Return the events of rows, in their order, with the fields asked for."""
        if not rows.num_rows:
            return []
        if request.fields is not None:
            wanted = [name for name in dict.fromkeys(request.fields) if name in rows.column_names]
            return to_events(rows.select([SEQUENCE, *wanted]))
        # What was found late is still shown: the time of the question bounds the search, not the page.
        by_number = self._on_view(lambda view: self._fetching.whole(view, rows))
        # Others were found damaged just now.
        return [by_number[n] for n in whole_numbers(rows[SEQUENCE]) if n in by_number]

    def count(self, request: Search) -> int:
        """Return how many events match; raise ``StoreError`` when that takes too long to find out."""
        found = self._counted(request, Aggregation("count"))
        if found.partial:
            raise too_long()
        return found.buckets[0].count

    def aggregate(self, request: Search, aggregation: Aggregation) -> Buckets:
        """Return counts over the matching events."""
        found = self._counted(request, aggregation)
        return replace(found, partial="; ".join(filter(None, (found.partial, self._partial(request)))))

    def _counted(self, request: Search, aggregation: Aggregation) -> Buckets:
        counting = SqlCounting(aggregation)
        counting.check_range(request)
        asked = whole_query(request, None)
        budget = self._budget()

        def ask(view: View) -> Buckets | None:
            summed = self._summed(view, request, counting, budget)
            if summed is not None:
                return summed
            whole, cut = split(view.segments, request)
            if not compile_condition(asked, View((*whole, *cut), view.tail, 0).columns()).exact:
                return None
            if not can_be_kept(request, aggregation):
                part = self._part(view, request, counting)
                return self._count(part, _lean(request) if part.within else asked, counting, budget)
            rest = self._count(View(cut, view.tail, view.sealed), asked, counting, budget)
            return add_up(self._counts.over(whole, request, aggregation, count_fresh), rest)

        def count_fresh(segments: tuple[Segment, ...]) -> Buckets:
            return self._count(View(segments, EMPTY, 0), asked, counting, budget)

        found = self._on_view(ask)
        if found is not None:
            return found
        narrow = replace(request, fields=(TIMESTAMP, counting.field))
        found = counting.over(budget.until_spent(self._scan(narrow, lambda: budget)))
        return replace(found, exact=not budget.is_spent, partial=budget.partial)

    def _part(self, view: View, request: Search, counting: SqlCounting) -> View:
        """Return what of a view a question must look at; the time only where it decides or is counted."""
        span = span_of(request, None)
        blocks = tuple(self._blocks.in_order(view.segments, span, compile_filter(request.query)))
        timeless = counting.asked.kind != "histogram" and TIMESTAMP not in {
            counting.asked.field,
            *fields_of(request.query),
        }
        within = span if timeless else None
        return View((), view.tail, view.sealed, blocks, within, compile_narrowing(request.query))

    def _summed(self, view: View, request: Search, counting: SqlCounting, budget: Budget) -> Buckets | None:
        """Return counts from the sums that lie beside segments, and from events only where hours are cut."""
        selection = selection_of(request)
        hours = whole_hours(request)
        if selection is None or hours is None or not adds_up(counting.asked):
            return None
        summed = [segment for segment in view.segments if segment.format > 1]
        others = tuple(segment for segment in view.segments if segment.format == 1)
        within = overlapping(summed, epoch_us(hours.start), epoch_us(hours.end))
        cells = (self._cells.of(segment) for segment in within)
        counts = sum_cells(cells, selection, hours, counting)
        if counts is None:
            return None
        parts = [(request, View(others, view.tail, view.sealed))]
        for start, end in ((request.start, hours.start), (hours.end, request.end)):
            edge = replace(request, start=start, end=end)
            if start < end:
                blocks = tuple(self._blocks.in_order(summed, span_of(edge, None), None))
                parts.append((edge, View((), EMPTY, 0, blocks)))
        whole = SqlCounting(replace(counting.asked, size=MOST_TERMS))
        for part, seen in parts:
            found = self._count(seen, whole_query(part, None), whole, budget)
            if counting.asked.kind == "terms" and len(found.buckets) == MOST_TERMS:
                return None  # there may be more
            add_counts(counts, found)
        return as_buckets(counts, counting.asked)

    def _count(self, part: View, asked: Query, counting: SqlCounting, budget: Budget) -> Buckets:
        """Return counts over what matches a question that SQL can say exactly."""
        columns = part.columns()
        if counting.field not in columns or not (part.segments or part.blocks or part.tail.num_rows):
            return counting.nothing()
        condition = compile_condition(asked, columns)
        wanted = (fields_of(asked) | {counting.field}) & columns
        sql = counting.sql(f"SELECT * FROM {{source}} WHERE {condition.sql}")  # noqa: S608 built from the dictionary
        return counting.result(self._engine.ask(part, sql, wanted, condition.parameters, budget))

    def get(self, event_ids: Sequence[str], scope: Scope) -> Mapping[str, Event]:
        """Return those of the events that exist inside the scope."""
        wanted = sorted({name for name in event_ids if name})
        if not wanted:
            return {}
        found = {
            str(event[EVENT_ID]): event
            for event in self._on_view(lambda view: self._fetching.named(view, wanted))
        }
        return {n: e for n, e in found.items() if scope.allows(str(e.get(ORGANIZATION_ID, "")))}

    def statistics(self, scope: Scope) -> list[SourceStatistics]:
        """Return counts per unit and data set, ordered by both."""

        def ask(view: View) -> list[SourceStatistics]:
            sealed = self._statistics.of(view.segments, lambda: self.catalogue.statistics(view.sealed))
            if sealed is None:
                raise StaleSnapshotError
            return sealed + (count_sources(view.tail) if view.tail.num_rows else [])

        return merge_statistics(row for row in self._on_view(ask) if scope.allows(row.organization_id))

    def days(self, scope: Scope) -> list[SourceDay]:
        """Return counts per unit, data set and day, ordered by all three."""

        def ask(view: View) -> list[SourceDay]:
            sealed = self.catalogue.days(view.sealed)
            if sealed is None:
                raise StaleSnapshotError
            return sealed + (count_days(view.tail) if view.tail.num_rows else [])

        return merge_days(row for row in self._on_view(ask) if scope.allows(row.organization_id))

    def groups(self, request: Search, grouping: Grouping) -> Iterator[list[Group]]:
        """Yield all groups of the matching events in batches."""
        check_grouping(grouping)
        asked = whole_query(request, None)
        wanted = {TIMESTAMP, *grouping.keys, *grouping.sums}

        def ask(view: View) -> Iterator[pa.RecordBatch] | None:
            whole, cut = split(view.segments, request)
            part = View(of_days((*whole, *cut), request.query), view.tail, view.sealed)
            condition = compile_condition(asked, part.columns() | wanted)
            if not condition.exact:
                return None
            sql = grouping_sql(grouping, f"SELECT * FROM {{source}} WHERE {condition.sql}")  # noqa: S608 built from the dictionary
            columns = fields_of(asked) & part.columns() | wanted
            answer = self._engine.stream(part, sql, columns, condition.parameters, GROUPS)
            first = list(islice(answer, 1))  # from here on no file is needed any more
            return chain(first, answer)

        found = self._on_view(ask)
        if found is not None:
            return (groups_of_batch(grouping, batch) for batch in found)
        narrow = replace(request, fields=tuple(sorted(wanted)))
        return groups_over(grouping, lambda: (event for batch in self.scan(narrow) for event in batch))

    def health(self) -> Health:
        """Say how the store is; never raises."""
        return health_of(self.directory, self.catalogue, reserve=RESERVE)

    def end_offset(self) -> int:
        """Return the log offset after the last acknowledged event."""
        return self.log.end_offset()

    def read_from(self, offset: int, limit: int = 10_000) -> tuple[list[Event], int]:
        """Return acknowledged events from a log offset in append order, and the offset to go on from."""
        end = self.end_offset()
        if offset >= end or limit < 1:
            return [], offset
        if self.log.start_offset() > offset:
            return self._on_view(lambda view: self._read_sealed(view, offset, limit))
        events: list[Event] = []
        for record in LogReader(self.directory / "log").records(offset, end):
            skipped = max(0, offset - record.offset)
            taken = decode(record)[skipped : skipped + limit - len(events)]
            events.extend(taken)
            if len(events) >= limit:
                return events, record.offset + skipped + len(taken)
        return events, end

    def _read_sealed(self, view: View, offset: int, limit: int) -> tuple[list[Event], int]:
        sql = f"SELECT * FROM {{source}} WHERE {SEQUENCE} >= ? AND {SEQUENCE} < ? ORDER BY {SEQUENCE} LIMIT ?"  # noqa: S608 constant
        # Where events were removed offsets are missing: what follows them may lie in any segment.
        for end in (offset + limit, 2**63 - 1):
            chosen = tuple(s for s in view.segments if s.high >= offset and s.low < end)
            part = View(chosen, view.tail, view.sealed)
            table = self._engine.ask(part, sql, part.columns(), (offset, end, limit))
            if table.num_rows:
                break
        else:
            return [], max(offset, view.sealed)
        return to_events(table), int(table[SEQUENCE][-1].as_py()) + 1

    def close(self) -> None:
        """Free memory and files."""
        self._engine.close()
        self._blocks.close()
        self.sidecars.close()
        self.catalogue.close()


def _lean(request: Search) -> Query:
    """Return a question that takes rows without a time for rows of its time: no stored event is without one."""
    time = Range(TIMESTAMP, gte=format_instant(request.start), lt=format_instant(request.end))
    return And((Or((Not(Exists(TIMESTAMP)), time)), scope_query(request.scope), request.query))


def _until(until: int | None) -> str:
    return "" if until is None else f" AND {SEQUENCE} < {until}"


def _key_of(rows: pa.Table, index: int) -> Key:
    at = index % rows.num_rows
    return Key(str(rows[TIMESTAMP][at].as_py()), str(rows[EVENT_ID][at].as_py()))


def _first(rows: pa.Table, ascending: bool, size: int) -> pa.Table:
    if not rows.num_rows:
        return rows
    order: Literal["ascending", "descending"] = "ascending" if ascending else "descending"
    return rows.sort_by([(TIMESTAMP, order), (EVENT_ID, order)]).slice(0, size)


def _beyond(last: str, rest: Block | None, ascending: bool) -> bool:
    """Tell whether nothing in blocks still to come, of which ``rest`` is the next, can precede ``last``."""
    if rest is None:
        return True
    return instant(last) < rest.first if ascending else instant(last) > rest.last
