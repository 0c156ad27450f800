"""Answer all questions about one field's value at once, and remember the answers.

A table knows all leaves of all rules that ask about one field. Its answer to a value is a *mark*: which leaves hold,
and which rules thereby become possible. Equal values get their mark from memory; a new one costs one pass over its
text for all literals together (``literals``), and most new ones have a mark that others had before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from detectors.sigma.folding import Leaf
from detectors.sigma.literals import Literals, literal_of
from detectors.sigma.numbering import Needle
from soc_core.model.event import Event, Scalar
from soc_core.query.evaluate import fold, text_of, value_test
from soc_core.query.needed import UNLIKE
from soc_core.query.networks import networks_test
from soc_core.query.tree import Cidr, Exists, OneOf, Regex, SameAs, Text
from soc_core.query.values import all_text

MAX_REMEMBERED: Final = 2_048
"""Longer values are judged anew each time: they seldom recur and would fill the memory."""
ENTRY_BYTES: Final = 170
MARK_BYTES: Final = 1_100


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Hold the leaves that hold, and as bit sets the rules whose first and second condition to be possible is met.

    A mark is equal to itself only, so that looking up many together costs next to nothing.
    """

    leaves: frozenset[int]
    first: int
    second: int


NO_MARK: Final = Mark(frozenset(), 0, 0)
"""Says that nothing holds; it need not be noted."""


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


class Marks:
    """Say what sets of leaves make possible; equal sets share one mark."""

    __slots__ = ("_budget", "_known", "_of_leaf", "_older")

    def __init__(self, of_leaf: dict[int, tuple[int, int]], budget: Budget) -> None:
        """Take what each watched leaf makes possible: the rules it is a first, and a second, condition of."""
        self._of_leaf = of_leaf
        self._budget = budget
        self._known: dict[frozenset[int], Mark] = {}
        self._older: dict[frozenset[int], Mark] = {}
        budget.join(self)

    def mark(self, leaves: frozenset[int]) -> Mark:
        """Return the mark of a set of leaves."""
        mark = self._known.get(leaves)
        if mark is not None:
            return mark
        mark = self._known[leaves] = self._older.get(leaves) or self._make(leaves)
        self._budget.spend(MARK_BYTES + 60 * len(leaves))
        return mark

    def _make(self, leaves: frozenset[int]) -> Mark:
        first = second = 0
        of_leaf = self._of_leaf
        for leaf in leaves:
            rules = of_leaf.get(leaf)
            if rules is not None:
                first |= rules[0]
                second |= rules[1]
        return Mark(leaves, first, second)

    def forget(self) -> None:
        """Drop the marks that were not asked for since the last time; the others stay what they are."""
        self._older = self._known
        self._known = {}


class Table:
    """Answer the questions about one field; ``answers`` holds what is remembered, values that are bool excepted."""

    __slots__ = (
        "_budget",
        "_equal",
        "_literals",
        "_marks",
        "_needles",
        "_networks",
        "_older",
        "_present",
        "_tests",
        "answers",
    )

    def __init__(self, leaves: Iterable[tuple[Leaf | Needle, int]], marks: Marks, budget: Budget) -> None:
        """Take the leaves with their numbers; slow ones are not for tables."""
        self.answers: dict[Scalar, Mark] = {}
        self._older: dict[Scalar, Mark] = {}
        self._marks = marks
        self._budget = budget
        self._present: list[int] = []
        self._equal: dict[str, list[int]] = {}
        self._tests: list[tuple[Callable[[Scalar], bool], int]] = []
        self._needles: list[int] = []
        self._literals = Literals()
        networks: list[tuple[str, int]] = []
        for leaf, number in leaves:
            if isinstance(leaf, Cidr):
                networks.append((leaf.network, number))
            else:
                self._add(leaf, number)
        self._networks = networks_test(networks) if networks else None
        self._literals.ready()
        budget.join(self)

    def _add(self, leaf: Leaf | Needle, number: int) -> None:
        match leaf:
            case Exists() | Text(value="", how="contains" | "startswith" | "endswith"):
                self._present.append(number)
            case OneOf(cased=False):
                for value in leaf.values:
                    self._equal.setdefault(fold(text_of(value), cased=False), []).append(number)
            case Text(cased=False) if self._literals.add(leaf, number):
                pass
            case Needle():
                self._needles.append(number)
                self._literals.add(Text(leaf.field, "contains", leaf.text), number)
            case Regex() | SameAs():
                raise TypeError(f"{type(leaf).__name__} is not for tables")
            case _:
                self._tests.append((value_test(leaf), number))

    def mark(self, value: Scalar) -> Mark:
        """Return the mark of one value, and remember it."""
        if not isinstance(value, str):
            return self._mark_of_number(value)
        mark = self._older.get(value) or self._judge(value, value)
        size = len(value)
        if size <= MAX_REMEMBERED:
            self._budget.spend(size)
            self.answers[value] = mark
        return mark

    def _mark_of_number(self, value: float) -> Mark:
        """Return the mark of what is no text; numbers that equal another value, of another text, aren't remembered."""
        mark = self._judge(value, text_of(value))
        if 1 < abs(value) < 2**53:
            self._budget.spend(0)
            self.answers[value] = mark
        return mark

    def _judge(self, value: Scalar, text: str) -> Mark:
        """Return the mark of a value that is not remembered, and its text."""
        text = text.lower() if text.isascii() else fold(text, cased=False)
        hits = self._present.copy()
        self._literals.find(text, hits)
        if text in self._equal:
            hits += self._equal[text]
        if self._networks is not None:
            hits += self._networks(value)
        for test, number in self._tests:
            if test(value):
                hits.append(number)
        if self._needles and not text.isascii() and not UNLIKE.isdisjoint(text):
            hits += self._needles
        return self._marks.mark(frozenset(hits)) if hits else NO_MARK

    def forget(self) -> None:
        """Drop the answers that were not asked for since the last time; keep the others that long."""
        self._older = dict(self.answers)
        self.answers.clear()


