"""Stand between detectors and alerts: states, suppressions and budgets decide, everything is counted.

``decide`` is asked before the pipeline's transaction, ``take`` does the rest inside it. What was set takes effect with
the next chunk: the journal's number tells whether anything changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, Protocol

from sqlalchemy import Connection

from intake.rules import counting
from intake.rules.model import ALL_RULES, STREAM, Defaults, DetectionSink, Outcome, RuleState, Ruling
from intake.rules.repository import list_settings, list_suppressions
from intake.rules.standings import Standings
from soc_core.audit.journal import revision_of
from soc_core.clock import Clock, format_instant
from soc_core.model.detection import Detection, Entity, Reason, Severity, make_detection_id
from soc_core.model.event import EVENT_ID, Event
from soc_core.organisations.repository import OrganisationTree, TreeCache, today
from soc_core.state.database import Database
from soc_core.store.interface import EventReader, Scope

BUDGET_RULE: Final = "rules.over_budget"
BUDGET_KIND: Final = "rule_over_budget"
"""Rule id and kind of the one alert a day that says which rule's budget is spent in a unit."""
RULE_KIND: Final = "rules"


class Policy(Protocol):
    """Decide what becomes of detections before they reach the sink."""

    def decide(self, found: Sequence[Detection], events: Sequence[Event] = ()) -> list[Ruling]:
        """Return what is to become of each; ``events`` are those at hand. Called outside of a transaction."""
        ...

    def take(
        self, connection: Connection, rulings: Sequence[Ruling], sink: DetectionSink, *, once: bool
    ) -> Sequence[Detection]:
        """Pass on to the sink what may become an alert, in the caller's transaction; return what was passed.

        ``once`` says that these can't come again but after a crash before the transaction's end.
        """
        ...


class Openly:
    """Let every detection through and count nothing: for where no rules are kept."""

    def decide(
        self,
        found: Sequence[Detection],
        events: Sequence[Event] = (),  # noqa: ARG002 # as Policy has it
    ) -> list[Ruling]:
        """Let each fire."""
        return [Ruling(detection, Outcome.FIRED) for detection in found]

    def take(
        self,
        connection: Connection,
        rulings: Sequence[Ruling],
        sink: DetectionSink,
        *,
        once: bool,  # noqa: ARG002 # as Policy has it
    ) -> Sequence[Detection]:
        """Pass everything on."""
        found = [ruling.detection for ruling in rulings]
        sink.take(connection, found)
        return found


class RulePolicy:
    """Apply what was set for rules in an installation."""

    def __init__(
        self, database: Database, reader: EventReader, clock: Clock, defaults: Defaults | None = None
    ) -> None:
        """Take where settings are, where the events of windows are read, and how rules start."""
        self.database, self._reader, self._clock = database, reader, clock
        self._trees = TreeCache()
        self._held: tuple[tuple[int, OrganisationTree, date, Defaults], Standings] | None = None
        self.defaults = defaults or Defaults()

    def standings(self) -> Standings:
        """Return how rules stand now."""
        now = self._clock()
        with self.database.read() as connection:
            day, defaults = today(now), self.defaults
            key = (revision_of(connection, STREAM), self._trees.current(connection, day), day, defaults)
            held = self._held
            if held is not None and all(a is b or a == b for a, b in zip(held[0], key, strict=True)):
                return held[1]
            active = list_suppressions(connection, Scope(None), active_at=format_instant(now))
            book = Standings(list_settings(connection), active, key[1], defaults)
        self._held = (key, book)
        return book

    def decide(self, found: Sequence[Detection], events: Sequence[Event] = ()) -> list[Ruling]:
        """Return what is to become of each detection, as things stand now."""
        if not found:
            return []
        book, now = self.standings(), format_instant(self._clock())
        looking = _Evidence(self._reader, events)
        return [book.decide(detection, looking, now) for detection in found]

    def take(
        self, connection: Connection, rulings: Sequence[Ruling], sink: DetectionSink, *, once: bool
    ) -> Sequence[Detection]:
        """Count, hold, and pass on what fires and is within the budget."""
        if not rulings or self._held is None:
            return []
        fresh = _fresh(connection, rulings, sink)
        now = self._clock()
        tally, shelf = counting.Tally(now), counting.Shelf(connection, now)
        book = self._held[1]
        budget = Budget(connection, book, tally)
        passing = [ruling.detection for ruling in fresh if ruling.outcome is Outcome.FIRED]
        taken = sink.take(connection, passing, budget.allows)
        opened = {detection.id for detection in taken.opened}
        for detection in taken.stored:
            tally.add(detection, "fired", *(("opened",) if detection.id in opened else ()))
        quiet = [ruling for ruling in fresh if ruling.outcome in {Outcome.SILENT, Outcome.SUPPRESSED}]
        quiet += [Ruling(detection, Outcome.OVER_BUDGET) for detection in taken.refused]
        counted = [ruling for ruling in quiet if shelf.put(ruling) or once]
        for ruling in counted:
            tally.add(ruling.detection, ruling.outcome.value)
        counting.add_hits(connection, counted)
        shelf.write()
        tally.write(connection)
        told = [
            _spent(detection, place)
            for detection, place in budget.spent
            if book.standing(BUDGET_RULE, detection.organization_id).state is RuleState.ON
        ]
        sink.take(connection, told)
        return [*taken.stored, *told]


