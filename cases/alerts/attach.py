"""Attach detections to alerts inside the caller's transaction.

Detections of one (unit, entity, kind) whose event times lie within ``ATTACH_GAP`` of each other form one alert, so
the result does not depend on the order in which they arrive: a detection that bridges two open alerts merges them.
A detection that is stored already changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from cases.alerts.model import ATTACH_GAP, Status, priority_of
from cases.alerts.tables import alert_history, alerts, detections
from soc_core.clock import Clock, format_instant, parse_instant
from soc_core.jobs import outbox
from soc_core.model.detection import Detection, Severity
from soc_core.organisations.repository import find_asset

_WEIGHED = (
    "id", "organization_id", "entity_zone", "entity_value", "rule_id", "rule_kind", "peer",
    "severity", "confidence", "first_seen", "last_seen", "count",
)  # fmt: skip
SEVERITIES = tuple(sorted(Severity, key=lambda level: level.rank))


@dataclass(frozen=True, slots=True)
class Near:
    """Hold an alert's id and the event times it reaches over."""

    id: str
    first_seen: str
    last_seen: str


class AlertSink:
    """Take detections from the pipeline and keep alerts up to date."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock that dates changes."""
        self._clock = clock

    def take(self, connection: Connection, found: Sequence[Detection]) -> None:
        """Store detections that are new and attach them; order by event time so that ids come out the same."""
        known = self._known(connection, found)
        fresh: dict[str, Detection] = {}
        for detection in found:
            if detection.id not in known:
                fresh.setdefault(detection.id, detection)
        grown: set[str] = set()
        for detection in sorted(fresh.values(), key=lambda item: (item.first_seen, item.id)):
            self._attach(connection, detection, grown)
        for alert_id in sorted(grown):  # once each: a scanner may add thousands to one alert
            self._refresh(connection, alert_id, self._clock())

    def _known(self, connection: Connection, found: Sequence[Detection]) -> set[str]:
        ids = [detection.id for detection in found]
        known: set[str] = set()
        for start in range(0, len(ids), 500):  # SQLite bounds the number of parameters
            part = ids[start : start + 500]
            known.update(connection.scalars(select(detections.c.id).where(detections.c.id.in_(part))))
        return known

    def _attach(self, connection: Connection, detection: Detection, grown: set[str]) -> None:
        """Hang a detection on the alert it belongs to, added to ``grown``, or on a new one."""
        now = self._clock()
        near = self._near(connection, detection)
        if near:
            target = near[0]
            for other in near[1:]:
                _merge(connection, other.id, target.id)
                grown.discard(other.id)
            _insert_detection(connection, detection, target.id, now)
            _widen(connection, target, [*near[1:], detection])
            grown.add(target.id)
            return
        alert_id = "a" + detection.id
        connection.execute(insert(alerts).values(**self._first_values(connection, detection, alert_id, now)))
        _insert_detection(connection, detection, alert_id, now)
        _remember(connection, alert_id, now, "created")
        _publish(connection, "alert.created", detection.organization_id, alert_id, now)

    def _near(self, connection: Connection, detection: Detection) -> list[Near]:
        """Return the alerts it belongs to, oldest first: open ones within the gap, a closed one around it."""
        early = format_instant(parse_instant(detection.first_seen) - ATTACH_GAP)
        late = format_instant(parse_instant(detection.last_seen) + ATTACH_GAP)
        rows = connection.execute(
            select(alerts.c.id, alerts.c.status, alerts.c.first_seen, alerts.c.last_seen)
            .where(
                alerts.c.organization_id == detection.organization_id,
                alerts.c.kind == detection.kind,
                alerts.c.entity_kind == detection.entity.kind,
                alerts.c.entity_zone == detection.entity.zone,
                alerts.c.entity_value == detection.entity.value,
                alerts.c.last_seen >= early,
                alerts.c.first_seen <= late,
            )
            .order_by(alerts.c.first_seen, alerts.c.id)
        ).all()
        opened = [row for row in rows if row.status != Status.CLOSED]
        inside = [
            row
            for row in rows
            if row.status == Status.CLOSED
            and row.first_seen <= detection.first_seen
            and detection.last_seen <= row.last_seen
        ]
        return [Near(row.id, row.first_seen, row.last_seen) for row in opened or inside[:1]]

    def _importance(self, connection: Connection, detection: Detection) -> int:
        entity = detection.entity
        asset = find_asset(connection, detection.organization_id, entity.zone, entity.value)
        return asset.importance if asset is not None else 1

    def _first_values(
        self, connection: Connection, detection: Detection, alert_id: str, now: datetime
    ) -> dict[str, object]:
        at = format_instant(now)
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
            "priority": priority_of(
                detection.severity, self._importance(connection, detection), detection.confidence
            ),
            "status": Status.NEW.value,
            "first_seen": detection.first_seen,
            "last_seen": detection.last_seen,
            "detection_count": 1,
            "event_count": detection.count,
            "version": 1,
            "created_at": at,
            "updated_at": at,
        }

    def _refresh(self, connection: Connection, alert_id: str, now: datetime) -> None:
        """Compute an alert anew from its detections: the most severe one (earliest among equals) gives it its name."""
        rows = connection.execute(
            select(*(detections.c[name] for name in _WEIGHED))
            .where(detections.c.alert_id == alert_id)
            .order_by(detections.c.severity.desc(), detections.c.first_seen, detections.c.id)
        ).all()
        top = rows[0]
        asset = find_asset(connection, top.organization_id, top.entity_zone, top.entity_value)
        importance = asset.importance if asset is not None else 1
        connection.execute(
            update(alerts)
            .where(alerts.c.id == alert_id)
            .values(
                rule_id=top.rule_id,
                rule_kind=top.rule_kind,
                peer=top.peer,
                severity=top.severity,
                priority=max(
                    priority_of(SEVERITIES[row.severity], importance, row.confidence) for row in rows
                ),
                first_seen=min(row.first_seen for row in rows),
                last_seen=max(row.last_seen for row in rows),
                detection_count=len(rows),
                event_count=sum(row.count for row in rows),
                version=alerts.c.version + 1,
                updated_at=format_instant(now),
            )
        )
        _publish(connection, "alert.updated", top.organization_id, alert_id, now)


