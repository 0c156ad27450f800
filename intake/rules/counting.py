"""Count what became of detections, by rule, unit and day of event time, and hold those that opened no alert.

Detections come again: windows are judged anew when late events come, and after a crash. What is stored or held is
known by its id and not counted twice. Held detections are bounded: of each rule, unit and day ``MOST_HELD`` are kept,
and ``HELD_DAYS`` long; beyond that single events are still counted, since the cursor passes them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import orjson
from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, text, update

from intake.rules.model import Outcome, Ruling
from intake.rules.tables import costs, counts, held, suppressions
from soc_core.clock import LOCAL_ZONE, local_time, parse_instant
from soc_core.model.detection import Detection

MOST_HELD: Final = 200
HELD_DAYS: Final = 90
COUNT_DAYS: Final = 400
EVIDENCE: Final = 5
LONGEST_NAME: Final = 255
AT_ONCE: Final = 500
Place = tuple[str, str, str]
"""What is counted by: rule, unit, day."""
_COLUMNS: Final = ("fired", "silent", "suppressed", "over_budget", "opened")
_ADD: Final = text(
    "INSERT INTO rule_counts (rule_id, organization_id, day, fired, silent, suppressed, over_budget, opened, last_at)"
    " VALUES (:rule_id, :organization_id, :day, :fired, :silent, :suppressed, :over_budget, :opened, :last_at)"
    " ON CONFLICT (rule_id, organization_id, day) DO UPDATE SET fired = rule_counts.fired + excluded.fired,"
    " silent = rule_counts.silent + excluded.silent, suppressed = rule_counts.suppressed + excluded.suppressed,"
    " over_budget = rule_counts.over_budget + excluded.over_budget, opened = rule_counts.opened + excluded.opened,"
    " last_at = CASE WHEN excluded.last_at > rule_counts.last_at"
    " THEN excluded.last_at ELSE rule_counts.last_at END"
)
"""SQLite and PostgreSQL both understand it."""


def day_of(instant: str, now: datetime) -> str:
    """Return the local day of an event time, moved between the oldest day that is kept and tomorrow.

    A device whose clock is wrong so makes no rows of days without end.
    """
    local = local_time(parse_instant(instant), LOCAL_ZONE).date()
    today = now.astimezone(LOCAL_ZONE).date()
    return min(max(local, today - timedelta(days=COUNT_DAYS)), today + timedelta(days=1)).isoformat()


class Tally:
    """Add up what one transaction counts, and write it at once."""

    def __init__(self, now: datetime) -> None:
        """Begin with nothing; ``now`` bounds the days."""
        self._now = now
        self._amounts: dict[Place, dict[str, int]] = {}
        self._last: dict[Place, str] = {}

    def place(self, detection: Detection) -> Place:
        """Return what a detection is counted by."""
        return detection.rule_id, detection.organization_id, day_of(detection.first_seen, self._now)

    def add(self, detection: Detection, *columns: str) -> None:
        """Count a detection in some columns."""
        place = self.place(detection)
        amounts = self._amounts.setdefault(place, dict.fromkeys(_COLUMNS, 0))
        for column in columns:
            amounts[column] += 1
        self._last[place] = max(self._last.get(place, ""), detection.last_seen)

    def write(self, connection: Connection) -> None:
        """Add the amounts to the table."""
        rows = [
            {
                "rule_id": rule,
                "organization_id": unit,
                "day": day,
                "last_at": self._last[rule, unit, day],
                **amounts,
            }
            for (rule, unit, day), amounts in sorted(self._amounts.items())
        ]
        if rows:
            connection.execute(_ADD, rows)


def held_among(connection: Connection, found: Sequence[Detection]) -> set[str]:
    """Return the ids of those that are held already."""
    known: set[str] = set()
    for start in range(0, len(found), AT_ONCE):
        part = [detection.id for detection in found[start : start + AT_ONCE]]
        known.update(connection.scalars(select(held.c.id).where(held.c.id.in_(part))))
    return known


class Shelf:
    """Hold detections that open no alert, as many as there is room for."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        """Take the caller's transaction."""
        self._connection, self._now = connection, now
        self._room: dict[Place, int] = {}
        self._rows: list[dict[str, object]] = []

    def put(self, ruling: Ruling) -> bool:
        """Hold a detection; return whether there was room, so that it is known when it comes again."""
        detection = ruling.detection
        place = detection.rule_id, detection.organization_id, day_of(detection.first_seen, self._now)
        room = self._room.get(place)
        if room is None:
            same = (held.c.rule_id == place[0], held.c.organization_id == place[1], held.c.day == place[2])
            room = MOST_HELD - (
                self._connection.scalar(select(func.count()).select_from(held).where(*same)) or 0
            )
        self._room[place] = room - 1
        if room > 0:
            self._rows.append(_row(ruling, place[2]))
        return room > 0

    def write(self) -> None:
        """Write what was put."""
        if self._rows:
            self._connection.execute(insert(held), self._rows)