def _fresh(connection: Connection, rulings: Sequence[Ruling], sink: DetectionSink) -> list[Ruling]:
    """Return the rulings on detections that were not dealt with before, each once."""
    found = [ruling.detection for ruling in rulings]
    known = sink.known(connection, found) | counting.held_among(connection, found)
    fresh: dict[str, Ruling] = {}
    for ruling in rulings:
        if ruling.detection.id not in known and ruling.outcome is not Outcome.OFF:
            fresh.setdefault(ruling.detection.id, ruling)
    return list(fresh.values())


class Budget:
    """Bound the alerts a rule, and all rules together, may open in a unit on a day of event time."""

    def __init__(self, connection: Connection, book: Standings, tally: counting.Tally) -> None:
        """Take the caller's transaction; what was opened is read when it is first asked for."""
        self._connection, self._book, self._tally = connection, book, tally
        self._opened: dict[counting.Place, int] = {}
        self._read: set[tuple[str, str]] = set()
        self._told: set[tuple[counting.Place, Severity]] = set()
        self.spent: list[tuple[Detection, counting.Place]] = []
        """The first detection refused of each rule (``*``: all together), unit, day and severity."""

    def allows(self, detection: Detection) -> bool:
        """Tell whether the detection may open an alert, and take it off the budget."""
        _rule, unit, day = place = self._tally.place(detection)
        self._look(unit, day)
        whole = (ALL_RULES, unit, day)
        for part in (place, whole):
            if self._opened.get(part, 0) >= self._bound(part, detection):
                if (part, detection.severity) not in self._told:
                    self._told.add((part, detection.severity))
                    self.spent.append((detection, part))
                return False
        for part in (place, whole):
            self._opened[part] = self._opened.get(part, 0) + 1
        return True

    def _bound(self, part: counting.Place, detection: Detection) -> int:
        """Return how many alerts there may be; serious ones have as much again of what all rules share.

        So whoever makes noise can't use up what the serious alerts need.
        """
        budget = self._book.standing(part[0], part[1]).budget
        return (
            budget * 2 if part[0] == ALL_RULES and detection.severity.rank >= Severity.HIGH.rank else budget
        )

    def _look(self, unit: str, day: str) -> None:
        if (unit, day) not in self._read:
            self._read.add((unit, day))
            found = counting.opened_on(self._connection, [(unit, day)])
            self._opened |= found
            self._opened[ALL_RULES, unit, day] = sum(found.values())


def _spent(detection: Detection, place: counting.Place) -> Detection:
    """Return the detection that says that a budget is spent, when ``detection`` would have gone beyond.

    There is one for each severity a day, all of one alert, so that it is as serious as what is held back.
    """
    rule, unit, day = place
    entity = Entity("rule", rule)
    severity = max(detection.severity, Severity.LOW, key=lambda level: level.rank)
    return Detection(
        id=make_detection_id(BUDGET_RULE, unit, entity, f"{day}/{severity.value}"),
        rule_id=BUDGET_RULE,
        rule_kind=RULE_KIND,
        kind=BUDGET_KIND,
        organization_id=unit,
        entity=entity,
        severity=severity,
        first_seen=detection.first_seen,
        last_seen=detection.last_seen,
        reasons=(Reason("detectors.rules.over_budget", {"rule": rule, "day": day}),),
        evidence=detection.evidence[:1],
    )


class _Evidence:
    """Find the events that detections stand on: at hand, else in the store."""

    def __init__(self, reader: EventReader, events: Sequence[Event]) -> None:
        """Take the events at hand."""
        self._reader, self._events = reader, events
        self._by_id: Mapping[str, Event] | None = None

    def __call__(self, detection: Detection) -> Sequence[Event]:
        """Return the events of a detection that are still there; those of a chunk are not asked of the store."""
        if self._by_id is None:
            self._by_id = {str(event.get(EVENT_ID, "")): event for event in self._events}
        here = [self._by_id[id_] for id_ in detection.evidence if id_ in self._by_id]
        if len(here) == len(detection.evidence):
            return here
        found = self._reader.get(detection.evidence, Scope(frozenset({detection.organization_id})))
        return [found[id_] for id_ in detection.evidence if id_ in found]
