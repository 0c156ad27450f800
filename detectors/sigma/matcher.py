"""Judge events by many rules at once.

Events are sorted into groups by what rules ask about their pivots (data set and code). A group holds what is left of
the rules for such events, a table per field (``tables``), and which rules become possible by which leaf (``clauses``).
An event costs a look-up per field of its group; only rules that are possible by two rare conditions are judged whole.
All that is remembered lies within one budget, whatever the events hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias, cast

from detectors.sigma.clauses import Clause, clauses_of
from detectors.sigma.folding import NOTHING, PIVOTS, Leaf, fold, is_pivot, leaves, pivot_leaves
from detectors.sigma.model import SigmaRule
from detectors.sigma.tables import MAX_REMEMBERED, NO_MARK, Budget, Mark, Marks, Remembering, Table
from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA, Event, Scalar, Value
from soc_core.query.evaluate import all_text, compile_query, reader_of, value_test
from soc_core.query.tree import And, Everything, Exists, Not, Or, Query, Regex, SameAs

BUDGET_BYTES: Final = 48 << 20
MAX_ROUTES: Final = 20_000
Judge: TypeAlias = Callable[[int, Event], bool]
"""Tell from the set of leaves that hold, and the event itself, whether a rule matches."""
_NO_MARKS: Final = Marks({}, 0)


class Matcher:
    """Find the rules that match an event."""

    def __init__(self, rules: Sequence[SigmaRule], budget_bytes: int = BUDGET_BYTES) -> None:
        """Sort the rules by log source; groups are made when their first event comes."""
        self._rules = tuple(rules)
        self._budget = Budget(budget_bytes)
        self._by_source: dict[Query, list[int]] = {}
        for number, rule in enumerate(self._rules):
            self._by_source.setdefault(rule.source, []).append(number)
        asked = [*self._by_source, *(rule.detection for rule in self._rules)]
        bits = {leaf: 1 << number for number, leaf in enumerate(pivot_leaves(asked))}
        self._pivots = [(field, _table(field, bits, self._budget)) for field in PIVOTS]
        # By identity: comparing leaves would cost more than all the rest of making a group.
        self._pivot_bits = {
            id(leaf): bits[leaf] for query in asked for leaf in leaves(query) if is_pivot(leaf)
        }
        self._varying = {
            number
            for number, rule in enumerate(self._rules)
            if any(id(leaf) in self._pivot_bits for leaf in leaves(rule.detection))
        }
        self._groups: dict[int, Group | None] = {}
        self._routes: dict[tuple[Value | None, ...], Group | None] = {}

    def match(self, event: Event) -> list[SigmaRule]:
        """Return the rules that match, in the order they were given."""
        group = self._group(event)
        if group is None:
            return []
        rules = self._rules
        return [rules[number] for number in group.match(event)]

    def _group(self, event: Event) -> Group | None:
        """Return the group of an event, ``None`` when no rule is about such events."""
        dataset, code = event.get(PIVOTS[0]), event.get(PIVOTS[1])
        key = (dataset, code)
        try:
            return self._routes[key]
        except (KeyError, TypeError):  # a list can't be looked up
            pass
        answers = 0
        for field, table in self._pivots:
            for value in _listed(event.get(field)):
                answers |= table.mark(value).leaves
        if answers not in self._groups:
            self._groups[answers] = self._make(answers)
        group = self._groups[answers]
        if not isinstance(dataset, list) and not isinstance(code, list):
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[key] = group
        return group

    def _make(self, answers: int) -> Group | None:
        """Return the group for one set of answers about the pivots."""
        bits = self._pivot_bits

        def truth(leaf: Leaf) -> bool | None:
            bit = bits.get(id(leaf))
            return None if bit is None else bool(answers & bit)

        left: list[tuple[int, Query]] = []
        for source, numbers in self._by_source.items():
            events = fold(source, truth)
            if events == NOTHING:
                continue
            for number in numbers:
                rest = self._rules[number].detection
                if number in self._varying:
                    rest = fold(rest, truth)
                if rest != NOTHING:
                    left.append((number, rest if isinstance(events, Everything) else And((events, rest))))
        return Group(sorted(left, key=lambda row: row[0]), self._budget) if left else None


class Group:
    """Judge events of one kind by the rules about them."""

    def __init__(self, rules: Sequence[tuple[int, Query]], budget: Budget) -> None:
        """Take (number, query) of each rule."""
        self._rules = rules
        self._budget = budget
        self._slow: dict[Leaf, Judge] = {}
        self._bits = self._number(query for _, query in rules)
        self._judges: list[Judge | None] = [None] * len(rules)
        marks = self._watch()
        fields = dict.fromkeys(leaf.field for leaf in self._bits)
        known = [(field, _table(field, self._bits, budget, marks)) for field in fields if field in FIELDS]
        self._known = known
        # The answers are looked up here, since a call for each value of each event would double its price.
        self._tables = [(field, table.answers, table.mark) for field, table in known]
        self._extra = {
            field: _table(field, self._bits, budget, marks)
            for field in fields
            if field and field not in FIELDS
        }
        self._items: dict[Scalar, Mark] = {}
        self._keywords = _table("", self._bits, budget, marks)
        self._looks: list[Callable[[Event], Mark]] = []
        if self._extra:
            self._looks.append(self._look_at_extra)
        if "" in fields:
            self._looks.append(self._look_at_texts)
        budget.join(self)

    def _number(self, queries: Iterable[Query]) -> dict[Leaf, int]:
        """Give each leaf that tables answer a bit; of the others the presence of their field gets one."""
        found: dict[Leaf, None] = {}
        for query in queries:
            for leaf in leaves(query):
                slow = isinstance(leaf, Regex | SameAs)
                if not slow:
                    found[leaf] = None
                elif leaf.field:
                    found[Exists(leaf.field)] = None
        return {leaf: 1 << number for number, leaf in enumerate(found)}

    def _watch(self) -> Marks:
        """Choose two clauses a rule, and note which leaf makes which rules possible."""
        always_first = always_second = 0
        first: dict[int, int] = {}
        second: dict[int, int] = {}
        for place, (_, query) in enumerate(self._rules):
            found = clauses_of(query, self._bits)
            if not found:
                always_first |= 1 << place
            else:
                _note(first, found[0], place)
            if len(found) < 2:
                always_second |= 1 << place
            else:
                _note(second, found[1], place)
        of_bit = {bit: Mark(0, first.get(bit, 0), second.get(bit, 0)) for bit in first.keys() | second.keys()}
        self._always = Mark(0, always_first, always_second)
        return Marks(of_bit, _union(of_bit))

    def match(self, event: Event) -> list[int]:
        """Return the numbers of the rules that match, in order."""
        held, first, second = self._always
        get = event.get
        for field, answers, judge in self._tables:
            value = get(field)
            if value is None:
                continue
            if value.__class__ is list:
                mark = self._any_of(cast("list[Scalar]", value), answers, judge)
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
        possible = first & second
        return self._judge(possible, held, event) if possible else []

    @staticmethod
    def _any_of(
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

    def _look_at_extra(self, event: Event) -> Mark:
        """Return the mark of the fields that the dictionary lacks."""
        direct = self._extra.keys() & event.keys()
        if not direct:
            items = event.get(EXTRA)
            return self._any_of(cast("list[str]", items), self._items, self._item) if items else NO_MARK
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
            self._budget.spend(len(text))
            self._items[text] = mark
        return mark

    def _look_at_texts(self, event: Event) -> Mark:
        """Return the mark of all texts of the event: what keywords are looked for in."""
        return self._any_of(all_text(event), self._keywords.answers, self._keywords.mark)

    def _judge(self, possible: int, held: int, event: Event) -> list[int]:
        """Return the numbers of those possible rules that match."""
        found: list[int] = []
        while possible:
            bit = possible & -possible
            possible ^= bit
            place = bit.bit_length() - 1
            judge = self._judges[place]
            if judge is None:
                judge = self._judges[place] = self._compile(self._rules[place][1])
            if judge(held, event):
                found.append(self._rules[place][0])
        return found

    def tables(self) -> list[tuple[str, Table]]:
        """Return all tables with the names of their fields; the empty name is that of keywords."""
        return [*self._known, *self._extra.items(), ("", self._keywords)]

    def forget(self) -> None:
        """Drop all answers about fields that the dictionary lacks: the tables behind them know most."""
        self._items.clear()

    def _compile(self, query: Query) -> Judge:
        """Return the judge of one rule."""
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
                if bit is not None and not isinstance(query, Regex | SameAs):
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
            elif any(isinstance(leaf, Regex | SameAs) for leaf in leaves(child)):
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
            test = Remembering(value_test(leaf), self._budget)
            read = reader_of(leaf.field) if leaf.field else all_text
            judge = self._slow[leaf] = lambda _held, event: any(map(test, _listed(read(event))))
        else:
            matches = compile_query(leaf)
            judge = self._slow[leaf] = lambda _held, event: matches(event)
        return judge


def _note(of_bit: dict[int, int], clause: Clause, place: int) -> None:
    rest = clause.bits
    while rest:
        bit = rest & -rest
        rest ^= bit
        of_bit[bit] = of_bit.get(bit, 0) | 1 << place


def _table(field: str, bits: dict[Leaf, int], budget: Budget, marks: Marks = _NO_MARKS) -> Table:
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
