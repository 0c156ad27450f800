r"""Say which text must stand in every text that a regular expression finds.

Looking for texts is far cheaper than running expressions: where none of the needed ones is there, an expression need
not be run. What can't be read for certain needs nothing (``None``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from soc_core.query.evaluate import fold
from soc_core.query.regex import TOKEN, split_flags

MIN_NEEDED: Final = 3
MAX_NEEDED: Final = 40
SELDOM: Final = frozenset("`^~{}|$")
"""Letters that tell something by themselves: they stand in few texts."""
UNLIKE: Final = frozenset("ſıİ\u212a")
"""Letters that an expression without regard to case may take for ASCII ones, though they aren't when compared."""
_CLASSES: Final = frozenset("dDwWsSnrtfv")
_ANCHORS: Final = frozenset("bBAZ")
_BOTH_CASES: Final = re.compile(r"\[([A-Za-z])([A-Za-z])\]")
_BOUNDS: Final = re.compile(r"\{(\d*)(?:,\d*)?\}")
Texts = frozenset[str]


class _UnreadableError(Exception):
    """Stop at what can't be read for certain."""


def needed_texts(pattern: str, flags: str = "") -> Texts | None:
    """Return folded texts one of which stands in the folded form of any text in which the pattern is found.

    A text with one of ``UNLIKE`` is an exception. Each has at least ``MIN_NEEDED`` letters, or one of ``SELDOM``.
    """
    pattern, flags = split_flags(pattern, flags)
    if not set(flags) <= {"i", "m", "s"}:
        return None
    tokens = _Tokens([match.group() for match in TOKEN.finditer(pattern)])
    try:
        found = _alternatives(tokens)
    except (_UnreadableError, RecursionError):
        return None
    return found if tokens.at == len(tokens.rest) else None


@dataclass(slots=True)
class _Tokens:
    """Hold what is left of a pattern."""

    rest: list[str]
    at: int = 0

    def peek(self) -> str:
        return self.rest[self.at] if self.at < len(self.rest) else ""

    def take(self) -> str:
        part = self.peek()
        self.at += 1
        return part

    def least(self) -> tuple[int, bool]:
        """Take a quantifier; return how often what stands before must be there at least, and if there was one."""
        part = self.peek()
        bounds = _BOUNDS.fullmatch(part) if part.startswith("{") else None
        if part.startswith("{") and (bounds is None or part in {"{}", "{,}"}):
            raise _UnreadableError
        if part not in {"*", "+", "?"} and bounds is None:
            return 1, False
        self.at += 1
        if self.peek() in {"?", "+"}:
            self.at += 1
        if bounds is not None:
            return int(bounds[1] or 0), True
        return int(part == "+"), True


def _alternatives(tokens: _Tokens) -> Texts | None:
    """Return what one of the alternatives up to the end of a group needs."""
    branches = [_sequence(tokens)]
    while tokens.peek() == "|":
        tokens.take()
        branches.append(_sequence(tokens))
    whole = [branch for branch in branches if branch is not None]
    joined = frozenset[str]().union(*whole)
    return joined if len(whole) == len(branches) and len(joined) <= MAX_NEEDED else None


def _sequence(tokens: _Tokens) -> Texts | None:
    """Return the best of what the parts of a sequence need."""
    found: list[Texts] = []
    run = ""
    while tokens.peek() not in {"", "|", ")"}:
        part = tokens.take()
        letter = _letter(part)
        inner = _group(tokens, part) if part.startswith("(") else None
        least, repeated = tokens.least()
        if inner is not None and least:
            found.append(inner)
        if letter and least:
            run += letter
        if repeated or not letter:
            found.append(frozenset({run}))
            run = ""
    found.append(frozenset({run}))
    return max(filter(_is_telling, found), key=_worth, default=None)


def _group(tokens: _Tokens, part: str) -> Texts | None:
    if part not in {"(", "(?:"}:
        raise _UnreadableError
    inner = _alternatives(tokens)
    if tokens.take() != ")":
        raise _UnreadableError
    return inner


def _letter(part: str) -> str:
    """Return the letter that a part stands for, folded; none for what stands for several, or for a place."""
    if len(part) == 1:
        if part in "*+?)":
            raise _UnreadableError
        return "" if part in ".^$(" or not part.isascii() else fold(part, cased=False)
    if part[0] == "\\":
        if part[1] in _CLASSES or part[1] in _ANCHORS or not part[1].isascii():
            return ""
        if part[1].isalnum():
            raise _UnreadableError
        return part[1]
    if part[0] == "{":
        raise _UnreadableError
    both = _BOTH_CASES.fullmatch(part)
    return both[1].lower() if both and both[1].lower() == both[2].lower() else ""


def _is_telling(texts: Iterable[str]) -> bool:
    return all(len(text) >= MIN_NEEDED or not SELDOM.isdisjoint(text) for text in texts)


def _worth(texts: Texts) -> tuple[int, int]:
    return min(map(len, texts), default=0), -len(texts)
