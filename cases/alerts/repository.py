"""Ask for alerts and change them. Every question takes a scope; there is no way around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select, tuple_, update

from cases.alerts.attach import SEVERITIES
from cases.alerts.model import ALLOWED, Alert, CloseReason, HistoryEntry, Status
from cases.alerts.tables import alert_history, alerts, detections
from soc_core.clock import format_instant
from soc_core.errors import NotAllowedError, UsageError
from soc_core.jobs import outbox
from soc_core.model.detection import Detection, Entity, Reason, Severity
from soc_core.model.event import Scalar
from soc_core.store.interface import Scope


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Narrow a list of alerts; empty parts do not narrow. ``min_severity`` is a level, times bound ``last_seen``."""

    statuses: tuple[str, ...] = ()
    min_severity: Severity | None = None
    kinds: tuple[str, ...] = ()
    organization_ids: frozenset[str] | None = None
    entity: str = ""
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class AlertCursor:
    """Name the last alert of a page: the next page begins after it."""

    priority: int
    last_seen: str
    id: str


class ConflictError(UsageError):
    """Report that the alert was changed by somebody else meanwhile."""


def list_alerts(
    connection: Connection,
    scope: Scope,
    narrow: AlertFilter,
    *,
    limit: int = 50,
    after: AlertCursor | None = None,
) -> list[Alert]:
    """Return alerts by falling priority, then newest last sighting, then id: a total order that pages stably."""
    question = select(alerts).where(*_conditions(scope, narrow))
    if after is not None:
        key = tuple_(alerts.c.priority, alerts.c.last_seen, alerts.c.id)
        question = question.where(key < (after.priority, after.last_seen, after.id))
    order = (alerts.c.priority.desc(), alerts.c.last_seen.desc(), alerts.c.id.desc())
    rows = connection.execute(question.order_by(*order).limit(limit))
    return [_alert(row._mapping) for row in rows]


def count_alerts(connection: Connection, scope: Scope, narrow: AlertFilter) -> int:
    """Return how many alerts match."""
    question = select(func.count()).select_from(alerts).where(*_conditions(scope, narrow))
    return connection.scalar(question) or 0


def count_by(connection: Connection, scope: Scope, narrow: AlertFilter, column: str) -> dict[str, int]:
    """Return counts per ``severity``, ``status``, ``kind`` or ``organization_id`` (severity as its level name)."""
    if column not in {"severity", "status", "kind", "organization_id"}:
        raise UsageError(f"alerts can't be counted by '{column}'")
    by = alerts.c[column]
    question = select(by.label("key"), func.count().label("number")).select_from(alerts)
    rows = connection.execute(question.where(*_conditions(scope, narrow)).group_by(by))
    counts = {row.key: int(row.number) for row in rows}
    return {
        SEVERITIES[key].value if column == "severity" else str(key): number for key, number in counts.items()
    }


def get_alert(connection: Connection, scope: Scope, alert_id: str) -> Alert | None:
    """Return the alert, or ``None`` when there is none inside the scope: outside it looks like it does not exist."""
    question = select(alerts).where(alerts.c.id == alert_id, *_conditions(scope, AlertFilter()))
    row = connection.execute(question).first()
    return None if row is None else _alert(row._mapping)


def detections_of(
    connection: Connection, scope: Scope, alert_id: str, *, limit: int = 200
) -> list[Detection]:
    """Return the alert's detections, most severe first, then oldest."""
    question = select(detections).where(detections.c.alert_id == alert_id)
    if scope.ids is not None:
        question = question.where(detections.c.organization_id.in_(sorted(scope.ids)))
    order = (detections.c.severity.desc(), detections.c.first_seen, detections.c.id)
    return [_detection(row._mapping) for row in connection.execute(question.order_by(*order).limit(limit))]


def history_of(connection: Connection, scope: Scope, alert_id: str) -> list[HistoryEntry]:
    """Return the alert's history, oldest first; empty outside the scope."""
    if get_alert(connection, scope, alert_id) is None:
        return []
    question = (
        select(alert_history).where(alert_history.c.alert_id == alert_id).order_by(alert_history.c.number)
    )
    return [
        HistoryEntry(row.at, row.actor, row.action, orjson.loads(row.detail))
        for row in connection.execute(question)
    ]


@dataclass(frozen=True, slots=True)
class AlertChange:
    """Say who changes what; ``None`` leaves a part alone. ``version`` is the one the caller saw."""

    actor: str
    version: int
    status: Status | None = None
    close_reason: CloseReason | None = None
    assigned_to: str | None = None
    comment: str = ""


