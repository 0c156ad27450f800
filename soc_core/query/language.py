"""Read the analyst's query language: Lucene-like, as in Kibana, into the one query tree.

Grammar::

    query   = or ;  or = and { ("OR" | "||") and } ;  and = unary { ["AND" | "&&"] unary }
    unary   = ("NOT" | "!" | "-") unary | "+" unary | primary
    primary = "(" query ")" | FIELD ":" value | value
    value   = "(" value-query ")" | RANGE | COMPARISON | "/" regex "/" | PHRASE | WORD

Words side by side mean AND, as analysts expect of a search box (Lucene's default OR surprises them). Field names are
checked against the dictionary; ``_exists_:field`` asks for presence; ``field:10.0.0.0/8`` on an address field means the
network. Text compares without regard to case. Errors name the column.

What one person asks must not hold up the others: length, depth and number of terms are bounded, and regular
expressions are those that take time in proportion to the text (no look-around, no back references).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from soc_core.clock import LOCAL_ZONE, format_instant, parse_instant
from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import Scalar
from soc_core.query.evaluate import takes_linear_time
from soc_core.query.tree import And, Cidr, Exists, Not, OneOf, Or, Query, Range, Regex, Text

MAX_LENGTH: Final = 4_000
MAX_DEPTH: Final = 50
MAX_TERMS: Final = 300
MAX_ANYWHERE: Final = 20
"""Terms without a field are looked for in every field of text, some hundred: each costs as much as all of those."""
NUMBERS: Final = frozenset({"long", "double"})
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<open>\() | (?P<close>\))
      | (?P<range>[\[{]\s*(?:"[^"]*"|[^\s\]}]+)\s+TO\s+(?:"[^"]*"|[^\s\]}]+)\s*[\]}])
      | (?P<phrase>"(?:[^"\\]|\\.)*")
      | (?P<regex>/(?:[^/\\]|\\.)+/(?=[\s)]|$))
      | (?P<and>&&|AND(?=[\s(]|$)|and(?=[\s(]|$)) | (?P<or>\|\||OR(?=[\s(]|$)|or(?=[\s(]|$))
      | (?P<not>NOT(?=[\s(]|$)|not(?=[\s(]|$)|!|-(?=\S)) | (?P<plus>\+(?=\S))
      | (?P<field>[A-Za-z_@][\w@.-]*:(?!\\))
      | (?P<compare>>=|<=|>|<)
      | (?P<word>(?:[^\s()"\\]|\\.)+)""",
    re.VERBOSE,
)
_RANGE: Final = re.compile(r"""([\[{])\s*("[^"]*"|\S+?)\s+TO\s+("[^"]*"|\S+?)\s*([\]}])$""")


@dataclass(frozen=True, slots=True)
class Token:
    """Hold one token: its kind, text and 0-based position."""

    kind: str
    text: str
    at: int


def parse_query(text: str) -> Query:
    """Return the query tree of ``text``; raise ``UsageError`` naming the column (from 1) of what is wrong."""
    if len(text) > MAX_LENGTH:
        raise UsageError(f"the query is longer than {MAX_LENGTH} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UsageError("the query is not valid UTF-8")
    parser = _Parser(_tokens(text), len(text))
    query = parser.parse_or("", 0)
    parser.expect_end()
    return query


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _fault(at, f"'{text[at]}' is not understood here", "put text in quotes")
        kind = match.lastgroup or ""
        # Inside a value a field-like beginning is a word: c:\temp, http://…
        if (
            kind == "field"
            and found
            and found[-1].kind in {"field", "compare"}
            and found[-1].at + len(found[-1].text) == at
        ):
            match = re.compile(r'(?:[^\s()"\\]|\\.)+').match(text, at) or match
            kind = "word"
        if kind != "space":
            found.append(Token(kind, match.group(), at))
        at = match.end()
    return found


def _fault(at: int, what: str, todo: str = "") -> UsageError:
    return UsageError(what, where=f"column {at + 1}", todo=todo)


class _Parser:
    def __init__(self, tokens: list[Token], length: int) -> None:
        self._tokens = tokens
        self._length = length
        self._next = 0
        self._terms = self._anywhere = 0

    def _peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self) -> Token:
        token = self._peek()
        if token is None:
            raise _fault(self._length, "something is missing at the end")
        self._next += 1
        return token

    def _take_if(self, kind: str) -> bool:
        token = self._peek()
        if token is not None and token.kind == kind:
            self._next += 1
            return True
        return False

    def expect_end(self) -> None:
        token = self._peek()
        if token is not None:
            raise _fault(token.at, f"'{token.text}' does not fit here")

    def parse_or(self, field: str, depth: int) -> Query:
        if depth > MAX_DEPTH:
            raise _fault(self._length, f"more than {MAX_DEPTH} brackets inside each other")
        children = [self._parse_and(field, depth)]
        while self._take_if("or"):
            children.append(self._parse_and(field, depth))
        return children[0] if len(children) == 1 else Or(tuple(children))

    def _parse_and(self, field: str, depth: int) -> Query:
        children = [self._parse_unary(field, depth)]
        while True:
            explicit = self._take_if("and")
            token = self._peek()
            if not explicit and (token is None or token.kind in {"or", "close"}):
                break
            children.append(self._parse_unary(field, depth))
        return children[0] if len(children) == 1 else And(tuple(children))

    def _parse_unary(self, field: str, depth: int) -> Query:
        negative = False
        while True:
            if self._take_if("not"):
                negative = not negative
            elif not self._take_if("plus"):
                break
        inner = self._parse_primary(field, depth)
        return Not(inner) if negative else inner

    def _count(self, field: str, at: int) -> None:
        self._terms += 1
        self._anywhere += not field
        if self._terms > MAX_TERMS:
            raise _fault(at, f"more than {MAX_TERMS} terms")
        if self._anywhere > MAX_ANYWHERE:
            raise _fault(at, f"more than {MAX_ANYWHERE} terms without a field", "name the field: field:value")

    def _parse_primary(self, field: str, depth: int) -> Query:
        token = self._take()
        if token.kind == "open":
            inner = self.parse_or(field, depth + 1)
            if not self._take_if("close"):
                raise _fault(token.at, "this bracket is never closed")
            return inner
        if token.kind == "field" and not field:
            return self._parse_field(token, depth)
        self._count(field, token.at)
        if token.kind == "compare" and field:
            value = self._take()
            return _compare(field, token, _plain(value), value.at)
        return _value(field, token)

    def _parse_field(self, token: Token, depth: int) -> Query:
        name = token.text[:-1]
        if name == "_exists_":
            wanted = self._take()
            return Exists(_known(_plain(wanted), wanted.at))
        return self._parse_primary(_known(name, token.at), depth)


