r"""Write Lucene regular expressions that say what the evaluator says.

Lucene's own folding of case knows ASCII only, and databases' tables of letters differ by version. So case is written
out: ``[kK\u212a]`` holds every letter that ``soc_core.query.evaluate.fold`` folds to a ``k``. Lucene's expressions are
anchored, their ``.`` is any character, and they have no look-around; all optional operators are off (``flags: NONE``).
(Facts: Elasticsearch reference 8.19, "Regular expression syntax"; tried on 8.19.21.)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import re2

from soc_core.query.evaluate import fold, takes_linear_time, wildcard_tokens
from soc_core.query.regex import CLASSES, TOKEN, split_flags
from soc_core.query.tree import Text

MAX_LENGTH: Final = 1_000
"""Longer expressions are refused by default (``index.max_regex_length``)."""
MAX_MASKS: Final = 8
MAX_REPEAT: Final = 12
_RESERVED: Final = frozenset('.?+*|{}[]()"\\#@&<>~^$-/')
_TOP: Final = sys.maxunicode
Ranges = tuple[tuple[int, int], ...]


@cache
def _unfolded() -> dict[str, str]:
    """Return for each letter that others fold to: all of those and itself."""
    found: dict[str, str] = {}
    for code in range(_TOP + 1):
        letter = chr(code)
        if not 0xD800 <= code < 0xE000 and (folded := fold(letter, cased=False)) != letter:
            found[folded] = found.get(folded, folded) + letter
    return found


def literal(text: str, *, cased: bool) -> str:
    """Return the expression of a text; unless ``cased`` in any case, as ``fold`` has it."""
    if cased:
        return "".join(_escaped(letter) for letter in text)
    others = _unfolded()
    return "".join(
        "[" + "".join(map(_escaped, others[letter])) + "]" if letter in others else _escaped(letter)
        for letter in fold(text, cased=False)
    )


def length(pattern: str) -> int:
    """Return how long Elasticsearch thinks an expression is: it counts UTF-16 units."""
    return len(pattern) + sum(letter > "\uffff" for letter in pattern)


def has_case(text: str) -> bool:
    """Tell whether another text than this folds to the same."""
    others = _unfolded()
    folded = fold(text, cased=False)
    return folded != text or any(letter in others for letter in folded)


def beginning(text: str, room: int) -> str:
    """Return an expression, of at most ``room`` letters, of what begins as ``text`` does."""
    return _cut([literal(letter, cased=False) for letter in text], room)


@lru_cache(maxsize=256)
def of_text(query: Text, room: int, *, plain: bool) -> Translation:
    """Return the expression of a predicate on text within ``room`` letters.

    Many ``?`` after a ``*`` double the states of the automaton each: then (and if ``plain``) only the longest piece of
    text is looked for.
    """
    tokens = _tokens(query)
    masks = sum(kind == "one" for kind, _ in tokens)
    parts = [_part(kind, letter, query.cased) for kind, letter in tokens]
    if masks > (0 if plain else MAX_MASKS):
        return Translation(_longest(tokens, room, cased=query.cased), exact=False)
    whole = "".join(parts)
    return (
        Translation(whole, exact=True) if len(whole) <= room else Translation(_cut(parts, room), exact=False)
    )


def _tokens(query: Text) -> list[tuple[str, str]]:
    """Return a predicate on text as tokens of a wildcard pattern, without ``*`` side by side."""
    value = fold(query.value, query.cased)
    if query.how == "wildcard":
        found = list(wildcard_tokens(value))
    else:
        found = [("literal", letter) for letter in value]
        if query.how in {"contains", "endswith"}:
            found.insert(0, ("many", "*"))
        if query.how in {"contains", "startswith"}:
            found.append(("many", "*"))
    pairs = zip(found, [("", ""), *found], strict=False)
    return [token for token, before in pairs if not token[0] == before[0] == "many"]


def _part(kind: str, letter: str, cased: bool) -> str:
    return {"many": ".*", "one": "."}.get(kind) or literal(letter, cased=cased)


def _longest(tokens: Sequence[tuple[str, str]], room: int, *, cased: bool) -> str:
    pieces: list[list[str]] = [[]]
    for kind, letter in tokens:
        if kind == "literal":
            pieces[-1].append(literal(letter, cased=cased))
        else:
            pieces.append([])
    return ".*" + _cut(max(pieces, key=len), room - 2)


def _cut(parts: Sequence[str], room: int) -> str:
    """Return the first parts for which there is room, and that anything may follow."""
    kept: list[str] = []
    size = 2
    for part in parts:
        size += len(part)
        if size > room:
            break
        kept.append(part)
    return "".join(kept) + ".*"


def _escaped(letter: str) -> str:
    return "\\" + letter if letter in _RESERVED else letter


@dataclass(frozen=True, slots=True)
class Translation:
    """Hold a Lucene expression and whether it matches exactly (else: at least) what was asked."""

    pattern: str
    exact: bool


@lru_cache(maxsize=256)
def from_python(pattern: str, flags: str) -> Translation | None:
    """Return the expression that finds what a Python pattern finds anywhere in a value, ``None`` if there is none.

    Only what RE2 answers in ``soc_core.query.evaluate`` is translated. Word boundaries and anchors in the middle are
    left out, letters of words widened: then the translation matches too much and says so.
    """
    if not takes_linear_time(pattern, flags):
        return None
    body, flags = split_flags(pattern, flags)
    return _Translator(body, flags).translate()


class _Translator:
    """Walk over the tokens of a pattern once; every alternative at the top is anchored by itself."""

    def __init__(self, pattern: str, flags: str) -> None:
        self._tokens = list(TOKEN.finditer(pattern))
        self._folded = "i" in flags
        # By lines ``^`` and ``$`` stand anywhere in a value: they are left out.
        self._beginnings = {r"\A"} if "m" in flags else {"^", r"\A"}
        self._ends = {r"\Z"} if "m" in flags else {"$", r"\Z"}
        self._any = "." if "s" in flags else "[^\n]"
        self.exact = True

    def translate(self) -> Translation:
        """Return all alternatives; those that stand between the same together, else states would multiply."""
        groups: dict[tuple[str, str], list[str]] = {}
        for tokens in self._alternatives():
            before, middle, after = self._alternative(tokens)
            groups.setdefault((before, after), []).append(middle)
        parts = [f"{before}{_one_of(middles)}{after}" for (before, after), middles in groups.items()]
        return Translation(_one_of(parts), self.exact)

    def _alternatives(self) -> list[list[re.Match[str]]]:
        found: list[list[re.Match[str]]] = [[]]
        depth = 0
        for token in self._tokens:
            text = token.group()
            if token.lastgroup in {"group", "kind"}:
                depth += 1
            elif token.lastgroup == "other" and text == ")":
                depth -= 1
            if token.lastgroup == "other" and text == "|" and not depth:
                found.append([])
            else:
                found[-1].append(token)
        return found

    def _alternative(self, tokens: list[re.Match[str]]) -> tuple[str, str, str]:
        """Return one alternative and what stands around it: ``.*``, or nothing where it is anchored."""
        texts = [token.group() for token in tokens]
        starts = bool(texts) and texts[0] in self._beginnings and not (texts[1:] and texts[1][0] in "*+?{")
        inner = tokens[1:] if starts else tokens
        last = inner[-1].group() if inner else ""
        ends = last in self._ends
        middle = self._sequence(inner[:-1] if ends else inner)
        tail = {"$": "\n?", r"\Z": ""}[last] if ends else ".*"
        return "" if starts else ".*", middle, tail

    def _sequence(self, tokens: list[re.Match[str]]) -> str:
        parts: list[str] = []
        for token in tokens:
            text = token.group()
            if token.lastgroup == "other" and text in "|)" and (not parts or parts[-1] in {"|", "("}):
                parts.append("()")
            if self._is_lazy(parts, text, token.lastgroup or ""):
                continue
            parts.append(self._repeat(parts, text) if token.lastgroup == "brace" else self._token(token))
        return "".join(parts) or "()"

    @staticmethod
    def _is_lazy(parts: list[str], text: str, kind: str) -> bool:
        """Tell whether a ``?`` only asks for the shortest fit: whether there is one doesn't change."""
        repeats = bool(parts) and (parts[-1] in {"*", "+", "?"} or parts[-1].startswith("{"))
        return kind == "other" and text == "?" and repeats

    def _token(self, token: re.Match[str]) -> str:
        text = token.group()
        match token.lastgroup:
            case "class":
                return self._class(text)
            case "escape":
                return self._escape(text[1])
            case "group" | "kind":
                return "("
            case "dollar":
                return self._dropped()
        if text == "^":
            return self._dropped()
        if text == ".":
            return self._any
        return text if text in "*+?|)" else self._letter(text)

    def _repeat(self, parts: list[str], text: str) -> str:
        """Return a counted repeat, a long one of anything but a letter as one without end.

        Each place where such a repeat may begin is counted apart: ``.*a[^b]{0,80}c`` takes Lucene a second on each
        shard, and its time-out does not end that.
        """
        counts = [int(number) for number in re.findall(r"\d+", text)]
        last = parts[-1] if parts else ""
        one_letter = (len(last) == 1 and last not in ".)") or (len(last) == 2 and last[0] == "\\")
        if max(counts) <= MAX_REPEAT or one_letter:
            return text
        self.exact = False
        return "+" if counts[0] else "*"

    def _dropped(self) -> str:
        self.exact = False
        return "()"

    def _letter(self, letter: str) -> str:
        cases = _cases(ord(letter)) if self._folded else ((ord(letter), ord(letter)),)
        return _escaped(letter) if len(cases) == 1 else _bracket(cases, negative=False)

    def _escape(self, char: str) -> str:
        if char in "bBAZ":
            return self._dropped()
        lower = char.lower()
        if lower in CLASSES:
            negative = char.isupper()
            if lower == "w":
                self.exact = False
            ranges = _narrowest(lower) if negative else _widest(lower)
            return _bracket(ranges, negative=negative)
        return self._letter(_CONTROL.get(char, char))

    def _class(self, text: str) -> str:
        """Return a bracket expression; where a letter of words is in it, wider than asked."""
        inner = text[1:-1]
        negative = inner.startswith("^")
        ranges: list[tuple[int, int]] = []
        for low, high, name in _class_items(inner[1:] if negative else inner):
            if name:
                self.exact = self.exact and name != "w"
                ranges.extend(_narrowest(name) if negative else _widest(name))
            elif self._folded:
                ranges.extend(_cases_of_range(low, high))
            else:
                ranges.append((low, high))
        return _bracket(ranges, negative=negative)


