"""Group events in Elasticsearch by a composite aggregation, and add those it can't judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from soc_core.fields import FIELDS
from soc_core.model.event import Event, Scalar
from soc_core.store.elasticsearch.bodies import Body
from soc_core.store.elasticsearch.questions import LOG_ORDER, WINDOW, Question, Session
from soc_core.store.grouping import groups_over
from soc_core.store.interface import Group, Grouping

_KNOWN: Final = frozenset({"keyword", "long", "boolean", "ip"})
_EXACT_DOUBLE: Final = 2**53
_Key = tuple[Scalar | None, ...]


class Groups:
    """Group the events of one question."""

    def __init__(self, asked: Grouping, question: Question) -> None:
        """Take what is asked; fields of text make events doubtful whose value is not indexed."""
        self._asked = asked
        kinds = {name: FIELDS[name].type for name in asked.keys}
        self.are_known = bool(kinds) and set(kinds.values()) <= _KNOWN and not self._floats
        textual = frozenset(name for name, kind in kinds.items() if kind in {"keyword", "ip"})
        self.question = replace(question, doubted=question.doubted | textual)

    @property
    def _floats(self) -> bool:
        """Tell whether sums are of floats, which come out otherwise by another order."""
        return any(FIELDS[name].type == "double" for name in self._asked.sums)

    def over(
        self, session: Session, doubtful: Callable[[Question], Iterable[Event]]
    ) -> Iterator[list[Group]]:
        """Return all groups in batches. What was asked is asked at once, so that a refusal shows here."""
        # They are few: texts too long for an index.
        others = {
            group.keys: group
            for page in groups_over(self._asked, lambda: doubtful(self.question))
            for group in page
        }
        pages = self._pages(session)
        first = next(pages, None)
        return self._merged(chain([first] if first else [], pages), others, session)

    def _pages(self, session: Session) -> Iterator[list[Body]]:
        sources = [
            {str(at): {"terms": {"field": name, "missing_bucket": True}}}
            for at, name in enumerate(self._asked.keys)
        ]
        inner = {f"s{at}": {"stats": {"field": name}} for at, name in enumerate(self._asked.sums)}
        for page in session.composite(self.question.sure(), sources, inner):
            yield page
            session.renew()

    def _merged(
        self, pages: Iterable[list[Body]], others: dict[_Key, Group], session: Session
    ) -> Iterator[list[Group]]:
        for page in pages:
            yield [self._group(item, others, session) for item in page]
        if others:
            yield list(others.values())

    def _group(self, item: Body, others: dict[_Key, Group], session: Session) -> Group:
        """Return the group of a bucket, with what was counted of it elsewhere."""
        keys = tuple(_value(name, item["key"][str(at)]) for at, name in enumerate(self._asked.keys))
        stats = [item[f"s{at}"] for at in range(len(self._asked.sums))]
        sums = tuple(int(part["sum"]) for part in stats)
        if not all(map(_is_exact, stats)):
            sums = self._added(keys, session)
        more = others.pop(keys, None)
        if more is None:
            return Group(keys, int(item["doc_count"]), sums)
        total = tuple(one + int(other) for one, other in zip(sums, more.sums, strict=True))
        return Group(keys, int(item["doc_count"]) + more.events, total)

    def _added(self, keys: _Key, session: Session) -> tuple[int, ...]:
        """Return the sums of one group, added up here."""
        parts = [_is(name, key) for name, key in zip(self._asked.keys, keys, strict=True)]
        query = {"bool": {"filter": [self.question.sure(), *parts]}}
        body: Body = {"query": query, "sort": LOG_ORDER, "_source": list(self._asked.sums)}
        sums = [0] * len(self._asked.sums)
        for hits in session.scan(body, WINDOW):
            for hit in hits:
                for at, name in enumerate(self._asked.sums):
                    sums[at] += hit["_source"].get(name, 0)
        return tuple(sums)


def _is_exact(stats: Body) -> bool:
    """Tell whether a sum of whole numbers, which Elasticsearch adds up as floats, has lost no digit."""
    if not stats["count"]:
        return True
    low, high = stats["min"], stats["max"]
    most = abs(stats["sum"]) if low >= 0 or high <= 0 else max(-low, high) * stats["count"]
    return bool(most < _EXACT_DOUBLE)


def _is(name: str, key: Scalar | None) -> Body:
    if key is None:
        return {"bool": {"must_not": [{"exists": {"field": name}}]}}
    return {"term": {name: key}}


def _value(name: str, key: Any) -> Scalar | None:
    if key is None:
        return None
    if FIELDS[name].type == "boolean":
        return bool(key)
    return int(key) if FIELDS[name].type == "long" else str(key)
