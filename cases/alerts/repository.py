"""Ask for alerts and change them. Every question takes a scope; there is no way around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    RowMapping,
    Select,
    TextClause,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)

from cases.alerts.attach import SEVERITIES
from cases.alerts.model import ALLOWED, OPEN, Alert, CloseReason, HistoryEntry, Status, Step, highest_priority
from cases.alerts.tables import HELP, alert_history, alerts, detections
from cases.alerts.tables import OPEN as OPEN_ONLY
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import ConflictError, NotAllowedError, UsageError
from soc_core.jobs import outbox
from soc_core.model.detection import Detection, Entity, Reason, Severity
from soc_core.model.event import Scalar
from soc_core.organisations.tables import organisations
from soc_core.state.among import among
from soc_core.store.interface import Scope

Condition = ColumnElement[bool] | TextClause
NEAR: Final = 1_000
"""So many alerts from the beginning of the common order are looked through for those of the units asked for."""
MERGED_UNITS: Final = 400
"""Up to this many units each gives its first alerts, which are merged; above, the whole order is walked."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Narrow a list of alerts; empty parts do not narrow.

    ``min_severity`` is that level and above, ``severities`` exactly these; times bound ``last_seen``; ``address`` is
    the beginning of what the alert is about or of the other side; ``help_wanted`` keeps those where a school asks.
    """

    statuses: tuple[str, ...] = ()
    min_severity: Severity | None = None
    severities: tuple[Severity, ...] = ()
    kinds: tuple[str, ...] = ()
    organization_ids: frozenset[str] | None = None
    entity: str = ""
    address: str = ""
    assigned_to: str = ""
    help_wanted: bool = False
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class AlertCursor:
    """Name the last alert of a page: the next page begins after it."""

    priority: int
    last_seen: str
    id: str


def list_alerts(
    connection: Connection,
    scope: Scope,
    narrow: AlertFilter,
    *,
    limit: int = 50,
    after: AlertCursor | None = None,
) -> list[Alert]:
    """Return alerts by falling priority, then newest last sighting, then id: a total order that pages stably."""
    ids = _seen(scope, narrow)
    beyond: list[Condition] = []
    if after is not None:
        key = tuple_(alerts.c.priority, alerts.c.last_seen, alerts.c.id)
        beyond.append(key < (after.priority, after.last_seen, after.id))
    for question in _plans(connection, ids, narrow, beyond, limit):
        rows = connection.execute(question).all()
        if len(rows) == limit:
            break
    return [_alert(row._mapping) for row in rows]


def _plans(
    connection: Connection,
    ids: frozenset[str] | None,
    narrow: AlertFilter,
    beyond: list[Condition],
    limit: int,
) -> Iterator[Select[Any]]:
    """Yield questions with the same answer, the next to be asked where one did not fill the page; the last always does.

    What narrows most decides: an address has an index of its own; many or busy units fill a page from the first
    alerts of the common order; few or quiet ones are merged unit by unit, which PostgreSQL does by ``lateral`` joins
    and SQLite, which has none, by subqueries.
    """
    conditions = [*_conditions(narrow), *beyond]
    everything = select(alerts).order_by(*_order(alerts)).limit(limit)
    if ids is None:
        yield everything.where(*conditions)
        return
    within = _of_units(connection, ids, narrow)
    if narrow.address or narrow.entity or narrow.assigned_to or narrow.help_wanted:
        yield everything.where(within, *conditions)
        return
    state: list[Condition] = [OPEN_ONLY] if _only_open(narrow) else []
    if narrow.severities:
        state.append(alerts.c.priority <= max(map(highest_priority, narrow.severities)))
    first = select(alerts.c.id, alerts.c.organization_id).where(*state, *beyond)
    near = first.order_by(*_order(alerts)).limit(NEAR).subquery("near")
    ours = select(near.c.id).where(among(connection, near.c.organization_id, ids))
    yield everything.where(alerts.c.id.in_(ours), within, *conditions)
    if len(ids) <= MERGED_UNITS:
        merged = _merged_laterally if connection.dialect.name == "postgresql" else _merged
        yield merged(among(connection, organisations.c.id, ids), conditions, limit)
    else:
        yield everything.where(_unindexed_units(connection, ids), *conditions)


def _of_units(connection: Connection, ids: frozenset[str], narrow: AlertFilter) -> Condition:
    if narrow.address or narrow.entity:
        return _unindexed_units(connection, ids)
    return among(connection, alerts.c.organization_id, ids)


def _unindexed_units(connection: Connection, ids: frozenset[str]) -> Condition:
    """Return the condition in a form no index serves: else SQLite reads all alerts of many units one after another.

    PostgreSQL knows how many there are and needs no help.
    """
    unit = alerts.c.organization_id
    return among(connection, unit if connection.dialect.name == "postgresql" else unit + "", ids)


def _order(table: FromClause) -> tuple[ColumnElement[int], ColumnElement[str], ColumnElement[str]]:
    return (table.c.priority.desc(), table.c.last_seen.desc(), table.c.id.desc())


def _merged(units: Condition, conditions: Sequence[Condition], limit: int) -> Select[Any]:
    """Return the question that merges the first ``limit`` of each unit: its cost follows units, not alerts."""
    first = (
        select(alerts.c.id)
        .where(alerts.c.organization_id == organisations.c.id, *conditions)
        .order_by(*_order(alerts))
        .limit(limit)
        .correlate(organisations)
    )
    shown = alerts.alias("shown")
    question: Select[Any] = select(shown).select_from(organisations.join(shown, shown.c.id.in_(first)))
    return question.where(units).order_by(*_order(shown)).limit(limit)


def _merged_laterally(units: Condition, conditions: Sequence[Condition], limit: int) -> Select[Any]:
    """Return the question of ``_merged`` in the form that PostgreSQL answers unit by unit."""
    first = select(alerts).where(alerts.c.organization_id == organisations.c.id, *conditions)
    shown = first.order_by(*_order(alerts)).limit(limit).correlate(organisations).lateral("shown")
    question: Select[Any] = select(shown).select_from(organisations.join(shown, true()))
    return question.where(units).order_by(*_order(shown)).limit(limit)


def count_alerts(
    connection: Connection, scope: Scope, narrow: AlertFilter, *, most: int = 1_000_000_000
) -> int:
    """Return how many alerts match, counting no further than ``most``."""
    question = (
        select(literal_column("1", Integer))
        .select_from(alerts)
        .where(*_within(connection, scope, narrow))
        .limit(most)
    )
    return connection.scalar(select(func.count()).select_from(question.subquery())) or 0


def count_by(connection: Connection, scope: Scope, narrow: AlertFilter, column: str) -> dict[str, int]:
    """Return counts per ``severity``, ``status``, ``kind`` or ``organization_id`` (severity as its level name)."""
    if column not in {"severity", "status", "kind", "organization_id"}:
        raise UsageError(f"alerts can't be counted by '{column}'")
    by = alerts.c[column]
    question = select(by.label("key"), func.count().label("number")).select_from(alerts)
    rows = connection.execute(question.where(*_within(connection, scope, narrow)).group_by(by))
    counts = {row.key: int(row.number) for row in rows}
    return {
        SEVERITIES[key].value if column == "severity" else str(key): number for key, number in counts.items()
    }


def count_open(connection: Connection, scope: Scope, start: str = "") -> dict[str, dict[Severity, int]]:
    """Return how many alerts last seen since ``start`` are open, per unit and severity; zeros are left out."""
    narrow = AlertFilter(statuses=tuple(OPEN), start=start)
    by = (alerts.c.organization_id, alerts.c.severity)
    question = (
        select(*by, func.count().label("number")).where(*_within(connection, scope, narrow)).group_by(*by)
    )
    counts: dict[str, dict[Severity, int]] = {}
    for row in connection.execute(question):
        counts.setdefault(row.organization_id, {})[SEVERITIES[row.severity]] = int(row.number)
    return counts


def get_alert(connection: Connection, scope: Scope, alert_id: str) -> Alert | None:
    """Return the alert, or ``None`` when there is none inside the scope: outside it looks like it does not exist."""
    question = select(alerts).where(alerts.c.id == alert_id, *_within(connection, scope, AlertFilter()))
    row = connection.execute(question).first()
    return None if row is None else _alert(row._mapping)


def detections_of(
    connection: Connection, scope: Scope, alert_id: str, *, limit: int = 200
) -> list[Detection]:
    """Return the alert's detections, most severe first, then oldest."""
    question = select(detections).where(detections.c.alert_id == alert_id)
    if scope.ids is not None:
        question = question.where(among(connection, detections.c.organization_id, scope.ids))
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


