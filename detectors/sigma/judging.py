"""Judge rules: which are possible for an event, and which of those match.

What rules say of the marks of an event is remembered: events that differ in what no rule looks for share their marks.
Only rules that had to look at the event itself (for a regular expression) are judged again for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

from detectors.sigma.clauses import clauses_of
from detectors.sigma.folding import Leaf, is_pivot, is_slow, leaves
from detectors.sigma.numbering import Numbers
from detectors.sigma.tables import NO_MARK, Budget, Mark, Marks, Remembering, Table, TextTable
from detectors.sigma.watched import Watched
from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA, Event, Scalar
from soc_core.query.evaluate import compile_query, reader_of, value_test
from soc_core.query.tree import And, Everything, Not, Or, Query, Regex
from soc_core.query.values import all_text

SAMPLED: Final = 256
"""Of so many times that rules are judged for an event, one is timed."""
VERDICT_BYTES: Final = 300
CASE_BYTES: Final = 1_500
MAX_TEXT_TABLES: Final = 32
"""Log sources that get a table of just their own keywords."""
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


class Verdict(NamedTuple):
    """Hold what the marks of an event say: rules that match, and rules that have to look at the event itself."""

    matching: Sequence[int]
    undecided: Sequence[int]
    held: frozenset[int]


NO_VERDICT: Final = Verdict((), (), frozenset())


class Book:
    """Hold what all groups share: numbered leaves, tables, watched clauses, judges, verdicts."""

    def __init__(self, rules: Sequence[Question], budget: Budget) -> None:
        """Give the leaves of the rules numbers and choose two clauses a rule to watch."""
        self.budget = budget
        self.wholes = [_whole(rule) for rule in rules]
        asked = [list(leaves(whole)) for whole in self.wholes]
        self.fields = [_fields(found) for found in asked]
        self._slow_rules = bits_of(number for number, found in enumerate(asked) if any(map(is_slow, found)))
        self._numbers = Numbers(asked)
        self.first_always, self.second_always, watched = self._watch(rules)
        self._marks = Marks(watched, budget)
        self._tables: dict[str, Table] = {}
        self._texts: dict[frozenset[int], TextTable] = {}
        self.verdicts: dict[tuple[Mark, ...], Verdict] = {}
        self._older: dict[tuple[Mark, ...], Verdict] = {}
        self._cases: dict[int, tuple[frozenset[int], dict[frozenset[int], Verdict]]] = {}
        budget.join(self)
        self._slow: dict[Leaf, Judge] = {}
        self._judges: list[Judge | None] = [None] * len(rules)
        self._wanted: list[frozenset[int] | None] = [None] * len(rules)
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

    def texts(self, rules: Sequence[int]) -> TextTable:
        """Return the table of the keywords of these rules, with those of others where there are too many tables."""
        rows = cast("list[tuple[Leaf, int]]", self._numbers.by_field.get("", []))  # needles have a field
        asked = (
            self._numbers.of(leaf) for rule in rules for leaf in leaves(self.wholes[rule]) if not leaf.field
        )
        wanted = frozenset(number for number in asked if number is not None)
        if wanted not in self._texts and len(self._texts) >= MAX_TEXT_TABLES:
            wanted = frozenset(number for _, number in rows)
        if wanted not in self._texts:
            self._texts[wanted] = TextTable([row for row in rows if row[1] in wanted], self._marks)
        return self._texts[wanted]

    def judge(self, marks: tuple[Mark, ...], active: int, event: Event) -> Sequence[int]:
        """Return the numbers of the active rules (a bit set) that match, in order, and remember the verdict."""
        verdict = self._older.get(marks)
        if verdict is None:
            verdict = self._find(marks, active, event)
        self.budget.spend(VERDICT_BYTES + 8 * len(marks))
        self.verdicts[marks] = verdict
        return self.settle(verdict, event) if verdict.undecided else verdict.matching

    def _find(self, marks: tuple[Mark, ...], active: int, event: Event) -> Verdict:
        """Return the verdict on marks: that of others with the same possible rules and what those look for."""
        first, second = self.first_always, self.second_always
        for mark in marks:
            first |= mark.first
            second |= mark.second
        possible = first & second & active
        if not possible:
            return NO_VERDICT
        known = self._cases.get(possible)
        if known is None:
            wanted = frozenset[int]().union(*map(self._asked_by, _members(possible)))
            known = self._cases[possible] = wanted, {}
            self.budget.spend(CASE_BYTES + 40 * len(wanted))
        wanted, verdicts = known
        held = frozenset[int]().union(*[mark.leaves for mark in marks]) & wanted
        verdict = verdicts.get(held)
        if verdict is None:
            verdict = verdicts[held] = self._decide(possible, held, event)
            self.budget.spend(
                VERDICT_BYTES + 60 * len(held) + 8 * len(verdict.matching) + 8 * len(verdict.undecided)
            )
        return verdict

    def _decide(self, possible: int, held: frozenset[int], event: Event) -> Verdict:
        """Judge the possible rules; those that look at the event are undecided."""
        watched = Watched(event) if possible & self._slow_rules else None
        matching, undecided = list[int](), list[int]()
        judge = self._judge_of_round()
        for number in _members(possible):
            matches = judge(number, held, event if watched is None else watched)
            if watched is not None and watched.read():
                undecided.append(number)
            elif matches:
                matching.append(number)
        return Verdict(matching, undecided, held) if matching or undecided else NO_VERDICT

    def _asked_by(self, rule: int) -> frozenset[int]:
        """Return the numbers of the leaves that a rule's verdict depends on, found when first asked for."""
        known = self._wanted[rule]
        if known is not None:
            return known
        found = set[int]()
        for leaf in leaves(self.wholes[rule]):
            number = self._numbers.of(leaf)
            found.update([number] if number is not None else [n for _, n in self._numbers.stand_ins(leaf)])
        known = self._wanted[rule] = frozenset(found)
        return known

    def settle(self, verdict: Verdict, event: Event) -> Sequence[int]:
        """Return the numbers of the rules that match, in order: those that are undecided look at the event."""
        judge, held = self._judge_of_round(), verdict.held
        found = [number for number in verdict.undecided if judge(number, held, event)]
        return sorted([*verdict.matching, *found]) if found else verdict.matching

    def forget(self) -> None:
        """Drop the verdicts that were not asked for since the last time; keep the others that long."""
        self._older = dict(self.verdicts)
        self.verdicts.clear()
        self._cases.clear()

    def _judge_of_round(self) -> Callable[[int, Set[int], Event], bool]:
        """Return what judges a rule for one event: now and then it is timed."""
        self._until_sample -= 1
        if self._until_sample:
            return self._matches
        self._until_sample = SAMPLED
        return self._timed

    def _matches(self, number: int, held: Set[int], event: Event) -> bool:
        """Judge a rule."""
        return (self._judges[number] or self._judge(number))(held, event)

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
        self._verdicts = book.verdicts
        self._own = Mark(frozenset(), 0, 0)  # tells verdicts of groups apart
        self.active = bits_of(numbers)
        fields = dict.fromkeys(field for number in numbers for field in book.fields[number])
        known = [(field, book.table(field)) for field in fields if field in FIELDS]
        # The answers are looked up by the group, since a call for each value of each event would double its price.
        self._tables = [(field, table.answers, table.mark) for field, table in known]
        self._extra = {field: book.table(field) for field in fields if field and field not in FIELDS}
        self._texts = book.texts(numbers) if "" in fields else None

    def match(self, event: Event) -> Sequence[int]:
        """Return the numbers of the rules that match, in order."""
        marks = [self._own]
        get = event.get
        for field, answers, judge in self._tables:
            value = get(field)
            if value is None:
                continue
            if value.__class__ is list:
                found = [answers.get(item) or judge(item) for item in cast("list[Scalar]", value)]
                marks += [mark for mark in found if mark is not NO_MARK]
            else:
                mark = answers.get(cast("Scalar", value)) or judge(cast("Scalar", value))
                if mark is not NO_MARK:
                    marks.append(mark)
        if self._extra:
            marks += self._marks_of_extra(event)
        if self._texts is not None:
            mark = self._texts.mark(event)
            if mark is not NO_MARK:
                marks.append(mark)
        key = tuple(marks)
        verdict = self._verdicts.get(key)
        if verdict is None:
            return self._book.judge(key, self.active, event)
        return self._book.settle(verdict, event) if verdict.undecided else verdict.matching

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
