"""Count in Elasticsearch where that is exact, and say so where it is not.

Counts over several shards are exact when every shard names all it has; for the top of many values that is made sure
of by asking once more for those that may be in it. Events of which Elasticsearch does not know the field are counted
by us and added (``Question.doubtful``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

from soc_core.clock import epoch_us
from soc_core.fields import FIELDS
from soc_core.model.event import TIMESTAMP, Event, Scalar, values_of
from soc_core.store.counting import Counting
from soc_core.store.elasticsearch.bodies import Body
from soc_core.store.elasticsearch.questions import Question, Session
from soc_core.store.interface import Aggregation, Bucket, Buckets, Search

MOST_BUCKETS: Final = 10_000
PRECISION: Final = 40_000
"""Values up to which ``cardinality`` is close to right (reference 8.19); it is never sure."""
_FIRST_TERMS: Final = 100
_SHARD_TERMS: Final = 2_000
_MOST_TERMS: Final = 30_000
_COUNTABLE: Final = frozenset({"keyword", "long", "double", "boolean", "ip"})


def can_count(asked: Aggregation) -> bool:
    """Tell whether Elasticsearch can count by the field: it keeps no values of long text, and dates otherwise."""
    return asked.kind in {"count", "histogram"} or FIELDS[asked.field].type in _COUNTABLE


def doubted_field(asked: Aggregation) -> str:
    """Return the field whose values some events may have that Elasticsearch does not know of."""
    textual = asked.kind in {"terms", "distinct"} and FIELDS[asked.field].type in {"keyword", "ip"}
    return asked.field if textual else ""


class Aggregates:
    """Answer one aggregation over the events that surely match."""

    def __init__(self, session: Session, question: Question, request: Search, counting: Counting) -> None:
        """Take the question and what is counted."""
        self._session, self._query = session, question.sure()
        self._request, self._counting, self._asked = request, counting, counting.asked

    def answer(self, rest: Iterable[Event]) -> Buckets:
        """Return the counts; ``rest`` are the matching events that Elasticsearch could not judge."""
        match self._asked.kind:
            case "count":
                return Buckets([Bucket("", self._count() + sum(1 for _ in rest))])
            case "histogram":
                return self._histogram(rest)
            case "distinct":
                return self._distinct({key for event in rest for key in values_of(event, self._asked.field)})
        return self._terms(Counter(key for event in rest for key in set(values_of(event, self._asked.field))))

    def _aggregate(self, body: Body) -> Any:
        answer = self._session.search({"query": self._query, "size": 0, "aggs": {"found": body}})
        return answer.get("aggregations", {}).get("found", {"buckets": [], "value": 0})

    def _count(self) -> int:
        answer = self._session.search({"query": self._query, "size": 0, "track_total_hits": True})
        return int(answer["hits"]["total"]["value"])

    def _histogram(self, rest: Iterable[Event]) -> Buckets:
        interval = self._asked.interval_seconds
        shape = {
            "field": TIMESTAMP,
            "fixed_interval": f"{interval}s",
            "offset": f"{-self._asked.offset_seconds % interval}s",
        }
        counts: Counter[str] = Counter()
        span = epoch_us(self._request.end) - epoch_us(self._request.start)
        if span <= MOST_BUCKETS * interval * 1_000_000:
            buckets = self._aggregate({"date_histogram": {**shape, "min_doc_count": 1}})["buckets"]
            counts.update({self._start(item["key"]): item["doc_count"] for item in buckets})
        else:
            sources = [{"start": {"date_histogram": shape}}]
            for page in self._session.composite(self._query, sources):
                counts.update({self._start(item["key"]["start"]): item["doc_count"] for item in page})
        counts.update({str(item.key): item.count for item in self._counting.over(rest).buckets})
        return Buckets([Bucket(key, counts[key]) for key in sorted(counts)])

    def _start(self, milliseconds: int) -> str:
        """Return the canonical start of a bucket by that of Elasticsearch."""
        shifted = milliseconds // 1_000 + self._asked.offset_seconds
        return self._counting.start(shifted // self._asked.interval_seconds)

    def _distinct(self, others: set[Scalar]) -> Buckets:
        """Count values: by their names where they are few, else by Elasticsearch's estimate."""
        field = self._asked.field
        estimate = self._aggregate({"cardinality": {"field": field, "precision_threshold": PRECISION}})
        number = int(estimate["value"])
        if number <= MOST_BUCKETS:
            size = number + number // 10 + 100
            found = self._aggregate({"terms": {"field": field, "size": size, "shard_size": size}})
            if not found.get("sum_other_doc_count"):
                keys = {_key(field, item["key"]) for item in found["buckets"]} | others
                return Buckets([Bucket("", len(keys))])
        return Buckets([Bucket("", number + len(others - set(self._counts_of(others))))], exact=False)

    def _terms(self, others: Counter[Scalar]) -> Buckets:
        """Return the top of the values; ``others`` are counts to add."""
        wanted = self._asked.size
        shown, kept = max(4 * wanted, _FIRST_TERMS), max(20 * wanted, _SHARD_TERMS)
        while True:
            counts, bound = self._top(shown, kept)
            missing = {key for key in others if key not in counts}
            counts.update(self._counts_of(missing))
            counts.update(others)
            ranked = sorted(counts.items(), key=lambda item: item[0])
            ranked.sort(key=lambda item: -item[1])
            top = [Bucket(key, count) for key, count in ranked[:wanted]]
            certain = bound < 0 or (len(top) == wanted and top[-1].count > bound)
            if certain or shown >= _MOST_TERMS:
                return Buckets(top, exact=certain)
            shown, kept = min(shown * 8, _MOST_TERMS), min(kept * 8, 2 * _MOST_TERMS)

    def _top(self, shown: int, kept: int) -> tuple[Counter[Scalar], int]:
        """Return exact counts of the most frequent values, and what all others have at most (-1: there are none)."""
        field = self._asked.field
        found = self._aggregate({"terms": {"field": field, "size": shown, "shard_size": max(shown, kept)}})
        buckets = found["buckets"]
        counts = Counter({_key(field, item["key"]): int(item["doc_count"]) for item in buckets})
        error = int(found.get("doc_count_error_upper_bound", 0))
        if error:
            counts = self._counts_of(counts)
        if not found.get("sum_other_doc_count") and not error:
            return counts, -1
        cut = int(buckets[-1]["doc_count"]) if len(buckets) == shown else 0
        return counts, cut + error

    def _counts_of(self, keys: Iterable[Scalar]) -> Counter[Scalar]:
        """Return the exact counts of some values."""
        field, wanted = self._asked.field, list(keys)
        counts: Counter[Scalar] = Counter()
        for start in range(0, len(wanted), MOST_BUCKETS):
            some = wanted[start : start + MOST_BUCKETS]
            terms = {"field": field, "size": len(some), "shard_size": len(some), "include": some}
            found = self._aggregate({"terms": terms})
            counts.update({_key(field, item["key"]): int(item["doc_count"]) for item in found["buckets"]})
        return counts


def _key(field: str, key: Any) -> Scalar:
    """Return a value as events have it."""
    match FIELDS[field].type:
        case "boolean":
            return bool(key)
        case "long":
            return int(key)
        case "double":
            return float(key)
        case "ip":
            return ip_address(key).compressed
    return str(key)
