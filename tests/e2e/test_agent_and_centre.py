"""Hold that a real agent and a real centre lose and double nothing, whoever is killed: files and syslog over TCP."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson
import pytest

from edusoc import cli
from soc_core.clock import utc_now

ROOT: Final = Path(__file__).parent.parent.parent
UNITS: Final = ROOT / "edusoc" / "demo" / "world" / "units.csv"
UNIT: Final = "9912100003"
CODE: Final = re.compile(r"(?:[0-9A-Z]{4}-){7}[0-9A-Z]{4}")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class World:
    """A centre and an agent, each a process that may be killed and started again."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.state, self.config = folder / "state", folder / "agent.toml"
        self.log, self.port = folder / "auth.log", free_port()
        self.written = 0
        self.run("organisations", "import", str(UNITS))
        self.centre = self.start_centre()
        code = CODE.search(self.run("agents", "code", "--organisation", UNIT))
        assert code is not None
        self.enrol(code[0])
        self.agent = self.start_agent()

    def run(self, *words: str) -> str:
        self.capsys.readouterr()
        assert cli.main([*words, "--state", str(self.state)]) == 0
        return self.capsys.readouterr().out

    def enrol(self, code: str) -> None:
        url = f"https://127.0.0.1:{self.port}"
        words = ["enrol", "--centre", url, "--code", code, "--config", str(self.config)]
        deadline = time.monotonic() + 60
        while cli.main([*words, "--state", str(self.folder / "agent"), "--name", "t"]) != 0:
            assert time.monotonic() < deadline, self.capsys.readouterr().err
            time.sleep(0.2)
        text = self.config.read_text().partition("\n[[inputs]]")[0]
        self.config.write_text(
            text + f'\n[[inputs]]\nkind = "files"\npaths = ["{self.log}"]\npoll_seconds = 1\n'
        )

    def start_centre(self) -> subprocess.Popen[bytes]:
        words = ["serve", "--only", "pipeline", "--intake-port", str(self.port), "--state", str(self.state)]
        return self._start(words)

    def start_agent(self) -> subprocess.Popen[bytes]:
        return self._start(["collect", "--config", str(self.config)])

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            [sys.executable, "-m", "edusoc", *words],
            cwd=ROOT,
            env=dict(os.environ),
            stdout=quiet,
            stderr=quiet,
        )

    def write(self, count: int) -> None:
        stamp = utc_now().astimezone().isoformat(timespec="microseconds")
        with self.log.open("a") as file:
            for _ in range(count):
                self.written += 1
                file.write(
                    f"{stamp} srv sshd[{self.written}]: Failed password for root from 10.0.0.7 port 5 ssh2\n"
                )

    def stored(self) -> Counter[int]:
        out = self.run("search", "event.dataset:syslog*", "--from", "-1d", "--all", "--json")
        events = [orjson.loads(line) for line in out.splitlines() if line.startswith("{")]
        return Counter(int(event["process.pid"]) for event in events)

    def kill(self) -> None:
        for process in (self.agent, self.centre):
            process.kill()
            process.wait()

    def end(self) -> None:
        for process in (self.agent, self.centre):
            process.send_signal(signal.SIGTERM)
        for process in (self.agent, self.centre):
            process.wait(60)


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    made = World(tmp_path, capsys)
    yield made
    made.kill()


@pytest.mark.slow
def test_kill_9_of_both_loses_and_doubles_nothing(world: World) -> None:
    chance = random.Random(3)
    for number in range(6):
        world.write(chance.randrange(50, 400))
        time.sleep(chance.random() * 2)
        if number % 3 == 2:
            world.centre.kill()
            world.centre.wait()
            world.centre = world.start_centre()
        else:
            world.agent.kill()
            world.agent.wait()
            world.write(20)
            world.agent = world.start_agent()
    deadline = time.monotonic() + 90
    while len(stored := world.stored()) < world.written:
        assert time.monotonic() < deadline, f"{len(stored)} of {world.written}"
        time.sleep(0.5)
    assert cli.main(["doctor", "--config", str(world.config)]) == 0
    assert "✗" not in world.capsys.readouterr().out
    world.end()
    stored = world.stored()
    assert sorted(stored) == list(range(1, world.written + 1))
    assert set(stored.values()) == {1}
    assert "0" in world.run("agents", "list")
