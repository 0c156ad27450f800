"""The pipeline gives the same store, detections and alerts however it is cut, killed or repeated."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from cases.alerts.attach import AlertSink
from cases.alerts.tables import alerts, detections
from detectors.base import Site, Window
from intake.pipeline import Detectors, Pipeline
from intake.windows import DirtyWindow, WindowMarker
from soc_core.clock import Clock, format_instant, parse_instant
from soc_core.model.detection import Detection, Entity, Severity, make_detection_id
from soc_core.model.event import Event, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.query.tree import Query, equal
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore

START = datetime(2026, 11, 20, tzinfo=UTC)


class Busy:
    """Fire when one address has three or more events within the window and its look-back."""

    id = "busy"
    window = timedelta(minutes=10)
    lookback = timedelta(minutes=10)
    query: Query = equal("event.dataset", "packets.flow")
    fields = ("source.ip",)

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        seen: dict[str, list[Event]] = {}
        found = []
        for batch in batches:
            for event in batch:
                times = seen.setdefault(str(event["source.ip"]), [])
                times.append(event)
                if len(times) == 3 and parse_instant(str(event["@timestamp"])) >= window.start:
                    found.append(self.make(window, times))
        return found

    def make(self, window: Window, events: Sequence[Event]) -> Detection:
        entity = Entity("ip", str(events[0]["source.ip"]), window.zone)
        return Detection(
            id=make_detection_id(self.id, window.organization_id, entity, window.anchor),
            rule_id=self.id,
            rule_kind="anomaly",
            kind="busy",
            organization_id=window.organization_id,
            entity=entity,
            severity=Severity.MEDIUM,
            first_seen=str(events[0]["@timestamp"]),
            last_seen=str(events[-1]["@timestamp"]),
            reasons=(),
            evidence=tuple(str(event["event.id"]) for event in events),
            count=len(events),
        )


class Root:
    """Fire on every event of the user root."""

    id = "root"

    def detect(self, events: Sequence[Event]) -> list[Detection]:
        return [self.make(event) for event in events if event.get("user.name") == "root"]

    def make(self, event: Event) -> Detection:
        unit, event_id = str(event["organization.id"]), str(event["event.id"])
        entity = Entity("user", "root", str(event["edusoc.zone"]))
        at = str(event["@timestamp"])
        made = make_detection_id(self.id, unit, entity, event_id)
        return Detection(
            made,
            self.id,
            "sigma",
            "root",
            unit,
            entity,
            Severity.LOW,
            at,
            at,
            reasons=(),
            evidence=(event_id,),
        )


def events(count: int = 60) -> list[Event]:
    made: list[Event] = []
    for number in range(count):
        at = format_instant(START + timedelta(minutes=3 * number))
        event: Event = {
            "@timestamp": at,
            "event.id": make_event_id(at, b"test", number, b""),
            "event.dataset": "packets.flow",
            "source.ip": f"10.0.0.{number % 2}",
        }
        if number % 7 == 0:
            event["user.name"] = "root"
        made.append(event)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "events", writer=True)
    yield opened
    opened.close()


def pipeline(store: EmbeddedStore, database: Database, clock: Clock) -> Pipeline:
    return Pipeline(store, database, Detectors([Root()], [Busy()]), AlertSink(clock), clock)


def outcome(database: Database) -> tuple[list[str], list[tuple[str, str, int]]]:
    with database.read() as connection:
        ids = sorted(connection.scalars(select(detections.c.id)))
        rows = connection.execute(select(alerts.c.kind, alerts.c.entity_value, alerts.c.detection_count))
        return ids, sorted((row.kind, row.entity_value, row.detection_count) for row in rows)


def run(work: Pipeline, batches: Sequence[Sequence[Event]], unit: str) -> None:
    for batch in batches:
        work.take([dict(event) for event in batch], organization_id=unit, zone="default")
        work.advance()
    work.settle()


def test_cuts_order_and_repetition_do_not_matter(
    store: EmbeddedStore,
    database: Database,
    other_database: Database,
    tree: OrganisationTree,
    clock: Clock,
    tmp_path: Path,
) -> None:
    unit = tree.find("S1").id
    run(pipeline(store, database, clock), [events()], unit)
    first = outcome(database)
    assert len(first[0]) > 10
    run(pipeline(store, database, clock), [events()], unit)
    assert outcome(database) == first

    shuffled = events()
    random.Random(4).shuffle(shuffled)
    second_store = EmbeddedStore(tmp_path / "other-events", writer=True)
    try:
        cut = [shuffled[start : start + 7] for start in range(0, len(shuffled), 7)]
        run(pipeline(second_store, other_database, clock), cut, unit)
        assert outcome(other_database)[0] == first[0]
    finally:
        second_store.close()


def test_a_pipeline_that_died_before_examining_goes_on(
    store: EmbeddedStore, database: Database, tree: OrganisationTree, clock: Clock
) -> None:
    unit = tree.find("S1").id
    dead = pipeline(store, database, clock)
    dead.take(events(), organization_id=unit, zone="default")  # acknowledged, then killed
    heir = pipeline(store, database, clock)
    assert heir.advance() == 60
    assert heir.settle() > 0
    assert len(outcome(database)[0]) > 10


def test_leases_of_a_dead_pipeline_are_given_back(
    store: EmbeddedStore, database: Database, tree: OrganisationTree, clock: Clock
) -> None:
    from soc_core.jobs import jobs

    unit = tree.find("S1").id
    dead = pipeline(store, database, clock)
    dead.take(events(), organization_id=unit, zone="default")
    dead.advance()
    with database.write() as connection:
        jobs.lease(connection, "detect.window", now=clock(), length=timedelta(hours=1))
    heir = pipeline(store, database, clock)
    assert heir.settle() == 0
    heir.release_leases()
    assert heir.settle() > 0


def test_what_is_stored_says_whose_it_is(
    store: EmbeddedStore, database: Database, tree: OrganisationTree, clock: Clock
) -> None:
    work = pipeline(store, database, clock)
    work.take(events(3), organization_id=tree.find("S2").id, zone="监控网")
    stored, _ = store.read_from(0)
    assert {event["organization.id"] for event in stored} == {tree.find("S2").id}
    assert {event["edusoc.zone"] for event in stored} == {"监控网"}


def test_marking_covers_the_windows_whose_lookback_reaches_the_event() -> None:
    event: Event = {**events(1)[0], "organization.id": "u", "edusoc.zone": "default"}
    starts = sorted(window.start_us for window in WindowMarker([Busy()]).dirty([event]))
    assert starts == [
        int(START.timestamp()) * 10**6,
        int((START + timedelta(minutes=10)).timestamp()) * 10**6,
    ]


def test_keys_of_windows_read_back() -> None:
    window = DirtyWindow("u1", "校园网", 1_700_000_000_000_000, "beacon")
    assert DirtyWindow.parse(window.key) == window
