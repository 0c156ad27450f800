"""Judge rules: which are possible for an event, and which of those match."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

from detectors.sigma.clauses import clauses_of
from detectors.sigma.folding import Leaf, is_pivot, is_slow, leaves
from detectors.sigma.numbering import Numbers
from detectors.sigma.tables import Budget, Mark, Marks, Remembering, Table, TextTable
from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA, Event, Scalar
from soc_core.query.evaluate import compile_query, reader_of, value_test
from soc_core.query.tree import And, Everything, Not, Or, Query, Regex
from soc_core.query.values import all_text

SAMPLED: Final = 64
"""One in so many events with possible rules has their judging timed."""
Judge: TypeAlias = Callable[[Set[int], Event], bool]
"""Tell from the numbers of the leaves that hold, and the event itself, whether a rule matches."""


class Question(Protocol):
    """Be something to ask of events: a rule, or whatever else has a query for its source and one for the rest."""

    @property
    def source(self) -> Query:
        """Return which events it is about."""
        ...

    @property
    def detection(self) -> Query:
        """Return what it looks for in them."""
        ...


class Cost(NamedTuple):
    """Say how often a rule was judged whole, and the processor seconds that took: estimates from a sample."""

    judged: int
    seconds: float


class Book:
    """Hold what all groups share: numbered leaves, tables, watched clauses, judges."""

    def __init__(self, rules: Sequence[Question], budget: Budget) -> None:
        """Give the leaves of the rules numbers and choose two clauses a rule to watch."""
        self.budget = budget
        self.wholes = [_whole(rule) for rule in rules]
        asked = [list(leaves(whole)) for whole in self.wholes]
        self.fields = [_fields(found) for found in asked]
        self._numbers = Numbers(asked)
        self.first_always, self.second_always, watched = self._watch(rules)
        self._marks = Marks(watched, budget)
        self._tables: dict[str, Table] = {}
        self._texts: TextTable | None = None
        self._slow: dict[Leaf, Judge] = {}
        self._judges: list[Judge | None] = [None] * len(rules)
        self._until_sample = SAMPLED
        self.sampled: dict[int, tuple[int, int]] = {}

    def _watch(self, rules: Sequence[Question]) -> tuple[int, int, dict[int, tuple[int, int]]]:
        """Choose two clauses a rule; return the rules without a first, a second, and leaf → rules it is in one of."""
        noted: tuple[dict[int, list[int]], ...] = ({}, {})
        always: tuple[list[int], ...] = ([], [])
        for number, rule in enumerate(rules):
            found = clauses_of(rule.detection, self._numbers)
            if len(found) < 2:  # what the log source asks holds for most events of the rule's groups
                found += clauses_of(rule.source, self._numbers)
            for rank in (0, 1):
                if rank >= len(found):
                    always[rank].append(number)
                    continue
                for leaf in found[rank].leaves:
                    noted[rank].setdefault(leaf, []).append(number)
        first, second = noted
        watched = {
            leaf: (bits_of(first.get(leaf, ())), bits_of(second.get(leaf, ())))
            for leaf in first.keys() | second.keys()
        }
        return bits_of(always[0]), bits_of(always[1]), watched

    def table(self, field: str) -> Table:
        """Return the table of a field, made when first asked for."""
        table = self._tables.get(field)
        if table is None:
            rows = self._numbers.by_field.get(field, ())
            table = self._tables[field] = Table(rows, self._marks, self.budget)
        return table

    def texts(self) -> TextTable:
        """Return the table of keywords."""
        if self._texts is None:
            rows = cast("list[tuple[Leaf, int]]", self._numbers.by_field.get("", []))  # needles have a field
            self._texts = TextTable(rows, self._marks)
        return self._texts

    def matching(self, possible: int, marks: Sequence[Mark], event: Event) -> list[int]:
        """Return the numbers of those possible rules (a bit set) that match, in order."""
        held = frozenset[int]().union(*[mark.leaves for mark in marks])
        self._until_sample -= 1
        if not self._until_sample:
            self._until_sample = SAMPLED
            return [number for number in _members(possible) if self._timed(number, held, event)]
        judges = self._judges
        return [
            number for number in _members(possible) if (judges[number] or self._judge(number))(held, event)
        ]

    def _timed(self, number: int, held: Set[int], event: Event) -> bool:
        """Judge a rule and note what it takes."""
        judge = self._judges[number] or self._judge(number)
        start = time.thread_time_ns()
        found = judge(held, event)
        times, spent = self.sampled.get(number, (0, 0))
        self.sampled[number] = times + 1, spent + time.thread_time_ns() - start
        return found

    def _judge(self, number: int) -> Judge:
        """Return the judge of a rule, made when first asked for."""
        judge = self._judges[number] = self._compile(self.wholes[number])
        return judge

    def _compile(self, query: Query) -> Judge:
        match query:
            case Everything():
                return lambda _held, _event: True
            case Not(child):
                inner = self._compile(child)
                return lambda held, event: not inner(held, event)
            case And(children):
                return self._all(children)
            case Or(children):
                return self._any(children)
            case _:
                number = self._numbers.of(query)
                if number is not None:
                    return lambda held, _event: number in held
                return self._slow_judge(query)

    def _all(self, children: Sequence[Query]) -> Judge:
        wanted, parts = self._split(children)
        if not parts:
            return lambda held, _event: wanted <= held
        if len(parts) == 1:
            only = parts[0]
            return lambda held, event: wanted <= held and only(held, event)
        return lambda held, event: wanted <= held and all(part(held, event) for part in parts)

    def _any(self, children: Sequence[Query]) -> Judge:
        wanted, parts = self._split(children)
        if not parts:
            return lambda held, _event: not wanted.isdisjoint(held)
        if len(parts) == 1:
            only = parts[0]
            return lambda held, event: not wanted.isdisjoint(held) or only(held, event)
        return lambda held, event: not wanted.isdisjoint(held) or any(part(held, event) for part in parts)

    def _split(self, children: Sequence[Query]) -> tuple[frozenset[int], list[Judge]]:
        """Return the leaves among ``children`` as one set, and the judges of the others, the slow ones last."""
        wanted: set[int] = set()
        fast: list[Judge] = []
        slow: list[Judge] = []
        for child in children:
            number = None if isinstance(child, And | Or | Not | Everything) else self._numbers.of(child)
            if number is not None:
                wanted.add(number)
            elif any(is_slow(leaf) for leaf in leaves(child)):
                slow.append(self._compile(child))
            else:
                fast.append(self._compile(child))
        return frozenset(wanted), fast + slow

    def _slow_judge(self, leaf: Leaf) -> Judge:
        """Return the judge of a leaf that is asked only when its rule is possible."""
        judge = self._slow.get(leaf)
        if judge is None:
            judge = self._slow[leaf] = self._make_slow(leaf)
        return judge

    def _make_slow(self, leaf: Leaf) -> Judge:
        if not isinstance(leaf, Regex):
            matches = compile_query(leaf)
            return lambda _held, event: matches(event)
        test = Remembering(value_test(leaf), self.budget)
        read = reader_of(leaf.field) if leaf.field else all_text
        needles = frozenset(number for _, number in self._numbers.stand_ins(leaf))
        if not needles:
            return lambda _held, event: any(map(test, listed(read(event))))
        return lambda held, event: not needles.isdisjoint(held) and any(map(test, listed(read(event))))


class Group:
    """Judge events of one kind by the rules about them."""

    def __init__(self, numbers: Sequence[int], book: Book) -> None:
        """Take the numbers of the rules that can match such events."""
        self._book = book
        self.active = bits_of(numbers)
        fields = dict.fromkeys(field for number in numbers for field in book.fields[number])
        known = [(field, book.table(field)) for field in fields if field in FIELDS]
        # The answers are looked up by the group, since a call for each value of each event would double its price.
        self._tables = [(field, table.answers, table.mark) for field, table in known]
        self._extra = {field: book.table(field) for field in fields if field and field not in FIELDS}
        self._texts = book.texts() if "" in fields else None

    def match(self, event: Event) -> list[int]:
        """Return the numbers of the rules that match, in order."""
        marks: list[Mark] = []
        get = event.get
        for field, answers, judge in self._tables:
            value = get(field)
            if value is None:
                continue
            if value.__class__ is list:
                marks += [answers.get(item) or judge(item) for item in cast("list[Scalar]", value)]
            else:
                marks.append(answers.get(cast("Scalar", value)) or judge(cast("Scalar", value)))
        if self._extra:
            marks += self._marks_of_extra(event)
        if self._texts is not None:
            marks.append(self._texts.mark(event))
        first, second = self._book.first_always, self._book.second_always
        for _, one, other in marks:
            if one:
                first |= one
            if other:
                second |= other
        possible = first & second & self.active
        return self._book.matching(possible, marks, event) if possible else []

    def _marks_of_extra(self, event: Event) -> list[Mark]:
        """Return the marks of the fields that the dictionary lacks."""
        extra = self._extra
        if not extra.keys().isdisjoint(event):
            return [
                table.mark(value)
                for field, table in extra.items()
                for value in listed(reader_of(field)(event))
            ]
        found: list[Mark] = []
        for item in listed(event.get(EXTRA)):
            name, _, value = str(item).partition("=")
            if name in extra:
                table = extra[name]
                found.append(table.answers.get(value) or table.mark(value))
        return found


def bits_of(numbers: Iterable[int]) -> int:
    """Return a bit set of numbers."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits


def _members(bits: int) -> Iterator[int]:
    """Yield the numbers in a bit set, in order."""
    while bits:
        lowest = bits & -bits
        bits ^= lowest
        yield lowest.bit_length() - 1


def _whole(rule: Question) -> Query:
    """Return what must be judged of a rule where it is active: a source told by pivots alone is known there."""
    if isinstance(rule.source, Everything) or all(is_pivot(leaf) for leaf in leaves(rule.source)):
        return rule.detection
    return And((rule.source, rule.detection))


def _fields(asked: Iterable[Leaf]) -> tuple[str, ...]:
    """Return the fields whose tables the leaves of a rule need; the empty name stands for keywords."""
    return tuple(dict.fromkeys(leaf.field for leaf in asked if leaf.field or not is_slow(leaf)))


def listed(value: object) -> Iterable[Scalar]:
    """Return a value as a sequence."""
    if value is None:
        return ()
    if isinstance(value, str | int | float):
        return (value,)
    return cast("Iterable[Scalar]", value)
