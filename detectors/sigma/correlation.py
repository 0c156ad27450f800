"""Judge what several events together mean: Sigma correlations over windows of event time.

A timespan slides: any stretch of that length may hold the events. The windows that are judged tumble, and look back
one timespan, so that no stretch is missed; a detection is made by the one window in which it becomes true
(``detectors.anomaly.targets.when_it_becomes_true``), so history and stream agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from operator import attrgetter
from typing import Final

from detectors.anomaly.bounded import BoundedTable, Room, room
from detectors.anomaly.targets import Calendar, Period, when_it_becomes_true
from detectors.base import Site, Window
from detectors.sigma.detector import RULE_KIND, entity_of, peer_of
from detectors.sigma.model import DEFAULT_ENTITY, CorrelationRule, CorrelationType, SigmaRule, to_query
from detectors.sigma.reasons import explain
from soc_core.clock import epoch_us, parse_instant
from soc_core.fields import FIELDS
from soc_core.model.detection import MAX_EVIDENCE, Detection, Reason, make_detection_id
from soc_core.model.event import EVENT_ID, EXTRA, TIMESTAMP, Event, Scalar, values_of
from soc_core.query.evaluate import Matcher, compile_query, reader_of, text_of
from soc_core.query.fields import fields_of
from soc_core.query.tree import Or, Query

MIN_WINDOW: Final = timedelta(minutes=5)
"""Shorter timespans share windows: each window judged costs a question to the store."""
MAX_GROUPS: Final = 20_000
MAX_HITS: Final = 5_000
MAX_ALL: Final = 100_000
MAX_SHOWN: Final = 5
PREFIX: Final = "detectors.sigma.correlation"


@dataclass(frozen=True, slots=True)
class Hit:
    """Note that a base rule matched an event: when, which one (its place in the rule's list), and the counted value."""

    time_us: int
    rule: int
    value: str
    event: Event


@dataclass(slots=True)
class Group:
    """Collect the hits of one group in time order, at most ``MAX_HITS``; ``room`` is what all groups share.

    Those of the look-back may take half of it, so that a busy time never blinds the one after it.
    """

    hits: list[Hit] = field(default_factory=list)
    left_out: int = 0

    def add(self, hit: Hit, shared: Room, *, early: bool) -> None:
        """Add a hit; past the bounds it is only counted."""
        if len(self.hits) < room(MAX_HITS, early=early) and shared.take(early=early):
            self.hits.append(hit)
        else:
            self.left_out += 1


class CorrelationDetector:
    """Be the window detector of one correlation rule."""

    def __init__(self, rule: CorrelationRule) -> None:
        """Compile the base rules."""
        self.id = rule.id
        self.window = max(rule.timespan, MIN_WINDOW)
        self.lookback = rule.timespan
        wholes: list[Query] = [to_query(base) for base in rule.rules]
        self.query: Query = wholes[0] if len(wholes) == 1 else Or(tuple(wholes))
        self.fields = _fields(rule, self.query)
        self._rule = rule
        self._bases: list[tuple[SigmaRule, Matcher]] = [
            (base, compile_query(whole)) for base, whole in zip(rule.rules, wholes, strict=True)
        ]
        self._span_us = rule.timespan // timedelta(microseconds=1)

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:  # noqa: ARG002 a correlation knows no places
        """Return a detection per group for which the correlation becomes true in ``window``, in stable order."""
        calendar = Calendar(window)
        groups: BoundedTable[tuple[str, ...], Group] = BoundedTable(MAX_GROUPS, Group)
        shared = Room(MAX_ALL)
        for batch in batches:
            for event in batch:
                self._take(event, groups, shared, calendar)
        found: list[Detection] = []
        for key, group in groups.items():
            stretch = when_it_becomes_true(
                lambda period, hits=group.hits: self._holds(  # type: ignore[misc] # bound at once
                    [hit for hit in hits if calendar.period(hit.time_us) & period]
                )
            )
            if stretch:
                left_out = group.left_out + groups.left_out
                found.append(self._detection(window, key, stretch, left_out))
        return sorted(found, key=attrgetter("first_seen", "id"))

    def _take(
        self,
        event: Event,
        groups: BoundedTable[tuple[str, ...], Group],
        shared: Room,
        calendar: Calendar,
    ) -> None:
        for number, (base, matches) in enumerate(self._bases):
            if not matches(event):
                continue
            key = self._key(base, event)
            if key is None:
                continue
            time_us = epoch_us(parse_instant(str(event[TIMESTAMP])))
            early = calendar.period(time_us) is Period.BEFORE
            group = groups.visit(key, early=early)
            if group is not None:
                for value in self._values(event):
                    group.add(Hit(time_us, number, value, event), shared, early=early)

    def _key(self, base: SigmaRule, event: Event) -> tuple[str, ...] | None:
        """Return the values the event is grouped by, ``None`` when it lacks one: it belongs to no group."""
        key: list[str] = []
        for places in self._rule.group_by:
            value = _first(event, places[base.id])
            if value is None:
                return None
            key.append(value)
        return tuple(key)

    def _values(self, event: Event) -> list[str]:
        """Return what is counted: the values of a field, else the event once."""
        if not self._rule.counted:
            return [""]
        return [text_of(value).lower() for name in self._rule.counted for value in _all(event, name)]

    def _holds(self, hits: Sequence[Hit]) -> list[Hit] | None:
        """Return the hits of the first stretch of the timespan that satisfies the rule, the fullest for counts."""
        if self._rule.type is CorrelationType.TEMPORAL_ORDERED:
            return self._in_order(hits)
        best: list[Hit] | None = None
        most = -1
        for low, high, count in self._stretches(hits):
            if self._rule.threshold.holds(count) and count > most:
                most, best = count, list(hits[low:high])
        return best

    def _stretches(self, hits: Sequence[Hit]) -> Iterator[tuple[int, int, int]]:
        """Yield the stretch that ends with each hit: where it begins and ends in ``hits``, and what it counts."""
        seen: Counter[str | int] = Counter()
        low = 0
        for high, hit in enumerate(hits, start=1):
            seen[self._counted(hit, high)] += 1
            while hit.time_us - hits[low].time_us > self._span_us:
                gone = self._counted(hits[low], low + 1)
                seen[gone] -= 1
                if not seen[gone]:
                    del seen[gone]
                low += 1
            yield low, high, len(seen)

    def _counted(self, hit: Hit, number: int) -> str | int:
        """Return what makes a hit count anew: its value, its rule, or, for event counts, itself."""
        match self._rule.type:
            case CorrelationType.VALUE_COUNT:
                return hit.value
            case CorrelationType.TEMPORAL:
                return hit.rule
            case _:
                return number

    def _in_order(self, hits: Sequence[Hit]) -> list[Hit] | None:
        """Return the first hits of all base rules that follow each other in the rule's order within the timespan.

        The latest start of each beginning is kept, so one pass is enough: ``chains[n]`` is the youngest chain of the
        first n + 1 rules seen so far.
        """
        chains: list[list[Hit]] = [[] for _ in self._bases]
        for hit in hits:
            if hit.rule == 0:
                chains[0] = [hit]
            elif chains[hit.rule - 1]:
                before = chains[hit.rule - 1]
                if hit.time_us - before[0].time_us <= self._span_us:
                    chains[hit.rule] = [*before, hit]
            if chains[-1]:
                return chains[-1]
        return None

    def _detection(
        self, window: Window, key: tuple[str, ...], stretch: Sequence[Hit], left_out: int
    ) -> Detection:
        head = self._rule.head
        events = list({str(hit.event[EVENT_ID]): hit.event for hit in stretch}.values())
        entity = entity_of(head, events[0])
        anchor = "|".join((window.anchor, *key))
        return Detection(
            id=make_detection_id(head.id, window.organization_id, entity, anchor),
            rule_id=head.id,
            rule_kind=RULE_KIND,
            kind=head.kind,
            organization_id=window.organization_id,
            entity=entity,
            severity=head.severity,
            first_seen=str(events[0][TIMESTAMP]),
            last_seen=str(events[-1][TIMESTAMP]),
            reasons=(*self._reasons(key, stretch, len(events)), *_left_out(left_out)),
            evidence=tuple(str(event[EVENT_ID]) for event in events[:MAX_EVIDENCE]),
            count=len(events),
            peer=peer_of(head, events[0]),
            techniques=head.techniques,
        )

    def _reasons(self, key: tuple[str, ...], stretch: Sequence[Hit], count: int) -> tuple[Reason, ...]:
        seconds = self._rule.timespan // timedelta(seconds=1)
        whole = seconds >= 120 and seconds % 60 == 0
        values: dict[str, Scalar] = {"count": count}
        values["minutes" if whole else "seconds"] = seconds // 60 if whole else seconds
        if self._rule.type is CorrelationType.VALUE_COUNT:
            distinct = sorted({hit.value for hit in stretch})
            values["distinct"] = len(distinct)
            values["examples"] = ", ".join(distinct[:MAX_SHOWN])
        values["group"] = ", ".join(key) or "-"
        reasons = [Reason(f"{PREFIX}.{self._rule.type.value}{'_minutes' * whole}", values)]
        first = {hit.rule: hit.event for hit in reversed(stretch)}
        for number, event in sorted(first.items()):
            reasons.extend(explain(self._rule.rules[number].detection, event)[:2])
        return tuple(reasons)


def _left_out(count: int) -> tuple[Reason, ...]:
    return (Reason(f"{PREFIX}.left_out", {"count": count}),) if count else ()


def _first(event: Event, names: Sequence[str]) -> str | None:
    return next((text_of(value) for name in names for value in _all(event, name)), None)


def _all(event: Event, name: str) -> Sequence[Scalar]:
    if name in FIELDS:
        return values_of(event, name)
    value = reader_of(name)(event)
    return value if isinstance(value, list) else [] if value is None else [value]


def _fields(rule: CorrelationRule, query: Query) -> tuple[str, ...]:
    """Return the dictionary's fields a correlation reads."""
    named = {name for places in rule.group_by for names in places.values() for name in names}
    named |= {*rule.counted, *rule.head.entity, *DEFAULT_ENTITY, *rule.head.peer}
    return tuple(sorted(fields_of(query) | {name if name in FIELDS else EXTRA for name in named}))
