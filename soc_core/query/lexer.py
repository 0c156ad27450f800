r"""Cut the analyst's query language into tokens.

What is pasted from Kibana or typed with a Chinese input method is taken as it is meant: ``：（）！`` and ``“”`` like
``:()!`` and ``""`` where those could stand, ``field >= 5`` and ``field = x`` for the names of fields, spaces around the
colon. Addresses, URLs, paths and times of day need no quotes: their colons are part of a word. A backslash keeps its
meaning only before a sign of the language, so that ``C:\Windows`` is what it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Final

from soc_core.errors import UsageError
from soc_core.fields import FIELDS

SIGNS: Final = '+-&|!(){}[]^"~*?:\\/<>=， ：（）“”！'
"""What a backslash takes the meaning from; before any other letter it is a backslash."""
_SPACE: Final = re.compile(r"\s+")
_NAME: Final = re.compile(r"[A-Za-z_@*][A-Za-z0-9_@.*-]*")
_COLON: Final = re.compile(r"\s*[:：]\s*(>=|<=|>|<)?")
_SIGN: Final = re.compile(r"\s*(>=|<=|>|<|!=|==|=)")
_RUN: Final = re.compile(r"""[^\s()"“”]+""")
_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5,7}")
_ANYWHERE: Final = re.compile(
    r"""(?P<open>[(（]) | (?P<close>[)）])
      | (?P<range>[\[{]\s*(?:"[^"]*"|[^\s\]}]+)\s+(?:TO|to)\s+(?:"[^"]*"|[^\s\]}]+)\s*[\]}])
      | (?P<phrase>"(?:[^"\\]|\\.)*"|“[^”]*”)
      | (?P<regex>/(?:[^/\\]|\\.)+/(?=[\s)）]|$))
      | (?P<and>&&|(?:AND|and)(?=[\s(（]|$)) | (?P<or>\|\||(?:OR|or)(?=[\s(（]|$))
      | (?P<not>(?:NOT|not)(?=[\s(（]|$)|[!！](?!=)|-(?=\S)) | (?P<plus>\+(?=\S))""",
    re.VERBOSE,
)
_AFTER_FIELD: Final = frozenset({"open", "range", "phrase", "regex"})
"""What may stand right after a field; ``-5`` is then a number and ``and`` a word, but ``AND`` a slip."""
_OPERATORS: Final = frozenset({"AND", "OR", "NOT", "&&", "||"})
_WORD: Final = re.compile(r"""(?:[^\s()"“”（）\\]|\\[^\s]|\\\ |\\|(?<=\S)（[^\s（）]*）)+""")
_WEIGHT: Final = re.compile(r"(?<!\\)[~^][0-9.]*$")


@dataclass(frozen=True, slots=True)
class Token:
    """Hold one token: its kind, text and 0-based position; the text of a field or comparison is its name or sign."""

    kind: str
    text: str
    at: int


def fault_at(at: int, what: str, todo: str = "") -> UsageError:
    """Return the error about what stands at a 0-based position."""
    return UsageError(what, where=f"column {at + 1}", todo=todo)


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a query; raise ``UsageError`` naming the column of what can't be one."""
    return list(_Lexer(text).tokens())


class _Lexer:
    """Remember whether a value must follow, and which brackets stand after a field: there are no fields inside."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._after_field = False
        self._brackets: list[bool] = []

    def tokens(self) -> Iterator[Token]:
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at >= len(self._text):
                return
            start = self._at
            found = [] if self._inside_field() else self._field()
            if found:
                self._after_field = True
                yield from found
                continue
            kind, text = self._other()
            self._note(kind)
            yield Token(kind, text, start)

    def _inside_field(self) -> bool:
        return self._after_field or any(self._brackets)

    def _note(self, kind: str) -> None:
        """Keep account of brackets: those right after a field belong to it."""
        if kind == "open":
            self._brackets.append(self._after_field)
        elif kind == "close" and self._brackets:
            self._brackets.pop()
        self._after_field = False

    def _field(self) -> list[Token]:
        """Return the tokens of a field's name with its colon or comparison, none where no field begins."""
        name = _NAME.match(self._text, self._at)
        if name is None:
            return []
        colon = _COLON.match(self._text, name.end())
        if colon is not None and not self._is_word(name, colon.end()):
            return self._named(name, colon, colon[1] or "")
        sign = _SIGN.match(self._text, name.end())
        if sign is not None and name.group() in FIELDS:
            return self._named(name, sign, sign[1])
        return []

    def _named(self, name: re.Match[str], end: re.Match[str], sign: str) -> list[Token]:
        start, self._at = self._at, end.end()
        found = [Token("field", name.group(), start)]
        if sign == "!=":
            found.insert(0, Token("not", sign, start))
        elif sign not in {"", "=", "=="}:
            found.append(Token("compare", sign, end.start(1)))
        return found

    def _is_word(self, name: re.Match[str], after: int) -> bool:
        """Tell whether what looks like a field begins an address, a URL or a path."""
        if name.group() in FIELDS:
            return False
        run = _RUN.match(self._text, self._at)
        whole = run.group() if run else ""
        return (
            self._text.startswith(("//", "\\"), after)
            or _MAC.fullmatch(whole) is not None
            or _is_address(whole)
        )

    def _other(self) -> tuple[str, str]:
        """Take the next token that is no field."""
        match = _ANYWHERE.match(self._text, self._at)
        kind = (match.lastgroup or "") if match else ""
        if match is None or not self._fits(kind, match.group()):
            match, kind = _WORD.match(self._text, self._at), "word"
        if match is None:
            raise self._unread()
        self._at = match.end()
        if kind == "word":
            self._check(match)
        return kind, match.group()

    def _fits(self, kind: str, text: str) -> bool:
        return not self._after_field or kind in _AFTER_FIELD or text in _OPERATORS

    def _unread(self) -> UsageError:
        letter = self._text[self._at]
        if letter in '"“':
            return fault_at(self._at, "this quote is never closed", "before a quote inside write a backslash")
        if letter in ")）" and self._after_field:
            return fault_at(self._at, f"a value is needed before '{letter}'")
        return fault_at(self._at, f"'{letter}' is not understood here", "put text in quotes")

    def _check(self, match: re.Match[str]) -> None:
        """Refuse what Lucene would read otherwise: similar spelling, weights, halves of ranges."""
        word = match.group()
        weight = _WEIGHT.search(word)
        if weight is not None and (len(word) > 1 or self._text[match.start() - 1 : match.start()] == '"'):
            raise fault_at(
                match.start() + weight.start(),
                "similar spelling (~) and weights (^) are not understood",
                "put text in quotes",
            )
        if self._after_field and word[0] in "[{" and word[-1] not in "]}":
            raise fault_at(match.start(), "this range is not complete", "write it like field:[a TO b]")


def _is_address(text: str) -> bool:
    try:
        ip_interface(text)
    except ValueError:
        return False
    return True


def plain(text: str) -> str:
    """Return the text of a word or phrase without the backslashes that take meanings away."""
    return "".join(letter for letter, _ in letters_of(text))


def letters_of(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the letters of a word or phrase, and whether each was written after a backslash."""
    at = 0
    while at < len(text):
        escaped = text[at] == "\\" and text[at + 1 : at + 2] in SIGNS and at + 1 < len(text)
        yield text[at + escaped], escaped
        at += 1 + escaped
