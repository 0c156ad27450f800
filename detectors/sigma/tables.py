"""Answer all questions about one field's value at once, and remember the answers.

A table knows all leaves of a group of rules that ask about one field. Its answer to a value is a *mark*: which leaves
hold, and which rules thereby become possible. Equal values get their mark from memory; a new one costs one pass over
its text for all literals together (Aho–Corasick), however many rules there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from detectors.sigma.folding import Leaf
from soc_core.model.event import Event, Scalar
from soc_core.query.evaluate import fold, text_of, value_test, wildcard_test
from soc_core.query.tree import Exists, OneOf, Regex, SameAs, Text
from soc_core.query.values import all_text

MAX_REMEMBERED: Final = 2_048
"""Longer values are judged anew each time: they seldom recur and would fill the memory."""
MIN_LITERAL: Final = 3
"""Shorter literals stand nearly everywhere: looking for each is cheaper than being told of every place."""
PART: Final = 1 << 16
SMALL: Final = 4_096
"""Letters of literals up to which the fastest automaton takes little memory."""
ENTRY_BYTES: Final = 250
_WILDCARDS: Final = re.compile(r"(?:\\[*?\\]|[^*?])+")


class Mark(NamedTuple):
    """Hold bit sets: leaves that hold, and rules whose first and second condition for being possible is met."""

    leaves: int
    first: int
    second: int


NO_MARK: Final = Mark(0, 0, 0)


class Forgetful(Protocol):
    """Be something that remembers answers and can forget them."""

    def forget(self) -> None:
        """Drop all answers."""
        ...


class Budget:
    """Bound what all tables of a matcher remember together.

    When half of it is used up, every table forgets what it was not asked for since that happened last.
    """

    def __init__(self, limit: int) -> None:
        """Take the greatest number of bytes, as estimated."""
        self._limit = limit // 2
        self._used = 0
        self._members: list[Forgetful] = []

    def join(self, member: Forgetful) -> None:
        """Add something that remembers."""
        self._members.append(member)

    def spend(self, size: int) -> None:
        """Account for an answer about to be remembered."""
        self._used += size + ENTRY_BYTES
        if self._used > self._limit:
            for member in self._members:
                member.forget()
            self._used = size + ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class Marks:
    """Say what each leaf bit makes possible: leaf bit → mark."""

    of_bit: dict[int, Mark]
    witnesses: int

    def mark(self, found: int) -> Mark:
        """Return the mark of a set of leaves."""
        first = second = 0
        rest = found & self.witnesses
        while rest:
            bit = rest & -rest
            rest ^= bit
            mark = self.of_bit[bit]
            first |= mark.first
            second |= mark.second
        return Mark(found, first, second) if found else NO_MARK


class _Literal(NamedTuple):
    """Hold a leaf whose literal was found: it holds if ``confirm`` agrees, or at once without one."""

    bit: int
    confirm: Callable[[str], bool] | None


class Literals:
    """Find all literals of leaves in one pass over a folded text."""

    __slots__ = ("_automaton", "_found", "_longest", "_rows", "_short")

    def __init__(self) -> None:
        """Begin without any."""
        self._rows: dict[str, list[_Literal]] = {}
        self._short: list[tuple[str, list[_Literal]]] = []
        self._found: list[list[_Literal]] = []
        self._automaton: AhoCorasick | None = None
        self._longest = 0

    def add(self, leaf: Text, bit: int) -> bool:
        """Take a leaf; return ``False`` for one that holds no literal to look for."""
        wanted = fold(leaf.value, cased=False)
        literal, confirm = wanted, _CONFIRM[leaf.how](wanted)
        if leaf.how == "wildcard":
            literal = max(_literals(wanted), key=len, default="")
        if literal:
            self._rows.setdefault(literal, []).append(_Literal(bit, confirm))
        return bool(literal)

    def ready(self) -> None:
        """Build what finds them; nothing may be added after."""
        self._short = [(text, rows) for text, rows in self._rows.items() if len(text) < MIN_LITERAL]
        wanted = sorted(text for text in self._rows if len(text) >= MIN_LITERAL)
        self._longest = max(map(len, wanted), default=0)
        self._found = [self._rows[text] for text in wanted]
        small = sum(map(len, wanted)) <= SMALL
        if wanted:
            how = Implementation.DFA if small else Implementation.ContiguousNFA
            self._automaton = AhoCorasick(wanted, matchkind=MatchKind.Standard, implementation=how)

    def _numbers(self, automaton: AhoCorasick, text: str) -> set[int]:
        """Return which literals are there; a long text is taken in parts, since every place of each is told."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")  # it reads no half of a surrogate pair
        if len(text) <= PART:
            places = automaton.find_matches_as_indexes(text, overlapping=True)
            return {place[0] for place in places} if places else set()
        found: set[int] = set()
        for start in range(0, len(text), PART):
            part = text[start : start + PART + self._longest]
            found.update(place[0] for place in automaton.find_matches_as_indexes(part, overlapping=True))
        return found

    def inside(self, text: str) -> Iterator[list[_Literal]]:
        """Yield the rows of every literal that stands in ``text``."""
        if self._automaton is not None:
            found = self._found
            for number in self._numbers(self._automaton, text):
                yield found[number]
        for wanted, rows in self._short:
            if wanted in text:
                yield rows


_CONFIRM: Final[dict[str, Callable[[str], Callable[[str], bool] | None]]] = {
    "contains": lambda _wanted: None,
    "startswith": lambda wanted: lambda text: text.startswith(wanted),
    "endswith": lambda wanted: lambda text: text.endswith(wanted),
    "wildcard": wildcard_test,
}


