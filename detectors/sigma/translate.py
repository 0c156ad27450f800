"""Turn a parsed Sigma condition into the house's query tree.

What a Sigma value means (Sigma specification 2.1, appendix modifiers) is said here once; how it is judged fast is the
matcher's business. Decisions the specification leaves open:

- ``null`` and an empty text ask for *no value*: our events hold no empty values, a collector writes none.
- A keyword (a value without field) is found anywhere inside any text of the event.
- ``gt``, ``gte``, ``lt``, ``lte`` compare numbers; a decimal number written as text is one.
- Parts of times (``hour`` and so on) are those of UTC.
- A field with several values matches when one of them does; with several event fields when one of those does.
- A placeholder (``expand``) stands for any of its values; those of a unit count for events of that unit alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from itertools import product
from typing import Final, Protocol

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionItem,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from detectors.sigma.placeholders import Given, is_network
from soc_core.model.event import ORGANIZATION_ID, Scalar
from soc_core.query.evaluate import takes_linear_time
from soc_core.query.regex import LARGE_REPEAT
from soc_core.query.tree import (
    And,
    Cidr,
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


class Names(Protocol):
    """Say what the names in a rule mean."""

    def __call__(self, name: str) -> tuple[str, ...]:
        """Return the event fields of a Sigma field name."""
        ...

    def given(self, placeholder: str) -> tuple[Given, ...]:
        """Return the values of a placeholder; raise ``SigmaError`` where nobody gave any."""
        ...


MAX_TEXT: Final = 10_000
MAX_FILLED: Final = 20_000
"""Texts that one value with placeholders may become."""
PERCENT: Final = "\ue000"
"""Stands for a percent sign that is no part of a placeholder, where one is looked for."""
_ANY: Final = SpecialChars.WILDCARD_MULTI
_ONE: Final = SpecialChars.WILDCARD_SINGLE
_ESCAPES: Final = re.compile(r"([\\*?])")
_FLAGS: Final = {
    SigmaRegularExpressionFlag.IGNORECASE: "i",
    SigmaRegularExpressionFlag.MULTILINE: "m",
    SigmaRegularExpressionFlag.DOTALL: "s",
}
_RELATIONS: Final = {
    (False, False): "equals",
    (True, True): "contains",
    (True, False): "startswith",
    (False, True): "endswith",
}
_LAST_PART: Final = 9_999


def translate(condition: object, names: Names) -> Query:
    """Return the query of pySigma's condition tree; raise ``SigmaError`` for what can't be said.

    ``condition`` is what ``SigmaCondition.parsed`` gives.
    """
    match condition:
        case ConditionNOT(args=[inner]):
            return Not(translate(inner, names))
        case ConditionAND(args=parts):
            return _and([translate(part, names) for part in parts])
        case ConditionOR(args=parts):
            return _or([translate(part, names) for part in parts])
        case ConditionFieldEqualsValueExpression(field=field, value=value):
            return _of_all([_value(name, value, names) for name in names(field)])
        case ConditionValueExpression(value=value):
            return _value("", value, names)
        case ConditionItem() | None:
            raise SigmaError("the condition is empty")
        case _:
            raise SigmaError(f"{type(condition).__name__} is not supported in conditions")


def _and(parts: Iterable[Query]) -> Query:
    flat: list[Query] = []
    for part in parts:
        flat.extend(part.children if isinstance(part, And) else [part])
    return flat[0] if len(flat) == 1 else And(tuple(dict.fromkeys(flat)))


def _of_all(parts: Sequence[Query]) -> Query:
    """Return the query of a value that several event fields may hold: absent is what none of them has."""
    absent = [part for query in parts for part in _alternatives(query) if isinstance(part, Not)]
    if len(parts) == 1 or not absent:
        return _or(parts)
    present = [part for query in parts for part in _alternatives(query) if not isinstance(part, Not)]
    return _or([*present, _and(absent)])


def _alternatives(query: Query) -> tuple[Query, ...]:
    return query.children if isinstance(query, Or) else (query,)


def _or(parts: Iterable[Query]) -> Query:
    """Join alternatives; equal texts of one field become one look-up."""
    flat: list[Query] = []
    for part in parts:
        flat.extend(part.children if isinstance(part, Or) else [part])
    equals: dict[tuple[str, bool], list[Scalar]] = {}
    rest: list[Query] = []
    for part in flat:
        if isinstance(part, OneOf):
            equals.setdefault((part.field, part.cased), []).extend(part.values)
        else:
            rest.append(part)
    joined = [OneOf(field, tuple(dict.fromkeys(values)), cased) for (field, cased), values in equals.items()]
    children = tuple(dict.fromkeys([*joined, *rest]))
    return children[0] if len(children) == 1 else Or(children)


def _value(field: str, value: SigmaType, names: Names) -> Query:
    """Return the query that ``field`` (empty: any text) has ``value``."""
    match value:
        case SigmaString():
            return _filled(field, value, names) if _placeholders(value) else _string(field, value)
        case SigmaTimestampPart():
            part = value.timestamp_part.name.lower()
            return TimePart(field, part, int(value.number), int(value.number))
        case SigmaNumber():
            return _string(field, SigmaString(str(value.number), escape=False))
        case SigmaBool():
            return _string(field, SigmaString(str(value.boolean).lower()))
        case SigmaExpansion():
            return _or([_value(field, item, names) for item in value.values])
        case SigmaRegularExpression():
            return _filled(field, value, names) if _placeholders(value.regexp) else _regex(field, value)
        case _:
            return _special(field, value, names)


def _special(field: str, value: SigmaType, names: Names) -> Query:
    """Return the query of a value that only a field can have."""
    if not field:
        raise SigmaError(f"{type(value).__name__} needs a field")
    match value:
        case SigmaNull():
            return Not(Exists(field))
        case SigmaExists():
            return Exists(field) if value.exists else Not(Exists(field))
        case SigmaCIDRExpression():
            return network_query(field, str(value.network))
        case SigmaCompareExpression():
            return _compare(field, value)
        case SigmaFieldReference():
            how = _RELATIONS[value.starts_with, value.ends_with]
            return _or([SameAs(field, other, how) for other in names(value.field)])
        case _:
            raise SigmaError(f"{type(value).__name__} is not supported")


def _compare(field: str, value: SigmaCompareExpression) -> Query:
    number = value.number
    if isinstance(number, SigmaTimestampPart):
        part, bound = number.timestamp_part.name.lower(), int(number.number)
        low, high = {
            CompareOperators.GT: (bound + 1, _LAST_PART),
            CompareOperators.GTE: (bound, _LAST_PART),
            CompareOperators.LT: (0, bound - 1),
            CompareOperators.LTE: (0, bound),
        }[value.op]
        return TimePart(field, part, low, high)
    match value.op:
        case CompareOperators.GT:
            return Range(field, gt=number.number, numeric=True)
        case CompareOperators.GTE:
            return Range(field, gte=number.number, numeric=True)
        case CompareOperators.LT:
            return Range(field, lt=number.number, numeric=True)
        case CompareOperators.LTE:
            return Range(field, lte=number.number, numeric=True)
        case _:
            raise SigmaError(f"comparing by {value.op.name} is not supported")


def network_query(field: str, network: str) -> Cidr:
    """Return the query of a network, one of IPv4 in the clothes of IPv6 as IPv4: so addresses are stored."""
    parsed = ip_network(network, strict=False)
    if parsed.version == 6 and parsed.prefixlen >= 96 and parsed.network_address.ipv4_mapped is not None:
        return Cidr(field, f"{parsed.network_address.ipv4_mapped}/{parsed.prefixlen - 96}")
    return Cidr(field, str(parsed))


def _regex(field: str, value: SigmaRegularExpression) -> Query:
    flags = "".join(sorted(_FLAGS[flag] for flag in value.flags))
    pattern = value.regexp.to_plain(regex=True).replace(PERCENT, "%")
    if not takes_linear_time(pattern, flags, LARGE_REPEAT):
        raise SigmaError(
            "the regular expression may take too long: do without look-around, back references and named groups"
        )
    return Regex(field, pattern, flags)


def _placeholders(value: SigmaString) -> list[str]:
    return list(dict.fromkeys(part.name for part in value.s if isinstance(part, Placeholder)))


def _filled(field: str, value: SigmaString | SigmaRegularExpression, names: Names) -> Query:
    """Return the query of a value with placeholders: what all units share, or what is the event's unit's own."""
    text = value.regexp if isinstance(value, SigmaRegularExpression) else value
    cases = list(_cases({name: names.given(name) for name in _placeholders(text)}))
    filled = [
        (
            units,
            dict.fromkeys(_variants(field, value, names, dict(zip(_placeholders(text), texts, strict=True)))),
        )
        for units, texts in cases
    ]
    if sum(len(queries) for _, queries in filled) > MAX_FILLED:
        raise SigmaError(f"a value with placeholders becomes more than {MAX_FILLED} texts")
    common = set(filled[0][1]).intersection(*(queries for _, queries in filled)) if filled else set()
    alternatives: list[Query] = [query for query in filled[0][1] if query in common] if filled else []
    for units, queries in filled:
        own = [query for query in queries if query not in common]
        if own:
            alternatives.append(within(units, _or(own)))
    return _or(alternatives)


def _cases(
    given: dict[str, tuple[Given, ...]],
) -> Iterator[tuple[tuple[str, ...] | None, tuple[tuple[str, ...], ...]]]:
    """Yield the units that agree on the values of all placeholders (``None``: all units), and those values."""
    for chosen in product(*given.values()):
        limits = [set(one.units) for one in chosen if one.units is not None]
        units = tuple(sorted(set.intersection(*limits))) if limits else None
        if units is None or units:
            yield units, tuple(one.values for one in chosen)


def _variants(
    field: str, value: SigmaString | SigmaRegularExpression, names: Names, texts: dict[str, tuple[str, ...]]
) -> Iterator[Query]:
    """Yield the queries of all texts that a value becomes."""

    def replacements(placeholder: Placeholder) -> Iterator[SigmaString]:
        yield from map(SigmaString, texts[placeholder.name])

    alone = isinstance(value, SigmaString) and len(value.s) == 1 and field
    for text in texts[next(iter(texts))] if alone else ():
        yield network_query(field, text) if is_network(text) else _value(field, SigmaString(text), names)
    if not alone:
        for filled in value.replace_placeholders(replacements):
            yield _value(field, filled, names)


def within(units: Sequence[str] | None, query: Query) -> Query:
    """Return ``query`` for events of these units only; ``None`` means all."""
    return query if units is None else _and([OneOf(ORGANIZATION_ID, tuple(units)), query])


def _string(field: str, value: SigmaString) -> Query:
    """Return the query of a text with wildcards in its simplest form."""
    parts = _parts(value)
    cased = isinstance(value, SigmaCasedString)
    if not field:
        parts = [_ANY, *parts, _ANY]
        parts = [part for at, part in enumerate(parts) if not (at and part is _ANY and parts[at - 1] is _ANY)]
    if not parts:
        return Or((OneOf(field, ("",)), Not(Exists(field))))
    if parts == [_ANY]:
        if not field:
            raise SigmaError("a keyword can't be empty")
        return Exists(field)
    match parts:
        case [str(text)]:
            return OneOf(field, (text,), cased)
        case [SpecialChars.WILDCARD_MULTI, str(text), SpecialChars.WILDCARD_MULTI]:
            return Text(field, "contains", text, cased)
        case [str(text), SpecialChars.WILDCARD_MULTI]:
            return Text(field, "startswith", text, cased)
        case [SpecialChars.WILDCARD_MULTI, str(text)]:
            return Text(field, "endswith", text, cased)
        case _:
            return Text(field, "wildcard", "".join(map(_pattern, parts)), cased)


def _parts(value: SigmaString) -> list[str | SpecialChars]:
    """Return texts and wildcards, runs of each joined."""
    found: list[str | SpecialChars] = []
    for part in value.s:
        if isinstance(part, Placeholder):
            raise SigmaError(f"placeholder '{part.name}' needs values that nobody gave (expand)")
        if isinstance(part, str):
            part = part.replace(PERCENT, "%")
        last = found[-1] if found else None
        if isinstance(part, str) and isinstance(last, str):
            found[-1] = last + part
        elif part == "" or (part is _ANY and last is _ANY):
            continue
        else:
            found.append(part)
    if sum(len(part) for part in found if isinstance(part, str)) > MAX_TEXT:
        raise SigmaError(f"a text is longer than {MAX_TEXT} characters")
    return found


def _pattern(part: str | SpecialChars) -> str:
    if part is _ANY:
        return "*"
    return "?" if part is _ONE else _ESCAPES.sub(r"\\\1", str(part))


def positive_fields(query: Query) -> set[str]:
    """Return the fields a query names, whichever way."""
    if isinstance(query, And | Or):
        return set[str]().union(*(positive_fields(child) for child in query.children))
    if isinstance(query, Not):
        return positive_fields(query.child)
    return {name for name in (getattr(query, "field", ""), getattr(query, "other", "")) if name}


def holds_on_nothing(query: Query) -> bool:
    """Tell whether a query would match an event that has none of the fields it names.

    Not if that depends on an explicit question for absence or presence (``null``, ``exists``, ``*``, an empty text):
    whoever asks it means it.
    """
    return _on_nothing(query) is True


def _on_nothing(query: Query) -> bool | None:
    """Return what a query says where no field has a value, ``None`` where a question for presence decides."""
    match query:
        case Exists():
            return None
        case Not(child):
            inner = _on_nothing(child)
            return None if inner is None else not inner
        case And(children):
            answers = {_on_nothing(child) for child in children}
            return False if False in answers else None if None in answers else True
        case Or(children):
            answers = {_on_nothing(child) for child in children}
            return True if True in answers else None if None in answers else False
        case _:
            return False


def witnessed(query: Query) -> Query:
    """Return ``query`` so that it can't match by absence alone.

    ``not field: value`` is true for an event without the field, as filters need it. But a rule that says nothing else
    would fire on everything such as it can't judge, so it must have at least one of the fields it names.
    """
    if not holds_on_nothing(query):
        return query
    fields = sorted(positive_fields(query))
    return And((_or([Exists(field) for field in fields]), query)) if fields else query
