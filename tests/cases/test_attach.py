"""Detections become alerts: the same whatever the order, the batches and the repetitions."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy import func, insert, select

from cases.alerts.attach import AlertSink
from cases.alerts.model import CloseReason, Status, priority_of
from cases.alerts.repository import (
    AlertChange,
    AlertCursor,
    AlertFilter,
    change_alert,
    count_by,
    detections_of,
    get_alert,
    history_of,
    list_alerts,
)
from cases.alerts.tables import alerts, detections
from soc_core.clock import Clock, format_instant
from soc_core.errors import ConflictError, NotAllowedError, UsageError
from soc_core.jobs import outbox
from soc_core.model.detection import Detection, Entity, Reason, Severity, make_detection_id
from soc_core.model.organisation import Asset
from soc_core.organisations.repository import OrganisationTree, put_asset
from soc_core.organisations.tables import organisations
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE, Scope

START = datetime(2026, 11, 20, tzinfo=UTC)


def detection(
    hours: float = 0, *, unit: str = "u1", severity: Severity = Severity.MEDIUM, entity: str = "192.168.1.10"
) -> Detection:
    at = format_instant(START + timedelta(hours=hours))
    about = Entity("ip", entity)
    return Detection(
        id=make_detection_id("rule", unit, about, at),
        rule_id="rule",
        rule_kind="anomaly",
        kind="beacon",
        organization_id=unit,
        entity=about,
        severity=severity,
        first_seen=at,
        last_seen=at,
        reasons=(Reason("r", {"n": 1}),),
        evidence=("20261120-" + "a" * 26,),
        count=3,
    )


def put(database: Database, clock: Clock, *found: Detection) -> None:
    with database.write() as connection:
        known = set(connection.scalars(select(organisations.c.id)))
        for unit in {item.organization_id for item in found} - known:
            connection.execute(insert(organisations).values(id=unit, created_at=format_instant(START)))
        AlertSink(clock).take(connection, found)


def alerts_of(database: Database, scope: Scope = SYSTEM_SCOPE) -> list[tuple[str, str, int, int]]:
    with database.read() as connection:
        found = list_alerts(connection, scope, AlertFilter())
    return sorted((item.first_seen, item.last_seen, item.detection_count, item.event_count) for item in found)


def test_storing_twice_changes_nothing(database: Database, clock: Clock) -> None:
    put(database, clock, detection(), detection())
    put(database, clock, detection())
    assert len(alerts_of(database)) == 1
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(detections)) == 1


@pytest.mark.parametrize("order", list(permutations([0, 8, 16, 60])))
def test_order_of_arrival_does_not_matter(database: Database, clock: Clock, order: tuple[int, ...]) -> None:
    for hours in order:
        put(database, clock, detection(hours))
    spans = [(first[8:13], last[8:13], count) for first, last, count, _ in alerts_of(database)]
    assert spans == [("20T00", "20T16", 3), ("22T12", "22T12", 1)]


@pytest.mark.parametrize("order", list(permutations([0, 8, 16, 60])))
def test_it_does_not_matter_either_when_they_come_together(
    database: Database, clock: Clock, order: tuple[int, ...]
) -> None:
    put(database, clock, detection(order[0]))
    put(database, clock, *(detection(hours) for hours in order[1:]))
    spans = [(first[8:13], last[8:13], count) for first, last, count, _ in alerts_of(database)]
    assert spans == [("20T00", "20T16", 3), ("22T12", "22T12", 1)]


def test_an_alert_is_weighed_once_however_many_come_together(database: Database, clock: Clock) -> None:
    put(database, clock, *(detection(number / 60) for number in range(200)))
    with database.read() as connection:
        [alert] = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
    assert (alert.detection_count, alert.version) == (200, 2)


def test_the_same_address_in_two_schools_is_two_alerts(database: Database, clock: Clock) -> None:
    put(database, clock, detection(unit="u1"), detection(unit="u2"))
    assert len(alerts_of(database)) == 2
    assert len(alerts_of(database, Scope(frozenset({"u1"})))) == 1
    assert alerts_of(database, Scope(frozenset())) == []


def test_the_most_severe_detection_names_the_alert(database: Database, clock: Clock) -> None:
    put(database, clock, detection(0), detection(1, severity=Severity.CRITICAL), detection(2))
    with database.read() as connection:
        [alert] = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
        assert alert.severity is Severity.CRITICAL
        assert detections_of(connection, SYSTEM_SCOPE, alert.id)[0].severity is Severity.CRITICAL
        assert count_by(connection, SYSTEM_SCOPE, AlertFilter(), "severity") == {"critical": 1}


def test_an_important_asset_raises_priority(database: Database, tree: OrganisationTree, clock: Clock) -> None:
    unit = tree.find("S1").id
    with database.write() as connection:
        put_asset(connection, Asset(unit, "default", "192.168.1.10", "网站", importance=4))
    put(database, clock, detection(unit=unit), detection(unit=unit, entity="192.168.1.11"))
    with database.read() as connection:
        found = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
    assert [item.entity.value for item in found] == ["192.168.1.10", "192.168.1.11"]
    assert found[0].priority > found[1].priority


def test_priority_never_lets_a_lower_level_pass_by_importance_alone() -> None:
    assert priority_of(Severity.CRITICAL, 1, 1.0) > priority_of(Severity.MEDIUM, 4, 1.0)
    assert 0 <= priority_of(Severity.INFORMATIONAL, -5, 0.0) <= priority_of(Severity.CRITICAL, 99, 7.0) <= 100


def test_a_closed_alert_takes_late_arrivals_but_does_not_grow(database: Database, clock: Clock) -> None:
    put(database, clock, detection(0), detection(4))
    with database.write() as connection:
        [alert] = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
        closing = AlertChange("wang", alert.version, Status.CLOSED, CloseReason.FALSE_POSITIVE)
        change_alert(connection, SYSTEM_SCOPE, alert.id, closing, now=clock())
    put(database, clock, detection(2), detection(6))
    assert [count for *_, count, _ in alerts_of(database)] == [3, 1]


def test_changes_are_checked_recorded_and_published(database: Database, clock: Clock) -> None:
    put(database, clock, detection())
    with database.write() as connection:
        [alert] = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
        with pytest.raises(UsageError, match="reason"):
            change_alert(
                connection, SYSTEM_SCOPE, alert.id, AlertChange("wang", 1, Status.CLOSED), now=clock()
            )
        taken = change_alert(
            connection,
            SYSTEM_SCOPE,
            alert.id,
            AlertChange("wang", 1, Status.IN_PROGRESS, comment="在看"),
            now=clock(),
        )
        assert (taken.status, taken.version) == (Status.IN_PROGRESS, 2)
        with pytest.raises(ConflictError):
            change_alert(connection, SYSTEM_SCOPE, alert.id, AlertChange("li", 1, Status.CLOSED), now=clock())
        with pytest.raises(UsageError, match="can't become"):
            change_alert(connection, SYSTEM_SCOPE, alert.id, AlertChange("li", 2, Status.NEW), now=clock())
        actions = [entry.action for entry in history_of(connection, SYSTEM_SCOPE, alert.id)]
        topics = [change.topic for change in outbox.after(connection, 0, SYSTEM_SCOPE)]
    assert actions == ["created", "status.in_progress"]
    assert topics == ["alert.created", "alert.updated"]


def test_nothing_outside_the_scope_is_seen_or_changed(database: Database, clock: Clock) -> None:
    put(database, clock, detection(unit="u1"))
    other = Scope(frozenset({"u2"}))
    with database.write() as connection:
        [alert] = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
        assert get_alert(connection, other, alert.id) is None
        assert detections_of(connection, other, alert.id) == []
        assert history_of(connection, other, alert.id) == []
        assert list_alerts(connection, other, AlertFilter(organization_ids=frozenset({"u1"}))) == []
        assert list(outbox.after(connection, 0, other)) == []
        with pytest.raises(NotAllowedError):
            change_alert(connection, other, alert.id, AlertChange("x", 1, Status.IN_PROGRESS), now=clock())


def test_names_of_any_length_and_kind_are_taken(database: Database, clock: Clock) -> None:
    chance = random.Random(3)
    name = "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(9_000))
    put(database, clock, detection(entity=name), detection(0.1, entity=name), detection(entity="a\0b"))
    with database.read() as connection:
        found = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
    assert sorted((item.detection_count, len(item.entity.value)) for item in found) == [(1, 3), (2, 255)]


def test_names_are_in_the_order_of_their_characters(database: Database, clock: Clock) -> None:
    names = ["a", "B", "Z", "b", "-", "10.0.0.9", "10.0.0.10", "北京", "阿里", "重庆", "é", "😀", "\uffff"]
    put(database, clock, *(detection(entity=name) for name in names))
    with database.read() as connection:
        inside = list_alerts(connection, SYSTEM_SCOPE, AlertFilter(address="10.0.0."))
        stored = connection.scalars(select(alerts.c.entity_value).order_by(alerts.c.entity_value)).all()
    assert sorted(item.entity.value for item in inside) == ["10.0.0.10", "10.0.0.9"]
    assert list(stored) == sorted(names)


def test_pages_neither_skip_nor_repeat(database: Database, clock: Clock) -> None:
    put(database, clock, *(detection(entity=f"10.0.0.{number}") for number in range(25)))
    seen: list[str] = []
    after: AlertCursor | None = None
    with database.read() as connection:
        while page := list_alerts(connection, SYSTEM_SCOPE, AlertFilter(), limit=7, after=after):
            seen.extend(item.id for item in page)
            after = AlertCursor(page[-1].priority, page[-1].last_seen, page[-1].id)
    assert len(seen) == len(set(seen)) == 25
