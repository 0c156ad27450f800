"""A running application over a real store: two counties, three schools, people of every role, alerts and events.

Everything of a school carries the school's code, so that a leak can be found by looking for it. The place is built
once; each test gets a copy of its files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from cases.alerts.attach import AlertSink
from cases.alerts.repository import AlertFilter, list_alerts
from edusoc.migrating import upgrade
from edusoc.packets import CaptureCutter
from intake.agents.model import Agent, NewCode, Source, SourceHealth
from intake.agents.repository import add_code, count_senders, enrol, put_source, set_seen
from intake.rules.library import RuleLibrary
from intake.rules.model import RuleState
from intake.rules.repository import NewSuppression, SettingChange, add_suppression, change_setting
from soc_api.app import create_app
from soc_api.security import COOKIE
from soc_api.services import Services
from soc_core.access.accounts import Role, User, add_user, find_session, list_users, open_session
from soc_core.clock import Clock, format_instant
from soc_core.config import Settings
from soc_core.keys.store import KeyStore
from soc_core.model.detection import Detection, Entity, Reason, Severity, make_detection_id
from soc_core.model.event import Event, make_event_id
from soc_core.model.organisation import Asset, Attribute
from soc_core.organisations.repository import put_asset, put_unit
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import Scope
from tests.conftest import NOW, STATES
from tests.postgresql_server import Rows, fill, rows_of

PASSWORD = "correct horse battery"
UNITS = (("C", ""), ("D", ""), ("S1", "C"), ("S2", "C"), ("S3", "D"))
PEOPLE = {
    "county": ("C", Role.ANALYST),
    "auditor": ("C", Role.AUDITOR),
    "school1": ("S1", Role.CONTACT),
    "school3": ("S3", Role.CONTACT),
    **{f"s1_{role.value}": ("S1", role) for role in Role if role is not Role.CONTACT},
}
RULE = "11111111-2222-4333-8444-555555555555"
RULE_TEXT = f"""title: A rule of the place
id: {RULE}
status: test
level: high
description: Finds the word.
tags: [attack.t1110]
logsource: {{category: dns}}
detection: {{s: {{dns.question.name: bad.example}}, condition: s}}
edusoc: {{title: 本地规则, description: 找这个词。, graded_protection: [8.1.4.1]}}
"""
LogIn = Callable[[str], TestClient]


class NoRules:
    """Know no Sigma rule."""

    def describe(self, rule_id: str, language: str) -> None:
        return None


def make_event(code: str, unit: str, number: int) -> Event:
    from datetime import timedelta

    at = format_instant(NOW - timedelta(minutes=number))
    return {
        "@timestamp": at,
        "event.id": make_event_id(at, unit.encode(), number, b""),
        "event.dataset": "packets.dns",
        "event.kind": "event",
        "event.category": ["network"],
        "organization.id": unit,
        "edusoc.zone": f"zone-{code}",
        "source.ip": "192.168.1.10",
        "dns.question.name": f"n{number}.{code.lower()}.example",
    }


def make_detection(code: str, event: Event) -> Detection:
    unit, at = str(event["organization.id"]), str(event["@timestamp"])
    entity = Entity("ip", "192.168.1.10", f"zone-{code}")
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
        peer=f"peer-{code.lower()}.example",
    )


def make_agent(connection: Connection, code: str, unit: str) -> str:
    """Return the id of a school's agent with a source and an unknown sender, all named after the school."""
    at = format_instant(NOW)
    add_code(connection, code, NewCode(unit, "default", format_instant(NOW.replace(year=2030))), now=NOW)
    asked = Agent("", f"采集代理{code}", "", "", f"key {code}")
    agent = enrol(connection, code, asked, now=NOW)
    assert agent is not None
    put_source(connection, Source(agent.id, f"来源{code}", "syslog_udp", SourceHealth.SILENT, at, at))
    count_senders(connection, agent.id, {("default", f"发送者{code.lower()}"): 3}, now=NOW)
    set_seen(connection, agent.id, {"last_seen_at": at})
    return agent.id


def suppress(connection: Connection, code: str, unit: str) -> str:
    """Suppress something at a school and set a rule there, for reasons named after it; return the suppression's id."""
    expires = NOW.replace(year=2027, month=1)
    wanted = NewSuppression(RULE, unit, "county", f"抑制原因{code}", expires, query="event.dataset:x")
    change = SettingChange(RULE, unit, "county", f"设置原因{code}", frozenset({"state"}), RuleState.SILENT)
    change_setting(connection, Scope(frozenset({unit})), change, now=NOW)
    return add_suppression(connection, Scope(frozenset({unit})), wanted, now=NOW).id