def _row(ruling: Ruling, day: str) -> dict[str, object]:
    detection = ruling.detection
    return {
        "id": detection.id,
        "rule_id": detection.rule_id,
        "organization_id": detection.organization_id,
        "day": day,
        "outcome": ruling.outcome.value,
        "suppression_id": ruling.suppression_id,
        "kind": detection.kind,
        "entity_kind": detection.entity.kind,
        "entity_zone": detection.entity.zone,
        "entity_value": detection.entity.value[:LONGEST_NAME],
        "peer": detection.peer[:LONGEST_NAME],
        "severity": detection.severity.rank,
        "first_seen": detection.first_seen,
        "last_seen": detection.last_seen,
        "count": detection.count,
        "evidence": orjson.dumps(detection.evidence[:EVIDENCE]).decode(),
    }


def opened_on(connection: Connection, days: Iterable[tuple[str, str]]) -> dict[Place, int]:
    """Return how many alerts each rule opened in units on days (unit, day)."""
    found: dict[Place, int] = {}
    for unit, day in sorted(set(days)):
        question = select(counts.c.rule_id, counts.c.opened).where(
            counts.c.organization_id == unit, counts.c.day == day
        )
        for row in connection.execute(question):
            found[row.rule_id, unit, day] = int(row.opened)
    return found


def add_hits(connection: Connection, rulings: Iterable[Ruling]) -> None:
    """Count the hits of suppressions."""
    hits: dict[str, int] = {}
    last: dict[str, str] = {}
    for ruling in rulings:
        if ruling.outcome is Outcome.SUPPRESSED:
            id_ = ruling.suppression_id
            hits[id_] = hits.get(id_, 0) + 1
            last[id_] = max(last.get(id_, ""), ruling.detection.last_seen)
    if not hits:
        return
    later = case(
        (suppressions.c.last_hit_at > bindparam("at"), suppressions.c.last_hit_at), else_=bindparam("at")
    )
    changed = update(suppressions).where(suppressions.c.id == bindparam("of_id"))
    changed = changed.values(hits=suppressions.c.hits + bindparam("more"), last_hit_at=later)
    parameters = [{"of_id": id_, "more": hits[id_], "at": last[id_]} for id_ in sorted(hits)]
    connection.execute(changed, parameters)


def prune(connection: Connection, now: datetime) -> None:
    """Forget held detections and counts that are older than they are kept."""
    today = now.astimezone(LOCAL_ZONE).date()
    for table, days in ((held, HELD_DAYS), (counts, COUNT_DAYS)):
        oldest = (today - timedelta(days=days)).isoformat()
        connection.execute(delete(table).where(table.c.day < oldest))


def put_costs(connection: Connection, found: Mapping[str, tuple[int, int]], at: str) -> None:
    """Add to what rules cost: µs of processor time, and on how many events they were judged."""
    rows = [
        {"rule_id": id_, "cpu_us": us, "judged": judged, "at": at}
        for id_, (us, judged) in sorted(found.items())
    ]
    if rows:
        connection.execute(
            text(
                "INSERT INTO rule_costs (rule_id, cpu_us, judged, updated_at) VALUES (:rule_id, :cpu_us, :judged, :at)"
                " ON CONFLICT (rule_id) DO UPDATE SET cpu_us = rule_costs.cpu_us + excluded.cpu_us,"
                " judged = rule_costs.judged + excluded.judged, updated_at = excluded.updated_at"
            ),
            rows,
        )


def costs_of(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return by rule what it cost in the whole installation: µs of processor time, events judged."""
    return {row.rule_id: (int(row.cpu_us), int(row.judged)) for row in connection.execute(select(costs))}
