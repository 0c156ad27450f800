"""Hold that ``edusoc run`` is a centre whose own inputs bring events straight into its store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from edusoc import cli

ROOT = Path(__file__).parent.parent.parent
UNITS = ROOT / "edusoc" / "demo" / "world" / "units.csv"
UNIT = "9912100003"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def write_inputs(folder: Path, port: int, organisation: str = UNIT) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f'[agent]\nstate = "{folder / "agent"}"\norganisation = "{organisation}"\n'
        f'[[inputs]]\nkind = "syslog"\ntcp = "127.0.0.1:{port}"\n'
    )
    return path


def send(port: int, data: bytes) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as out:
                out.sendall(data)
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def found(state: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert cli.main(["search", "", "--from", "-30d", "--json", "--state", str(state)]) == 0
    out = capsys.readouterr().out
    events = [orjson.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [event for event in events if event["event.dataset"] != "edusoc.heartbeat"]


def local_agent(state: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["agents", "list", "--json", "--state", str(state)]) == 0
    own: dict[str, Any] = orjson.loads(capsys.readouterr().out)
    return own


@pytest.mark.slow
def test_events_of_its_own_inputs_are_in_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, port = tmp_path / "state", free_port()
    assert cli.main(["organisations", "import", str(UNITS), "--state", str(state)]) == 0
    inputs = write_inputs(tmp_path, port)
    words = [sys.executable, "-m", "edusoc", "run", "--inputs", str(inputs), "--state", str(state)]
    running = subprocess.Popen(
        [*words, "--port", "0", "--intake-port", "0"],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    stamp = time.strftime("%b %e %H:%M:%S")
    lines = [
        f"<38>{stamp} srv sshd[{number}]: Failed password for root from 10.0.0.7 port 5 ssh2\n"
        for number in range(20)
    ]
    send(port, "".join(lines).encode())
    deadline = time.monotonic() + 60
    while len(events := found(state, capsys)) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    while (own := local_agent(state, capsys))["condition"] != "ok":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (own["id"], own["state"]) == ("local", "local")
    assert [(source["name"], source["state"]) for source in own["sources"]] == [("syslog", "ok")]
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert len(events) == 20
    assert {event["edusoc.source"] for event in events} == {"syslog"}
    assert {event["edusoc.agent"] for event in events} == {"local"}
    assert len({event["event.id"] for event in events}) == 20
    own = local_agent(state, capsys)
    assert own["sources"][0]["counters"]["stored"] == 20, "the last heartbeat is sent at the end"
    assert own["sources"][0]["last_at"]


def test_a_wrong_configuration_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[agent]\nzone = 5\n")
    assert cli.main(["run", "--inputs", str(path), "--state", str(tmp_path / "state")]) == 2
    assert f"{path}:2" in capsys.readouterr().err
    assert cli.main(["run", "--inputs", str(write_inputs(tmp_path, 1, "")), "--state", str(tmp_path)]) == 2
    assert "organisation" in capsys.readouterr().err
