"""Say in Elasticsearch's words what a predicate asks of the values of one field."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from ipaddress import IPv6Network, ip_address, ip_network
from math import isfinite
from typing import Final, TypeAlias, TypeVar

from soc_core.model.event import TIMESTAMP, Scalar
from soc_core.query.bounds import bound_of
from soc_core.query.evaluate import fold, text_of
from soc_core.query.tree import Cidr, OneOf, Range, Regex, Text, TimePart
from soc_core.store.elasticsearch import patterns
from soc_core.store.elasticsearch.bodies import ALL, MAX_TERMS, NONE, Body, any_of, terms_or_none
from soc_core.store.elasticsearch.instants import Span, span_of, with_prefix
from soc_core.store.elasticsearch.templates import TIME
from soc_core.store.shape import DATE_FORM

Values: TypeAlias = OneOf | Text | Regex | Cidr | Range | TimePart
_SIGNS: Final = {">=": "gte", ">": "gt", "<=": "lte", "<": "lt"}
_ZERO: Final = {">=": -0.0, ">": 0.0, "<=": 0.0, "<": -0.0}
_MAPPED: Final = ip_network("::ffff:0:0/96")


def _bounds(query: Range) -> list[tuple[str, Scalar]]:
    given = ((">=", query.gte), (">", query.gt), ("<=", query.lte), ("<", query.lt))
    return [(sign, bound) for sign, bound in given if bound is not None]


def text_range(query: Range, field: str, prefix: str) -> Body | None:
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


def number_body(query: Values, field: str, kind: str) -> Body | None:
    """Return a condition on numbers of a kind (long, double); ``None`` where Elasticsearch can't say it."""
    match query:
        case Range():
            return _number_range(query, field, kind)
        case OneOf():
            texts = {fold(text_of(item), query.cased) for item in query.values}
            # A list: both zeros are kept. Numbers differ where their texts do.
            numbers = [number for text in sorted(texts) for number in _numbers_of(text, kind)]
            return terms_or_none(field, numbers) if len(numbers) <= MAX_TERMS else None
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
    return any_of(parts)


def address_body(query: Values, field: str) -> Body | None:
    """Return a condition on addresses; ``None`` where Elasticsearch can't say it."""
    match query:
        case Cidr(_, network):
            return _network(network, field)
        case OneOf():
            wanted = {fold(text_of(item), query.cased) for item in query.values}
            known = sorted(text for text in wanted if _is_address(text))
            return terms_or_none(field, known) if len(known) <= MAX_TERMS else None
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
        return any_of([{"range": {field: before}}, {"range": {field: after}}])
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
    return any_of(parts)


def _is_octet(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 256


def date_body(query: Values, field: str) -> Body | None:
    """Return a condition on times; ``None`` where Elasticsearch can't say it."""
    spans = _spans(query)
    if spans is None:
        return None
    return any_of(map(partial(_within, field), spans))


def _spans(query: Values) -> list[Span] | None:
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
