"""Read the analyst's query language: Lucene-like, as in Kibana, into the one query tree.

Grammar::

    query   = or ;  or = and { ("OR" | "||") and } ;  and = unary { ["AND" | "&&"] unary }
    unary   = ("NOT" | "!" | "-") unary | "+" unary | primary
    primary = "(" query ")" | FIELD (":" | COMPARISON) value | value
    value   = "(" value-query ")" | RANGE | "/" regex "/" | PHRASE | WORD

Words side by side mean AND, as analysts expect of a search box (Lucene's default OR surprises them); in brackets after
a field that holds one short value each they mean OR, since no value equals two. Field names are checked against the
dictionary and may hold ``*``. Text compares without regard to case. Errors name the column. What is taken beside this
is told in ``soc_core.query.lexer``, what a value means for a field in ``soc_core.query.meanings``; all of it with
examples in ``docs/reference/query.md``.

What one person asks must not hold up the others: length, depth and number of terms are bounded, and regular
expressions are those that take time in proportion to the text (no look-around, no back references).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import datetime, tzinfo
from fnmatch import fnmatchcase
from typing import Final

from soc_core.clock import LOCAL_ZONE, utc_now
from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.query.lexer import Token, fault_at, plain, tokens_of
from soc_core.query.meanings import ValueReader
from soc_core.query.tree import And, Everything, Exists, Not, Or, Query

MAX_LENGTH: Final = 4_000
MAX_DEPTH: Final = 50
MAX_TERMS: Final = 300
MAX_ANYWHERE: Final = 20
"""Terms without a field are looked for in every field of text, some hundred: each costs as much as all of those."""
_EXISTS: Final = "_exists_"
_LOWER: Final = {name.lower(): name for name in FIELDS}


def parse_query(text: str, *, now: datetime | None = None, zone: tzinfo = LOCAL_ZONE) -> Query:
    """Return the query tree of ``text``; raise ``UsageError`` naming the column (from 1) of what is wrong.

    ``now`` is what relative times go by (by default the clock), ``zone`` that of times without an offset. A text of
    spaces asks for everything.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"the query is longer than {MAX_LENGTH} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UsageError("the query is not valid UTF-8")
    tokens = tokens_of(text)
    if not tokens:
        return Everything()
    parser = _Parser(tokens, len(text), ValueReader(now or utc_now(), zone))
    query = parser.parse_or((), 0)
    parser.expect_end()
    return query