def _one_of(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else "(" + "|".join(parts) + ")"


_CONTROL: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}


def _class_items(inner: str) -> Iterable[tuple[int, int, str]]:
    """Yield the ranges of a bracket expression, or the name of a class of characters (``d``, ``w``, ``s``)."""
    pieces = re.findall(r"\\.|.", inner, re.DOTALL)
    at = 0
    while at < len(pieces):
        piece = pieces[at]
        if len(piece) == 2 and piece[1] in CLASSES:
            yield 0, 0, piece[1]
            at += 1
            continue
        low = _code(piece)
        # A range ends in a character: [a-\d] is refused by Python.
        is_range = pieces[at + 1 : at + 2] == ["-"] and at + 2 < len(pieces)
        yield low, _code(pieces[at + 2]) if is_range else low, ""
        at += 3 if is_range else 1


def _code(piece: str) -> int:
    letter = piece[-1]
    return ord(_CONTROL.get(letter, letter) if len(piece) == 2 else letter)


def _cases(code: int) -> Ranges:
    """Return a letter in each case as RE2 has it: ``k`` is a Kelvin sign too and ``s`` a long s."""
    letter = chr(code)
    found = {letter, *(letter.swapcase() if letter.isascii() else ())}
    if letter in "kK":
        found.add("\u212a")
    if letter in "sS":
        found.add("\u017f")
    return tuple((ord(item), ord(item)) for item in sorted(found))


