"""Ask Elasticsearch: bounded in time, partial answers told apart, scope and time in every question."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args

from elasticsearch import ApiError

from soc_core.clock import epoch_us
from soc_core.errors import StoreError, UsageError
from soc_core.model.event import EVENT_ID, ORGANIZATION_ID, TIMESTAMP, Event
from soc_core.query.evaluate import Matcher, compile_query
from soc_core.query.fields import fields_of
from soc_core.store.asking import Key
from soc_core.store.budget import Budget, Clock, too_long
from soc_core.store.elasticsearch.bodies import ALL, NONE, Body
from soc_core.store.elasticsearch.documents import event_of, micros_of
from soc_core.store.elasticsearch.dsl import Clause, Expressions, compile_clause
from soc_core.store.elasticsearch.faults import cause_of, in_words
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.templates import IGNORED, OFFSET, TIME, unlike_itself
from soc_core.store.interface import Scope, Search

WINDOW: Final = 10_000
"""Documents that Elasticsearch returns at most at once (``index.max_result_window``)."""
KEEP_ALIVE: Final = "5m"
QUESTION_SECONDS: Final = 60.0
_SLACK: Final = 5.0
_LONGEST_SECONDS: Final = 86_400.0
"""For those who wait without a bound: sockets take no more than some hundred years, and this on top of it."""
_WIDEST: Final = 60
"""Fields beyond which whole documents are asked for: picking them out costs more."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """Hold a request as Elasticsearch is asked it; ``doubted`` are fields by which it may not know an event."""

    bounds: tuple[Body, ...]
    clause: Clause
    matches: Matcher
    doubted: frozenset[str]

    def candidates(self) -> Body:
        """Return the query for all events that may match."""
        if not self.doubted or self.clause.body == ALL:
            return _filter(*self.bounds, self.clause.body)
        known = {
            "bool": {"should": [self.clause.body, unlike_itself(self.doubted)], "minimum_should_match": 1}
        }
        return _filter(*self.bounds, known)

    def sure(self) -> Body:
        """Return the query for the events that surely match, where the clause is exact."""
        known = _filter(*self.bounds, self.clause.body)
        if self.doubted:
            known["bool"]["must_not"] = [unlike_itself(self.doubted)]
        return known

    def doubtful(self) -> Body:
        """Return the query for the events that Elasticsearch can't judge by the clause."""
        return _filter(*self.bounds, unlike_itself(self.doubted))

    def holds(self, hit: Body) -> bool:
        """Tell whether a hit of ``candidates`` matches."""
        if self.clause.exact and self.doubted.isdisjoint(hit.get(IGNORED, ())):
            return True
        return self.matches(hit["_source"])


def question_of(
    request: Search, expressions: Expressions, field: str = "", present: Collection[str] | None = None
) -> Question:
    """Return the question of a request; ``field`` is one whose values are counted, ``present`` any event has."""
    clause = compile_clause(request.query, expressions=expressions, present=present)
    low, high = epoch_us(request.start), epoch_us(request.end)
    bounds = ({"range": {TIME: {"gte": low, "lt": high}}}, *scope_bounds(request.scope))
    return Question(
        bounds, clause, compile_query(request.query), clause.doubted | ({field} if field else set())
    )


def scope_bounds(scope: Scope) -> tuple[Body, ...]:
    """Return the condition that only events inside the scope are seen."""
    if scope.ids is None:
        return ()
    return ({"terms": {ORGANIZATION_ID: sorted(scope.ids)}} if scope.ids else NONE,)


def _filter(*parts: Body) -> Body:
    return {"bool": {"filter": [part for part in parts if part != ALL]}}


def order_of(ascending: bool) -> list[Body]:
    """Return the order of events: time, then id."""
    way = "asc" if ascending else "desc"
    return [
        {TIME: {"order": way, "unmapped_type": "long"}},
        {EVENT_ID: {"order": way, "unmapped_type": "keyword"}},
    ]


def place_in_order(key: Key) -> list[Any]:
    """Return where a cursor's place is in the order; raise ``UsageError`` when its time is none."""
    try:
        return [micros_of(key.timestamp), key.event_id]
    except ValueError:
        raise UsageError(
            "this cursor does not belong to the question", todo="start from the first page"
        ) from None


def wanted_source(request: Search) -> bool | list[str]:
    """Return the fields to read: those asked for and those that the evaluator looks at."""
    if request.fields is None:
        return True
    names = {*request.fields, *fields_of(request.query), EVENT_ID, TIMESTAMP}
    return True if len(names) > _WIDEST else sorted(names)


def shown(hit: Body, request: Search) -> Event:
    """Return the event of a hit with the fields asked for."""
    event = event_of(hit["_source"])
    if request.fields is None:
        return event
    return {name: event[name] for name in dict.fromkeys(request.fields) if name in event}


