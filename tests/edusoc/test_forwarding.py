"""A centre is an agent of its parent: what policy says arrives there once, under the parent's own units."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cases.alerts.attach import AlertSink
from edusoc.forwarding import AlertSource, UnitCodes, sources_of
from edusoc.migrating import upgrade
from intake.agents import repository
from intake.agents.refusing import RefusedError
from intake.forwarding.policy import ForwardPolicy
from intake.forwarding.sending import Forwarder
from intake.forwarding.sources import EventSource, StatisticsSource
from intake.pipeline import Detectors, Pipeline
from soc_core.config import Settings
from soc_core.errors import InputError, UsageError
from soc_core.model.event import Event
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.uplink.answers import REVOKED, Receipt
from soc_core.uplink.wire import Envelope
from tests.conftest import NOW
from tests.intake.agents.conftest import Centre, Player, Time, centre, made, time
from tests.soc_api.conftest import make_detection

__all__ = ["centre", "time"]


class Child:
    """Be a centre below, with the same schools under other ids."""

    def __init__(self, directory: Path, clock: Time) -> None:
        self.database = Database.in_directory(directory / "state")
        upgrade(self.database)
        self.store = EmbeddedStore(directory / "events", writer=True)
        self.pipeline = Pipeline(self.store, self.database, Detectors(), AlertSink(clock), clock)
        self.units: dict[str, str] = {}
        with self.database.write() as connection:
            for code, parent in (("C", ""), ("S1", "C"), ("S2", "C"), ("NEW", "C")):
                values = [Attribute("code", code), Attribute("name", code)]
                values += [Attribute("parent_id", self.units[parent])] if parent else []
                self.units[code] = put_unit(connection, values, {}, now=NOW)

    def take(self, code: str, events: list[Event]) -> None:
        self.pipeline.take(events, organization_id=self.units[code], zone="default")

    def close(self) -> None:
        self.store.close()
        self.database.close()


class Asks:
    """Ask the parent as the agent's client does, without a network; ``lose`` loses the next answers."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.lose = 0
        self.epochs: list[str] = []

    def ask(self, path: str, epoch: str, body: bytes) -> Receipt:
        self.player.number += 1
        self.epochs.append(epoch)
        envelope = Envelope(
            self.player.told.agent, epoch, self.player.number, self.player.headers(path, b"")["Edusoc-Time"]
        )
        receipt = self.player.post(path, envelope.headers(path, body, self.player.key), body)
        if self.lose:
            self.lose -= 1
            raise InputError("the answer was lost")
        return receipt


@pytest.fixture
def child(tmp_path: Path, time: Time) -> Iterator[Child]:
    opened = Child(tmp_path / "child", time)
    yield opened
    opened.close()


def forwarder(child: Child, asks: Asks, policy: str, time: Time) -> Forwarder:
    settings = Settings(parent_forward=policy)
    sources = sources_of(settings, child.store, child.database, time)
    return Forwarder(child.database, sources, asks, ForwardPolicy.parse(policy).digest, time)


def run(made_forwarder: Forwarder) -> None:
    while made_forwarder.step(lambda: False):
        pass


def units_of(centre: Centre, dataset: str) -> list[str]:
    names = {centre.tree.find(code).id: code for code in ("C", "S1", "S2", "D", "S3")}
    return sorted(names[str(event["organization.id"])] for event in centre.events(dataset))


def test_events_go_by_policy_and_arrive_under_the_parents_units(
    centre: Centre, child: Child, time: Time
) -> None:
    child.take("S1", made(3))
    child.take("S2", made(2, start=10, fields={"event.dataset": "windows.security"}))
    child.take("NEW", made(1, start=20))
    child.take("S1", made(4, start=30, fields={"event.dataset": "packets.flow"}))
    asks = Asks(centre.join("county", "C", below=True))
    run(forwarder(child, asks, "syslog, windows.*", time))
    assert units_of(centre, "syslog") == ["C", "S1", "S1", "S1"], (
        "a school the parent doesn't know is its county's"
    )
    assert units_of(centre, "windows.security") == ["S2", "S2"]
    assert not centre.events("packets.flow")
    [odd] = [event for event in centre.events("syslog") if event["edusoc.unit_code"] == "NEW"]
    assert odd["edusoc.assigned_by"] == "unknown"
    child.take("S1", made(2, start=50))
    run(forwarder(child, asks, "syslog, windows.*", time))
    assert len(centre.events("syslog")) == 6
    assert "agent_gap" not in [kind for _unit, kind, _name in centre.alerts()]


