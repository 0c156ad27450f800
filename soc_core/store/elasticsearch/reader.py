"""Answer questions from Elasticsearch as the interface promises; any number of processes read while one writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

from soc_core.clock import format_epoch_us
from soc_core.errors import StoreError
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP, Event
from soc_core.query.fields import searches_anywhere
from soc_core.store.asking import Key, decode_cursor, encode_cursor
from soc_core.store.budget import Budget, too_long
from soc_core.store.counting import Counting, merge_days, merge_statistics
from soc_core.store.elasticsearch.aggregates import Aggregates, can_count, doubted_field
from soc_core.store.elasticsearch.bodies import ALL, Body
from soc_core.store.elasticsearch.documents import event_of, events_of
from soc_core.store.elasticsearch.dsl import Expressions
from soc_core.store.elasticsearch.faults import in_words
from soc_core.store.elasticsearch.grouping import Groups
from soc_core.store.elasticsearch.health import health_of
from soc_core.store.elasticsearch.indices import indices_of, month_of
from soc_core.store.elasticsearch.lease import read_log
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.questions import (
    LOG_ORDER,
    WINDOW,
    Asker,
    Question,
    order_of,
    place_in_order,
    question_of,
    scope_bounds,
    shown,
    wanted_source,
)
from soc_core.store.elasticsearch.templates import DAY, OFFSET, TIME
from soc_core.store.elasticsearch.verifying import verify_store
from soc_core.store.elasticsearch.visibility import Visibility
from soc_core.store.grouping import check_grouping, groups_over
from soc_core.store.interface import (
    Aggregation,
    Buckets,
    Finding,
    Group,
    Grouping,
    Health,
    Page,
    Scope,
    Search,
    SourceDay,
    SourceStatistics,
)

SCAN: Final = 5_000
"""Events that a scan reads at a time."""
IDS: Final = 1_000
"""Ids that are asked for at a time."""
_SOURCES: Final[list[Body]] = [
    {"unit": {"terms": {"field": ORGANIZATION_ID, "missing_bucket": True}}},
    {"dataset": {"terms": {"field": DATASET, "missing_bucket": True}}},
]
_EXACT_DOUBLE: Final = 2**53
T = TypeVar("T")


class Reader:
    """Read events."""

    def __init__(self, place: Place) -> None:
        """Take the cluster; nothing is asked yet."""
        self.place = place
        self._asker = Asker(place)
        self._visibility = Visibility(place)

    def bound_questions(self, seconds: float) -> None:
        """Give up each question to the store after ``seconds``; they then raise ``StoreError``."""
        self._asker.seconds = seconds

    def end_offset(self) -> int:
        """Return the log offset after the last acknowledged event."""
        with in_words(self.place.where):
            return read_log(self.place).head

    def _see_all(self) -> int:
        """Make all that was acknowledged findable; return the head of the log."""
        head = self.end_offset()
        with in_words(self.place.where):
            self._visibility.reach(head)
        return head

    def _graded(self, request: Search, ask: Callable[[Question], T], field: str = "") -> T:
        """Ask a question as Elasticsearch takes it."""
        present = self._asker.present() if searches_anywhere(request.query) else None

        def put(expressions: Expressions) -> T:
            return ask(question_of(request, expressions, field, present))

        return self._asker.graded(put)

    def search(self, request: Search) -> Page:
        """Return one page. Raises ``UsageError`` for a cursor that is not ours.

        A page that ends early because its question has had its time goes on behind the last event looked at.
        """
        after = decode_cursor(request.cursor, ascending=request.ascending)
        start = place_in_order(after) if after is not None else None
        self._see_all()
        return self._graded(request, lambda question: self._page(request, question, start))

    def _page(self, request: Search, question: Question, start: list[Any] | None) -> Page:
        session, budget = self._asker.session(partial=True), self._asker.budget()
        found: list[Body] = []
        last: Body | None = None
        size = min(request.limit + 1, WINDOW)
        body = {
            "query": question.candidates(),
            "sort": order_of(request.ascending),
            "_source": wanted_source(request),
        }
        while True:
            more = {"search_after": start} if start is not None else {}
            try:
                hits = session.search({**body, **more, "size": size})["hits"]["hits"]
            except StoreError:
                if last is None or not budget.is_spent:
                    raise
                break
            budget.spend(0 if question.clause.exact else len(hits))
            found.extend(hit for hit in hits if question.holds(hit))
            if len(found) > request.limit:
                last = found[request.limit - 1] if request.limit > 0 else None
                break
            last = hits[-1] if len(hits) == size else None
            if last is None or budget.is_spent:
                break
            start = last["sort"]
            size = WINDOW if question.clause.exact else min(WINDOW, max(size, 2_000))
        events = [shown(hit, request) for hit in found[: request.limit]]
        early = budget.partial if last is not None and len(found) <= request.limit else ""
        return Page(events, _cursor_behind(last, request), early or session.partial)

    def scan(self, request: Search) -> Iterator[list[Event]]:
        """Yield all matching events in batches, in time order: those acknowledged before the first batch."""
        self._see_all()
        return (events for events in self._scan(request) if events)

    def _scan(self, request: Search, budget: Budget | None = None) -> Iterator[list[Event]]:
        """Yield all matching events, an empty batch where there are only candidates."""
        begun = self._graded(
            request, lambda question: self._begun(request, question, question.candidates(), budget)
        )
        for hits in begun:
            yield [shown(hit, request) for hit in hits]

    def _begun(
        self, request: Search, question: Question, query: Body, budget: Budget | None = None
    ) -> Iterator[list[Body]]:
        """Return the matching hits of a query over candidates; its first page is asked for at once."""
        body = {"query": query, "sort": order_of(ascending=True), "_source": wanted_source(request)}
        pages = self._asker.session().scan(body, SCAN)
        first = next(pages, None)

        def kept() -> Iterator[list[Body]]:
            for hits in () if first is None else _chain(first, pages):
                if budget is not None:
                    budget.spend(len(hits))
                yield hits if request.superset else [hit for hit in hits if question.holds(hit)]

        return kept()

    def count(self, request: Search) -> int:
        """Return how many events match; raise ``StoreError`` when not all of them can be found out in time."""
        found = self._counted(request, Aggregation("count"), partial=False)
        if found.partial:
            raise too_long()
        return found.buckets[0].count

    def aggregate(self, request: Search, aggregation: Aggregation) -> Buckets:
        """Return counts over the matching events."""
        return self._counted(request, aggregation, partial=True)

    def _counted(self, request: Search, aggregation: Aggregation, *, partial: bool) -> Buckets:
        counting = Counting(aggregation)
        counting.check_range(request)
        narrow = replace(request, fields=(TIMESTAMP, counting.field))
        self._see_all()

        def ask(question: Question) -> Buckets | None:
            if not question.clause.exact:
                return None
            session = self._asker.session(partial=partial)
            aggregates = Aggregates(session, question, request, counting)
            found = aggregates.answer(self._doubtful(narrow, question))
            return replace(found, partial=session.partial)

        if can_count(aggregation):
            found = self._graded(request, ask, doubted_field(aggregation))
            if found is not None:
                return found
        budget = self._asker.budget()
        found = counting.over(budget.until_spent(self._scan(narrow, budget)))
        return replace(found, exact=not budget.is_spent, partial=budget.partial)

    def _doubtful(self, request: Search, question: Question) -> Iterator[Event]:
        """Yield the matching events that Elasticsearch can't judge by itself."""
        if question.doubted:
            for hits in self._begun(request, question, question.doubtful()):
                yield from (shown(hit, request) for hit in hits)

    def get(self, event_ids: Sequence[str], scope: Scope) -> Mapping[str, Event]:
        """Return those of the events that exist inside the scope."""
        months: dict[str, list[str]] = {}
        for name in sorted({name for name in event_ids if name[:8].isdigit() and name[8:9] == "-"}):
            months.setdefault(month_of(name), []).append(name)
        if not months:
            return {}
        self._see_all()
        session = self._asker.session()
        found: dict[str, Event] = {}
        for month, names in months.items():
            indices = indices_of(self.place.pattern, month)
            for start in range(0, len(names), IDS):
                wanted: Body = {"ids": {"values": names[start : start + IDS]}}
                query = {"bool": {"filter": [wanted, *scope_bounds(scope)]}}
                answer = session.search({"index": indices, "query": query, "size": IDS})
                found.update((str(event[EVENT_ID]), event) for event in events_of(answer))
        return found

    def statistics(self, scope: Scope) -> list[SourceStatistics]:
        """Return counts per unit and data set, ordered by both."""
        bounds = {"first": {"min": {"field": TIME}}, "last": {"max": {"field": TIME}}}
        rows = [
            SourceStatistics(
                *_source_of(item),
                int(item["doc_count"]),
                self._instant(item, "first", scope),
                self._instant(item, "last", scope),
            )
            for item in self._sources(scope, _SOURCES, bounds)
        ]
        return merge_statistics(rows)

    def _instant(self, item: Body, end: str, scope: Scope) -> str:
        """Return the first or last time of a source: of instants after 2255 Elasticsearch keeps not every digit."""
        micros = int(item[end]["value"])
        if abs(micros) < _EXACT_DOUBLE:
            return format_epoch_us(micros)
        unit, dataset = item["key"]["unit"], item["key"]["dataset"]
        parts = [
            {"term": {name: value}}
            if value is not None
            else {"bool": {"must_not": [{"exists": {"field": name}}]}}
            for name, value in ((ORGANIZATION_ID, unit), (DATASET, dataset))
        ]
        query = {"bool": {"filter": [*parts, *scope_bounds(scope)]}}
        answer = self._asker.session().search(
            {"query": query, "size": 1, "sort": order_of(end == "first"), "_source": [TIMESTAMP]}
        )
        return str(answer["hits"]["hits"][0]["_source"][TIMESTAMP])

    def days(self, scope: Scope) -> list[SourceDay]:
        """Return counts per unit, data set and day, ordered by all three."""
        sources = [*_SOURCES, {"day": {"terms": {"field": DAY}}}]
        return merge_days(
            SourceDay(*_source_of(item), f"{item['key']['day']:08d}", int(item["doc_count"]))
            for item in self._sources(scope, sources)
        )

    def _sources(self, scope: Scope, sources: list[Body], inner: Body | None = None) -> Iterator[Body]:
        self._see_all()
        bounds = scope_bounds(scope)
        query = {"bool": {"filter": list(bounds)}} if bounds else ALL
        for page in self._asker.session().composite(query, sources, inner):
            yield from page

    def groups(self, request: Search, grouping: Grouping) -> Iterator[list[Group]]:
        """Yield all groups of the matching events in batches."""
        check_grouping(grouping)
        self._see_all()
        narrow = replace(request, fields=tuple(dict.fromkeys((TIMESTAMP, *grouping.keys, *grouping.sums))))

        def ask(question: Question) -> Iterator[list[Group]] | None:
            groups = Groups(grouping, question)
            if not question.clause.exact or not groups.are_known:
                return None
            return groups.over(self._asker.session(), lambda q: self._doubtful(narrow, q))

        found = self._graded(request, ask)
        if found is not None:
            return found
        return groups_over(grouping, lambda: (event for batch in self._scan(narrow) for event in batch))

    def read_from(self, offset: int, limit: int = 10_000) -> tuple[list[Event], int]:
        """Return acknowledged events from a log offset in append order, and the offset to go on from."""
        end = self.end_offset()
        if offset >= end or limit < 1:
            return [], offset
        self._see_all()
        session = self._asker.session()
        found: list[Event] = []
        while len(found) < limit:
            size = min(limit - len(found), WINDOW)
            query = {"range": {OFFSET: {"gte": offset, "lt": end}}}
            hits = session.search({"query": query, "size": size, "sort": LOG_ORDER})["hits"]["hits"]
            offset = int(hits[-1]["sort"][0]) + 1 if len(hits) == size else end
            found.extend(event_of(hit["_source"]) for hit in hits)
            if offset >= end:
                break
        return found, offset

    def health(self) -> Health:
        """Say how the store is; never raises."""
        return health_of(self.place.client, self.place.prefix)

    def verify(self) -> list[Finding]:
        """Check what can be checked; return what is wrong (empty: all is well)."""
        self._see_all()
        return verify_store(self.place, self._asker.session())

    def close(self) -> None:
        """Close the connections."""
        with suppress(StoreError):
            self.place.client.close()


def _cursor_behind(hit: Body | None, request: Search) -> str:
    """Return the cursor of what follows a hit, nothing when nothing does."""
    if hit is None:
        return ""
    key = Key(str(hit["_source"][TIMESTAMP]), str(hit["_source"][EVENT_ID]))
    return encode_cursor(key, ascending=request.ascending)


def _chain(first: list[Body], rest: Iterable[list[Body]]) -> Iterator[list[Body]]:
    yield first
    yield from rest


def _source_of(item: Body) -> tuple[str, str]:
    """Return unit and data set of a bucket; an absent one is an empty text."""
    return item["key"]["unit"] or "", item["key"]["dataset"] or ""