@dataclass(frozen=True)
class Built:
    """Hold the place's files, what is in it, and its operational rows."""

    directory: Path
    schools: Mapping[str, School]
    rows: Rows


@dataclass(frozen=True)
class School:
    """Hold what belongs to one unit: its ids, and texts that may only be seen by who may see the unit."""

    unit: str
    alert: str
    event: str
    secrets: tuple[str, ...]
    agent: str = ""
    suppression: str = ""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    directory = tmp_path_factory.mktemp("api")
    (directory / "rules").mkdir()
    (directory / "rules" / "word.yml").write_text(RULE_TEXT, encoding="utf-8")
    database = Database.in_directory(directory / "state")
    upgrade(database)
    store = EmbeddedStore(directory / "events", writer=True)
    ids: dict[str, str] = {}
    schools: dict[str, School] = {}
    with database.write() as connection:
        for code, parent in UNITS:
            values = [
                Attribute("code", code),
                Attribute("name", f"单位{code}"),
                Attribute("name_en", f"Unit {code}"),
                Attribute("contact", f"联络员{code}"),
            ]
            if parent:
                values.append(Attribute("parent_id", ids[parent]))
            ids[code] = put_unit(
                connection, values, {"default": ["192.168.1.0/24"]} if parent else {}, now=NOW
            )
        for name, (code, role) in PEOPLE.items():
            user = User(name, f"显示名{name}", role, ids[code], "zh", demo=False)
            add_user(connection, user, PASSWORD, now=NOW)
        for code in ("S1", "S2", "S3"):
            found = [make_event(code, ids[code], number) for number in range(5)]
            store.append(found)
            AlertSink(lambda: NOW).take(connection, [make_detection(code, found[0])])
            asset = Asset(
                ids[code], f"zone-{code}", "192.168.1.10", f"教师机{code}", supervisor=f"张三{code}"
            )
            put_asset(connection, asset)
            [alert] = list_alerts(connection, Scope(frozenset({ids[code]})), AlertFilter())
            people = tuple(f"显示名{name}" for name, (of, _role) in PEOPLE.items() if of == code)
            secrets = (
                *(ids[code], alert.id, f"单位{code}", f"Unit {code}", f"教师机{code}", f"张三{code}"),
                *(f"联络员{code}", f"zone-{code}", f"{code.lower()}.example", *people),
                *(str(event["event.id"]) for event in found),
            )
            agent = make_agent(connection, code, ids[code])
            suppression = suppress(connection, code, ids[code])
            named = (f"采集代理{code}", f"来源{code}", f"发送者{code.lower()}", agent)
            named = (*named, suppression, f"抑制原因{code}", f"设置原因{code}")
            event = str(found[0]["event.id"])
            schools[code] = School(ids[code], alert.id, event, (*secrets, *named), agent, suppression)
    store.close()
    rows = rows_of(database)
    database.close()
    return Built(directory, schools, rows)


@pytest.fixture
def schools(built: Built) -> Mapping[str, School]:
    return built.schools


@pytest.fixture(params=STATES)
def services(
    request: pytest.FixtureRequest, built: Built, clock: Clock, tmp_path: Path
) -> Iterator[Services]:
    """Return what the application uses, over an operational database of each kind in turn."""
    directory = tmp_path / "copy"
    shutil.copytree(built.directory, directory)
    if request.param == "postgresql":
        database: Database = request.getfixturevalue("postgresql_databases")[0]
        fill(database, built.rows)
    else:
        database = Database.in_directory(directory / "state")
    store = EmbeddedStore(directory / "events", writer=False)
    yield Services(
        database=database,
        reader=store,
        rules=NoRules(),
        keys=KeyStore(tmp_path / "keys"),
        clock=clock,
        packets=CaptureCutter(database, store, tmp_path / "cut"),
        library=RuleLibrary(Settings(state=str(tmp_path / "rules-state"), rules=str(directory / "rules"))),
    )
    store.close()
    database.close()


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_app(services)


@pytest.fixture
def log_in(app: FastAPI, services: Services) -> LogIn:
    """Return what opens a session for a person; checking passwords is slow on purpose and has tests of its own."""

    def enter(name: str) -> TestClient:
        client = TestClient(app)
        if name:
            with services.database.write() as connection:
                user = next(user for user in list_users(connection) if user.name == name)
                token = open_session(connection, user, now=NOW)
                session = find_session(connection, token, now=NOW)
            assert session is not None
            client.cookies.set(COOKIE, token)
            client.headers["X-CSRF-Token"] = session.csrf
        return client

    return enter
