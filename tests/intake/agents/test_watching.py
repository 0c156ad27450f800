"""Silence, drops, wrong clocks and full disks are noticed and told once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from intake.agents import repository
from intake.agents.model import Agent, Source, SourceHealth
from intake.agents.showing import condition_of, lag_seconds
from intake.agents.watching import DAY_SECONDS, LEAST_SECONDS, MOST_SECONDS, limit_of
from soc_core.clock import format_instant
from soc_core.uplink.heartbeat import LATE, Heartbeat, SourceState
from tests.conftest import NOW
from tests.intake.agents.conftest import Centre, Player, Time


def beat(time: Time, *sources: SourceState, **fields: int | str) -> Heartbeat:
    started = format_instant(NOW - timedelta(days=1))
    return Heartbeat(started=started, sources=sources, **fields)  # type: ignore[arg-type] # numbers by name


def state(time: Time, ago: float = 0, fault: str = "", **counters: int) -> SourceState:
    return SourceState(
        "firewall", "syslog_udp", counters, format_instant(time() - timedelta(seconds=ago)), fault
    )


def source_of(centre: Centre, player: Player) -> Source:
    with centre.database.read() as connection:
        return repository.list_sources(connection, [player.told.agent])[0]


def kinds(centre: Centre) -> list[tuple[str, str]]:
    return [(kind, value) for _unit, kind, value in centre.alerts()]


def test_an_agent_that_is_not_heard_of_is_told_once_a_day(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    player.beat(beat(time))
    assert centre.intake.look() == 0
    time.pass_by(seconds=LATE.total_seconds() - 1)
    assert centre.intake.look() == 0
    time.pass_by(seconds=1)
    assert centre.intake.look() == 1
    assert kinds(centre) == [("agent_silent", "one")]
    assert condition_of(centre.agent("one"), [], time()) == "silent"
    for _ in range(5):
        time.pass_by(hours=1)
        assert centre.intake.look() == 0
    player.beat(beat(time))
    assert condition_of(centre.agent("one"), [], time()) == "ok"
    time.pass_by(hours=1)
    assert centre.intake.look() == 1
    assert len(centre.events("edusoc.health")) == 2


def test_one_that_never_came_and_one_that_was_revoked(centre: Centre, time: Time) -> None:
    centre.join("never", "S1")
    gone = centre.join("gone", "S2")
    with centre.database.write() as connection:
        repository.revoke(connection, gone.told.agent, now=time())
    time.pass_by(hours=1)
    centre.intake.look()
    assert kinds(centre) == [("agent_silent", "never")]
    time.pass_by(days=2)
    assert centre.intake.look() == 1


def test_records_alone_are_a_sign_of_life(centre: Centre, time: Time) -> None:
    from tests.intake.agents.conftest import made

    player = centre.join("one", "S1")
    for number in range(4):
        time.pass_by(minutes=9)
        player.send(made(1, start=number), at=number)
        centre.intake.look()
    assert kinds(centre) == []


def test_a_source_that_falls_silent_is_told_and_comes_back(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    player.beat(beat(time, state(time)))
    with centre.database.write() as connection:
        repository.set_limit(connection, player.told.agent, "firewall", 1_800)
    time.pass_by(minutes=29)
    player.beat(beat(time, state(time, ago=29 * 60)))
    assert source_of(centre, player).state is SourceHealth.OK
    for _ in range(3):
        time.pass_by(minutes=2)
        player.beat(beat(time, state(time, ago=35 * 60)))
    assert source_of(centre, player).state is SourceHealth.SILENT
    assert kinds(centre) == [("source_silent", "one · firewall")]
    assert condition_of(centre.agent("one"), [source_of(centre, player)], time()) == "troubled"
    player.beat(beat(time, state(time)))
    assert source_of(centre, player).state is SourceHealth.OK
    assert source_of(centre, player).limit_seconds == 1_800


def test_what_an_agent_says_of_itself_has_no_rhythm(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    own = SourceState("agent", "agent", {}, format_instant(NOW))
    player.beat(beat(time, own))
    for _ in range(3):
        time.pass_by(days=3)
        player.beat(beat(time, own))
    assert "source_silent" not in [kind for kind, _name in kinds(centre)]


def test_the_rhythm_is_learned(time: Time) -> None:
    first = format_instant(NOW - timedelta(days=30))
    source = Source("g", "s", "k", SourceHealth.OK, first, longest_seconds=7_200)
    assert limit_of(source, NOW) == 21_600
    young = Source("g", "s", "k", SourceHealth.OK, format_instant(NOW), longest_seconds=60)
    assert limit_of(young, NOW) == DAY_SECONDS
    quick = Source("g", "s", "k", SourceHealth.OK, first, longest_seconds=60)
    assert limit_of(quick, NOW) == LEAST_SECONDS
    rare = Source("g", "s", "k", SourceHealth.OK, first, longest_seconds=10**6)
    assert limit_of(rare, NOW) == MOST_SECONDS


def test_pauses_are_measured_between_records(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    for minutes in (1, 1, 90, 1, 1):
        time.pass_by(minutes=minutes)
        player.beat(beat(time, state(time)))
    assert 5_300 < source_of(centre, player).longest_seconds <= 5_400


@pytest.mark.parametrize(
    ("fields", "skew", "kind"),
    [
        ({"disk_free": 4, "disk_total": 100}, 0, "agent_disk"),
        ({"disk_free": 5, "disk_total": 100}, 0, ""),
        ({}, 90, "agent_clock"),
        ({}, -90, "agent_clock"),
        ({}, 30, ""),
    ],
)
def test_disk_and_clock(centre: Centre, time: Time, fields: dict[str, int], skew: int, kind: str) -> None:
    player = centre.join("one", "S1")
    player.skew = timedelta(seconds=skew)
    player.beat(beat(time, **fields))
    player.beat(beat(time, **fields))
    assert [found for found, _name in kinds(centre)] == ([kind] if kind else [])


def test_drops_are_told_when_they_grow(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    player.beat(beat(time, state(time, dropped=5)))
    assert kinds(centre) == [], "what was before we knew the source"
    player.beat(beat(time, state(time, dropped=5)))
    assert kinds(centre) == []
    player.beat(beat(time, state(time, dropped=12)))
    assert kinds(centre) == [("agent_drops", "one · firewall")]
    [event] = centre.events("edusoc.health")
    assert event["edusoc.health.count"] == 7


def test_a_source_that_can_not_run_is_told(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    player.beat(beat(time, state(time, fault="the port is taken")))
    assert kinds(centre) == [("source_failed", "one · firewall")]
    assert source_of(centre, player).fault == "the port is taken"


def test_heartbeats_are_stored_now_and_then_and_shown(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    oldest = format_instant(NOW - timedelta(minutes=7))
    for _ in range(12):
        player.beat(beat(time, state(time, received=9), waiting=3, oldest=oldest))
        time.pass_by(minutes=1)
    found = centre.events("edusoc.heartbeat")
    assert len(found) == 2
    assert found[0]["edusoc.health.counters"] == ["firewall.received=9"]
    assert found[0]["edusoc.health.waiting"] == 3
    assert lag_seconds(centre.agent("one"), NOW) == 420


def test_an_agent_that_invents_names_does_not_fill_the_table(
    centre: Centre, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intake.agents.watching.MOST_SOURCES", 3)
    player = centre.join("one", "S1")
    for turn in range(4):
        names = [f"s{turn}{number}" for number in range(2)]
        player.beat(beat(time, *(SourceState(name, "syslog") for name in names)))
    with centre.database.read() as connection:
        found = repository.list_sources(connection, [player.told.agent])
    assert [source.name for source in found] == ["s00", "s01", "s10"]


def test_the_inputs_of_a_centre_itself_are_looked_after_and_nobody_may_send_in_their_name(
    centre: Centre, time: Time
) -> None:
    own = Agent("local", "local", centre.tree.find("S1").id, "default", "", below=True)
    with centre.database.write() as connection:
        repository.put_local(connection, own, now=time())
        repository.put_local(connection, own, now=time())
    centre.intake.receiver.own_heartbeat("local", beat(time, state(time)))
    assert condition_of(centre.agent("local"), [], time()) == "ok"
    with centre.database.write() as connection:
        assert not repository.use_number(connection, "local", 1)
    time.pass_by(seconds=LATE.total_seconds())
    centre.intake.look()
    assert kinds(centre) == [("agent_silent", "local")]
    with centre.database.write() as connection:
        assert repository.revoke(connection, "local", now=time())
        assert not repository.revoke(connection, "local", now=time())
