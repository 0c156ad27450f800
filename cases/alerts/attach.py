"""Attach detections to alerts inside the caller's transaction.

Detections of one (unit, entity, kind) whose event times lie within ``ATTACH_GAP`` of each other form one alert, so
the result does not depend on the order in which they arrive: a detection that bridges two open alerts merges them.
A detection that is stored already changes nothing.

Where each detection belongs is worked out in memory, from the stored alerts of its entity; what comes out is then
written by a statement a table, since a scanner or a guesser of passwords may bring thousands at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

import orjson
from sqlalchemy import Connection, Row, Select, Table, bindparam, delete, func, insert, select, update

from cases.alerts.model import ATTACH_GAP, Status, priority_of
from cases.alerts.tables import alert_history, alerts, detections
from intake.rules.model import Gate, Taken
from soc_core.clock import Clock, format_instant, moved
from soc_core.jobs import outbox
from soc_core.model.detection import Detection, Severity
from soc_core.organisations.repository import find_assets

SEVERITIES = tuple(sorted(Severity, key=lambda level: level.rank))
AT_ONCE: Final = 500
"""So many ids are asked about by one statement: SQLite bounds the number of parameters."""
LONGEST_NAME: Final = 255
"""Characters of what an alert is about or of the other side: PostgreSQL's indices take no more than 2,704 bytes."""
About = tuple[str, str, str, str, str]
"""What an alert is about: unit, kind, and the entity's kind, zone and value."""
Place = tuple[str, str, str]
"""Where an asset may be: unit, zone, address."""
T = TypeVar("T")

_STORED: Final = (
    select(alerts.c.id, alerts.c.status, alerts.c.first_seen, alerts.c.last_seen)
    .where(
        alerts.c.organization_id == bindparam("unit"),
        alerts.c.kind == bindparam("about"),
        alerts.c.entity_kind == bindparam("entity"),
        alerts.c.entity_zone == bindparam("within"),
        alerts.c.entity_value == bindparam("named"),
        alerts.c.last_seen >= bindparam("early"),
        alerts.c.first_seen <= bindparam("late"),
    )
    .order_by(alerts.c.first_seen, alerts.c.id)
)


@dataclass(slots=True)
class Reach:
    """Hold an alert's id and the event times it reaches over; ``stored`` tells whether it was there before."""

    id: str
    closed: bool
    first_seen: str
    last_seen: str
    stored: bool

    def widen(self, by: Reach | Detection) -> None:
        """Reach over what came to it, so that the next detection sees where it lies."""
        self.first_seen = min(self.first_seen, by.first_seen)
        self.last_seen = max(self.last_seen, by.last_seen)


class AlertSink:
    """Take detections from the pipeline and keep alerts up to date."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock that dates changes."""
        self._clock = clock

    def known(self, connection: Connection, found: Sequence[Detection]) -> set[str]:
        """Return the ids of those that are stored already."""
        return _known(connection, found)

    def take(self, connection: Connection, found: Sequence[Detection], gate: Gate | None = None) -> Taken:
        """Store detections that are new and attach them; order by event time so that ids come out the same.

        Those that would open an alert the gate refuses are not stored but returned.
        """
        known = _known(connection, found)
        fresh: dict[str, Detection] = {}
        for detection in found:
            if detection.id not in known:
                fresh.setdefault(detection.id, _bounded(detection))
        if not fresh:
            return Taken()
        ordered = sorted(fresh.values(), key=lambda item: (item.first_seen, item.id))
        gathering = Gathering(connection, ordered, gate)
        refused = [detection for detection in ordered if not gathering.attach(detection)]
        gathering.write(self._clock())
        return Taken(gathering.stored, gathering.opened, refused)


