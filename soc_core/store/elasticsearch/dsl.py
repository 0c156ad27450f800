"""Turn a query tree into Elasticsearch's query language.

A clause is exact wherever Elasticsearch can say the same as ``soc_core.query.evaluate``; where it can't, it matches *at
least* what the tree matches and says so, and the evaluator decides. ``templates`` says how fields are indexed. Events
that name one of the ``doubted`` fields in ``_ignored`` (a text too long for the index) are known to Elasticsearch only
in part: of those the clause says nothing, ``templates.unlike_itself`` finds them, and the evaluator decides.

What people ask stays within Elasticsearch's limits (8.19: 30 levels, some thousand clauses on a small heap, 1,000
letters in an expression, expressions that make too many states are refused): beyond them a part of the question is
left to the evaluator. Numbers of clauses and levels here are half of what a small node takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, EXTRA, ORGANIZATION_ID, TIMESTAMP
from soc_core.query.evaluate import fold, text_of, value_test
from soc_core.query.tree import (
    And,
    Cidr,
    Everything,
    Exists,
    Not,
    OneOf,
    Or,
    Query,
    Range,
    Regex,
    SameAs,
    Text,
)
from soc_core.query.values import ADDRESSES, SEARCHED
from soc_core.store.elasticsearch import patterns
from soc_core.store.elasticsearch.bodies import (
    ALL,
    MAX_TERMS,
    NONE,
    Body,
    all_of,
    any_of,
    leaves,
    negated,
    terms,
)
from soc_core.store.elasticsearch.values import Values, address_body, date_body, number_body, text_range

Expressions: TypeAlias = Literal["all", "plain", "none"]
MAX_CLAUSES: Final = 4_000
MAX_STATES: Final = 1_500
"""A seventh of what Elasticsearch allows, unless expressions are plain: near that one takes each shard a second."""
MAX_LEVELS: Final = 20
_CERTAIN: Final = frozenset({EVENT_ID, ORGANIZATION_ID, TIMESTAMP})
"""Fields that are indexed whatever they hold."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Hold a query, whether it matches exactly (else: at least) what was asked, and the fields it may not know."""

    body: Body
    exact: bool
    doubted: frozenset[str]


def compile_clause(
    query: Query, *, expressions: Expressions = "all", present: Collection[str] | None = None
) -> Clause:
    """Return the clause of a tree; raise ``ValueError`` for a bad network.

    ``present`` are the fields that any event has, where that is known: a word is looked for in those only (each
    expression costs a shard some 0.2 ms, and there are some 380 fields of text).
    ``expressions`` of ``plain`` leaves out those that could make too many states (ask again with it when
    Elasticsearch refuses the first), ``none`` does without any (``search.allow_expensive_queries`` is off).
    """
    builder = _Builder(expressions, present)
    body = builder.build(query, wide=True, level=0)
    return Clause(body, builder.exact, frozenset(builder.doubted))


