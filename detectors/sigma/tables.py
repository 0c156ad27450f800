"""Answer all questions about one field's value at once, and remember the answers.

A table knows all leaves of a group of rules that ask about one field. Its answer to a value is a *mark*: which leaves
hold, and which rules thereby become possible. Equal values get their mark from memory; a new one costs one pass over
its text for all literals together (Aho–Corasick), however many rules there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from detectors.sigma.folding import Leaf
from soc_core.model.event import Scalar
from soc_core.query.evaluate import fold, text_of, value_test, wildcard_regex
from soc_core.query.tree import Cidr, Exists, OneOf, Range, Regex, SameAs, Text, TimePart

MAX_REMEMBERED: Final = 2_048
"""Longer values are judged anew each time: they seldom recur and would fill the memory."""
MIN_LITERAL: Final = 3
"""Shorter literals stand nearly everywhere: looking for each is cheaper than being told of every place."""
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


class Table:
    """Answer the questions about one field; ``answers`` holds what is remembered, values that are bool excepted."""

    __slots__ = (
        "_automaton",
        "_budget",
        "_equal",
        "_found",
        "_marks",
        "_older",
        "_present",
        "_short",
        "_tests",
        "answers",
    )

    def __init__(self, leaves: Iterable[tuple[Leaf, int]], marks: Marks, budget: Budget) -> None:
        """Take the leaves with their bits. ``Regex`` and ``SameAs`` are not for tables."""
        self.answers: dict[Scalar, Mark] = {}
        self._older: dict[Scalar, Mark] = {}
        self._marks = marks
        self._budget = budget
        self._present = 0
        self._equal: dict[str, int] = {}
        self._tests: list[tuple[Callable[[Scalar], bool], int]] = []
        literals: dict[str, list[_Literal]] = {}
        for leaf, bit in leaves:
            self._add(leaf, bit, literals)
        short = {text for text in literals if len(text) < MIN_LITERAL}
        self._short = [(text, literals[text]) for text in sorted(short)]
        wanted = sorted(literals.keys() - short)
        self._found = [literals[text] for text in wanted]
        self._automaton = _automaton(wanted)
        budget.join(self)

    def _add(self, leaf: Leaf, bit: int, literals: dict[str, list[_Literal]]) -> None:
        match leaf:
            case Exists():
                self._present |= bit
            case OneOf(cased=False):
                for value in leaf.values:
                    key = fold(text_of(value), cased=False)
                    self._equal[key] = self._equal.get(key, 0) | bit
            case Text(cased=False):
                self._add_text(leaf, bit, literals)
            case OneOf() | Text() | Cidr() | Range() | TimePart():
                self._tests.append((value_test(leaf), bit))
            case Regex() | SameAs():
                raise TypeError(f"{type(leaf).__name__} is not for tables")

    def _add_text(self, leaf: Text, bit: int, literals: dict[str, list[_Literal]]) -> None:
        wanted = fold(leaf.value, cased=False)
        if leaf.how == "wildcard":
            longest = max(_literals(wanted), key=len, default="")
            if not longest:
                self._tests.append((value_test(leaf), bit))
                return
            full = re.compile(wildcard_regex(wanted), re.DOTALL).fullmatch
            literals.setdefault(longest, []).append(_Literal(bit, lambda text: full(text) is not None))
        elif not wanted:
            self._present |= bit
        elif leaf.how == "contains":
            literals.setdefault(wanted, []).append(_Literal(bit, None))
        elif leaf.how == "startswith":
            literals.setdefault(wanted, []).append(_Literal(bit, lambda text: text.startswith(wanted)))
        else:
            literals.setdefault(wanted, []).append(_Literal(bit, lambda text: text.endswith(wanted)))

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
        if self._automaton is not None:
            places = self._automaton.find_matches_as_indexes(text, overlapping=True)
            for number in {place[0] for place in places}:
                found |= _holding(self._found[number], text)
        for wanted, literals in self._short:
            if wanted in text:
                found |= _holding(literals, text)
        for test, bit in self._tests:
            if test(value):
                found |= bit
        return found

    def forget(self) -> None:
        """Drop the answers that were not asked for since the last time; keep the others that long."""
        self._older = dict(self.answers)
        self.answers.clear()


class _Literal(NamedTuple):
    """Hold a leaf whose literal was found: it holds if ``confirm`` agrees, or at once without one."""

    bit: int
    confirm: Callable[[str], bool] | None


def _holding(literals: Sequence[_Literal], text: str) -> int:
    found = 0
    for bit, confirm in literals:
        if confirm is None or confirm(text):
            found |= bit
    return found


def _automaton(literals: list[str]) -> AhoCorasick | None:
    if not literals:
        return None
    return AhoCorasick(literals, matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA)


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