class Gathering:
    """Work out which alerts detections belong to, and write the outcome at once."""

    def __init__(
        self, connection: Connection, ordered: Sequence[Detection], gate: Gate | None = None
    ) -> None:
        """Take the detections, by time, and read which alerts are near them."""
        self._connection, self._gate = connection, gate
        self._near = _stored_alerts(connection, ordered)
        self._attached: list[tuple[Detection, str]] = []
        self._created: dict[str, Detection] = {}
        self._merged: dict[str, Reach] = {}
        self._into: dict[str, str] = {}
        self._grown: set[str] = set()

    @property
    def stored(self) -> list[Detection]:
        """Return the detections that were attached."""
        return [detection for detection, _alert in self._attached]

    @property
    def opened(self) -> list[Detection]:
        """Return the detections that opened an alert, be it merged with another since."""
        return list(self._created.values())

    def attach(self, detection: Detection) -> bool:
        """Hang a detection on the alert it belongs to, or on a new one; each must not be earlier than the last.

        Returns whether it was attached: the gate may refuse a new alert.
        """
        near = self._reached(detection)
        if not near and self._gate is not None and not self._gate(detection):
            return False
        if not near:
            alert_id = "a" + detection.id
            reach = Reach(alert_id, False, detection.first_seen, detection.last_seen, stored=False)
            self._near[_about(detection)].append(reach)
            self._created[alert_id] = detection
            self._attached.append((detection, alert_id))
            return True
        target = near[0]
        for other in near[1:]:
            self._merge(other, target, self._near[_about(detection)])
        target.widen(detection)
        self._attached.append((detection, target.id))
        self._grown.add(target.id)
        return True

    def _reached(self, detection: Detection) -> list[Reach]:
        """Return the alerts it belongs to, oldest first: open ones within the gap, a closed one around it."""
        early = moved(detection.first_seen, -ATTACH_GAP)
        late = moved(detection.last_seen, ATTACH_GAP)
        about = _about(detection)
        # Detections come by time: what this one comes too late for, no later one reaches.
        ahead = self._near[about] = [reach for reach in self._near[about] if reach.last_seen >= early]
        near = sorted(
            (reach for reach in ahead if reach.first_seen <= late),
            key=lambda reach: (reach.first_seen, reach.id),
        )
        opened = [reach for reach in near if not reach.closed]
        around = (
            reach
            for reach in near
            if reach.first_seen <= detection.first_seen and detection.last_seen <= reach.last_seen
        )
        return opened or list(around)[:1]

    def _merge(self, source: Reach, target: Reach, among: list[Reach]) -> None:
        """Let one alert go on in another; detections themselves stay as they are."""
        target.widen(source)
        among.remove(source)
        self._merged[source.id] = source
        self._into[source.id] = target.id
        self._grown.discard(source.id)

    def _last(self, alert_id: str) -> str:
        """Return the alert that one ended up in, after all merging."""
        while alert_id in self._into:
            alert_id = self._into[alert_id]
        return alert_id

    def write(self, now: datetime) -> None:
        """Write alerts, detections, history and the changes to be published."""
        connection, at = self._connection, format_instant(now)
        created = {name: item for name, item in self._created.items() if name not in self._into}
        importance = _importance(connection, map(_place, created.values()))
        _insert_all(
            connection, alerts, (_first_values(item, name, importance, at) for name, item in created.items())
        )
        self._move_stored()
        _insert_all(
            connection, detections, (_row(item, self._last(name), at) for item, name in self._attached)
        )
        _insert_all(connection, alert_history, (_beginning(self._last(name), at) for name in self._created))
        changes: list[outbox.Outgoing] = [
            ("alert.created", item.organization_id, {"alert_id": name})
            for name, item in self._created.items()
        ]
        units = _refresh(
            connection, sorted(self._grown), at
        )  # once each: a scanner may add thousands to one alert
        changes += [("alert.updated", unit, {"alert_id": name}) for name, unit in units]
        outbox.publish_all(connection, changes, now=now)

    def _move_stored(self) -> None:
        """Move everything of stored alerts that were merged, and remove them."""
        moved = [
            {"source": name, "target": self._last(name)}
            for name, reach in self._merged.items()
            if reach.stored
        ]
        if not moved:
            return
        for table in (detections, alert_history):
            move = update(table).where(table.c.alert_id == bindparam("source"))
            self._connection.execute(move.values(alert_id=bindparam("target")), moved)
        self._connection.execute(delete(alerts).where(alerts.c.id == bindparam("source")), moved)