def list_steps(
    connection: Connection, scope: Scope, *, before: int | None = None, limit: int = 50
) -> list[Step]:
    """Return what people did to alerts (not what the system did), newest first, before the step ``before``."""
    entry = alert_history.c
    question = (
        select(entry.number, entry.at, entry.actor, entry.action, entry.detail, alerts)
        .join(alerts, alerts.c.id == entry.alert_id)
        .where(entry.actor != "system", *_within(connection, scope, AlertFilter()))
    )
    if before is not None:
        question = question.where(entry.number < before)
    rows = connection.execute(question.order_by(entry.number.desc()).limit(limit))
    return [
        Step(
            row.number,
            _alert(row._mapping),
            HistoryEntry(row.at, row.actor, row.action, orjson.loads(row.detail)),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class AlertChange:
    """Say who changes what; ``None`` leaves a part alone. ``version`` is the one the caller saw."""

    actor: str
    version: int
    status: Status | None = None
    close_reason: CloseReason | None = None
    assigned_to: str | None = None
    help_wanted: bool | None = None
    comment: str = ""


def change_alert(
    connection: Connection, scope: Scope, alert_id: str, change: AlertChange, *, now: datetime
) -> Alert:
    """Apply a change and record it; closing also ends a call for help.

    Raises ``NotAllowedError`` outside the scope, ``ConflictError`` when the version is old, ``UsageError`` for a step
    that the alert's state does not allow or a closing without reason.
    """
    alert = _need(connection, scope, alert_id)
    if alert.version != change.version:
        raise ConflictError(
            "the alert was changed meanwhile", where=alert_id, todo="read it again and repeat"
        )
    values = _values(alert, change)
    connection.execute(
        update(alerts)
        .where(alerts.c.id == alert_id, *_within(connection, scope, AlertFilter()))
        .values(**values, version=alert.version + 1, updated_at=format_instant(now))
    )
    detail: dict[str, Scalar] = {**values, **({"comment": change.comment} if change.comment else {})}
    _remember(
        connection, scope, alert_id, HistoryEntry(format_instant(now), change.actor, _action(values), detail)
    )
    outbox.publish(connection, "alert.updated", alert.organization_id, {"alert_id": alert_id}, now=now)
    return _need(connection, scope, alert_id)


def note_alert(connection: Connection, scope: Scope, alert_id: str, entry: HistoryEntry) -> None:
    """Add a step to the history that changes nothing else: a note, a look at packets.

    Raises ``NotAllowedError`` outside the scope.
    """
    alert = _need(connection, scope, alert_id)
    _remember(connection, scope, alert_id, entry)
    outbox.publish(
        connection,
        "alert.updated",
        alert.organization_id,
        {"alert_id": alert_id},
        now=parse_instant(entry.at),
    )


def _remember(connection: Connection, scope: Scope, alert_id: str, entry: HistoryEntry) -> None:
    known = select(alerts.c.id).where(alerts.c.id == alert_id, *_within(connection, scope, AlertFilter()))
    connection.execute(
        insert(alert_history).values(
            alert_id=known.scalar_subquery(),
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            detail=orjson.dumps(dict(entry.detail)).decode(),
        )
    )


def _need(connection: Connection, scope: Scope, alert_id: str) -> Alert:
    alert = get_alert(connection, scope, alert_id)
    if alert is None:
        raise NotAllowedError(f"there is no alert '{alert_id}' that you may see")
    return alert


def _action(values: Mapping[str, Scalar]) -> str:
    if "status" in values:
        return f"status.{values['status']}"
    if "help_wanted" in values:
        return "help.wanted" if values["help_wanted"] else "help.over"
    return "handed" if "assigned_to" in values else "noted"


def _values(alert: Alert, change: AlertChange) -> dict[str, str | bool]:
    values: dict[str, str | bool] = {}
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
    if change.assigned_to is not None and change.assigned_to != alert.assigned_to:
        values["assigned_to"] = change.assigned_to
    help_wanted = False if closing else change.help_wanted
    if help_wanted is not None and help_wanted != alert.help_wanted:
        values["help_wanted"] = help_wanted
    return values


def _seen(scope: Scope, narrow: AlertFilter) -> frozenset[str] | None:
    """Return the units that both the scope and the filter allow; ``None`` means all."""
    if narrow.organization_ids is None:
        return scope.ids
    return narrow.organization_ids if scope.ids is None else scope.ids & narrow.organization_ids


def _within(connection: Connection, scope: Scope, narrow: AlertFilter) -> list[Condition]:
    ids = _seen(scope, narrow)
    conditions = _conditions(narrow)
    if ids is not None:
        conditions.append(_of_units(connection, ids, narrow))
    return conditions


def _only_open(narrow: AlertFilter) -> bool:
    return bool(narrow.statuses) and set(narrow.statuses) <= set(OPEN)


def _conditions(narrow: AlertFilter) -> list[Condition]:
    """Return what the filter asks for, without units."""
    conditions: list[Condition] = []
    if _only_open(narrow):
        conditions.append(OPEN_ONLY)
    if narrow.statuses and set(narrow.statuses) != set(OPEN):
        conditions.append(alerts.c.status.in_(narrow.statuses))
    if narrow.min_severity is not None:
        conditions.append(alerts.c.severity >= narrow.min_severity.rank)
    if narrow.severities:
        conditions.append(alerts.c.severity.in_([level.rank for level in narrow.severities]))
        # Lists are in the order of priority: the bound lets them begin where these severities can first stand.
        conditions.append(alerts.c.priority <= max(map(highest_priority, narrow.severities)))
    if narrow.kinds:
        conditions.append(alerts.c.kind.in_(narrow.kinds))
    if narrow.help_wanted:
        conditions.append(HELP)
    return conditions + _about(narrow) + _times(narrow)


def _about(narrow: AlertFilter) -> list[Condition]:
    conditions: list[Condition] = []
    if narrow.entity:
        conditions.append(alerts.c.entity_value == narrow.entity)
    if narrow.address:
        # A range instead of LIKE: it uses the index and gives % and _ no meaning.
        end = narrow.address + "\U0010ffff"
        about, peer = alerts.c.entity_value, alerts.c.peer
        conditions.append(or_(about.between(narrow.address, end), peer.between(narrow.address, end)))
    if narrow.assigned_to:
        conditions.append(alerts.c.assigned_to == narrow.assigned_to)
    return conditions


def _times(narrow: AlertFilter) -> list[Condition]:
    conditions: list[Condition] = []
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
        help_wanted=bool(row["help_wanted"]),
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
