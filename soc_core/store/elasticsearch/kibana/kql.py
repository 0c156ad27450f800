r"""Read Kibana's query language (KQL), as far as an offline check and a translation need it.

The grammar is Kibana's own (``packages/kbn-es-query/grammar/grammar.peggy``): ``or`` binds weaker than ``and``, that
weaker than ``not``; words beside each other are one value, so ``a b`` is a value with a space and not two conditions.
A value may be quoted, hold ``*``, or be ``null``, ``true``, ``false``; ``\`` takes the meaning from the next sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from soc_core.errors import UsageError

LONGEST: Final = 10_000
"""Longer queries, in characters, are refused."""
DEEPEST: Final = 50
"""Brackets and ``not`` nest no deeper: each level is a call."""
_SPACE: Final = " \t\r\n\u00a0"
_SPECIAL: Final = frozenset('\\():<>"*{}')
_JOIN: Final = {word: re.compile(rf"[{_SPACE}]+{word}[{_SPACE}]+", re.IGNORECASE) for word in ("or", "and")}
_EITHER: Final = re.compile(rf"[{_SPACE}]+(?:or|and)[{_SPACE}]+", re.IGNORECASE)
_NOT: Final = re.compile(rf"not[{_SPACE}]+", re.IGNORECASE)
_ESCAPED_WORD: Final = re.compile(r"\\(or|and|not)", re.IGNORECASE)
_ESCAPED_CODE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_ESCAPED_SPACE: Final = {"\\t": "\t", "\\r": "\r", "\\n": "\n"}
_OPERATORS: Final = {"<=": "lte", ">=": "gte", "<": "lt", ">": "gt"}


@dataclass(frozen=True, slots=True)
class Term:
    """Hold a field's name or a value: its ``parts`` stand between wildcards, so one part means none.

    ``at`` is the place in the query, from 0.
    """

    parts: tuple[str, ...]
    quoted: bool
    at: int

    @property
    def wildcard(self) -> bool:
        """Tell whether it holds a ``*``."""
        return len(self.parts) > 1

    @property
    def text(self) -> str:
        """Return it as it is written, without quotes and backslashes."""
        return "*".join(self.parts)


@dataclass(frozen=True, slots=True)
class Is:
    """Match a value of ``field`` (``None``: any field)."""

    field: Term | None
    value: Term


@dataclass(frozen=True, slots=True)
class Range:
    """Match values on one side of a bound; ``how`` is ``lt``, ``lte``, ``gt`` or ``gte``."""

    field: Term
    how: str
    value: Term


@dataclass(frozen=True, slots=True)
class Nested:
    """Match objects of the ``nested`` type under ``field``, each by itself."""

    field: Term
    child: Node


@dataclass(frozen=True, slots=True)
class Not:
    """Match what ``child`` does not match."""

    child: Node


@dataclass(frozen=True, slots=True)
class Join:
    """Match when all (``how`` is ``and``) or one (``or``) of the children match."""

    how: str
    children: tuple[Node, ...]


Node: TypeAlias = Is | Range | Nested | Not | Join


def parse_kql(text: str) -> Node | None:
    """Return the tree of a query, ``None`` for an empty one; raise ``UsageError`` at the column that is wrong."""
    if len(text) > LONGEST:
        raise UsageError("the query is too long", todo=f"write it in at most {LONGEST} characters")
    return _Parser(text).whole() if text.strip(_SPACE) else None


def leaves(node: Node | None) -> list[Is | Range | Nested]:
    """Return the conditions of a query in their order, those inside nested ones without them."""
    if node is None:
        return []
    if isinstance(node, Is | Range | Nested):
        return [node]
    children = (node.child,) if isinstance(node, Not) else node.children
    return [leaf for child in children for leaf in leaves(child)]


class _Parser:
    """Descend through one query; ``_at`` is where reading is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        """Return the tree of the whole text."""
        self._spaces()
        node = self._joined("or")
        self._spaces()
        if self._at < len(self._text):
            raise self._wrong("and, or, not or an operator should stand before '{}'")
        return node

    def _wrong(self, what: str, at: int | None = None) -> UsageError:
        place = self._at if at is None else at
        found = self._text[place : place + 20]
        where = f"column {place + 1}"
        if not found:
            return UsageError("the query ends too early", where=where)
        return UsageError(what.replace("{}", found), where=where)

    def _spaces(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1

    def _take(self, sign: str) -> bool:
        if self._text.startswith(sign, self._at):
            self._at += len(sign)
            return True
        return False

    def _match(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        if match is None:
            return False
        self._at = match.end()
        return True

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong("the query is nested too deeply at '{}'")

    def _joined(self, how: str) -> Node:
        """Read conditions joined by ``or``, or by ``and``."""
        self._enter()
        children = [self._joined("and") if how == "or" else self._negated()]
        while self._match(_JOIN[how]):
            children.append(self._joined("and") if how == "or" else self._negated())
        self._depth -= 1
        return children[0] if len(children) == 1 else Join(how, tuple(children))

    def _negated(self) -> Node:
        if self._match(_NOT):
            return Not(self._grouped())
        return self._grouped()

    def _grouped(self) -> Node:
        if not self._take("("):
            return self._condition()
        self._spaces()
        node = self._joined("or")
        self._close(")")
        return node

    def _close(self, sign: str) -> None:
        self._spaces()
        if not self._take(sign):
            raise self._wrong(f"a bracket is not closed by {sign} before '{{}}'")

    def _condition(self) -> Node:
        first = self._term()
        self._spaces_before_operator()
        for sign, how in _OPERATORS.items():
            if self._take(sign):
                self._spaces()
                return Range(first, how, self._term())
        if not self._take(":"):
            return Is(None, first)
        self._spaces()
        if self._take("{"):
            self._spaces()
            self._enter()
            child = self._joined("or")
            self._depth -= 1
            self._close("}")
            return Nested(first, child)
        return self._values(first)

    def _spaces_before_operator(self) -> None:
        """Skip spaces only where an operator follows: before ``and`` they belong to it."""
        before = self._at
        self._spaces()
        if self._text[self._at : self._at + 1] not in (":", "<", ">"):
            self._at = before

    def _values(self, field: Term) -> Node:
        """Read one value, or several in brackets."""
        if not self._take("("):
            return Is(field, self._term())
        self._spaces()
        node = self._value_list(field, "or")
        self._close(")")
        return node

    def _value_list(self, field: Term, how: str) -> Node:
        self._enter()
        children = [self._value_list(field, "and") if how == "or" else self._negated_value(field)]
        while self._match(_JOIN[how]):
            children.append(self._value_list(field, "and") if how == "or" else self._negated_value(field))
        self._depth -= 1
        return children[0] if len(children) == 1 else Join(how, tuple(children))

    def _negated_value(self, field: Term) -> Node:
        return Not(self._values(field)) if self._match(_NOT) else self._values(field)

    def _term(self) -> Term:
        return self._quoted() if self._text.startswith('"', self._at) else self._unquoted()

    def _quoted(self) -> Term:
        start = self._at
        self._at += 1
        found: list[str] = []
        while self._at < len(self._text):
            if self._take('"'):
                return Term(("".join(found),), quoted=True, at=start)
            found.append(self._character(quoted=True))
        raise self._wrong("a quote is not closed: '{}'", start)

    def _character(self, *, quoted: bool) -> str:
        """Take one character, or what a backslash makes of the next ones."""
        rest = self._text[self._at : self._at + 2]
        if rest in _ESCAPED_SPACE:
            self._at += 2
            return _ESCAPED_SPACE[rest]
        code = _ESCAPED_CODE.match(self._text, self._at)
        if code is not None:
            self._at = code.end()
            return chr(int(code[1], 16))
        if rest[:1] == "\\":
            return self._escaped(rest, quoted=quoted)
        self._at += 1
        return rest[:1]

    def _escaped(self, rest: str, *, quoted: bool) -> str:
        word = None if quoted else _ESCAPED_WORD.match(self._text, self._at)
        if word is not None:
            self._at = word.end()
            return word[1]
        takes = frozenset('\\"') if quoted else _SPECIAL
        if rest[1:] and rest[1] in takes:
            self._at += 2
            return rest[1]
        if quoted:  # a backslash that takes nothing's meaning is itself
            self._at += 1
            return "\\"
        raise self._wrong("a backslash has nothing to escape: '{}'")

    def _unquoted(self) -> Term:
        start = self._at
        parts: list[list[str]] = [[]]
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign == "*":
                parts.append([])
                self._at += 1
            elif sign != "\\" and (sign in _SPECIAL or self._keyword_follows(sign, start)):
                break
            else:
                parts[-1].append(self._character(quoted=False))
        texts = ["".join(part) for part in parts]
        texts[0], texts[-1] = texts[0].lstrip(_SPACE), texts[-1].rstrip(_SPACE)
        if texts == [""]:
            raise self._wrong("a field or a value is missing before '{}'", start)
        self._back_over_spaces(start)
        return Term(tuple(texts), quoted=False, at=start)

    def _keyword_follows(self, sign: str, start: int) -> bool:
        """Tell whether a value ends here at a word for joining; of a run of spaces only the first is looked at."""
        if sign in _SPACE:
            inside = self._at > start and self._text[self._at - 1] in _SPACE
            return not inside and _EITHER.match(self._text, self._at) is not None
        return sign in "nN" and _NOT.match(self._text, self._at) is not None

    def _back_over_spaces(self, start: int) -> None:
        """Give spaces at a value's end back: a word for joining may need them."""
        while self._at > start and self._text[self._at - 1] in _SPACE:
            self._at -= 1
