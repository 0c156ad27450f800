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
from functools import partial
from ipaddress import IPv6Network, ip_address, ip_network
from math import isfinite
from typing import Any, Final, Literal, TypeAlias, TypeVar

from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, EXTRA, ORGANIZATION_ID, TIMESTAMP, Scalar
from soc_core.query.bounds import bound_of
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
    TimePart,
)
from soc_core.query.values import ADDRESSES, SEARCHED
from soc_core.store.elasticsearch import patterns
from soc_core.store.elasticsearch.instants import Span, span_of, with_prefix
from soc_core.store.elasticsearch.templates import TIME
from soc_core.store.shape import DATE_FORM

Body: TypeAlias = dict[str, Any]
Expressions: TypeAlias = Literal["all", "plain", "none"]
_Values: TypeAlias = OneOf | Text | Regex | Cidr | Range | TimePart
MAX_CLAUSES: Final = 4_000
MAX_STATES: Final = 1_500
"""A seventh of what Elasticsearch allows, unless expressions are plain: near that one takes each shard a second."""
MAX_LEVELS: Final = 20
MAX_TERMS: Final = 50_000
_SIGNS: Final = {">=": "gte", ">": "gt", "<=": "lte", "<": "lt"}
_ZERO: Final = {">=": -0.0, ">": 0.0, "<=": 0.0, "<": -0.0}
_MAPPED: Final = ip_network("::ffff:0:0/96")
_CERTAIN: Final = frozenset({EVENT_ID, ORGANIZATION_ID, TIMESTAMP})
"""Fields that are indexed whatever they hold."""
ALL: Final[Body] = {"match_all": {}}
NONE: Final[Body] = {"match_none": {}}


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
                return _negated(self.build(child, wide=not wide, level=level + 1))
            case And(children):
                return _all(self.build(child, wide=wide, level=level + 1) for child in _flat(children, And))
            case Or(children):
                return _any(self.build(child, wide=wide, level=level + 1) for child in _flat(children, Or))
        return self._predicate(query, wide)

    def _undecided(self, wide: bool) -> Body:
        self.exact = False
        return ALL if wide else NONE

    def _counted(self, body: Body, wide: bool) -> Body:
        """Return the body while there is room for it."""
        self._clauses += _leaves(body)
        return body if self._clauses <= MAX_CLAUSES else self._undecided(wide)

    def _unless(self, body: Body | None, present: Callable[[], Body], wide: bool) -> Body:
        """Return the body, or where there is none what surely matches as much: that there is a value."""
        if body is None:
            self.exact = False
            body = present() if wide else NONE
        return self._counted(body, wide)

    def _predicate(self, query: Exists | SameAs | _Values, wide: bool) -> Body:
        match query:
            case Exists(field):
                return self._counted(self._exists(field), wide)
            case SameAs(field, other):
                return self._unless(None, lambda: _all((self._exists(field), self._exists(other))), wide)
        if query.field:
            return self._unless(self._leaf(query, query.field, wide), lambda: self._exists(query.field), wide)
        names = ADDRESSES if isinstance(query, Cidr) else self._searched()
        parts = [self._leaf(query, name, wide) or self._undecided(wide) for name in names]
        return self._counted(_any(parts), wide)

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

    def _leaf(self, query: _Values, field: str, wide: bool) -> Body | None:
        """Return what a predicate says of a field, ``None`` where Elasticsearch can't say it."""
        if isinstance(query, Text) and _fits_all(query):
            return self._exists(field)
        if field not in FIELDS:
            self.doubted.add(EXTRA)
            return self._keyword(query, EXTRA, wide, prefix=field + "=")
        match FIELDS[field].type:
            case "boolean":
                test = value_test(query)
                return _any({"term": {field: value}} for value in (False, True) if test(value))
            case "long" | "double" as kind:
                return _number(query, field, kind)
            case "ip":
                return _known_or_none(self._known, field, _address(query, field))
            case "date":
                return _known_or_none(self._known, field, _date(query, field))
        return _known_or_none(self._known, field, self._keyword(query, field, wide))

    def _keyword(self, query: _Values, field: str, wide: bool, prefix: str = "") -> Body | None:
        """Return a condition on text; ``prefix`` stands before each value of a field the dictionary lacks."""
        match query:
            case Range():
                found = _text_range(query, field, prefix)
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
        if len(pattern) > patterns.MAX_LENGTH:
            return None
        self.exact = self.exact and exact
        effort = {"max_determinized_states": MAX_STATES} if self._expressions == "all" else {}
        return {"regexp": {field: {"value": pattern, "flags": "NONE", **effort}}}

    def _one_of(self, query: OneOf, field: str, wide: bool, prefix: str) -> Body | None:
        texts = sorted({fold(text_of(item), query.cased) for item in query.values})
        plain = [prefix + text for text in texts if query.cased or not patterns.has_case(text)]
        parts = [_terms(field, plain[at : at + MAX_TERMS]) for at in range(0, len(plain), MAX_TERMS)]
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
        return _any(parts)

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


