"""Hold what a whole agent does: kill -9, a difficult centre, orders, reloads, a quick end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from collectors.agent import agent as agent_module
from collectors.agent.agent import Agent
from collectors.agent.configuration import InputSettings, load_configuration
from collectors.agent.joining import Wish, join
from collectors.agent.status import read_status
from collectors.base import Batch
from collectors.live import registry
from collectors.live.base import LiveInput
from collectors.uplink import sender
from soc_core.model.event import Scalar
from soc_core.uplink.answers import BUSY, Refusal
from soc_core.uplink.orders import ACTION, CONFIGURATION
from tests.collectors.agent import agent_files
from tests.collectors.agent.centre import Centre
from tests.collectors.agent.helpers import Scripted, events, wait_for

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    with Centre(tmp_path / "centre") as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, centre: Centre) -> Path:
    join(Wish(centre.url, centre.code), tmp_path / "state", "1.0")
    return agent_files.write(tmp_path, centre.url)


class Running:
    """An agent in a thread of this process, whose inputs are scripted."""

    def __init__(self, config: Path, batches: dict[str, list[Batch]] | None = None) -> None:
        self.batches = batches or {}
        self.notices: list[tuple[str, dict[str, Scalar]]] = []
        self.agent = Agent(
            load_configuration(config),
            lambda key, values: self.notices.append((key, dict(values))),
            make=self.make,
        )
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.agent.run, args=(self.stop,), daemon=True)
        self.thread.start()

    def make(self, settings: InputSettings) -> LiveInput:
        fault = OSError("no such port") if "broken" in settings.name else None
        return Scripted(settings.name, self.batches.get(settings.name, []), fault)

    def said(self, key: str) -> bool:
        return any(key == item for item, _ in self.notices)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.KINDS, "scripted", "tests.collectors.agent.agent_files")
    monkeypatch.setattr(sender, "EVERY", timedelta(seconds=0.2))  # heartbeats, and with their answers orders
    monkeypatch.setattr(agent_module, "PROVE_SECONDS", 0.5)


@pytest.mark.usefixtures("scripted")
def test_events_answers_and_gaps_reach_the_centre(centre: Centre, config: Path) -> None:
    agent_files.inputs(config, "one")
    running = Running(config, {"one": [Batch(events=events(5)), Batch(events=events(5, 5, "x", "iam"))]})
    centre.orders = [centre.order(1, ACTION, {"action": "ping", "text": "hi"})]
    wait_for(lambda: len(centre.events()) >= 11)
    answers = [item for item in centre.events() if item["event.dataset"] == "edusoc.order"]
    assert [(item["edusoc.order.number"], item["event.outcome"]) for item in answers] == [(1, "failure")]
    assert "does not consent" in str(answers[0]["event.reason"])
    assert all(
        item["edusoc.source"] == "one" for item in centre.events() if item["event.dataset"] != "edusoc.order"
    )
    running.end()
    status = read_status(running.agent.configuration.state)
    assert status["running"] is False
    assert centre.received.heartbeats[-1].sources[-1].name == "agent"


@pytest.mark.usefixtures("scripted")
def test_an_ordered_configuration_starts_its_inputs_or_is_taken_back(centre: Centre, config: Path) -> None:
    running = Running(config)
    good = '[[inputs]]\nname = "added"\nkind = "scripted"\n'
    centre.orders = [centre.order(1, CONFIGURATION, {"toml": good})]
    wait_for(lambda: answered(centre) == {1: "success"}, seconds=30)
    assert [item.settings.name for item in running.agent.supervisor.runners] == ["added"]
    bad = good + '[[inputs]]\nname = "broken"\nkind = "scripted"\n'
    wrong = good.replace("scripted", "nobody")
    centre.orders = [
        centre.order(2, CONFIGURATION, {"toml": bad}),
        centre.order(3, CONFIGURATION, {"toml": wrong}),
    ]
    wait_for(lambda: answered(centre) == {1: "success", 2: "failure", 3: "failure"}, seconds=30)
    assert [item.settings.name for item in running.agent.supervisor.runners] == ["added"]
    running.end()
    again = Running(config)
    wait_for(lambda: [item.condition.state for item in again.agent.supervisor.runners] == ["running"])
    again.end()


def answered(centre: Centre) -> dict[object, object]:
    return {
        item["edusoc.order.number"]: item["event.outcome"]
        for item in centre.events()
        if item["event.dataset"] == "edusoc.order"
    }


@pytest.mark.usefixtures("scripted")
def test_a_reload_takes_what_is_right_and_leaves_what_is_wrong(centre: Centre, config: Path) -> None:
    agent_files.inputs(config, "one")
    running = Running(config)
    wait_for(lambda: len(running.agent.supervisor.runners) == 1)
    agent_files.inputs(config, "one", "two")
    running.agent.reload.set()
    wait_for(lambda: running.said("reloaded"))
    assert [item.settings.name for item in running.agent.supervisor.runners] == ["one", "two"]
    config.write_text(config.read_text() + "\nnonsense\n")
    running.agent.reload.set()
    wait_for(lambda: running.said("reload_failed"))
    assert len(running.agent.supervisor.runners) == 2
    running.end()


class Child:
    """``edusoc collect`` as a process of its own."""

    def __init__(self, config: Path) -> None:
        command = [sys.executable, "-m", "tests.collectors.agent.counting", str(config)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=dict(os.environ))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, state: Path) -> str:
        wait_for(lambda: read_status(state).get("pid") == self.process.pid)  # it listens to signals now
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, said
        return said.decode()


def counted(config: Path, folder: Path, count: int) -> None:
    text = config.read_text() + f'\n[[inputs]]\nname = "c"\nkind = "counting"\ncount = {count}\n'
    config.write_text(text + f'path = "{folder / "count"}"\n')


def kill_often(centre: Centre, config: Path, folder: Path, count: int, kills: int) -> None:
    """Kill the agent at random moments while the centre refuses and breaks off; everything must arrive."""
    chance = random.Random(7)
    counted(config, folder, count)

    def trouble(_path: str, _taken: bool) -> Refusal | None:
        dice = chance.random()
        if dice < 0.15:
            raise ConnectionError
        return Refusal(BUSY, "come again") if dice < 0.25 else None

    centre.trouble = trouble
    for _ in range(kills):
        child = Child(config)
        wanted = min(len(centre.events()) + chance.randrange(300), count)
        wait_for(lambda wanted=wanted: len(centre.events()) >= wanted)  # type: ignore[misc] # bound at once
        child.kill()
    child = Child(config)
    wait_for(lambda: len({item["event.id"] for item in centre.events()}) >= count, "all events", 60)
    said = child.end(folder / "state")
    assert "Traceback" not in said
    found = {str(item["event.id"]): item["event.sequence"] for item in centre.events()}
    assert sorted(int(str(number)) for number in found.values()) == list(range(count))
    assert centre.received.jumps == []
    assert centre.received.numbers == sorted(set(centre.received.numbers))


@pytest.mark.slow
def test_kill_9_loses_nothing_and_repeats_no_number(centre: Centre, config: Path, tmp_path: Path) -> None:
    kill_often(centre, config, tmp_path, count=2_000, kills=4)


def test_a_real_process_ends_within_seconds(centre: Centre, config: Path, tmp_path: Path) -> None:
    counted(config, tmp_path, 50)
    child = Child(config)
    wait_for(lambda: len(centre.events()) >= 50)
    assert "c" in child.end(tmp_path / "state")
    assert read_status(tmp_path / "state")["running"] is False


def known_libraries() -> set[str]:
    """Return what the installer installs, and what that brings along or pytest's environment adds."""
    lines = (ROOT / "packaging" / "agent-requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line.partition(">=")[0].lower().replace("_", "-") for line in lines if not line.startswith("#")}
    return listed | {"cffi", "pycparser", "setuptools", "edusoc", "pip"}


HEAVY = (
    "numba",
    "llvmlite",
    "pyarrow",
    "duckdb",
    "sklearn",
    "fastapi",
    "sqlalchemy",
    "pandas",
    "numpy",
    "elasticsearch",
)


def test_the_installer_installs_what_any_input_needs() -> None:
    program = """
import importlib, pkgutil, sys
import collectors
built = ("collectors.packets.kernel", "collectors.packets.building", "collectors.packets.deep_view")
for module in pkgutil.walk_packages(collectors.__path__, "collectors."):
    if not module.name.startswith(built):
        importlib.import_module(module.name)
from importlib.metadata import packages_distributions
owners = packages_distributions()
used = {owner for name in list(sys.modules) for owner in owners.get(name.split(".")[0], ())}
print(*sorted(name.lower().replace("_", "-") for name in used))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    brought_along = {"pyasn1", "llvmlite"}  # by pysnmp; by the installer where packets are captured
    assert set(done.stdout.decode().split()) <= known_libraries() | brought_along


def test_collecting_syslog_imports_nothing_heavy(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    text = f'[agent]\nstate = "{tmp_path / "state"}"\n[privacy]\n[[inputs]]\nkind = "syslog"\nudp = "127.0.0.1:0"\n'
    config.write_text(text)
    program = f"""
import os, pathlib, signal, sys, threading, time
def stop():
    while not pathlib.Path({str(tmp_path / "state" / "status.json")!r}).exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=stop, daemon=True).start()
from edusoc import cli
assert cli.main(["collect", "--config", {str(config)!r}]) == 0
heavy = [name for name in {HEAVY!r} if name in sys.modules]
from importlib.metadata import packages_distributions
owners = packages_distributions()
used = {{owner.lower().replace("_", "-") for name in list(sys.modules) for owner in owners.get(name.split(".")[0], ())}}
heavy += sorted(used - {known_libraries()!r})
memory = int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
print(heavy, memory)
sys.exit(1 if heavy or memory > 100 else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
