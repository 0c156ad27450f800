"""Judge events by a query tree in process: the authority wherever a store can only return a superset.

``compile_query`` turns a tree into a closure once; calling it costs a few hundred nanoseconds per predicate. The
semantics are those written in ``soc_core.query.tree``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Final, TypeAlias

import re2

from soc_core.clock import parse_instant
from soc_core.fields import FIELDS
from soc_core.model.event import Event, Scalar, Value, extra_values
from soc_core.query.networks import address_in
from soc_core.query.regex import LARGE_REPEAT, SMALL_REPEAT, to_re2
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
from soc_core.query.values import all_addresses, all_text

Matcher: TypeAlias = Callable[[Event], bool]
ValueQuery: TypeAlias = OneOf | Text | Regex | Cidr | Range | TimePart
_NUMBER: Final = re.compile(r"[+-]?\d{1,300}(?:\.\d{1,300})?")
_FLAGS: Final = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}


def compile_query(query: Query) -> Matcher:
    """Return a function that tells whether an event matches; raise ``ValueError`` for a bad network or pattern."""
    match query:
        case Everything():
            return lambda _event: True
        case Not(child):
            inner = compile_query(child)
            return lambda event: not inner(event)
        case And(children):
            return _all([compile_query(child) for child in children])
        case Or(children):
            return _any([compile_query(child) for child in children])
        case Exists(field):
            read = reader_of(field)
            return lambda event: read(event) not in (None, [])
        case SameAs():
            return _same_as(query)
        case _:
            return _predicate(query)


def _all(parts: list[Matcher]) -> Matcher:
    if len(parts) == 2:  # most conjunctions are pairs, and a generator costs more than both
        one, two = parts
        return lambda event: one(event) and two(event)
    return lambda event: all(part(event) for part in parts)


def _any(parts: list[Matcher]) -> Matcher:
    if len(parts) == 2:
        one, two = parts
        return lambda event: one(event) or two(event)
    return lambda event: any(part(event) for part in parts)


def _predicate(query: ValueQuery) -> Matcher:
    """Return the matcher of a predicate on values; without a field every text of the event is looked at."""
    test = value_test(query)
    field = query.field
    if not field:
        read_all = all_addresses if isinstance(query, Cidr) else all_text
        return lambda event: any(map(test, read_all(event)))
    read = reader_of(field)

    def matches(event: Event) -> bool:
        value = read(event)
        if value is None:
            return False
        return any(map(test, value)) if isinstance(value, list) else test(value)

    return matches


def reader_of(field: str) -> Callable[[Event], Value | None]:
    """Return a function that reads a field: where the dictionary lacks it, from ``edusoc.extra`` too."""
    if field in FIELDS:
        return lambda event: event.get(field)

    def read(event: Event) -> Value | None:
        value = event.get(field)
        return value if value is not None else extra_values(event, field) or None

    return read


def value_test(query: ValueQuery) -> Callable[[Scalar], bool]:
    """Return a function that tells whether one value matches; raise ``ValueError`` for a bad network or pattern."""
    match query:
        case OneOf():
            wanted = frozenset(fold(text_of(value), query.cased) for value in query.values)
            cased = query.cased
            return lambda value: fold(text_of(value), cased) in wanted
        case Text():
            return _text_test(query)
        case Regex():
            return _regex_test(query)
        case Cidr():
            return _cidr_test(query.network)
        case Range():
            return _range_test(query)
        case TimePart():
            return _time_part_test(query)


def _regex_test(query: Regex) -> Callable[[Scalar], bool]:
    """Return a test by RE2, in linear time whatever the text, where it finds exactly what Python's engine finds."""
    flags = 0
    for flag in query.flags:
        flags |= _FLAGS[flag]
    slow = re.compile(query.pattern, flags).search
    translated = to_re2(query.pattern, query.flags, LARGE_REPEAT)
    fast = None if translated is None else _linear_search(translated)
    if fast is None:
        return lambda value: slow(text_of(value)) is not None

    def test(value: Scalar) -> bool:
        text = text_of(value)
        try:
            return fast(text.encode()) is not None
        except UnicodeEncodeError:  # half a surrogate pair: RE2 reads UTF-8 only
            return slow(text) is not None

    return test


def takes_linear_time(pattern: str, flags: str = "", most_repeats: int = SMALL_REPEAT) -> bool:
    """Tell whether a pattern is looked for by RE2 and not by Python's engine, which a hostile one holds for hours."""
    translated = to_re2(pattern, flags, most_repeats)
    return translated is not None and _linear_search(translated) is not None


def _linear_search(pattern: str) -> Callable[[bytes], object] | None:
    """Return a search in UTF-8, which is a third cheaper than in text: only there places have to be counted."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        search: Callable[[bytes], object] = re2.compile(pattern, options).search
    except re2.error:
        return None
    return search


def _text_test(query: Text) -> Callable[[Scalar], bool]:
    cased, wanted = query.cased, fold(query.value, query.cased)
    if query.how == "contains":
        return lambda value: wanted in fold(text_of(value), cased)
    if query.how == "startswith":
        return lambda value: fold(text_of(value), cased).startswith(wanted)
    if query.how == "endswith":
        return lambda value: fold(text_of(value), cased).endswith(wanted)
    matches = wildcard_test(wanted)
    return lambda value: matches(fold(text_of(value), cased))


def wildcard_test(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether a whole text fits a wildcard pattern.

    What stands between the ``*`` is looked for one after the other, each as early as possible: that finds a fit if
    there is one, and no text takes longer than its length times that of the pattern.
    """
    head, *rest = [_Piece(piece) for piece in _pieces(pattern)]
    if not rest:
        return lambda text: head.fits(text, 0) and len(text) == head.width
    *middle, tail = rest
    between = [piece.search for piece in middle if piece.width]

    def matches(text: str) -> bool:
        end = len(text) - tail.width
        if head.width > end or not (head.fits(text, 0) and tail.fits(text, end)):
            return False
        at = head.width
        for search in between:
            found = search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True

    return matches


