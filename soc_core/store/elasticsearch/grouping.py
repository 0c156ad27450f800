"""Group events in Elasticsearch by a composite aggregation, and add those it can't judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from soc_core.fields import FIELDS
from soc_core.model.event import Event, Scalar
from soc_core.store.elasticsearch.dsl import Body
from soc_core.store.elasticsearch.questions import Question, Session
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
        return self._merged(chain([first] if first else [], pages), others)

    def _pages(self, session: Session) -> Iterator[list[Body]]:
        sources = [
            {str(at): {"terms": {"field": name, "missing_bucket": True}}}
            for at, name in enumerate(self._asked.keys)
        ]
        inner = {f"s{at}": {"sum": {"field": name}} for at, name in enumerate(self._asked.sums)}
        for page in session.composite(self.question.sure(), sources, inner):
            yield page
            session.renew()

    def _merged(self, pages: Iterable[list[Body]], others: dict[_Key, Group]) -> Iterator[list[Group]]:
        for page in pages:
            yield [self._group(item, others) for item in page]
        if others:
            yield list(others.values())

    def _group(self, item: Body, others: dict[_Key, Group]) -> Group:
        """Return the group of a bucket, with what was counted of it elsewhere."""
        keys = tuple(_value(name, item["key"][str(at)]) for at, name in enumerate(self._asked.keys))
        sums = tuple(int(item[f"s{at}"]["value"]) for at in range(len(self._asked.sums)))
        more = others.pop(keys, None)
        if more is None:
            return Group(keys, int(item["doc_count"]), sums)
        total = tuple(one + other for one, other in zip(sums, more.sums, strict=True))
        return Group(keys, int(item["doc_count"]) + more.events, total)


def _value(name: str, key: Any) -> Scalar | None:
    if key is None:
        return None
    if FIELDS[name].type == "boolean":
        return bool(key)
    return int(key) if FIELDS[name].type == "long" else str(key)