def _bounded(detection: Detection) -> Detection:
    """Return the detection with names cut to what an index holds: strangers choose them; the events have them whole."""
    entity, peer = detection.entity, detection.peer
    if len(entity.value) <= LONGEST_NAME and len(peer) <= LONGEST_NAME:
        return detection
    short = replace(entity, value=entity.value[:LONGEST_NAME])
    return replace(detection, entity=short, peer=peer[:LONGEST_NAME])


def _known(connection: Connection, found: Sequence[Detection]) -> set[str]:
    known: set[str] = set()
    for part in _parts([detection.id for detection in found], AT_ONCE):
        known.update(connection.scalars(select(detections.c.id).where(detections.c.id.in_(part))))
    return known


def _stored_alerts(connection: Connection, ordered: Iterable[Detection]) -> dict[About, list[Reach]]:
    """Return the stored alerts of all that detections are about, within the times they could reach."""
    bounds: dict[About, tuple[str, str]] = {}
    for detection in ordered:
        about = _about(detection)
        first, last = bounds.get(about, (detection.first_seen, detection.last_seen))
        bounds[about] = min(first, detection.first_seen), max(last, detection.last_seen)
    found: dict[About, list[Reach]] = {}
    names = ("unit", "about", "entity", "within", "named")
    for about, (first, last) in bounds.items():
        early = moved(first, -ATTACH_GAP)
        late = moved(last, ATTACH_GAP)
        key = dict(zip(names, about, strict=True))
        rows = connection.execute(_STORED, {**key, "early": early, "late": late}).all()
        found[about] = [
            Reach(row.id, row.status == Status.CLOSED, row.first_seen, row.last_seen, stored=True)
            for row in rows
        ]
    return found


def _about(detection: Detection) -> About:
    entity = detection.entity
    return detection.organization_id, detection.kind, entity.kind, entity.zone, entity.value


def _place(detection: Detection) -> Place:
    return detection.organization_id, detection.entity.zone, detection.entity.value


