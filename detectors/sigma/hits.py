"""Collect what counts for a correlation, group by group, within bounds.

A correlation of correlations is a tree: each node groups the hits of its parts by itself. A part that is a
correlation hits by every event that takes part in it, from the instant at which it holds with that event; for a count
it hits once whenever it begins to hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from detectors.anomaly.bounded import BoundedTable, Room, room
from detectors.anomaly.targets import Calendar, Period
from detectors.sigma.model import CorrelationRule, CorrelationType, SigmaRule
from detectors.sigma.stretches import Hit, Number, tell
from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, Event, Scalar, values_of
from soc_core.query.evaluate import fold, reader_of, text_of

MAX_GROUPS: Final = 20_000
MAX_HITS: Final = 5_000
"""Events kept of one group where they are only counted, if the condition asks for no more."""
MAX_ALL: Final = 100_000
MAX_COUNT: Final = MAX_ALL // 4
"""The greatest count a condition may ask for."""
_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?")
_BETWEEN: Final = "\x1f"


@dataclass(slots=True)
class Group:
    """Hold the hits of one group, and its values as they are first written; past the bounds hits are only counted.

    Those of the look-back may take half of the room, so that a busy time never blinds the one after it.
    """

    hits: list[Hit] = field(default_factory=list)
    shown: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(slots=True)
class Bounds:
    """Hold what all nodes of a detector share while it judges a window."""

    calendar: Calendar
    shared: Room


class Node:
    """Group the hits of one correlation's parts."""

    def __init__(self, rule: CorrelationRule, numbers: Mapping[str, int]) -> None:
        """Take the rule and the numbers of the rules at the bottom."""
        self.rule = rule
        self._rules = {number: id_ for id_, number in numbers.items()}
        self._below = [
            Node(part, numbers) if isinstance(part, CorrelationRule) else None for part in rule.parts
        ]
        self._direct: dict[int, list[int]] = {}
        for place, part in enumerate(rule.parts):
            if isinstance(part, SigmaRule):
                self._direct.setdefault(numbers[part.id], []).append(place)
        self._limit = _limit(rule)
        self._groups: BoundedTable[tuple[str, ...], Group] = BoundedTable(MAX_GROUPS, Group)

    def take(self, event: Event, rule: int, time_us: int, bounds: Bounds) -> None:
        """Take an event that matches rule number ``rule``; events come in time order."""
        for place in self._direct.get(rule, ()):
            self._add(place, event, rule, time_us, bounds)
        for node in self._below:
            if node is not None:
                node.take(event, rule, time_us, bounds)

    def groups(self, bounds: Bounds) -> Iterator[tuple[tuple[str, ...], Group]]:
        """Yield the groups with their hits in time order; every event was taken."""
        for place, node in enumerate(self._below):
            if node is not None:
                self._take_from(place, node, bounds)
        for key, group in self._groups.items():
            if any(self._below):
                group.hits.sort(key=lambda hit: (hit.time_us, hit.part, str(hit.event[EVENT_ID])))
            yield key, group

    def left_out(self) -> int:
        """Return how many hits found no group, here and below, and how many no room below."""
        below = [node for node in self._below if node is not None]
        inside = sum(
            group.left_out for node in below for _, group in node._groups.items()
        )  # of the same class
        return self._groups.left_out + inside + sum(node.left_out() for node in below)

    def _take_from(self, place: int, node: Node, bounds: Bounds) -> None:
        """Take what a correlation below says: the events that take part in it, or that it began to hold."""
        pulses = self.rule.type is CorrelationType.EVENT_COUNT
        for _, group in node.groups(bounds):
            for told in tell(node.rule, group.hits):
                if pulses and not told.rising:
                    continue
                fresh = {str(hit.event[EVENT_ID]): hit for hit in told.fresh}
                if pulses:  # once for each of this correlation's groups
                    fresh = {str(self._key(place, hit.rule, hit.event)): hit for hit in told.fresh}
                for hit in fresh.values():
                    self._add(place, hit.event, hit.rule, told.time_us, bounds)

    def _add(self, place: int, event: Event, rule: int, time_us: int, bounds: Bounds) -> None:
        shown = self._key(place, rule, event)
        if shown is None:
            return
        values = self._values(place, rule, event)
        if not values:
            return
        early = bounds.calendar.period(time_us) is Period.BEFORE
        group = self._groups.visit(tuple(fold(text, cased=False) for text in shown), early=early)
        if group is None:
            return
        group.shown = group.shown or shown
        for value in values:
            if len(group.hits) < room(self._limit, early=early) and bounds.shared.take(early=early):
                group.hits.append(Hit(time_us, place, rule, value, event))
            else:
                group.left_out += 1

    def _key(self, place: int, rule: int, event: Event) -> tuple[str, ...] | None:
        """Return the values the event is grouped by, ``None`` when it lacks one: it belongs to no group."""
        return _firsts(self.rule.group_by, (self.rule.parts[place].id, self._rules[rule]), event)

    def _values(self, place: int, rule: int, event: Event) -> Sequence[str | Number]:
        """Return what is counted or measured: values of a field, several fields' first ones, else the event once."""
        counted = self.rule.counted
        if not counted:
            return ("",)
        key = (self.rule.parts[place].id, self._rules[rule])
        if len(counted) > 1:
            firsts = _firsts(counted, key, event)
            return [] if firsts is None else [fold(_BETWEEN.join(firsts), cased=False)]
        found = next(filter(None, (_all(event, name) for name in counted[0][key])), ())
        if self.rule.type.measures:
            return [number for value in found if (number := _number(value)) is not None]
        return [fold(text_of(value), cased=False) for value in found]


def _limit(rule: CorrelationRule) -> int:
    """Return how many hits a group may hold; of those that are only counted no more than the condition needs."""
    if rule.type is not CorrelationType.EVENT_COUNT:
        return MAX_ALL // 2
    return max(MAX_HITS, 2 * most_wanted(rule) + 2)


def most_wanted(rule: CorrelationRule) -> int:
    """Return the greatest number that a correlation's condition compares with, rounded up."""
    return max((int(bound) + 1 for _, bound in rule.threshold.bounds), default=0)


def _firsts(
    fields: Sequence[Mapping[tuple[str, str], tuple[str, ...]]], key: tuple[str, str], event: Event
) -> tuple[str, ...] | None:
    """Return the first value of each field, ``None`` when one has none."""
    found: list[str] = []
    for places in fields:
        value = next((text_of(value) for name in places[key] for value in _all(event, name)), None)
        if value is None:
            return None
        found.append(value)
    return tuple(found)


def _all(event: Event, name: str) -> Sequence[Scalar]:
    if name in FIELDS:
        return values_of(event, name)
    value = reader_of(name)(event)
    return value if isinstance(value, list) else [] if value is None else [value]


def _number(value: Scalar) -> Number | None:
    """Return a number, or the decimal number that a text is, exactly; ``None`` for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None:
            return None
        return Fraction(value)
    return Fraction(value) if value - value == 0 else None