class _Builder:
    """Walk the tree; ``wide`` says whether too much (or else too little) may match."""

    def __init__(self, expressions: Expressions, present: Collection[str] | None) -> None:
        self._expressions = expressions
        self._present = present
        self._clauses = 0
        self.exact = True
        self.doubted: set[str] = set()

    def build(self, query: Query, *, wide: bool, level: int) -> Body:
        if level > MAX_LEVELS:
            return self._undecided(wide)
        match query:
            case Everything():
                return ALL
            case Not(Not(child)):
                return self.build(child, wide=wide, level=level)
            case Not(child):
                return negated(self.build(child, wide=not wide, level=level + 1))
            case And(children):
                return all_of(self.build(child, wide=wide, level=level + 1) for child in _flat(children, And))
            case Or(children):
                return any_of(self.build(child, wide=wide, level=level + 1) for child in _flat(children, Or))
        return self._predicate(query, wide)

    def _undecided(self, wide: bool) -> Body:
        self.exact = False
        return ALL if wide else NONE

    def _counted(self, body: Body, wide: bool) -> Body:
        """Return the body while there is room for it."""
        self._clauses += leaves(body)
        return body if self._clauses <= MAX_CLAUSES else self._undecided(wide)

    def _unless(self, body: Body | None, present: Callable[[], Body], wide: bool) -> Body:
        """Return the body, or where there is none what surely matches as much: that there is a value."""
        if body is None:
            self.exact = False
            body = present() if wide else NONE
        return self._counted(body, wide)

    def _predicate(self, query: Exists | SameAs | Values, wide: bool) -> Body:
        match query:
            case Exists(field):
                return self._counted(self._exists(field), wide)
            case SameAs(field, other):
                return self._unless(None, lambda: all_of((self._exists(field), self._exists(other))), wide)
        if query.field:
            return self._unless(self._leaf(query, query.field, wide), lambda: self._exists(query.field), wide)
        names = ADDRESSES if isinstance(query, Cidr) else self._searched()
        parts = [self._leaf(query, name, wide) or self._undecided(wide) for name in names]
        return self._counted(any_of(parts), wide)

    def _searched(self) -> Iterable[str]:
        self.doubted.update(SEARCHED)  # a field may have nothing but texts too long for the index
        return SEARCHED if self._present is None else [name for name in SEARCHED if name in self._present]

    def _exists(self, field: str) -> Body:
        if field not in FIELDS:
            return self._extra(field)
        return ALL if field == TIMESTAMP else self._known(field, {"exists": {"field": field}})

    def _extra(self, field: str) -> Body:
        """Return the condition that there is a value of a field that the dictionary lacks."""
        self.doubted.add(EXTRA)
        if self._expressions == "none":
            self.exact = False
            return {"exists": {"field": EXTRA}}
        return {"prefix": {EXTRA: field + "="}}

    def _known(self, field: str, body: Body) -> Body:
        if FIELDS[field].type in {"keyword", "text", "date", "ip"} and field not in _CERTAIN:
            self.doubted.add(field)
        return body

    def _leaf(self, query: Values, field: str, wide: bool) -> Body | None:
        """Return what a predicate says of a field, ``None`` where Elasticsearch can't say it."""
        if isinstance(query, Text) and _fits_all(query):
            return self._exists(field)
        if field not in FIELDS:
            self.doubted.add(EXTRA)
            return self._keyword(query, EXTRA, wide, prefix=field + "=")
        match FIELDS[field].type:
            case "boolean":
                test = value_test(query)
                return any_of({"term": {field: value}} for value in (False, True) if test(value))
            case "long" | "double" as kind:
                return number_body(query, field, kind)
            case "ip":
                return _known_or_none(self._known, field, address_body(query, field))
            case "date":
                return _known_or_none(self._known, field, date_body(query, field))
        return _known_or_none(self._known, field, self._keyword(query, field, wide))

    def _keyword(self, query: Values, field: str, wide: bool, prefix: str = "") -> Body | None:
        """Return a condition on text; ``prefix`` stands before each value of a field the dictionary lacks."""
        match query:
            case Range():
                found = text_range(query, field, prefix)
                return None if found != NONE and self._expressions == "none" else found
            case OneOf():
                return self._one_of(query, field, wide, prefix)
            case Text():
                return self._text(query, field, wide, prefix)
            case Regex() if self._expressions == "all":
                said = patterns.from_python(query.pattern, query.flags)
                if said is None or not (said.exact or wide):
                    return None
                whole = f"({said.pattern})" if prefix else said.pattern
                return self._expression(field, whole, said.exact, prefix)
        return None

    def _expression(self, field: str, pattern: str, exact: bool, prefix: str) -> Body | None:
        pattern = patterns.literal(prefix, cased=True) + pattern
        if patterns.length(pattern) > patterns.MAX_LENGTH:
            return None
        self.exact = self.exact and exact
        effort = {"max_determinized_states": MAX_STATES} if self._expressions == "all" else {}
        return {"regexp": {field: {"value": pattern, "flags": "NONE", **effort}}}

    def _one_of(self, query: OneOf, field: str, wide: bool, prefix: str) -> Body | None:
        texts = sorted({fold(text_of(item), query.cased) for item in query.values})
        plain = [prefix + text for text in texts if query.cased or not patterns.has_case(text)]
        parts = [terms(field, plain[at : at + MAX_TERMS]) for at in range(0, len(plain), MAX_TERMS)]
        written = [text for text in texts if not query.cased and patterns.has_case(text)]
        if written and self._expressions == "none":
            return None
        for pattern, exact in _alternatives(written, len(patterns.literal(prefix, cased=True)) + 2):
            if not (exact or wide):
                self.exact = False
                continue
            found = self._expression(field, pattern, exact, prefix)
            if found is None:
                return None
            parts.append(found)
        return any_of(parts)

    def _text(self, query: Text, field: str, wide: bool, prefix: str) -> Body | None:
        if self._expressions == "none":
            return None
        room = patterns.MAX_LENGTH - len(patterns.literal(prefix, cased=True))
        found = patterns.of_text(query, room, plain=self._expressions == "plain")
        return self._expression(field, found.pattern, found.exact, prefix) if found.exact or wide else None


def _fits_all(query: Text) -> bool:
    """Tell whether any value at all matches."""
    return set(query.value) == {"*"} if query.how == "wildcard" else not query.value


def _known_or_none(known: Callable[[str, Body], Body], field: str, body: Body | None) -> Body | None:
    return None if body is None else known(field, body)


def _flat(children: Sequence[Query], kind: type[And] | type[Or]) -> Iterable[Query]:
    """Yield the children, those of a child of the same kind in its place."""
    for child in children:
        if isinstance(child, kind):
            yield from _flat(child.children, kind)
        else:
            yield child


def _alternatives(texts: Sequence[str], taken: int) -> Iterable[tuple[str, bool]]:
    """Yield expressions of some texts each, in any case, and whether each is of the texts whole."""
    room = patterns.MAX_LENGTH - taken
    gathered: list[str] = []
    size = 0
    for text in texts:
        pattern = patterns.literal(text, cased=False)
        if len(pattern) > room:
            yield patterns.beginning(text, room), False
            continue
        if size + len(pattern) + 1 > room:
            yield _one(gathered), True
            gathered, size = [], 0
        gathered.append(pattern)
        size += len(pattern) + 1
    if gathered:
        yield _one(gathered), True


def _one(gathered: Sequence[str]) -> str:
    return gathered[0] if len(gathered) == 1 else f"({'|'.join(gathered)})"
