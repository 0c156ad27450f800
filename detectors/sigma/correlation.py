"""Judge what several events together mean: Sigma correlations over windows of event time.

A timespan slides: any stretch of that length may hold the events. The windows that are judged tumble, and look back
far enough that no stretch is missed; a detection is made by the one window in which the correlation becomes true, and
again by each that it fills alone. So history and stream agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Final

from detectors.anomaly.bounded import Room
from detectors.anomaly.targets import Calendar, Period, when_it_becomes_true
from detectors.base import Site, Window
from detectors.sigma import hits as bounds_of
from detectors.sigma.detector import RULE_KIND, entity_of, peer_of
from detectors.sigma.hits import Bounds, Group, Node
from detectors.sigma.model import DEFAULT_ENTITY, CorrelationRule, CorrelationType, SigmaRule, to_query
from detectors.sigma.reasons import explain
from detectors.sigma.stretches import Hit, Stretch, best, held, is_growing, look_back, span_of
from soc_core.clock import epoch_us, parse_instant
from soc_core.fields import FIELDS
from soc_core.model.detection import MAX_EVIDENCE, Detection, Reason, make_detection_id
from soc_core.model.event import EVENT_ID, EXTRA, TIMESTAMP, Event, Scalar
from soc_core.query.evaluate import Matcher, compile_query, text_of
from soc_core.query.fields import fields_of
from soc_core.query.tree import Or, Query

MIN_WINDOW: Final = timedelta(minutes=5)
"""Shorter timespans share windows: each window judged costs a question to the store."""
MAX_SHOWN: Final = 5
PREFIX: Final = "detectors.sigma.correlation"


class CorrelationDetector:
    """Be the window detector of one correlation rule, with all it refers to."""

    def __init__(self, rule: CorrelationRule) -> None:
        """Compile the rules at the bottom."""
        self.id = rule.id
        self.lookback = look_back(rule)
        self.window = max(self.lookback, MIN_WINDOW)
        self._rules: tuple[SigmaRule, ...] = rule.rules
        wholes: list[Query] = [to_query(base) for base in self._rules]
        self.query: Query = wholes[0] if len(wholes) == 1 else Or(tuple(wholes))
        self.fields = _fields(rule, self.query)
        self._rule = rule
        self._growing = is_growing(rule)
        self._matchers: list[Matcher] = [compile_query(whole) for whole in wholes]
        self._numbers = {base.id: number for number, base in enumerate(self._rules)}

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:  # noqa: ARG002 a correlation knows no places
        """Return a detection per group for which the correlation becomes true in ``window``, in stable order."""
        bounds = Bounds(Calendar(window), Room(bounds_of.MAX_ALL))
        node = Node(self._rule, self._numbers)
        for batch in batches:
            for event in batch:
                numbers = [number for number, matches in enumerate(self._matchers) if matches(event)]
                time_us = epoch_us(parse_instant(str(event[TIMESTAMP]))) if numbers else 0
                for number in numbers:
                    node.take(event, number, time_us, bounds)
        found: list[Detection] = []
        for key, group in list(node.groups(bounds)):
            stretch = self._judge(group, bounds.calendar, window)
            if stretch is not None:
                found.append(self._detection(window, key, group, stretch, node.left_out()))
        return sorted(found, key=attrgetter("first_seen", "id"))

    def _judge(self, group: Group, calendar: Calendar, window: Window) -> Stretch | None:
        """Return the stretch by which the correlation becomes true in the window."""
        if not self._growing:
            return self._whole_stretch(group.hits, epoch_us(window.start))

        def holds(period: Period) -> Stretch | None:
            chosen = [hit for hit in group.hits if calendar.period(hit.time_us) & period]
            return best(self._rule, chosen)

        return when_it_becomes_true(holds)

    def _whole_stretch(self, hits: Sequence[Hit], start_us: int) -> Stretch | None:
        """Return the first stretch that ends in the window and holds although the one before did not.

        Where more hits may undo what fewer showed, parts of stretches prove nothing. What goes on is said again when
        a stretch lies in the window as a whole.
        """
        span_us = span_of(self._rule)
        for one in held(self._rule, hits):
            now_us = hits[one.high - 1].time_us
            if now_us >= start_us and (one.rising or now_us - span_us >= start_us):
                return Stretch(hits[one.low : one.high], one.measure)
        return None

    def _detection(
        self, window: Window, key: tuple[str, ...], group: Group, stretch: Stretch, lost: int
    ) -> Detection:
        head = self._rule.head
        known = {str(hit.event[EVENT_ID]): hit.event for hit in stretch.hits}
        events = sorted(known.values(), key=lambda event: (str(event[TIMESTAMP]), str(event[EVENT_ID])))
        entity = entity_of(head, events[0])
        return Detection(
            id=make_detection_id(head.id, window.organization_id, entity, "|".join((window.anchor, *key))),
            rule_id=head.id,
            rule_kind=RULE_KIND,
            kind=head.kind,
            organization_id=window.organization_id,
            entity=entity,
            severity=head.severity,
            first_seen=str(events[0][TIMESTAMP]),
            last_seen=str(events[-1][TIMESTAMP]),
            reasons=(*self._reasons(group, stretch, len(events)), *_left_out(group.left_out + lost)),
            evidence=tuple(str(event[EVENT_ID]) for event in events[:MAX_EVIDENCE]),
            count=len(events),
            peer=peer_of(head, events[0]),
            techniques=head.techniques,
        )

    def _reasons(self, group: Group, stretch: Stretch, count: int) -> tuple[Reason, ...]:
        rule, seconds = self._rule, self._rule.timespan // timedelta(seconds=1)
        whole = seconds >= 120 and seconds % 60 == 0
        values: dict[str, Scalar] = {"count": count, "group": ", ".join(group.shown) or "-"}
        values["minutes" if whole else "seconds"] = seconds // 60 if whole else seconds
        if rule.type is CorrelationType.EVENT_COUNT:
            values["count"] = int(stretch.measure)
        elif rule.type is CorrelationType.VALUE_COUNT:
            distinct = sorted({str(hit.value).replace("\x1f", " / ") for hit in stretch.hits})
            values["distinct"] = len(distinct)
            values["examples"] = ", ".join(distinct[:MAX_SHOWN])
        elif rule.type.measures:
            values |= {"field": _shown_field(rule), "value": text_of(stretch.measure)}
            if rule.type is CorrelationType.VALUE_PERCENTILE:
                values["percentile"] = text_of(rule.percentile)
        reasons = [Reason(f"{PREFIX}.{rule.type.value}{'_minutes' * whole}", values)]
        first: dict[int, Event] = {}
        for hit in stretch.hits:
            first.setdefault(hit.rule, hit.event)
        for number, event in sorted(first.items()):
            reasons.extend(explain(self._rules[number].detection, event)[:2])
        return tuple(reasons)


def _left_out(count: int) -> tuple[Reason, ...]:
    return (Reason(f"{PREFIX}.left_out", {"count": count}),) if count else ()


def _shown_field(rule: CorrelationRule) -> str:
    return ", ".join(dict.fromkeys(name for names in rule.counted[0].values() for name in names))


def _named(rule: CorrelationRule) -> set[str]:
    """Return the event fields by which a correlation and those below it group and count."""
    places: list[Mapping[tuple[str, str], tuple[str, ...]]] = [*rule.group_by, *rule.counted]
    found = {name for place in places for names in place.values() for name in names}
    return found.union(*(_named(part) for part in rule.parts if isinstance(part, CorrelationRule)))


def _fields(rule: CorrelationRule, query: Query) -> tuple[str, ...]:
    """Return the dictionary's fields a correlation reads."""
    named = {*_named(rule), *rule.head.entity, *DEFAULT_ENTITY, *rule.head.peer}
    return tuple(sorted(fields_of(query) | {name if name in FIELDS else EXTRA for name in named}))