class TextTable:
    """Answer the questions about any text of an event (keywords), in one pass over all its texts together.

    Nothing is remembered: most events hold some text never seen before, such as their id. Most hold no keyword either,
    which is told by a first pass over all that they hold, whether it is looked at or not.
    """

    __slots__ = ("_confirm", "_literals", "_marks", "_present", "_tests")

    def __init__(self, leaves: Iterable[tuple[Leaf, int]], marks: Marks) -> None:
        """Take the leaves with their numbers."""
        self._marks = marks
        self._present: list[int] = []
        self._tests: list[tuple[Callable[[Scalar], bool], int]] = []
        self._confirm: dict[int, Callable[[Scalar], bool]] = {}
        self._literals = Literals()
        for leaf, number in leaves:
            self._add(leaf, number)
        self._literals.ready()

    def _add(self, leaf: Leaf, number: int) -> None:
        """Take a leaf; in joined texts only its literal can be looked for, beginnings and ends stand in each one."""
        if isinstance(leaf, Exists | Regex | SameAs):
            raise TypeError(f"{type(leaf).__name__} is no keyword")
        if not isinstance(leaf, Text):
            self._tests.append((value_test(leaf), number))
            return
        literal = literal_of(leaf)
        if not literal and leaf.how != "wildcard":
            self._present.append(number)
        elif not literal or _BETWEEN in literal:
            self._tests.append((value_test(leaf), number))
        else:
            self._literals.add(Text("", "contains", literal), number)
            if leaf.how != "contains" or leaf.cased:
                self._confirm[number] = value_test(leaf)

    def mark(self, event: Event) -> Mark:
        """Return the mark of all texts of an event."""
        if not (self._present or self._tests or self._literals.may_stand_in(_BETWEEN.join(_texts_in(event)))):
            return NO_MARK
        texts = all_text(event)
        hits = self._present.copy() if texts else []
        self._literals.find(fold(_BETWEEN.join(texts), cased=False), hits)
        if hits and self._confirm:
            hits = [
                hit for hit in set(hits) if hit not in self._confirm or any(map(self._confirm[hit], texts))
            ]
        for test, number in self._tests:
            if any(map(test, texts)):
                hits.append(number)
        return self._marks.mark(frozenset(hits)) if hits else NO_MARK


_BETWEEN: Final = "\0"
"""Stands between the texts of an event, so that no literal is found across two."""


def _texts_in(event: Event) -> list[str]:
    """Return every text in an event, also those that nobody looks for words in."""
    values = event.values()
    texts: list[str] = [value for value in values if value.__class__ is str]
    for value in [value for value in values if value.__class__ is not str]:
        if isinstance(value, list):
            texts += [item for item in value if isinstance(item, str)]
        elif isinstance(value, str):
            texts.append(value)
    return texts


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
