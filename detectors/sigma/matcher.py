"""Judge events by many rules at once.

Events are sorted into groups by what rules ask about their pivots (data set and code): a group knows which rules can
match at all. A table per field (``tables``) answers all questions about a value, and names the rules that become
possible by it (``clauses``). So an event costs a look-up per field of its group; only rules of the group that are
possible by two rare conditions are judged whole. All that is remembered lies within one budget, whatever the events
hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, cast

from detectors.sigma.clauses import Clause, clauses_of
from detectors.sigma.folding import NOTHING, PIVOTS, Leaf, fold, is_pivot, is_slow, leaves
from detectors.sigma.tables import MAX_REMEMBERED, NO_MARK, Budget, Mark, Marks, Remembering, Table, TextTable
from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA, Event, Scalar, Value
from soc_core.query.evaluate import compile_query, reader_of, value_test
from soc_core.query.tree import And, Everything, Exists, Not, Or, Query, Regex
from soc_core.query.values import all_text

BUDGET_BYTES: Final = 48 << 20
MAX_ROUTES: Final = 20_000
Judge: TypeAlias = Callable[[int, Event], bool]
"""Tell from the set of leaves that hold, and the event itself, whether a rule matches."""
Look: TypeAlias = Callable[[Event], Mark]


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


Asked = TypeVar("Asked", bound=Question)


class Matcher(Generic[Asked]):
    """Find the rules that match an event."""

    def __init__(self, rules: Sequence[Asked], budget_bytes: int = BUDGET_BYTES) -> None:
        """Take the rules; tables and groups are made when an event needs them."""
        self._rules = tuple(rules)
        self._book = Book(self._rules, Budget(budget_bytes))
        self._pivots = Pivots(self._rules, self._book.budget)
        self._groups: dict[int, Group | None] = {}
        self._routes: dict[tuple[Value | None, ...], Group | None] = {}

    def match(self, event: Event) -> list[Asked]:
        """Return the rules that match, in the order they were given."""
        group = self._group(event)
        if group is None:
            return []
        rules = self._rules
        return [rules[number] for number in group.match(event)]

    def _group(self, event: Event) -> Group | None:
        """Return the group of an event, ``None`` when no rule is about such events."""
        key = (event.get(PIVOTS[0]), event.get(PIVOTS[1]))
        try:
            return self._routes[key]
        except (KeyError, TypeError):  # a list can't be looked up
            pass
        answers = self._pivots.answers(event)
        if answers not in self._groups:
            active = self._pivots.active(answers)
            self._groups[answers] = Group(active, self._book) if active else None
        group = self._groups[answers]
        if not any(isinstance(part, list) for part in key):
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
        for number, rule in enumerate(rules):
            self._by_source.setdefault(rule.source, []).append(number)
        bits: dict[Leaf, int] = {}
        self._bits: dict[int, int] = {}  # by identity: comparing leaves would cost more than all the rest
        self._varying: set[int] = set()
        for query in self._by_source:
            self._add(query, bits)
        for number, rule in enumerate(rules):
            if self._add(rule.detection, bits):
                self._varying.add(number)
        self._tables = [(field, _table(field, bits, Marks({}, 0), budget)) for field in PIVOTS]

    def _add(self, query: Query, bits: dict[Leaf, int]) -> bool:
        """Give the questions of a query about pivots their bits; tell whether it has any."""
        found = [leaf for leaf in leaves(query) if is_pivot(leaf)]
        for leaf in found:
            self._bits[id(leaf)] = bits.setdefault(leaf, 1 << len(bits))
        return bool(found)

    def answers(self, event: Event) -> int:
        """Return which questions about the pivots hold."""
        held = 0
        for field, table in self._tables:
            for value in _listed(event.get(field)):
                held |= table.mark(value).leaves
        return held

    def active(self, answers: int) -> list[int]:
        """Return the numbers of the rules that these answers leave possible, in order."""

        def truth(leaf: Leaf) -> bool | None:
            bit = self._bits.get(id(leaf))
            return None if bit is None else bool(answers & bit)

        found: list[int] = []
        for source, numbers in self._by_source.items():
            if fold(source, truth) != NOTHING:
                found.extend(
                    number
                    for number in numbers
                    if number not in self._varying or fold(self._rules[number].detection, truth) != NOTHING
                )
        return sorted(found)


@dataclass(frozen=True, slots=True)
class Possible:
    """Hold the rules (bit sets) that no watched clause can exclude: their first, or their second, is missing."""

    first: int
    second: int


class Book:
    """Hold what all groups share: numbered leaves, tables, watched clauses, judges."""

    def __init__(self, rules: Sequence[Question], budget: Budget) -> None:
        """Give the leaves of the rules numbers and choose two clauses a rule to watch."""
        self.budget = budget
        self.wholes = [_whole(rule) for rule in rules]
        asked = [list(leaves(whole)) for whole in self.wholes]
        self.fields = [_fields(found) for found in asked]
        self._bits = _number(asked)
        self._marks, self.always = self._watch()
        self._tables: dict[str, Table] = {}
        self._texts: TextTable | None = None
        self._slow: dict[Leaf, Judge] = {}
        self._judges: list[Judge | None] = [None] * len(rules)

    def _watch(self) -> tuple[Marks, Possible]:
        """Choose two clauses a rule, and note which leaf makes which rules possible."""
        first: dict[int, int] = {}
        second: dict[int, int] = {}
        always = [0, 0]
        for number, whole in enumerate(self.wholes):
            found = clauses_of(whole, self._bits)
            for rank, noted in enumerate((first, second)):
                if rank < len(found):
                    _note(noted, found[rank], number)
                else:
                    always[rank] |= 1 << number
        of_bit = {bit: Mark(0, first.get(bit, 0), second.get(bit, 0)) for bit in first.keys() | second.keys()}
        return Marks(of_bit, _union(of_bit)), Possible(*always)

    def table(self, field: str) -> Table:
        """Return the table of a field, made when first asked for."""
        table = self._tables.get(field)
        if table is None:
            table = self._tables[field] = _table(field, self._bits, self._marks, self.budget)
        return table

    def texts(self) -> TextTable:
        """Return the table of keywords."""
        if self._texts is None:
            rows = [(leaf, bit) for leaf, bit in self._bits.items() if not leaf.field]
            self._texts = TextTable(rows, self._marks)
        return self._texts

    def judge(self, number: int) -> Judge:
        """Return the judge of a rule, made when first asked for."""
        judge = self._judges[number]
        if judge is None:
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
                bit = self._bits.get(query)
                if bit is not None:
                    return lambda held, _event: bool(held & bit)
                return self._slow_judge(query)

    def _all(self, children: Sequence[Query]) -> Judge:
        wanted, parts = self._split(children)
        if not parts:
            return lambda held, _event: held & wanted == wanted
        if len(parts) == 1:
            only = parts[0]
            return lambda held, event: held & wanted == wanted and only(held, event)
        return lambda held, event: held & wanted == wanted and all(part(held, event) for part in parts)

    def _any(self, children: Sequence[Query]) -> Judge:
        wanted, parts = self._split(children)
        if not parts:
            return lambda held, _event: bool(held & wanted)
        if len(parts) == 1:
            only = parts[0]
            return lambda held, event: bool(held & wanted) or only(held, event)
        return lambda held, event: bool(held & wanted) or any(part(held, event) for part in parts)

    def _split(self, children: Sequence[Query]) -> tuple[int, list[Judge]]:
        """Return the leaves among ``children`` as one set, and the judges of the others, the slow ones last."""
        wanted = 0
        fast: list[Judge] = []
        slow: list[Judge] = []
        for child in children:
            bit = None if isinstance(child, And | Or | Not | Everything) else self._bits.get(child)
            if bit is not None:
                wanted |= bit
            elif any(is_slow(leaf) for leaf in leaves(child)):
                slow.append(self._compile(child))
            else:
                fast.append(self._compile(child))
        return wanted, fast + slow

    def _slow_judge(self, leaf: Leaf) -> Judge:
        """Return the judge of a leaf that is asked only when its rule is possible."""
        judge = self._slow.get(leaf)
        if judge is not None:
            return judge
        if isinstance(leaf, Regex):
            test = Remembering(value_test(leaf), self.budget)
            read = reader_of(leaf.field) if leaf.field else all_text
            judge = self._slow[leaf] = lambda _held, event: any(map(test, _listed(read(event))))
        else:
            matches = compile_query(leaf)
            judge = self._slow[leaf] = lambda _held, event: matches(event)
        return judge


class Group:
    """Judge events of one kind by the rules about them."""

    def __init__(self, numbers: Sequence[int], book: Book) -> None:
        """Take the numbers of the rules that can match such events."""
        self._book = book
        self.active = _union(1 << number for number in numbers)
        fields = dict.fromkeys(field for number in numbers for field in book.fields[number])
        known = [(field, book.table(field)) for field in fields if field in FIELDS]
        # The answers are looked up by the group, since a call for each value of each event would double its price.
        self._tables = [(field, table.answers, table.mark) for field, table in known]
        self._extra = {field: book.table(field) for field in fields if field and field not in FIELDS}
        self._items: dict[Scalar, Mark] = {}
        self._looks: list[Look] = []
        if self._extra:
            self._looks.append(self._look_at_extra)
            book.budget.join(self)
        if "" in fields:
            self._looks.append(book.texts().mark)

    def match(self, event: Event) -> list[int]:
        """Return the numbers of the rules that match, in order."""
        held, first, second = 0, self._book.always.first, self._book.always.second
        get = event.get
        for field, answers, judge in self._tables:
            value = get(field)
            if value is None:
                continue
            if value.__class__ is list:
                mark = _mark_of_any(cast("list[Scalar]", value), answers, judge)
            else:
                mark = answers.get(cast("Scalar", value)) or judge(cast("Scalar", value))
            if mark[0]:
                held |= mark[0]
                first |= mark[1]
                second |= mark[2]
        for look in self._looks:
            mark = look(event)
            held |= mark[0]
            first |= mark[1]
            second |= mark[2]
        possible = first & second & self.active
        return self._judge(possible, held, event) if possible else []

    def _judge(self, possible: int, held: int, event: Event) -> list[int]:
        """Return the numbers of those possible rules that match."""
        found: list[int] = []
        judge = self._book.judge
        while possible:
            bit = possible & -possible
            possible ^= bit
            number = bit.bit_length() - 1
            if judge(number)(held, event):
                found.append(number)
        return found

    def _look_at_extra(self, event: Event) -> Mark:
        """Return the mark of the fields that the dictionary lacks."""
        direct = self._extra.keys() & event.keys()
        if not direct:
            items = event.get(EXTRA)
            return _mark_of_any(cast("list[str]", items), self._items, self._item) if items else NO_MARK
        marks = [
            self._extra[field].mark(value)
            for field in self._extra
            for value in _listed(reader_of(field)(event))
        ]
        return Mark(*(_union(column) for column in zip(*marks, strict=True))) if marks else NO_MARK

    def _item(self, item: Scalar) -> Mark:
        """Return, and remember, the mark of one ``name=value``."""
        text = str(item)
        name, _, value = text.partition("=")
        table = self._extra.get(name)
        mark = table.mark(value) if table is not None else NO_MARK
        if len(text) <= MAX_REMEMBERED:
            self._book.budget.spend(len(text))
            self._items[text] = mark
        return mark

    def forget(self) -> None:
        """Drop all answers about fields that the dictionary lacks: the tables behind them know most."""
        self._items.clear()


def _mark_of_any(
    values: Iterable[Scalar], answers: Mapping[Scalar, Mark], judge: Callable[[Scalar], Mark]
) -> Mark:
    """Return the mark of several values together."""
    held = first = second = 0
    for value in values:
        mark = answers.get(value) or judge(value)
        if mark[0]:
            held |= mark[0]
            first |= mark[1]
            second |= mark[2]
    return Mark(held, first, second)


def _whole(rule: Question) -> Query:
    """Return what must be judged of a rule where it is active: a source told by pivots alone is known there."""
    if isinstance(rule.source, Everything) or all(is_pivot(leaf) for leaf in leaves(rule.source)):
        return rule.detection
    return And((rule.source, rule.detection))


def _fields(asked: Iterable[Leaf]) -> tuple[str, ...]:
    """Return the fields whose tables the leaves of a rule need; the empty name stands for keywords."""
    return tuple(dict.fromkeys(leaf.field for leaf in asked if leaf.field or not is_slow(leaf)))


def _number(asked: Iterable[Iterable[Leaf]]) -> dict[Leaf, int]:
    """Give each leaf that tables answer a bit; of the others the presence of their field gets one.

    Fields with few leaves come first, so that the sets of most values stay small.
    """
    by_field: dict[str, dict[Leaf, None]] = {}
    for found in asked:
        for leaf in found:
            if not is_slow(leaf):
                by_field.setdefault(leaf.field, {})[leaf] = None
            elif leaf.field:
                by_field.setdefault(leaf.field, {})[Exists(leaf.field)] = None
    ordered = sorted(by_field.values(), key=len)
    return {leaf: 1 << number for number, leaf in enumerate(leaf for row in ordered for leaf in row)}


def _note(of_bit: dict[int, int], clause: Clause, number: int) -> None:
    rest = clause.bits
    while rest:
        bit = rest & -rest
        rest ^= bit
        of_bit[bit] = of_bit.get(bit, 0) | 1 << number


def _table(field: str, bits: Mapping[Leaf, int], marks: Marks, budget: Budget) -> Table:
    return Table(((leaf, bit) for leaf, bit in bits.items() if leaf.field == field), marks, budget)


def _union(sets: Iterable[int]) -> int:
    whole = 0
    for one in sets:
        whole |= one
    return whole


def _listed(value: object) -> Iterable[Scalar]:
    if value is None:
        return ()
    if isinstance(value, str | int | float):
        return (value,)
    return cast("Iterable[Scalar]", value)