def _known(name: str, at: int) -> str:
    if name in FIELDS:
        return name
    near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.7)
    raise _fault(
        at, f"there is no field '{name}'", f"did you mean '{near[0]}'?" if near else "see the field list"
    )


def _plain(token: Token) -> str:
    if token.kind == "phrase":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1])
    if token.kind in {"open", "close", "and", "or", "not", "range"}:
        raise _fault(token.at, f"a value is needed, not '{token.text}'")
    return re.sub(r"\\(.)", r"\1", token.text)


def _value(field: str, token: Token) -> Query:
    if token.kind == "range":
        return _range(field, token)
    if token.kind == "regex":
        return _regex(field, token)
    if token.kind == "phrase":
        return _equal(field, _plain(token), token.at)
    if token.kind in {"close", "and", "or"}:
        raise _fault(token.at, f"a value is needed before '{token.text}'")
    return _word(field, token)


def _word(field: str, token: Token) -> Query:
    """Return the query of an unquoted word: ``*`` alone means present, ``*`` and ``?`` are wildcards."""
    if field and token.text == "*":
        return Exists(field)
    bare = re.sub(r"\\.", "", token.text)
    if "*" not in bare and "?" not in bare:
        return _equal(field, _plain(token), token.at)
    # Only escaped wildcards and backslashes keep their backslash: the tree's pattern has the same escapes.
    pattern = re.sub(r"\\([^*?\\])", r"\1", token.text)
    return Text(field, "wildcard", pattern if field else f"*{pattern}*")


def _equal(field: str, value: str, at: int) -> Query:
    if not field:
        return Text("", "contains", value)
    kind = FIELDS[field].type
    if kind == "ip" and "/" in value:
        try:
            return Cidr(field, str(ip_network(value, strict=False)))
        except ValueError:
            raise _fault(at, f"'{value}' is no network") from None
    if kind == "text":
        return Text(field, "contains", value)
    return OneOf(field, (_typed(field, value, at),))


def _typed(field: str, value: str, at: int) -> Scalar:
    kind = FIELDS[field].type
    if kind in NUMBERS:
        try:
            return int(value) if kind == "long" else float(value)
        except ValueError:
            raise _fault(at, f"field '{field}' is a number, '{value}' is not") from None
    if kind == "boolean":
        if value.lower() not in {"true", "false"}:
            raise _fault(at, f"field '{field}' is true or false, not '{value}'")
        return value.lower() == "true"
    if kind == "date":
        try:
            return format_instant(parse_instant(value, zone=LOCAL_ZONE))
        except ValueError:
            raise _fault(at, f"'{value}' is no time", "write it like 2026-11-20T08:00") from None
    return value


def _compare(field: str, token: Token, value: str, at: int) -> Query:
    bound = _typed(field, value, at)
    match token.text:
        case ">":
            return Range(field, gt=bound)
        case ">=":
            return Range(field, gte=bound)
        case "<":
            return Range(field, lt=bound)
        case _:
            return Range(field, lte=bound)


def _range(field: str, token: Token) -> Query:
    match = _RANGE.match(token.text)
    if match is None or not field:
        raise _fault(token.at, "a range needs a field: field:[a TO b]")
    low, high = (part.strip('"') for part in match.group(2, 3))
    lower = None if low == "*" else _typed(field, low, token.at)
    upper = None if high == "*" else _typed(field, high, token.at)
    open_low, open_high = match.group(1) == "{", match.group(4) == "}"
    return Range(
        field,
        gte=None if open_low else lower,
        gt=lower if open_low else None,
        lte=None if open_high else upper,
        lt=upper if open_high else None,
    )


def _regex(field: str, token: Token) -> Query:
    pattern = token.text[1:-1].replace("\\/", "/")
    try:
        re.compile(pattern)
    except re.error as error:
        raise _fault(token.at, f"the regular expression is wrong: {error}") from None
    except (RecursionError, OverflowError):
        raise _fault(token.at, "the regular expression is wrong: too large") from None
    if not field:
        raise _fault(token.at, "a regular expression needs a field: field:/…/")
    if not takes_linear_time(pattern):
        raise _fault(
            token.at,
            "a search takes no such regular expression",
            "do without look-around, back references, named groups and repeats above 100",
        )
    return Regex(field, pattern)