def _importance(connection: Connection, places: Iterable[Place]) -> dict[Place, int]:
    """Return how important the assets at these places are; others have 1 and are left out."""
    found: dict[Place, int] = {}
    for part in _parts(sorted(set(places)), AT_ONCE // 3):
        found |= {place: asset.importance for place, asset in find_assets(connection, part).items()}
    return found


def _first_values(
    detection: Detection, alert_id: str, importance: dict[Place, int], at: str
) -> dict[str, object]:
    weight = importance.get(_place(detection), 1)
    return {
        "id": alert_id,
        "organization_id": detection.organization_id,
        "kind": detection.kind,
        "entity_kind": detection.entity.kind,
        "entity_zone": detection.entity.zone,
        "entity_value": detection.entity.value,
        "peer": detection.peer,
        "rule_id": detection.rule_id,
        "rule_kind": detection.rule_kind,
        "severity": detection.severity.rank,
        "priority": priority_of(detection.severity, weight, detection.confidence),
        "status": Status.NEW.value,
        "first_seen": detection.first_seen,
        "last_seen": detection.last_seen,
        "detection_count": 1,
        "event_count": detection.count,
        "version": 1,
        "created_at": at,
        "updated_at": at,
    }


def _refresh(connection: Connection, alert_ids: Sequence[str], at: str) -> list[tuple[str, str]]:
    """Compute alerts anew from their detections; return each with its unit.

    The most severe detection (the earliest among equals) gives an alert its name.
    """
    units: list[tuple[str, str]] = []
    for part in _parts(alert_ids, AT_ONCE):
        tops = connection.execute(_top_of_each(part)).all()
        importance = _importance(
            connection, ((top.organization_id, top.entity_zone, top.entity_value) for top in tops)
        )
        weight = {
            top.alert_id: importance.get((top.organization_id, top.entity_zone, top.entity_value), 1)
            for top in tops
        }
        sums = _sums(connection, part, weight)
        values = [
            {
                "alert": top.alert_id,
                "rule_id": top.rule_id,
                "rule_kind": top.rule_kind,
                "peer": top.peer,
                "severity": top.severity,
                **sums[top.alert_id],
            }
            for top in tops
        ]
        anew = update(alerts).where(alerts.c.id == bindparam("alert"))
        anew = anew.values(version=alerts.c.version + 1, updated_at=at)  # the rest is in the parameters
        connection.execute(anew, values)
        units.extend((top.alert_id, top.organization_id) for top in tops)
    return units


def _top_of_each(alert_ids: Sequence[str]) -> Select[tuple[str, ...]]:
    """Return the question for the most severe, then earliest, detection of each alert, ordered by alert."""
    order = (detections.c.severity.desc(), detections.c.first_seen, detections.c.id)
    place = func.row_number().over(partition_by=detections.c.alert_id, order_by=order)
    shown = (
        "alert_id",
        "organization_id",
        "entity_zone",
        "entity_value",
        "rule_id",
        "rule_kind",
        "peer",
        "severity",
    )
    inner = select(*(detections.c[name] for name in shown), place.label("place"))
    ranked = inner.where(detections.c.alert_id.in_(alert_ids)).subquery("ranked")
    return select(ranked).where(ranked.c.place == 1).order_by(ranked.c.alert_id)


def _sums(
    connection: Connection, alert_ids: Sequence[str], weight: dict[str, int]
) -> dict[str, dict[str, str | int]]:
    """Return of each alert its priority, times and counts over all its detections."""
    key = (detections.c.alert_id, detections.c.severity, detections.c.confidence)
    rows = connection.execute(
        select(
            *key,
            func.min(detections.c.first_seen).label("first_seen"),
            func.max(detections.c.last_seen).label("last_seen"),
            func.count().label("detections"),
            func.sum(detections.c.count).label("events"),
        )
        .where(detections.c.alert_id.in_(alert_ids))
        .group_by(*key)
    ).all()
    of_alert: dict[str, list[Row[tuple[object, ...]]]] = {}
    for row in rows:
        of_alert.setdefault(row.alert_id, []).append(row)
    return {
        alert_id: {
            "priority": max(
                priority_of(SEVERITIES[row.severity], weight[alert_id], row.confidence) for row in found
            ),
            "first_seen": min(row.first_seen for row in found),
            "last_seen": max(row.last_seen for row in found),
            "detection_count": sum(row.detections for row in found),
            "event_count": sum(int(row.events) for row in found),
        }
        for alert_id, found in of_alert.items()
    }


def _row(detection: Detection, alert_id: str, at: str) -> dict[str, object]:
    reasons = [{"key": reason.key, "values": dict(reason.values)} for reason in detection.reasons]
    return {
        "id": detection.id,
        "alert_id": alert_id,
        "rule_id": detection.rule_id,
        "rule_kind": detection.rule_kind,
        "kind": detection.kind,
        "organization_id": detection.organization_id,
        "entity_kind": detection.entity.kind,
        "entity_zone": detection.entity.zone,
        "entity_value": detection.entity.value,
        "peer": detection.peer,
        "severity": detection.severity.rank,
        "score": detection.score,
        "confidence": detection.confidence,
        "first_seen": detection.first_seen,
        "last_seen": detection.last_seen,
        "count": detection.count,
        "reasons": orjson.dumps(reasons).decode(),
        "evidence": orjson.dumps(detection.evidence).decode(),
        "techniques": orjson.dumps(detection.techniques).decode(),
        "model_version": detection.model_version,
        "created_at": at,
    }


def _beginning(alert_id: str, at: str) -> dict[str, object]:
    """Return the entry of an alert's history that says it was created."""
    return {"alert_id": alert_id, "at": at, "actor": "system", "action": "created", "detail": "{}"}


def _insert_all(connection: Connection, table: Table, rows: Iterable[dict[str, object]]) -> None:
    """Insert rows by one statement."""
    listed = list(rows)
    if listed:
        connection.execute(insert(table), listed)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield ``items`` in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