def _all(parts: Iterable[Body]) -> Body:
    found = [part for part in parts if part != ALL]
    if any(part == NONE for part in found):
        return NONE
    if len(found) < 2:
        return found[0] if found else ALL
    return {"bool": {"filter": found}}


def _any(parts: Iterable[Body]) -> Body:
    found = [part for part in parts if part != NONE]
    if any(part == ALL for part in found):
        return ALL
    if len(found) < 2:
        return found[0] if found else NONE
    return {"bool": {"should": found, "minimum_should_match": 1}}


def _negated(body: Body) -> Body:
    if body in (ALL, NONE):
        return NONE if body == ALL else ALL
    return {"bool": {"must_not": [body]}}


def _leaves(body: Body) -> int:
    """Count the clauses of a body that is not nested deeply."""
    inner = body.get("bool")
    if inner is None:
        return 1
    return sum(_leaves(part) for parts in inner.values() if isinstance(parts, list) for part in parts)


def _terms(field: str, values: Sequence[Scalar]) -> Body:
    return {"term": {field: values[0]}} if len(values) == 1 else {"terms": {field: list(values)}}


def _terms_or_none(field: str, values: Sequence[Scalar]) -> Body:
    return _terms(field, values) if values else NONE


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


def _bounds(query: Range) -> list[tuple[str, Scalar]]:
    given = ((">=", query.gte), (">", query.gt), ("<=", query.lte), ("<", query.lt))
    return [(sign, bound) for sign, bound in given if bound is not None]


def _text_range(query: Range, field: str, prefix: str) -> Body | None:
    """Return a range over texts, in the order of their letters' numbers as Python and Lucene have it."""
    given = _bounds(query)
    textual = {isinstance(bound, str) for _, bound in given}
    if not given:
        return {"prefix": {field: prefix}} if prefix else {"exists": {"field": field}}
    if textual != {True}:
        return None if query.numeric and textual == {False} else NONE
    bounds = {sign: prefix + bound for sign, bound in _tightest((sign, str(bound)) for sign, bound in given)}
    if prefix:
        if not bounds.keys() & {">=", ">"}:
            bounds[">="] = prefix
        if not bounds.keys() & {"<=", "<"}:
            bounds["<"] = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return {"range": {field: {_SIGNS[sign]: bound for sign, bound in bounds.items()}}}


_Bound = TypeVar("_Bound", str, int | float)


def _tightest(given: Iterable[tuple[str, _Bound]]) -> list[tuple[str, _Bound]]:
    """Return at most one bound of each side: one value of a list must lie within all of them."""
    kept: dict[str, tuple[str, _Bound]] = {}
    for sign, bound in given:
        known = kept.get(sign[0])
        inner = known is None or (bound > known[1] if sign[0] == ">" else bound < known[1])
        if known is None or inner or (bound == known[1] and sign in {">", "<"}):
            kept[sign[0]] = (sign, bound)
    return list(kept.values())


def _number(query: _Values, field: str, kind: str) -> Body | None:
    match query:
        case Range():
            return _number_range(query, field, kind)
        case OneOf():
            texts = {fold(text_of(item), query.cased) for item in query.values}
            # A list: both zeros are kept. Numbers differ where their texts do.
            numbers = [number for text in sorted(texts) for number in _numbers_of(text, kind)]
            return _terms_or_none(field, numbers) if len(numbers) <= MAX_TERMS else None
        case Cidr():
            return NONE
        case Text(_, "startswith" | "wildcard") if kind == "long":
            digits = _beginning(query)
            return None if digits is None else _digits(field, digits)
    return None


def _numbers_of(text: str, kind: str) -> list[int | float]:
    """Return the numbers whose text is ``text``: none, one, or zero with both its signs."""
    try:
        number = int(text) if kind == "long" else float(text)
    except ValueError:
        return []
    sound = isfinite(number) if kind == "double" else -(2**63) <= number < 2**63
    if text_of(number) != text or not sound:
        return []
    return [0.0, -0.0] if kind == "double" and number == 0 else [number]


def _number_range(query: Range, field: str, kind: str) -> Body:
    bounds: list[tuple[str, int | float]] = []
    for sign, bound in _bounds(query):
        found = bound_of(kind, sign, bound)
        if found == "none":
            return NONE
        if not isinstance(found, str):
            bounds.append((sign, found))
    if not bounds:
        return {"exists": {"field": field}}
    tight = dict(_tightest(bounds))
    if kind == "double":
        # Lucene puts minus zero before zero: bounds take both or neither.
        tight = {sign: _ZERO[sign] if bound == 0 else bound for sign, bound in tight.items()}
    return {"range": {field: {_SIGNS[sign]: bound for sign, bound in tight.items()}}}