class Table:
    """Answer the questions about one field; ``answers`` holds what is remembered, values that are bool excepted."""

    __slots__ = ("_budget", "_equal", "_literals", "_marks", "_older", "_present", "_tests", "answers")

    def __init__(self, leaves: Iterable[tuple[Leaf, int]], marks: Marks, budget: Budget) -> None:
        """Take the leaves with their bits; slow ones are not for tables."""
        self.answers: dict[Scalar, Mark] = {}
        self._older: dict[Scalar, Mark] = {}
        self._marks = marks
        self._budget = budget
        self._present = 0
        self._equal: dict[str, int] = {}
        self._tests: list[tuple[Callable[[Scalar], bool], int]] = []
        self._literals = Literals()
        for leaf, bit in leaves:
            self._add(leaf, bit)
        self._literals.ready()
        budget.join(self)

    def _add(self, leaf: Leaf, bit: int) -> None:
        match leaf:
            case Exists() | Text(value="", how="contains" | "startswith" | "endswith"):
                self._present |= bit
            case OneOf(cased=False):
                for value in leaf.values:
                    key = fold(text_of(value), cased=False)
                    self._equal[key] = self._equal.get(key, 0) | bit
            case Text(cased=False) if self._literals.add(leaf, bit):
                pass
            case Regex() | SameAs():
                raise TypeError(f"{type(leaf).__name__} is not for tables")
            case _:
                self._tests.append((value_test(leaf), bit))

    def mark(self, value: Scalar) -> Mark:
        """Return the mark of one value, and remember it."""
        if value.__class__ is bool:  # True would share its place with 1
            return self._marks.mark(self._judge(value))
        mark = self.answers.get(value) or self._older.get(value)
        if mark is None:
            mark = self._marks.mark(self._judge(value))
        size = len(value) if isinstance(value, str) else 0
        if size <= MAX_REMEMBERED:
            self._budget.spend(size + mark.leaves.bit_length() // 8)
            self.answers[value] = mark
        return mark

    def _judge(self, value: Scalar) -> int:
        """Return the set of leaves that hold."""
        text = fold(text_of(value), cased=False)
        found = self._present | self._equal.get(text, 0)
        for rows in self._literals.inside(text):
            for bit, confirm in rows:
                if confirm is None or confirm(text):
                    found |= bit
        for test, bit in self._tests:
            if test(value):
                found |= bit
        return found

    def forget(self) -> None:
        """Drop the answers that were not asked for since the last time; keep the others that long."""
        self._older = dict(self.answers)
        self.answers.clear()


class TextTable:
    """Answer the questions about any text of an event (keywords), in one pass over all its texts together.

    Nothing is remembered: most events hold some text never seen before, such as their id.
    """

    __slots__ = ("_literals", "_marks", "_present", "_tests")

    def __init__(self, leaves: Iterable[tuple[Leaf, int]], marks: Marks) -> None:
        """Take the leaves with their bits."""
        self._marks = marks
        self._present = 0
        self._tests: list[tuple[Callable[[Scalar], bool], int]] = []
        self._literals = Literals()
        for leaf, bit in leaves:
            if isinstance(leaf, Text) and not leaf.value and leaf.how != "wildcard":
                self._present |= bit
            elif not (isinstance(leaf, Text) and self._is_simple(leaf) and self._literals.add(leaf, bit)):
                self._tests.append((self._test(leaf), bit))
        self._literals.ready()

    @staticmethod
    def _is_simple(leaf: Text) -> bool:
        return not leaf.cased and _BETWEEN not in leaf.value

    @staticmethod
    def _test(leaf: Leaf) -> Callable[[Scalar], bool]:
        if isinstance(leaf, Exists | Regex | SameAs):
            raise TypeError(f"{type(leaf).__name__} is no keyword")
        return value_test(leaf)

    def mark(self, event: Event) -> Mark:
        """Return the mark of all texts of an event."""
        texts = list(all_text(event))
        found = self._present if texts else 0
        folded = fold(_BETWEEN.join(texts), cased=False)
        for rows in self._literals.inside(folded):
            for bit, confirm in rows:
                if confirm is None or any(map(confirm, folded.split(_BETWEEN))):
                    found |= bit
        for test, bit in self._tests:
            if any(map(test, texts)):
                found |= bit
        return self._marks.mark(found)


_BETWEEN: Final = "\0"
"""Stands between the texts of an event, so that no literal is found across two."""


def _literals(pattern: str) -> list[str]:
    """Return the texts between the wildcards of a pattern, unescaped."""
    return [re.sub(r"\\([*?\\])", r"\1", part) for part in _WILDCARDS.findall(pattern)]


class Remembering:
    """Judge single values by one slow test (a regular expression) and remember the answers."""

    __slots__ = ("_answers", "_budget", "_test")

    def __init__(self, test: Callable[[Scalar], bool], budget: Budget) -> None:
        """Take the test."""
        self._test = test
        self._budget = budget
        self._answers: dict[str, bool] = {}
        budget.join(self)

    def __call__(self, value: Scalar) -> bool:
        """Tell whether the value passes."""
        if value.__class__ is not str or len(str(value)) > MAX_REMEMBERED:
            return self._test(value)
        text = str(value)
        answer = self._answers.get(text)
        if answer is None:
            self._budget.spend(len(text))
            answer = self._answers[text] = self._test(text)
        return answer

    def forget(self) -> None:
        """Drop all answers."""
        self._answers.clear()
