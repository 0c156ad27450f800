"""Hold that inputs are started, restarted, stopped and reloaded, and their failures said once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from collectors.agent import supervisor as module
from collectors.agent.configuration import InputSettings
from collectors.agent.supervisor import Supervisor
from collectors.base import Batch, ReadContext
from collectors.live.base import Counters, LiveInput, Origin, Outlet
from collectors.uplink.pacing import Outside
from soc_core.errors import UsageError
from tests.collectors.agent.helpers import NOW, Scripted, events, wait_for


class Sink:
    """Take batches."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def deliver(self, batch: Batch, origin: Origin) -> None:
        self.batches.append(batch)

    def context(self, origin: Origin) -> ReadContext:
        return ReadContext(reference=NOW)


class Team:
    """A supervisor whose inputs fail as told."""

    def __init__(self) -> None:
        self.faults: dict[str, list[Exception]] = {}
        self.told: list[tuple[str, str]] = []
        self.made: list[str] = []
        self.special: LiveInput | None = None
        self.sink = Sink()
        outside = Outside(lambda: NOW, chance=lambda: 0.0)
        self.supervisor = Supervisor(self.sink, self.make, outside, lambda *told: self.told.append(told))

    def make(self, settings: InputSettings) -> LiveInput:
        self.made.append(settings.name)
        if self.special is not None:
            return self.special
        faults = self.faults.get(settings.name, [])
        return Scripted(settings.name, [Batch(events=events(2))], faults.pop(0) if faults else None)

    def state(self, name: str) -> str:
        return next(item.condition.state for item in self.supervisor.runners if item.settings.name == name)


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(module, "RUNNING_SECONDS", 0.0)
    made = Team()
    yield made
    assert made.supervisor.stop() == []


def settings(*names: str) -> list[InputSettings]:
    return [InputSettings(name, "scripted", {}) for name in names]


def test_a_failing_input_is_tried_again_and_hinders_no_other(team: Team) -> None:
    team.faults["bad"] = [UsageError("the port is taken")] * 3 + [ZeroDivisionError("oops")]
    team.supervisor.apply(settings("good", "bad"))
    wait_for(lambda: team.made.count("bad") == 5 and team.state("bad") == "running")
    assert team.state("good") == "running"
    assert team.made.count("good") == 1
    for runner in team.supervisor.runners:
        runner.look()
    assert team.told == [
        ("bad", "the port is taken"),
        ("bad", "the input failed: ZeroDivisionError: oops"),
        ("bad", ""),
    ]
    (bad,) = (item for item in team.supervisor.runners if item.settings.name == "bad")
    assert bad.condition.failures == 4
    wait_for(lambda: bad.counters() == {"delivered": 2})


def test_only_what_changed_is_restarted(team: Team) -> None:
    team.supervisor.apply(settings("one", "two", "three"))
    wait_for(lambda: len(team.made) == 3)
    _, two, three = settings("one", "two", "three")
    changed = replace(two, values={"port": 1})
    moved = replace(three, where="another line")
    assert team.supervisor.apply([moved, changed, *settings("four")]) == ["four", "one", "two"]
    wait_for(lambda: len(team.made) == 5)
    assert sorted(team.made) == ["four", "one", "three", "two", "two"]
    assert [item.settings.name for item in team.supervisor.runners] == ["three", "two", "four"]


def test_an_input_that_does_not_stop_is_named(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)
    release = threading.Event()

    class Deaf(Scripted):
        def run(self, outlet: object, stop: threading.Event) -> None:
            release.wait()

    monkeypatch.setattr(team.supervisor, "_make", lambda item: Deaf(item.name))
    team.supervisor.apply(settings("deaf"))
    wait_for(lambda: team.state("deaf") == "running")
    assert team.supervisor.stop() == ["deaf"]
    release.set()


def test_an_input_that_changes_waits_for_its_earlier_run_to_end(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)
    leaving, entered = threading.Event(), threading.Event()

    class Slow:
        """Ends only when it is let go."""

        name = kind = "slow"

        def __init__(self) -> None:
            self.counters = Counters()

        def run(self, outlet: Outlet, stop: threading.Event) -> None:
            entered.set()
            assert leaving.wait(30)

    team.special = Slow()
    team.supervisor.apply(settings("one"))
    assert entered.wait(30)
    team.special = None
    changed = [replace(settings("one")[0], values={"port": 1})]
    team.supervisor.apply(changed)
    team.supervisor.apply([])
    team.supervisor.apply(changed)
    assert team.made == ["one"], "the first still reads"
    leaving.set()
    wait_for(lambda: team.made == ["one", "one"] and team.state("one") == "running")