def _beginning(query: Text) -> str | None:
    """Return what values begin with, where that is all that a pattern asks for."""
    if query.how == "startswith":
        return query.value
    text = query.value.rstrip("*")
    plain = text != query.value and not any(letter in text for letter in "*?\\")
    return text if plain else None


def _digits(field: str, beginning: str) -> Body | None:
    """Return the ranges of whole numbers whose text begins so: at most nineteen."""
    sign, digits = ("-", beginning[1:]) if beginning.startswith("-") else ("", beginning)
    if not digits or not (digits.isascii() and digits.isdigit()):
        return None if not digits else NONE
    if digits[0] == "0":
        return {"term": {field: 0}} if beginning == "0" else NONE
    parts = []
    largest = 2**63 if sign else 2**63 - 1
    for more in range(19 - len(digits) + 1):
        low, high = int(digits) * 10**more, min((int(digits) + 1) * 10**more - 1, largest)
        if low > largest:
            break
        bounds = {"gte": -high, "lte": -low} if sign else {"gte": low, "lte": high}
        parts.append({"range": {field: bounds}})
    return _any(parts)


def _address(query: _Values, field: str) -> Body | None:
    match query:
        case Cidr(_, network):
            return _network(network, field)
        case OneOf():
            wanted = {fold(text_of(item), query.cased) for item in query.values}
            known = sorted(text for text in wanted if _is_address(text))
            return _terms_or_none(field, known) if len(known) <= MAX_TERMS else None
        case Text(_, "startswith" | "wildcard"):
            beginning = _beginning(query)
            return None if beginning is None else _octets(field, beginning)
        case Range():
            given = _bounds(query)
            if not given:
                return {"exists": {"field": field}}
            return None if all(isinstance(bound, str) for _, bound in given) else NONE
    return None


def _is_address(text: str) -> bool:
    """Tell whether a text is an address as we write it: Elasticsearch takes networks and other spellings too."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    unmapped = getattr(address, "ipv4_mapped", None) is None and not getattr(address, "scope_id", None)
    return unmapped and str(address) == text


def _network(network: str, field: str) -> Body:
    """Return a condition on addresses of the network's own version; IPv4 lies inside IPv6 for Elasticsearch."""
    wanted = ip_network(network, strict=False)
    inside: Body = {"term": {field: str(wanted)}}
    if not isinstance(wanted, IPv6Network):
        return inside
    if wanted.subnet_of(_MAPPED):  # type: ignore[arg-type] # both are networks of IPv6
        return NONE
    if wanted.supernet_of(_MAPPED):  # type: ignore[arg-type]
        before: Body = {"gte": str(wanted[0]), "lt": str(_MAPPED[0])}
        after: Body = {"gt": str(_MAPPED[-1]), "lte": str(wanted[-1])}
        return _any([{"range": {field: before}}, {"range": {field: after}}])
    return inside


def _octets(field: str, beginning: str) -> Body | None:
    """Return the ranges of IPv4 addresses whose text begins so, ``None`` where IPv6 might as well."""
    *whole, last = beginning.split(".")
    if not whole:
        return None
    if len(whole) > 3 or not all(_is_octet(part) for part in whole):
        return NONE
    head = ".".join(whole)
    rest = 3 - len(whole)
    matching = [number for number in range(256) if str(number).startswith(last)]
    if not last:
        return {"term": {field: str(ip_network(f"{head}{'.0' * (rest + 1)}/{8 * len(whole)}"))}}
    parts: list[Body] = []
    for low, high in patterns.merged((number, number) for number in matching):
        bounds = {"gte": f"{head}.{low}{'.0' * rest}", "lte": f"{head}.{high}{'.255' * rest}"}
        parts.append({"range": {field: bounds}})
    return _any(parts)


def _is_octet(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 256


def _date(query: _Values, field: str) -> Body | None:
    spans = _spans(query)
    if spans is None:
        return None
    return _any(map(partial(_within, field), spans))


def _spans(query: _Values) -> list[Span] | None:
    """Return the spans of time a predicate asks for; an open end is ``None``."""
    match query:
        case Range():
            given = _bounds(query)
            if not all(isinstance(bound, str) for _, bound in given):
                return []
            return [span_of([(sign, str(bound)) for sign, bound in given])]
        case OneOf():
            texts = {text_of(item) if query.cased else text_of(item).upper() for item in query.values}
            return [
                span_of([(">=", text), ("<=", text)]) for text in sorted(texts) if DATE_FORM.fullmatch(text)
            ]
        case Text(_, "startswith" | "wildcard"):
            beginning = _beginning(query)
            if beginning is None:
                return None
            return [with_prefix(beginning if query.cased else beginning.upper())]
        case Cidr():
            return []
    return None


def _within(field: str, span: Span) -> Body:
    if span.is_empty:
        return NONE
    if field == TIMESTAMP:
        bounds: Body = span.microseconds()
        return {"range": {TIME: bounds}} if bounds else ALL
    bounds = span.texts()
    return {"range": {field: bounds}} if bounds else {"exists": {"field": field}}