class Asker:
    """Send questions and judge whether their answers are whole; safe for threads."""

    def __init__(self, place: Place) -> None:
        """Take the cluster."""
        self._place = place
        self.seconds = QUESTION_SECONDS
        self.clock: Clock = time.monotonic

    def session(self, *, partial: bool = False) -> Session:
        """Begin a question: all that is asked for it together is bounded in time."""
        return Session(self._place, self.seconds, partial)

    def budget(self) -> Budget:
        """Begin to count what a question takes."""
        return Budget(self.seconds, self.clock)

    def present(self) -> frozenset[str]:
        """Return the fields that any event has (an event that comes later may have others)."""
        with in_words(self._place.where):
            answer = self._place.client.field_caps(
                index=self._place.pattern, fields=["*"], include_empty_fields=False, ignore_unavailable=True
            )
        return frozenset(answer["fields"])

    def graded(self, ask: Callable[[Expressions], T]) -> T:
        """Ask with all expressions, with plain ones where Elasticsearch refuses these, at last without any."""
        for expressions in get_args(Expressions)[:-1]:
            try:
                return ask(expressions)
            except TooHardError:
                continue
        with in_words(self._place.where):
            return ask("none")


class TooHardError(Exception):
    """Tell that Elasticsearch refuses a question as it was put."""


class Session:
    """Ask for one question; ``partial`` says in words what an answer may lack, where that is allowed."""

    def __init__(self, place: Place, seconds: float, allowed: bool) -> None:
        """Take the cluster, the seconds there are, and whether missing shards may be done without."""
        self._place, self._seconds, self._allowed = place, min(seconds, _LONGEST_SECONDS), allowed
        self._end = time.monotonic() + self._seconds
        self.partial = ""

    def renew(self) -> None:
        """Begin the time anew: a scan takes as long as its reader needs."""
        self._end = time.monotonic() + self._seconds

    def search(self, body: Body, *, pit: str = "") -> Any:
        """Return the answer; raise ``StoreError`` when it takes too long or, unless that is allowed, lacks parts."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise too_long()
        client = self._place.client.options(request_timeout=left + _SLACK)
        target: Body = (
            {"pit": {"id": pit, "keep_alive": KEEP_ALIVE}}
            if pit
            else {"index": self._place.pattern, "ignore_unavailable": True}
        )
        with self._in_words():
            answer: Any = client.search(
                timeout=f"{max(1, int(left * 1_000))}ms",
                allow_partial_search_results=self._allowed,
                **{"track_total_hits": False, **target, **body},
            ).body
        self._check(answer)
        return answer

    def _in_words(self) -> Any:
        return _Refusals(self._place.where)

    def _check(self, answer: Any) -> None:
        if answer["timed_out"]:
            raise too_long()
        shards = answer["_shards"]
        failures = shards.get("failures", ())
        if any(_is_too_hard(400, *cause_of({"error": failure["reason"]})) for failure in failures):
            raise TooHardError
        if shards["failed"]:
            self.partial = f"{shards['failed']} of {shards['total']} parts of the index did not answer"
            if not self._allowed:
                raise StoreError(self.partial, where=self._place.where)

    def scan(self, body: Body, size: int) -> Iterator[list[Body]]:
        """Yield all hits of a sorted search in pages, of one moment."""
        with self._in_words():
            opened = self._place.client.open_point_in_time(
                index=self._place.pattern, keep_alive=KEEP_ALIVE, ignore_unavailable=True
            )
        pit = str(opened["id"])
        try:
            more: Body = {}
            while True:
                self.renew()
                answer = self.search({**body, **more, "size": size}, pit=pit)
                pit = str(answer.get("pit_id", pit))
                hits = answer["hits"]["hits"]
                if hits:
                    yield hits
                if len(hits) < size:
                    return
                more = {"search_after": hits[-1]["sort"]}
        finally:
            self._close(pit)

    def _close(self, pit: str) -> None:
        try:
            self._place.client.close_point_in_time(id=pit)
        except ApiError:
            return  # it ends by itself

    def composite(self, query: Body, sources: list[Body], inner: Body | None = None) -> Iterator[list[Body]]:
        """Yield all combinations of the values of sources, with inner aggregations, in batches."""
        asked: Body = {"size": 5_000, "sources": sources}
        while True:
            groups: Body = {"composite": asked, **({"aggs": inner} if inner else {})}
            answer = self.search({"query": query, "size": 0, "aggs": {"groups": groups}})
            found = answer.get("aggregations", {}).get("groups", {})
            if found.get("buckets"):
                yield found["buckets"]
            if "after_key" not in found:
                return
            asked = {**asked, "after": found["after_key"]}


class _Refusals:
    """Raise what the client raises in words, and ``TooHardError`` where the question itself is refused."""

    def __init__(self, where: str) -> None:
        self._words = in_words(where)

    def __enter__(self) -> None:
        self._words.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        if isinstance(error, ApiError) and _is_too_hard(error.meta.status, *cause_of(error.body)):
            raise TooHardError from error
        return self._words.__exit__(kind, error, trace)


def _is_too_hard(status: int, kind: str, reason: str) -> bool:
    """Tell whether Elasticsearch refuses an expression, or all of them, and would answer an easier question."""
    return (
        "too_complex" in kind
        or "too_many" in kind
        or "allow_expensive_queries" in reason
        or "max_regex_length" in reason
        or (status == 400 and ("regex" in reason or "eterminiz" in reason or "maxClauseCount" in reason))
    )


LOG_ORDER: Final[list[Body]] = [{OFFSET: {"order": "asc", "unmapped_type": "long"}}]