class _Parser:
    """Go through the tokens once; ``fields`` are those that the values inside their brackets are looked for in."""

    def __init__(self, tokens: list[Token], length: int, values: ValueReader) -> None:
        self._tokens = tokens
        self._length = length
        self._values = values
        self._next = 0
        self._terms = self._anywhere = 0

    def _peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self) -> Token:
        token = self._peek()
        if token is None:
            last = self._tokens[-1].text
            raise fault_at(
                self._length,
                "something is missing at the end",
                f"write what comes after '{last}', or leave it out",
            )
        self._next += 1
        return token

    def _take_if(self, kind: str) -> bool:
        token = self._peek()
        if token is not None and token.kind == kind:
            self._next += 1
            return True
        return False

    def expect_end(self) -> None:
        """Raise ``UsageError`` when something is left over."""
        token = self._peek()
        if token is not None:
            raise fault_at(token.at, f"'{token.text}' does not fit here")

    def parse_or(self, fields: tuple[str, ...], depth: int) -> Query:
        """Return alternatives; raise ``UsageError`` when they are too deep inside each other."""
        if depth > MAX_DEPTH:
            raise fault_at(self._length, f"more than {MAX_DEPTH} brackets inside each other")
        children = [self._parse_and(fields, depth)]
        while self._take_if("or"):
            children.append(self._parse_and(fields, depth))
        return _joined(Or, children)

    def _parse_and(self, fields: tuple[str, ...], depth: int) -> Query:
        """Return what must hold together, and in a field's brackets one of what stands side by side."""
        apart = bool(fields) and all(FIELDS[field].type != "text" for field in fields)
        needed: list[Query] = []
        loose: list[Query] = []
        while True:
            signed = self._peek_kind() in {"not", "plus"}
            chain = [self._parse_unary(fields, depth)]
            while self._take_if("and"):
                chain.append(self._parse_unary(fields, depth))
            if apart and not (signed and len(chain) == 1):
                loose.append(_joined(And, chain))
            else:
                needed.extend(chain)
            if self._peek_kind() in {"", "or", "close"}:
                break
        return _joined(And, [*([_joined(Or, loose)] if loose else []), *needed])

    def _peek_kind(self) -> str:
        token = self._peek()
        return "" if token is None else token.kind

    def _parse_unary(self, fields: tuple[str, ...], depth: int) -> Query:
        negative = False
        while True:
            if self._take_if("not"):
                negative = not negative
            elif not self._take_if("plus"):
                break
        inner = self._parse_primary(fields, depth)
        return Not(inner) if negative else inner

    def _count(self, fields: tuple[str, ...], at: int) -> None:
        self._terms += max(1, len(fields))
        self._anywhere += not fields
        if self._terms > MAX_TERMS:
            raise fault_at(at, f"more than {MAX_TERMS} terms")
        if self._anywhere > MAX_ANYWHERE:
            raise fault_at(
                at, f"more than {MAX_ANYWHERE} terms without a field", "name the field: field:value"
            )

    def _parse_primary(self, fields: tuple[str, ...], depth: int) -> Query:
        token = self._take()
        if token.kind == "open":
            inner = self.parse_or(fields, depth + 1)
            if not self._take_if("close"):
                raise fault_at(token.at, "this bracket is never closed")
            return inner
        if token.kind == "field":
            return self._parse_field(token, depth)
        _check_value(token)
        self._count(fields, token.at)
        if not fields:
            return self._values.query("", token)
        return _of_each(fields, lambda field: self._values.query(field, token))

    def _parse_field(self, name: Token, depth: int) -> Query:
        if name.text == _EXISTS:
            wanted = self._take()
            _check_value(wanted)
            fields = _known(plain(wanted.text.strip('"')), wanted.at)
            self._count(fields, wanted.at)
            return _joined(Or, [Exists(field) for field in fields])
        if name.text == "*":
            return self._parse_primary((), depth)
        fields = _known(name.text, name.at)
        if not self._take_if("compare"):
            return self._parse_primary(fields, depth)
        sign, value = self._tokens[self._next - 1], self._take()
        if value.kind not in {"word", "phrase"}:
            raise fault_at(value.at, f"a value is needed, not '{value.text}'")
        self._count(fields, value.at)
        return _of_each(fields, lambda field: self._values.compared(field, sign.text, value))


def _joined(kind: type[And] | type[Or], children: list[Query]) -> Query:
    return children[0] if len(children) == 1 else kind(tuple(children))


def _check_value(token: Token) -> None:
    if token.kind in {"close", "and", "or", "not"}:
        raise fault_at(token.at, f"a value is needed before '{token.text}'")


def _known(name: str, at: int) -> tuple[str, ...]:
    """Return the fields of a name, in any case and with ``*`` for any letters; raise ``UsageError`` for none."""
    known = name if name in FIELDS else _LOWER.get(name.lower())
    if known is not None:
        return (known,)
    if "*" in name:
        found = tuple(field for field in FIELDS if fnmatchcase(field, name.replace("[", "[[]")))
        if found:
            return found
        raise fault_at(at, f"there is no field like '{name}'", "see the field list")
    near = difflib.get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.7)
    todo = f"did you mean '{near[0]}'?" if near else "put text in quotes, or see the field list"
    raise fault_at(at, f"there is no field '{name}'", todo)


def _of_each(fields: tuple[str, ...], make: Callable[[str], Query]) -> Query:
    """Return what one of the fields holds; those whose type can't hold it are left out, unless none can."""
    found: list[Query] = []
    refused: UsageError | None = None
    for field in fields:
        try:
            found.append(make(field))
        except UsageError as error:
            refused = refused or error
    if refused is not None and not found:
        raise refused
    return _joined(Or, found)