def test_a_lost_answer_doubles_nothing_and_loses_nothing(centre: Centre, child: Child, time: Time) -> None:
    child.take("S1", made(3))
    asks = Asks(centre.join("county", "C", below=True))
    running = forwarder(child, asks, "syslog", time)
    running.step(lambda: True)
    for number in range(3):
        asks.lose = 1
        with pytest.raises(InputError):
            run(running)
        child.take("S1", made(1, start=100 + number))
    run(running)
    assert len(centre.events("syslog")) == 6
    assert len({epoch for epoch in asks.epochs if epoch.startswith("events")}) == 4


def test_another_countys_school_can_not_be_claimed(centre: Centre, child: Child, time: Time) -> None:
    with child.database.write() as connection:
        child.units["S3"] = put_unit(connection, [Attribute("code", "S3")], {}, now=NOW)
    child.take("S3", made(2))
    asks = Asks(centre.join("county", "C", below=True))
    run(forwarder(child, asks, "*", time))
    assert not centre.events("syslog")
    assert (centre.tree.find("C").id, "agent_foreign_unit", "county") in centre.alerts()


def test_alerts_and_statistics_go_up(centre: Centre, child: Child, time: Time) -> None:
    events = made(3)
    child.take("S1", events)
    with child.database.write() as connection:
        AlertSink(time).take(
            connection, [make_detection("S1", {**events[0], "organization.id": child.units["S1"]})]
        )
    asks = Asks(centre.join("county", "C", below=True))
    running = forwarder(child, asks, "alerts, statistics", time)
    run(running)
    [alert] = centre.events("edusoc.alert")
    assert (alert["edusoc.alert.kind"], alert["edusoc.alert.status"]) == ("beacon", "new")
    assert alert["organization.id"] == centre.tree.find("S1").id
    assert not centre.events("edusoc.statistics"), "the day is not over"
    time.pass_by(days=2)
    run(running)
    [counted] = centre.events("edusoc.statistics")
    assert (counted["edusoc.statistics.dataset"], counted["edusoc.statistics.events"]) == ("syslog", 3)
    run(forwarder(child, asks, "alerts, statistics", time))
    assert len(centre.events("edusoc.statistics")) == 1
    assert len(centre.events("edusoc.alert")) == 1


def test_the_parent_hears_that_the_centre_lives(centre: Centre, child: Child, time: Time) -> None:
    asks = Asks(centre.join("county", "C", below=True))
    running = forwarder(child, asks, "syslog", time)
    run(running)
    child.take("S1", made(5))
    time.pass_by(minutes=2)
    running.step(lambda: False)
    agent = centre.agent("county")
    assert agent.platform == "centre"
    assert agent.heartbeat["waiting"] == 5
    time.now -= timedelta(days=1)
    running.step(lambda: False)
    assert centre.agent("county").heartbeat_at < agent.heartbeat_at


def test_a_refusal_is_passed_on_and_nothing_is_lost(centre: Centre, child: Child, time: Time) -> None:
    asks = Asks(centre.join("county", "C", below=True))
    running = forwarder(child, asks, "syslog", time)
    child.take("S1", made(1))
    with centre.database.write() as connection:
        repository.revoke(connection, asks.player.told.agent, now=NOW)
    with pytest.raises(RefusedError) as caught:
        running.step(lambda: False)
    assert caught.value.kind == REVOKED
    asks.player = centre.join("county again", "C", below=True)
    run(running)
    assert len(centre.events("syslog")) == 1


@pytest.mark.parametrize("text", ["Alerts", "a b", "*.x", "windows.**", "中文"])
def test_a_wrong_policy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="parent_forward"):
        ForwardPolicy.parse(text)


def test_policies() -> None:
    policy = ForwardPolicy.parse("alerts, windows.*, syslog.auth")
    assert (policy.alerts, policy.statistics, policy.events) == (True, False, True)
    assert [policy.wants(name) for name in ("windows.security", "syslog.auth", "syslog", "x")] == [
        True,
        True,
        False,
        False,
    ]
    assert not ForwardPolicy.parse("").events
    assert ForwardPolicy.parse("*").wants("anything")
    assert ForwardPolicy.parse("a, b").digest == ForwardPolicy.parse("b,a").digest != policy.digest


def test_a_store_made_anew_is_read_from_its_beginning(child: Child, time: Time) -> None:
    child.take("S1", made(2))
    codes = UnitCodes(child.database, time)
    source = EventSource(child.store, lambda _name: True, codes)
    assert len(source.following(10_000, 100).events) == 2
    assert AlertSource(child.database, codes).waiting(0) == 0
    assert StatisticsSource(child.store, codes, time).waiting(0) > 0