def _insert_detection(connection: Connection, detection: Detection, alert_id: str, now: datetime) -> None:
    reasons = [{"key": reason.key, "values": dict(reason.values)} for reason in detection.reasons]
    connection.execute(
        insert(detections).values(
            id=detection.id,
            alert_id=alert_id,
            rule_id=detection.rule_id,
            rule_kind=detection.rule_kind,
            kind=detection.kind,
            organization_id=detection.organization_id,
            entity_kind=detection.entity.kind,
            entity_zone=detection.entity.zone,
            entity_value=detection.entity.value,
            peer=detection.peer,
            severity=detection.severity.rank,
            score=detection.score,
            confidence=detection.confidence,
            first_seen=detection.first_seen,
            last_seen=detection.last_seen,
            count=detection.count,
            reasons=orjson.dumps(reasons).decode(),
            evidence=orjson.dumps(detection.evidence).decode(),
            techniques=orjson.dumps(detection.techniques).decode(),
            model_version=detection.model_version,
            created_at=format_instant(now),
        )
    )


def _widen(connection: Connection, alert: Near, by: Sequence[Near | Detection]) -> None:
    """Let an alert reach over what came to it, so that the next detection sees where it lies."""
    first = min([alert.first_seen, *(item.first_seen for item in by)])
    last = max([alert.last_seen, *(item.last_seen for item in by)])
    if (first, last) != (alert.first_seen, alert.last_seen):
        connection.execute(
            update(alerts).where(alerts.c.id == alert.id).values(first_seen=first, last_seen=last)
        )


def _merge(connection: Connection, source: str, target: str) -> None:
    """Move everything of one alert to another and remove it; detections themselves stay as they are."""
    connection.execute(update(detections).where(detections.c.alert_id == source).values(alert_id=target))
    connection.execute(
        update(alert_history).where(alert_history.c.alert_id == source).values(alert_id=target)
    )
    connection.execute(delete(alerts).where(alerts.c.id == source))


def _remember(connection: Connection, alert_id: str, now: datetime, action: str) -> None:
    values = {
        "alert_id": alert_id,
        "at": format_instant(now),
        "actor": "system",
        "action": action,
        "detail": "{}",
    }
    connection.execute(insert(alert_history).values(**values))


def _publish(connection: Connection, topic: str, organization_id: str, alert_id: str, now: datetime) -> None:
    outbox.publish(connection, topic, organization_id, {"alert_id": alert_id}, now=now)