def change_alert(
    connection: Connection, scope: Scope, alert_id: str, change: AlertChange, *, now: datetime
) -> Alert:
    """Apply a change and record it.

    Raises ``NotAllowedError`` outside the scope, ``ConflictError`` when the version is old, ``UsageError`` for a step
    that the alert's state does not allow or a closing without reason.
    """
    alert = get_alert(connection, scope, alert_id)
    if alert is None:
        raise NotAllowedError(f"there is no alert '{alert_id}' that you may see")
    if alert.version != change.version:
        raise ConflictError(
            "the alert was changed meanwhile", where=alert_id, todo="read it again and repeat"
        )
    values = _values(alert, change)
    connection.execute(
        update(alerts)
        .where(alerts.c.id == alert_id)
        .values(**values, version=alert.version + 1, updated_at=format_instant(now))
    )
    detail: dict[str, Scalar] = {**values, **({"comment": change.comment} if change.comment else {})}
    connection.execute(
        insert(alert_history).values(
            alert_id=alert_id,
            at=format_instant(now),
            actor=change.actor,
            action=f"status.{values['status']}" if "status" in values else "changed",
            detail=orjson.dumps(detail).decode(),
        )
    )
    outbox.publish(connection, "alert.updated", alert.organization_id, {"alert_id": alert_id}, now=now)
    changed = get_alert(connection, scope, alert_id)
    assert changed is not None  # noqa: S101 - same transaction, same scope
    return changed


def _values(alert: Alert, change: AlertChange) -> dict[str, str]:
    values: dict[str, str] = {}
    if change.status is not None and change.status != alert.status:
        if change.status not in ALLOWED[alert.status]:
            raise UsageError(f"an alert that is {alert.status} can't become {change.status}", where=alert.id)
        values["status"] = change.status.value
    closing = values.get("status") == Status.CLOSED
    if closing and change.close_reason is None:
        raise UsageError("closing an alert needs a reason", where=alert.id)
    if closing and change.close_reason is not None:
        values["close_reason"] = change.close_reason.value
    elif alert.status == Status.CLOSED and "status" in values:
        values["close_reason"] = ""
    if change.assigned_to is not None:
        values["assigned_to"] = change.assigned_to
    return values


def _conditions(scope: Scope, narrow: AlertFilter) -> list[ColumnElement[bool]]:
    ids = scope.ids
    if narrow.organization_ids is not None:
        ids = narrow.organization_ids if ids is None else ids & narrow.organization_ids
    conditions: list[ColumnElement[bool]] = []
    if ids is not None:
        conditions.append(alerts.c.organization_id.in_(sorted(ids)))
    if narrow.statuses:
        conditions.append(alerts.c.status.in_(narrow.statuses))
    if narrow.min_severity is not None:
        conditions.append(alerts.c.severity >= narrow.min_severity.rank)
    if narrow.kinds:
        conditions.append(alerts.c.kind.in_(narrow.kinds))
    if narrow.entity:
        conditions.append(alerts.c.entity_value == narrow.entity)
    if narrow.start:
        conditions.append(alerts.c.last_seen >= narrow.start)
    if narrow.end:
        conditions.append(alerts.c.last_seen < narrow.end)
    return conditions


def _alert(row: RowMapping) -> Alert:
    return Alert(
        id=row["id"],
        organization_id=row["organization_id"],
        kind=row["kind"],
        entity=Entity(row["entity_kind"], row["entity_value"], row["entity_zone"]),
        peer=row["peer"],
        rule_id=row["rule_id"],
        rule_kind=row["rule_kind"],
        severity=SEVERITIES[row["severity"]],
        priority=row["priority"],
        status=Status(row["status"]),
        close_reason=row["close_reason"],
        assigned_to=row["assigned_to"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        detection_count=row["detection_count"],
        event_count=row["event_count"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _detection(row: RowMapping) -> Detection:
    return Detection(
        id=row["id"],
        rule_id=row["rule_id"],
        rule_kind=row["rule_kind"],
        kind=row["kind"],
        organization_id=row["organization_id"],
        entity=Entity(row["entity_kind"], row["entity_value"], row["entity_zone"]),
        severity=SEVERITIES[row["severity"]],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        reasons=_reasons(orjson.loads(row["reasons"])),
        evidence=tuple(orjson.loads(row["evidence"])),
        count=row["count"],
        score=row["score"],
        confidence=row["confidence"],
        peer=row["peer"],
        techniques=tuple(orjson.loads(row["techniques"])),
        model_version=row["model_version"],
    )


def _reasons(stored: Sequence[Mapping[str, object]]) -> tuple[Reason, ...]:
    found = []
    for item in stored:
        values = item["values"]
        found.append(Reason(str(item["key"]), values if isinstance(values, dict) else {}))
    return tuple(found)
