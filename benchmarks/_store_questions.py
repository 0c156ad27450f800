# ruff: noqa: E501  (tables of events and questions read better in long lines)
"""Ask the questions of the goals of our store and of Elasticsearch, each time with other values, and compare answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from benchmarks._store_events import BEGIN, CITIES, city_units, end_of, rare_addresses
from benchmarks.store_peer import Peer
from soc_core.clock import format_instant
from soc_core.query.tree import And, Everything, Not, Or, Query, Text, equal
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation, Scope, Search

SHOWN: Final = (
    "@timestamp", "event.id", "event.dataset", "organization.id", "source.ip", "destination.ip", "user.name", "message",
)  # fmt: skip
_HUNTED: Final = ("mimikatz", "sekurlsa", "-enc ")
DAY: Final = timedelta(days=1)
MOST_TURNS: Final = 99


@dataclass(frozen=True, slots=True)
class Question:
    """Hold a question: the most it may take as a multiple of Elasticsearch's time, and how each is asked it.

    Both get the number of the turn, by which the values differ, and return what is compared. ``exact`` says that
    answers must be equal; Elasticsearch counts distinct values and top terms approximately.
    """

    name: str
    goal: float
    ours: Callable[[EmbeddedStore, int], object]
    peer: Callable[[Peer, int], object]
    exact: bool = True


class Questions:
    """Make the questions about ``days`` days that end at ``end``."""

    def __init__(self, days: int, ids: Sequence[str]) -> None:
        """Take the ids that are looked up, one a turn."""
        self._end, self._ids, self._rare = end_of(days), ids, rare_addresses(MOST_TURNS)

    def all(self) -> list[Question]:
        """Return all questions of GOALS "Store", and some beside them."""
        return [
            self._latest("latest 50, one school, 1 h", timedelta(hours=1), hours_before=18),
            self._latest("latest 50, 30 d", 30 * DAY),
            self._latest("latest 50, 180 d", 180 * DAY),
            Question(
                "one IP, 180 d, whole events", 3.0,
                lambda s, turn: len(s.search(self._asked(180 * DAY, turn, self._address(turn))).events),
                lambda p, turn: len(_hits(p, self._found(180 * DAY, turn, self._term(turn)))),
            ),
            Question(
                "one IP, 180 d, fields of a list", 3.0,
                lambda s, turn: len(s.search(self._asked(180 * DAY, turn, self._address(turn), fields=SHOWN)).events),
                lambda p, turn: len(_hits(p, {**self._found(180 * DAY, turn, self._term(turn)), **_fields()})),
            ),
            Question(
                "one IP, 180 d, count", 3.0,
                lambda s, turn: s.count(self._asked(180 * DAY, turn, self._address(turn))),
                lambda p, turn: _total(p, self._counted(180 * DAY, turn, self._term(turn))),
            ),
            self._substring("substring 30 d", 30 * DAY), self._substring("substring 180 d", 180 * DAY),
            Question(
                "top 10 source.ip, 7 d", 1.0,
                lambda s, turn: s.aggregate(self._asked(7 * DAY, turn), Aggregation("terms", "source.ip")).buckets[0].count,
                lambda p, turn: _aggregated(p, self._range(7 * DAY, turn), {"terms": {"field": "source.ip"}})["buckets"][0]["doc_count"],
            ),
            self._histogram(),
            Question(
                "distinct source.ip, 30 d", 1.0,
                lambda s, turn: s.aggregate(self._asked(30 * DAY, turn), Aggregation("distinct", "source.ip")).buckets[0].count,
                lambda p, turn: _aggregated(p, self._range(30 * DAY, turn), {"cardinality": {"field": "source.ip"}})["value"],
                exact=False,
            ),
            Question(
                "by id", 3.0,
                lambda s, turn: len(s.get([self._ids[turn % len(self._ids)]], SYSTEM_SCOPE)),
                lambda p, turn: len(_hits(p, {"query": {"ids": {"values": [self._ids[turn % len(self._ids)]]}}})),
            ),
            self._sigma(),
        ]  # fmt: skip

    def _address(self, turn: int) -> Query:
        name = self._rare[turn]
        return Or((equal("source.ip", name), equal("destination.ip", name)))

    def _term(self, turn: int) -> dict[str, Any]:
        fields = ("source.ip", "destination.ip")
        return {"bool": {"should": [{"term": {field: self._rare[turn]}} for field in fields]}}

    def _until(self, turn: int) -> datetime:
        """Return the end of the time asked about: a little earlier each turn, so that nobody has the answer ready."""
        return self._end - timedelta(seconds=61 * turn)

    def _asked(
        self, span: timedelta, turn: int, query: Query | None = None, fields: tuple[str, ...] | None = None
    ) -> Search:
        end = self._until(turn)
        return Search(SYSTEM_SCOPE, _start(end, span), end, query or Everything(), fields=fields)

    def _range(self, span: timedelta, turn: int, end: datetime | None = None) -> dict[str, Any]:
        end = end or self._until(turn)
        return {
            "range": {"@timestamp": {"gte": format_instant(_start(end, span)), "lt": format_instant(end)}}
        }

    def _found(self, span: timedelta, turn: int, *conditions: dict[str, Any]) -> dict[str, Any]:
        filters = [self._range(span, turn), *conditions]
        return {
            "size": 50, "track_total_hits": False, "sort": [{"@timestamp": "desc"}], "query": {"bool": {"filter": filters}},
        }  # fmt: skip

    def _counted(self, span: timedelta, turn: int, *conditions: dict[str, Any]) -> dict[str, Any]:
        filters = [self._range(span, turn), *conditions]
        return {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}}

    def _latest(self, name: str, span: timedelta, hours_before: int = 0) -> Question:
        def school(turn: int) -> str:
            return f"s{3 + turn % 20:04d}"

        def end(turn: int) -> datetime:
            return self._until(turn) - timedelta(hours=hours_before)

        def ours(store: EmbeddedStore, turn: int) -> int:
            scope = Scope(frozenset({school(turn)})) if hours_before else SYSTEM_SCOPE
            return len(store.search(Search(scope, _start(end(turn), span), end(turn))).events)

        def peer(other: Peer, turn: int) -> int:
            unit = [{"term": {"organization.id": school(turn)}}] if hours_before else []
            filters = [self._range(span, turn, end(turn)), *unit]
            return len(_hits(other, {**self._found(span, turn), "query": {"bool": {"filter": filters}}}))

        return Question(name, 1.0, ours, peer)

    def _substring(self, name: str, span: timedelta) -> Question:
        return Question(
            name, 3.0,
            lambda s, turn: s.count(self._asked(span, turn, Text("message", "contains", "LOGONPASS"))),
            lambda p, turn: _total(p, self._counted(span, turn, _contains("message", "LOGONPASS"))),
        )  # fmt: skip

    def _histogram(self) -> Question:
        def ours(store: EmbeddedStore, turn: int) -> list[int]:
            end = self._until(turn)
            asked = Search(Scope(city_units(turn % CITIES)), _start(end, 180 * DAY), end)
            days = store.aggregate(asked, Aggregation("histogram", interval_seconds=86_400))
            return [bucket.count for bucket in days.buckets]

        def peer(other: Peer, turn: int) -> list[int]:
            units = {"terms": {"organization.id": sorted(city_units(turn % CITIES))}}
            query = {"bool": {"filter": [self._range(180 * DAY, turn), units]}}
            how = {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "min_doc_count": 1}}
            return [bucket["doc_count"] for bucket in _aggregated(other, query, how)["buckets"]]

        return Question("histogram by day, 180 d, one city", 1.0, ours, peer)

    def _sigma(self) -> Question:
        field = "process.command_line"
        hunted = Or(tuple(Text(field, "contains", word) for word in _HUNTED))
        query = And((hunted, Not(Text(field, "contains", "task1"))))
        other = {
            "bool": {
                "should": [_contains(field, word) for word in _HUNTED],
                "minimum_should_match": 1,
                "must_not": [_contains(field, "task1")],
            }
        }
        return Question(
            "Sigma-like (3 substrings, not), 30 d", 1.0,
            lambda s, turn: s.count(self._asked(30 * DAY, turn, query)),
            lambda p, turn: _total(p, self._counted(30 * DAY, turn, other)),
        )  # fmt: skip


def _start(end: datetime, span: timedelta) -> datetime:
    """Return the start of a time asked about: nothing lies before the first day, but in copies of it."""
    return max(BEGIN, end - span)


def _fields() -> dict[str, Any]:
    return {"_source": False, "fields": list(SHOWN)}


def _contains(field: str, text: str) -> dict[str, Any]:
    return {"wildcard": {field: {"value": f"*{text.lower()}*", "case_insensitive": True}}}


def _hits(peer: Peer, body: dict[str, Any]) -> list[Any]:
    found: list[Any] = peer.search(f"{peer.prefix}*", body)["hits"]["hits"]
    return found


def _total(peer: Peer, body: dict[str, Any]) -> int:
    return int(peer.search(f"{peer.prefix}*", body)["hits"]["total"]["value"])


def _aggregated(peer: Peer, query: dict[str, Any], how: dict[str, Any]) -> Any:
    body = {"size": 0, "track_total_hits": False, "query": query, "aggs": {"a": how}}
    return peer.search(f"{peer.prefix}*", body)["aggregations"]["a"]