def _cases_of_range(low: int, high: int) -> Iterable[tuple[int, int]]:
    yield low, high
    for code in range(max(low, 0x41), min(high, 0x7A) + 1):
        if chr(code).isalpha():
            yield from _cases(code)
    if low <= 0x212A <= high:
        yield from _cases(ord("k"))
    if low <= 0x17F <= high:
        yield from _cases(ord("s"))


def _bracket(ranges: Iterable[tuple[int, int]], *, negative: bool) -> str:
    parts = "".join(_written(low, high) for low, high in merged(ranges))
    return f"[{'^' if negative else ''}{parts}]"


def _written(low: int, high: int) -> str:
    """Return a range; its ends are no signs, since Lucene misreads a backslash that begins one."""
    before = after = ""
    while low < high and chr(low) in _RESERVED:
        before, low = before + _escaped(chr(low)), low + 1
    while low < high and chr(high) in _RESERVED:
        after, high = after + _escaped(chr(high)), high - 1
    return before + _escaped(chr(low)) + ("" if low == high else "-" + chr(high)) + after


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return ranges in order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


@cache
def _found_by(expression: str) -> Ranges:
    """Return the characters that an expression of RE2 matches: its tables are those that decide."""
    everything = "".join(map(chr, (*range(0xD800), *range(0xE000, _TOP + 1))))
    return merged(
        (ord(match.group()[0]), ord(match.group()[-1]))
        for match in re2.finditer(f"[{expression}]+", everything)
    )


_WORDS: Final = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))


def _widest(name: str) -> Ranges:
    """Return at least the characters of a class; all beyond ASCII that could be in words are taken for such."""
    return (*_WORDS, (0x80, _TOP)) if name == "w" else _found_by(CLASSES[name])


def _narrowest(name: str) -> Ranges:
    """Return at most the characters of a class."""
    return _WORDS if name == "w" else _found_by(CLASSES[name])
