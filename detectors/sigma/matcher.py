"""Judge events by many rules at once.

Events are sorted into groups by what rules ask about their pivots (data set and code): a group knows which rules can
match at all. A table per field (``tables``) answers all questions about a value, and names the rules that become
possible by it (``clauses``). So an event costs a look-up per field of its group; only rules of the group that are
possible by two rare conditions are judged whole (``judging``). All that is remembered lies within one budget, whatever
the events hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

from detectors.sigma.folding import NOTHING, PIVOTS, Leaf, fold, is_pivot, leaves
from detectors.sigma.judging import SAMPLED, Book, Cost, Group, Question, listed
from detectors.sigma.tables import Budget, Marks, Table
from soc_core.model.event import Event, Value
from soc_core.query.tree import Query

BUDGET_BYTES: Final = 48 << 20
MAX_ROUTES: Final = 20_000
MAX_ROUTE: Final = 200
"""Letters of a pivot up to which its group is remembered."""
MAX_GROUPS: Final = 2_000
Asked = TypeVar("Asked", bound=Question)


class Matcher(Generic[Asked]):
    """Find the rules that match an event."""

    def __init__(self, rules: Sequence[Asked], budget_bytes: int = BUDGET_BYTES) -> None:
        """Take the rules; tables and groups are made when an event needs them."""
        self._rules = tuple(rules)
        self._book = Book(self._rules, Budget(budget_bytes))
        self._pivots = Pivots(self._rules, self._book.budget)
        self._groups: dict[frozenset[int], Group | None] = {}
        self._routes: dict[tuple[Value | None, ...], Group | None] = {}

    def match(self, event: Event) -> list[Asked]:
        """Return the rules that match, in the order they were given."""
        key = (event.get(PIVOTS[0]), event.get(PIVOTS[1]))
        try:
            group = self._routes[key]
        except (KeyError, TypeError):  # a list can't be looked up
            group = self._find_group(event, key)
        if group is None:
            return []
        rules = self._rules
        return [rules[number] for number in group.match(event)]

    def costs(self) -> Mapping[int, Cost]:
        """Return what judging took by the place of each rule in the order given, as estimated from one in 256 events.

        Rules never judged whole in the sample are missing: they cost next to nothing.
        """
        return {
            number: Cost(times * SAMPLED, nanoseconds * SAMPLED / 1e9)
            for number, (times, nanoseconds) in self._book.sampled.items()
        }

    def _find_group(self, event: Event, key: tuple[Value | None, ...]) -> Group | None:
        """Return the group of an event, ``None`` when no rule is about such events, and remember it."""
        answers = self._pivots.answers(event)
        if answers not in self._groups:
            if len(self._groups) >= MAX_GROUPS:  # lists of pivots combine without end
                self._groups.clear()
                self._routes.clear()
            active = self._pivots.active(answers)
            self._groups[answers] = Group(active, self._book) if active else None
        group = self._groups[answers]
        if all(part is None or (isinstance(part, str | int) and len(str(part)) <= MAX_ROUTE) for part in key):
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[key] = group
        return group


class Pivots:
    """Tell from an event's pivots which rules can match it."""

    def __init__(self, rules: Sequence[Question], budget: Budget) -> None:
        """Note what rules ask about the pivots."""
        self._rules = rules
        self._by_source: dict[Query, list[int]] = {}
        sources: dict[
            int, list[int]
        ] = {}  # most rules share the object: comparing them costs more than all the rest
        for number, rule in enumerate(rules):
            known = sources.get(id(rule.source))
            if known is None:
                known = sources[id(rule.source)] = self._by_source.setdefault(rule.source, [])
            known.append(number)
        numbers: dict[Leaf, int] = {}
        self._numbers: dict[int, int] = {}  # by identity, for the same reason
        self._varying: set[int] = set()
        for query in self._by_source:
            self._add(query, numbers)
        for number, rule in enumerate(rules):
            if self._add(rule.detection, numbers):
                self._varying.add(number)
        marks = Marks({}, budget)
        self._tables = [
            (field, Table([row for row in numbers.items() if row[0].field == field], marks, budget))
            for field in PIVOTS
        ]

    def _add(self, query: Query, numbers: dict[Leaf, int]) -> bool:
        """Give the questions of a query about pivots their numbers; tell whether it has any."""
        found = [leaf for leaf in leaves(query) if is_pivot(leaf)]
        for leaf in found:
            self._numbers[id(leaf)] = numbers.setdefault(leaf, len(numbers))
        return bool(found)

    def answers(self, event: Event) -> frozenset[int]:
        """Return which questions about the pivots hold."""
        held: set[int] = set()
        for field, table in self._tables:
            for value in listed(event.get(field)):
                held |= table.mark(value).leaves
        return frozenset(held)

    def active(self, answers: frozenset[int]) -> list[int]:
        """Return the numbers of the rules that these answers leave possible, in order."""

        def truth(leaf: Leaf) -> bool | None:
            number = self._numbers.get(id(leaf))
            return None if number is None else number in answers

        found: list[int] = []
        for source, numbers in self._by_source.items():
            if fold(source, truth) != NOTHING:
                found.extend(
                    number
                    for number in numbers
                    if number not in self._varying or fold(self._rules[number].detection, truth) != NOTHING
                )
        return sorted(found)
