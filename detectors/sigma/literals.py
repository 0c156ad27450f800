"""Find the literals of all leaves of a table in one pass over a text (Aho–Corasick), however many there are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from soc_core.query.evaluate import fold, wildcard_test
from soc_core.query.tree import Text

MIN_LITERAL: Final = 2
"""Shorter literals stand nearly everywhere: looking for each is cheaper than being told of every place."""
PART: Final = 1 << 16
SMALL: Final = 4_096
"""Letters of literals up to which the fastest automaton takes little memory."""
_WILDCARDS: Final = re.compile(r"(?:\\[*?\\]|[^*?])+")
_LIKE_ASCII: Final = (b"\xe2\x84\xaa", b"\xc4\xb0")
"""The letters beyond ASCII that are folded to ASCII: K (Kelvin) and İ."""
_ERRORS: Final = "surrogatepass"
"""Half a character is text like any other."""


class _Row:
    """Hold the leaves that have one literal, by where it has to stand, or by what else has to be asked."""

    __slots__ = ("begins", "ends", "inside", "tests")

    def __init__(self) -> None:
        self.inside: list[int] = []
        self.begins: list[int] = []
        self.ends: list[int] = []
        self.tests: list[tuple[Callable[[str], bool], int]] = []

    def add(self, how: str, number: int, wanted: str) -> None:
        """Take a leaf."""
        if how == "wildcard":
            self.tests.append((wildcard_test(wanted), number))
        else:
            {"contains": self.inside, "startswith": self.begins, "endswith": self.ends}[how].append(number)

    def find(self, text: str, hits: list[int], *, begins: bool, ends: bool) -> None:
        """Note the leaves that hold for a text in which the literal stands, at its beginning, at its end."""
        hits += self.inside
        if begins:
            hits += self.begins
        if ends:
            hits += self.ends
        for test, number in self.tests:
            if test(text):
                hits.append(number)


class Literals:
    """Find all literals of leaves in one pass over a folded text."""

    __slots__ = ("_automaton", "_cased", "_foreign", "_longest", "_rows", "_short", "_shortcuts")

    def __init__(self) -> None:
        """Begin without any."""
        self._rows: dict[str, _Row] = {}
        self._short: list[tuple[str, _Row]] = []
        self._foreign: dict[str, list[tuple[str, _Row]]] = {}
        self._shortcuts: list[_Row | int] = []
        self._automaton: BytesAhoCorasick | None = None
        self._longest = 0
        self._cased = False

    def add(self, leaf: Text, number: int) -> bool:
        """Take a leaf; return ``False`` for one that holds no literal to look for."""
        literal = literal_of(leaf)
        if literal:
            self._rows.setdefault(literal, _Row()).add(leaf.how, number, fold(leaf.value, cased=False))
        return bool(literal)

    def ready(self) -> None:
        """Build what finds them; nothing may be added after."""
        for text, row in self._rows.items():
            if len(text) < MIN_LITERAL and text.isascii():
                self._short.append((text, row))
            elif len(text) < MIN_LITERAL:
                letter = max(text)  # one beyond ASCII
                self._foreign.setdefault(letter, []).append((text, row))
        wanted = sorted(text for text in self._rows if len(text) >= MIN_LITERAL)
        self._shortcuts = [_shortcut(self._rows[text]) for text in wanted]
        self._cased = any(map(_has_cased_letters, wanted))
        self._rows.clear()
        if not wanted:
            return
        encoded = [text.encode("utf-8", _ERRORS) for text in wanted]
        self._longest = max(map(len, encoded))
        small = sum(map(len, encoded)) <= SMALL
        how = Implementation.DFA if small else Implementation.ContiguousNFA
        self._automaton = BytesAhoCorasick(encoded, matchkind=MatchKind.Standard, implementation=how)

    def may_stand_in(self, text: str) -> bool:
        """Tell, as cheaply as can be, whether anything may be found in a text that is not folded yet.

        Bytes become lower case ten times faster than letters beyond ASCII; that is enough where no literal has such
        letters of two cases.
        """
        if self._short or self._foreign:
            return True
        if self._automaton is None:
            return False
        data = text.encode("utf-8", _ERRORS).lower()
        if len(data) > PART or (
            len(data) > len(text) and (self._cased or any(map(data.__contains__, _LIKE_ASCII)))
        ):
            return True
        return bool(self._automaton.find_matches_as_indexes(data, overlapping=True))

    def find(self, text: str, hits: list[int]) -> None:
        """Add the numbers of the leaves that hold for a folded text to ``hits``, some of them more than once."""
        if self._automaton is not None:
            data = text.encode("utf-8", _ERRORS)
            if len(data) <= PART:
                places = self._automaton.find_matches_as_indexes(data, overlapping=True)
                if places:
                    self._note(places, text, len(data), hits)
            else:
                self._find_in_parts(self._automaton, data, text, hits)
        for wanted, row in self._short:
            if wanted in text:
                row.find(text, hits, begins=text.startswith(wanted), ends=text.endswith(wanted))
        if self._foreign and not text.isascii():
            self._find_foreign(text, hits)

    def _find_foreign(self, text: str, hits: list[int]) -> None:
        """Look for short literals beyond ASCII by the letters that the text has: a rule may name whole alphabets."""
        for letter in set(text):
            for wanted, row in self._foreign.get(letter, ()):
                if wanted in text:
                    row.find(text, hits, begins=text.startswith(wanted), ends=text.endswith(wanted))

    def _note(self, places: list[tuple[int, int, int]], text: str, size: int, hits: list[int]) -> None:
        rows = self._shortcuts
        for number, start, end in places:
            row = rows[number]
            if isinstance(row, int):
                hits.append(row)
            elif row.tests:
                row.find(text, hits, begins=start == 0, ends=end == size)
            else:  # the same without a call: most texts hold several literals
                hits += row.inside
                if start == 0:
                    hits += row.begins
                if end == size:
                    hits += row.ends

    def _find_in_parts(self, automaton: BytesAhoCorasick, data: bytes, text: str, hits: list[int]) -> None:
        """Take a long text in parts, since every place of each literal is told; keep each leaf once."""
        found: set[int] = set()
        for begin in range(0, len(data), PART):
            part = data[begin : begin + PART + self._longest]
            places = automaton.find_matches_as_indexes(part, overlapping=True)
            kept = {(number, begin + start == 0, begin + end == len(data)) for number, start, end in places}
            told: list[int] = []
            self._note(
                [(number, 0 if first else 1, len(data) if last else 0) for number, first, last in kept],
                text,
                len(data),
                told,
            )
            found.update(told)
        hits += found


def _shortcut(row: _Row) -> _Row | int:
    """Return the number of the only leaf there is, where it may stand anywhere: that is how most are."""
    lonely = len(row.inside) == 1 and not (row.begins or row.ends or row.tests)
    return row.inside[0] if lonely else row


def _has_cased_letters(text: str) -> bool:
    """Tell whether other letters beyond ASCII are folded to those of ``text``: bytes in lower case keep them."""
    return any(letter > "\x7f" and letter.upper() != letter for letter in text)


def literal_of(leaf: Text) -> str:
    """Return the longest text that stands, folded, in every folded value for which a leaf holds."""
    wanted = fold(leaf.value, cased=False)
    return wanted if leaf.how != "wildcard" else max(_texts_between(wanted), key=len, default="")


def _texts_between(pattern: str) -> list[str]:
    """Return the texts between the wildcards of a pattern, unescaped."""
    return [re.sub(r"\\([*?\\])", r"\1", part) for part in _WILDCARDS.findall(pattern)]
