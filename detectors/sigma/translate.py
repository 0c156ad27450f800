"""Turn a parsed Sigma condition into the house's query tree.

What a Sigma value means (Sigma specification 2.1, appendix modifiers) is said here once; how it is judged fast is the
matcher's business. Decisions the specification leaves open:

- ``null`` and an empty text ask for *no value*: our events hold no empty values, a collector writes none.
- A keyword (a value without field) is found anywhere inside any text of the event.
- ``gt``, ``gte``, ``lt``, ``lte`` compare numbers; a decimal number written as text is one.
- Parts of times (``hour`` and so on) are those of UTC.
- A field with several values matches when one of them does; with several event fields when one of those does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

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

from soc_core.model.event import Scalar
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

FieldNames = Callable[[str], tuple[str, ...]]
"""Give the event fields of a Sigma field name."""
MAX_TEXT: Final = 10_000
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


def translate(condition: object, names: FieldNames) -> Query:
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
            return _or([_value(name, value, names) for name in names(field)])
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


def _value(field: str, value: SigmaType, names: FieldNames) -> Query:
    """Return the query that ``field`` (empty: any text) has ``value``."""
    match value:
        case SigmaString():
            return _string(field, value)
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
            return _regex(field, value)
        case _:
            return _special(field, value, names)


def _special(field: str, value: SigmaType, names: FieldNames) -> Query:
    """Return the query of a value that only a field can have."""
    if not field:
        raise SigmaError(f"{type(value).__name__} needs a field")
    match value:
        case SigmaNull():
            return Not(Exists(field))
        case SigmaExists():
            return Exists(field) if value.exists else Not(Exists(field))
        case SigmaCIDRExpression():
            return Cidr(field, str(value.network))
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


def _regex(field: str, value: SigmaRegularExpression) -> Query:
    if value.contains_placeholder():
        raise SigmaError("a placeholder needs values that nobody gave (expand)")
    flags = "".join(sorted(_FLAGS[flag] for flag in value.flags))
    return Regex(field, value.regexp.to_plain(regex=True), flags)


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
    """Return texts and wildcards, runs of each joined; raise ``SigmaError`` for a placeholder without values."""
    found: list[str | SpecialChars] = []
    for part in value.s:
        if isinstance(part, Placeholder):
            raise SigmaError(f"placeholder '{part.name}' needs values that nobody gave (expand)")
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

    An explicit question for absence (``null``, ``exists: false``, an empty text) doesn't count: it means it.
    """
    match query:
        case Not(Exists()):
            return False
        case Not(child):
            return not holds_on_nothing(child)
        case And(children):
            return all(holds_on_nothing(child) for child in children)
        case Or(children):
            return any(holds_on_nothing(child) for child in children)
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
