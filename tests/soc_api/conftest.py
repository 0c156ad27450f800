"""A running application over a real store: two counties, three schools, alerts and events in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from soc_core.store.embedded import EmbeddedStore

from cases.alerts.attach import AlertSink
from edusoc.packets import CaptureCutter
from soc_api.app import create_app
from soc_api.services import Services
from soc_core.access.accounts import Role, User, add_user
from soc_core.clock import Clock, format_instant
from soc_core.keys.store import KeyStore
from soc_core.model.detection import Detection, Entity, Reason, Severity, make_detection_id
from soc_core.model.event import Event, make_event_id
from soc_core.model.organisation import Asset
from soc_core.organisations.repository import OrganisationTree, put_asset
from soc_core.state.database import Database

PASSWORD = "correct horse battery"
PEOPLE = {
    "county": ("C", Role.ANALYST),
    "school1": ("S1", Role.CONTACT),
    "school3": ("S3", Role.CONTACT),
    "auditor": ("C", Role.AUDITOR),
}
LogIn = Callable[[str], TestClient]


class NoRules:
    """Know no Sigma rule."""

    def describe(self, rule_id: str, language: str) -> None:
        return None


def make_event(unit: str, number: int, now: datetime) -> Event:
    at = format_instant(now - timedelta(minutes=number))
    return {
        "@timestamp": at,
        "event.id": make_event_id(at, unit.encode(), number, b""),
        "event.dataset": "packets.dns",
        "event.kind": "event",
        "event.category": ["network"],
        "organization.id": unit,
        "edusoc.zone": "default",
        "source.ip": "192.168.1.10",
        "dns.question.name": f"n{number}.example",
    }


def make_detection(unit: str, event: Event) -> Detection:
    entity = Entity("ip", "192.168.1.10")
    at = str(event["@timestamp"])
    return Detection(
        id=make_detection_id("beacon", unit, entity, at),
        rule_id="beacon",
        rule_kind="anomaly",
        kind="beacon",
        organization_id=unit,
        entity=entity,
        severity=Severity.HIGH,
        first_seen=at,
        last_seen=at,
        reasons=(Reason("cases.severity.high"),),
        evidence=(str(event["event.id"]),),
        peer="203.0.113.9",
    )


@pytest.fixture
def services(database: Database, tree: OrganisationTree, clock: Clock, tmp_path: Path) -> Iterator[Services]:
    store = EmbeddedStore(tmp_path / "events", writer=True)
    now = clock()
    with database.write() as connection:
        for code in ("S1", "S2", "S3"):
            unit = tree.find(code).id
            found = [make_event(unit, number, now) for number in range(5)]
            store.append(found)
            AlertSink(clock).take(connection, [make_detection(unit, found[0])])
            put_asset(connection, Asset(unit, "default", "192.168.1.10", f"教师机{code}", supervisor="张三"))
        for name, (code, role) in PEOPLE.items():
            add_user(
                connection, User(name, name, role, tree.find(code).id, "zh", demo=False), PASSWORD, now=now
            )
    yield Services(
        database=database,
        reader=store,
        rules=NoRules(),
        keys=KeyStore(tmp_path / "keys"),
        clock=clock,
        packets=CaptureCutter(database, store, tmp_path / "cut"),
    )
    store.close()


@pytest.fixture
def log_in(services: Services) -> LogIn:
    app = create_app(services)

    def enter(name: str) -> TestClient:
        client = TestClient(app)
        if name:
            answer = client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return client

    return enter
