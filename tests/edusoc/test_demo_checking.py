"""Labels are compared with alerts by where the evidence was read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from cases.alerts.attach import AlertSink
from edusoc.demo.checking import Found, check_scene, read_found
from edusoc.demo.scenes import Scene
from intake.tables import sources
from pcaps.labels import Ban, Expectation, Label
from soc_core.clock import Clock, format_instant
from soc_core.model.detection import Detection, Entity, Severity, make_detection_id
from soc_core.model.event import Event, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore

UNIT = "S1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "events", writer=True)
    yield opened
    opened.close()


def scene(clock: Clock, name: str, *, attack: bool) -> Scene:
    wanted = (Expectation("port_scan", "10.0.0.9", Severity.MEDIUM),) if attack else ()
    banned = () if attack else (Ban(Severity.HIGH),)
    label = Label(
        name,
        Path(),
        (f"{name}.pcap",),
        {"zh": "样例", "en": "sample"},
        attack,
        clock(),
        clock(),
        1,
        0,
        {},
        wanted,
        banned,
    )
    return Scene(label, UNIT, "default", 0)


def remember(database: Database, unit: str, name: str) -> None:
    row = {
        "collector": "",
        "organization_id": unit,
        "zone": "default",
        "reference": "",
        "first_at": "",
        "last_at": "",
    }
    with database.write() as connection:
        connection.execute(insert(sources).values(identity=name, path=f"/{name}.pcap", **row))


def event(unit: str, source: str, number: int, clock: Clock) -> Event:
    at = format_instant(clock())
    return {
        "@timestamp": at,
        "event.id": make_event_id(at, source.encode(), number, b""),
        "event.dataset": "packets.flow",
        "organization.id": unit,
        "edusoc.zone": "default",
        "edusoc.source": source,
    }


def detection(unit: str, entity: str, severity: Severity, evidence: Event) -> Detection:
    at, id_ = str(evidence["@timestamp"]), str(evidence["event.id"])
    made = make_detection_id("port_scan", unit, Entity("ip", entity), id_)
    return Detection(
        id=made,
        rule_id="port_scan",
        rule_kind="anomaly",
        kind="port_scan",
        organization_id=unit,
        entity=Entity("ip", entity),
        severity=severity,
        first_seen=at,
        last_seen=at,
        reasons=(),
        evidence=(id_,),
    )


@pytest.fixture
def found(store: EmbeddedStore, database: Database, tree: OrganisationTree, clock: Clock) -> list[Found]:
    """One medium alert of the attack, one high alert of the normal scenario, one of neither."""
    unit = tree.find(UNIT).id
    remember(database, unit, "attack")
    remember(database, unit, "normal")
    events = [
        event(unit, source, number, clock) for number, source in enumerate(("attack", "normal", "else"))
    ]
    store.append(events)
    levels = (("10.0.0.9", Severity.MEDIUM), ("10.0.0.5", Severity.HIGH), ("10.0.0.9", Severity.CRITICAL))
    detections = [
        replace(detection(unit, entity, severity, seen), kind=kind)
        for (entity, severity), seen, kind in zip(
            levels, events, ("port_scan", "port_scan", "other"), strict=True
        )
    ]
    with database.write() as connection:
        AlertSink(clock).take(connection, detections)
    with database.read() as connection:
        return read_found(connection, store, {"/attack.pcap": "attack", "/normal.pcap": "normal"})


def test_alerts_know_their_scenario(found: list[Found]) -> None:
    known = {item.alert.kind + item.alert.entity.value: item.scenarios for item in found}
    assert known == {
        "port_scan10.0.0.9": [frozenset({"attack"})],
        "port_scan10.0.0.5": [frozenset({"normal"})],
        "other10.0.0.9": [frozenset({""})],
    }


def test_a_wanted_alert_is_found_and_marked(found: list[Found], clock: Clock) -> None:
    check = check_scene(scene(clock, "attack", attack=True), found)
    assert check.passed
    (marked,) = check.found
    assert [item.alert.kind for item in found if item.alert.id == marked] == ["port_scan"]


def test_what_another_scenario_raised_does_not_count(found: list[Found], clock: Clock) -> None:
    others = [item for item in found if item.scenarios != [frozenset({"attack"})]]
    check = check_scene(scene(clock, "attack", attack=True), others)
    assert not check.passed
    assert [wanted.kind for wanted in check.missing] == ["port_scan"]


def test_a_high_alert_on_a_normal_scenario_is_forbidden(found: list[Found], clock: Clock) -> None:
    check = check_scene(scene(clock, "normal", attack=False), found)
    assert not check.passed
    assert check.forbidden == [("port_scan", "10.0.0.5", "", "high")]
    quiet = [item for item in found if item.alert.entity.value != "10.0.0.5"]
    assert check_scene(scene(clock, "normal", attack=False), quiet).passed