class _Piece:
    """Hold what stands between two ``*``: text of one length in which ``?`` is any letter."""

    def __init__(self, tokens: list[str]) -> None:
        compiled = re.compile("".join(tokens), re.DOTALL)
        self.width = len(tokens)
        self.search = compiled.search
        self._match = compiled.match

    def fits(self, text: str, at: int) -> bool:
        return self._match(text, at) is not None


def _pieces(pattern: str) -> list[list[str]]:
    """Return the pieces between the ``*`` of a pattern, each as the expressions of its letters."""
    found: list[list[str]] = [[]]
    for kind, letter in wildcard_tokens(pattern):
        if kind == "many":
            found.append([])
        else:
            found[-1].append("." if kind == "one" else re.escape(letter))
    return found


def wildcard_tokens(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield what a wildcard pattern consists of: ``many`` (``*``), ``one`` (``?``) and ``literal`` letters.

    A backslash makes ``*``, ``?`` or backslash literal.
    """
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and pattern[at + 1 : at + 2] in {"*", "?", "\\"}:
            yield "literal", pattern[at + 1]
            at += 1
        else:
            yield {"*": "many", "?": "one"}.get(char, "literal"), char
        at += 1


def wildcard_regex(pattern: str) -> str:
    """Return the regular expression of a wildcard pattern."""
    parts: list[str] = []
    for kind, letter in wildcard_tokens(pattern):
        part = {"many": ".*", "one": "."}.get(kind) or re.escape(letter)
        if part != ".*" or not parts or parts[-1] != ".*":
            parts.append(part)
    return "".join(parts)


def fold(text: str, cased: bool) -> str:
    """Return ``text`` as it is compared: lower case unless ``cased``.

    Letter by letter, as databases do it: a final sigma is a sigma, and a letter becomes one letter.
    """
    if cased:
        return text
    if text.isascii() or not ("İ" in text or "Σ" in text):  # all others become one letter wherever they stand
        return text.lower()
    return "".join([letter.lower()[0] for letter in text])


def text_of(value: Scalar) -> str:
    """Return the text a value is compared as: ``true``, ``22``, ``0.5``; whole floats as whole numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _cidr_test(network: str) -> Callable[[Scalar], bool]:
    wanted = ip_network(network, strict=False)

    @lru_cache(maxsize=4_096)
    def inside(text: str) -> bool:
        address = address_in(text)
        return address is not None and address.version == wanted.version and address in wanted

    return lambda value: isinstance(value, str) and inside(value)


def _range_test(query: Range) -> Callable[[Scalar], bool]:
    given = (
        (operator.ge, query.gte),
        (operator.gt, query.gt),
        (operator.le, query.lte),
        (operator.lt, query.lt),
    )
    checks = [(check, bound) for check, bound in given if bound is not None]
    textual = {isinstance(bound, str) for _, bound in checks}
    if not checks:
        return lambda _value: True
    if len(textual) == 2:  # a text bound and a number bound: nothing lies between
        return lambda _value: False
    wants_text = textual == {True}
    numeric = query.numeric and not wants_text

    def within(value: Scalar) -> bool:
        if numeric and isinstance(value, str):
            value = _number_in(value)
        if isinstance(value, bool) or isinstance(value, str) != wants_text:
            return False
        return all(check(value, bound) for check, bound in checks)

    return within


def _number_in(text: str) -> Scalar:
    """Return the decimal number that ``text`` is, else ``text`` itself."""
    if _NUMBER.fullmatch(text) is None:
        return text
    return float(text) if "." in text else int(text)


_PARTS: Final[dict[str, Callable[[datetime], int]]] = {
    "minute": lambda instant: instant.minute,
    "hour": lambda instant: instant.hour,
    "day": lambda instant: instant.day,
    "week": lambda instant: instant.isocalendar().week,
    "month": lambda instant: instant.month,
    "year": lambda instant: instant.year,
}


def _time_part_test(query: TimePart) -> Callable[[Scalar], bool]:
    take, low, high = _PARTS[query.part], query.low, query.high

    def within(value: Scalar) -> bool:
        try:
            return low <= take(parse_instant(str(value))) <= high
        except (ValueError, OverflowError):
            return False

    return within


_RELATIONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "equals": operator.eq,
    "contains": operator.contains,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


def _same_as(query: SameAs) -> Matcher:
    one, other, related = reader_of(query.field), reader_of(query.other), _RELATIONS[query.how]

    def matches(event: Event) -> bool:
        left, right = _folded(one(event)), _folded(other(event))
        return any(related(a, b) for a in left for b in right)

    return matches


def _folded(value: Value | None) -> list[str]:
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [fold(text_of(item), cased=False) for item in values]
