"""Rules change while a whole centre runs: an event, no alert; a rule is added; an event, an alert; no restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select

from cases.alerts.tables import alerts
from edusoc import cli
from intake.rules.running import list_runs
from soc_core.state.database import Database
from tests.edusoc.test_run import ROOT, UNITS, free_port, send, write_inputs

IDENTITY = "11111111-2222-4333-8444-5555555555aa"
FIRST = "11111111-2222-4333-8444-5555555555ab"
PATIENCE = 90.0


def rule(word: str, identity: str) -> str:
    return (
        f"title: Says {word}\nid: {identity}\nstatus: test\nlevel: high\nlogsource: {{product: linux}}\n"
        f"detection: {{k: ['{word}'], condition: k}}\n"
    )


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


class Centre:
    """Hold a running centre."""

    def __init__(self, state: Path, rules: Path, port: int) -> None:
        self.state, self.rules, self.port = state, rules, port

    def found(self) -> list[str]:
        database = Database.in_directory(self.state)
        try:
            with database.read() as connection:
                return sorted(connection.scalars(select(alerts.c.rule_id)))
        finally:
            database.close()

    def fingerprint(self) -> str:
        database = Database.in_directory(self.state)
        try:
            with database.read() as connection:
                return next((run.fingerprint + run.fault for run in list_runs(connection)), "")
        finally:
            database.close()

    def say(self, word: str, host: str) -> None:
        send(self.port, f"<13>1 2026-11-24T08:00:00Z {host} app - - - it says {word}\n".encode())


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    state, port, rules = tmp_path / "state", free_port(), tmp_path / "rules"
    rules.mkdir()
    (rules / "first.yml").write_text(rule("pineapple", FIRST))
    assert cli.main(["organisations", "import", str(UNITS), "--state", str(state)]) == 0
    words = [sys.executable, "-m", "edusoc", "run", "--inputs", str(write_inputs(tmp_path, port))]
    running = subprocess.Popen(
        [*words, "--state", str(state), "--port", "0", "--intake-port", "0"],
        cwd=ROOT,
        env={**os.environ, "EDUSOC_RULES": str(rules)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Centre(state, rules, port)
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 0


@pytest.mark.slow
def test_a_rule_added_while_the_centre_runs_alerts(
    centre: Centre, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.say("banana", "h1")
    centre.say("pineapple", "h2")
    wait(lambda: centre.found() == [FIRST])
    before = centre.fingerprint()
    (centre.rules / "second.yml").write_text(rule("banana", IDENTITY))
    wait(lambda: centre.fingerprint() != before)
    centre.say("banana", "h3")
    wait(lambda: centre.found() == [IDENTITY, FIRST])
    (centre.rules / "second.yml").write_text("title: [")
    wait(lambda: "second.yml" in centre.fingerprint())
    centre.say("banana", "h4")
    wait(lambda: centre.found().count(IDENTITY) == 2)
    monkeypatch.setenv("EDUSOC_RULES", str(centre.rules))
    capsys.readouterr()
    assert cli.main(["rules", "status", "--json", "--state", str(centre.state)]) == 1
    assert "second.yml" in orjson.loads(capsys.readouterr().out)["fault"]
    words = ["rules", "silent", FIRST, "--reason", "x", "--state", str(centre.state)]
    assert cli.main(words) == 0
    capsys.readouterr()
    centre.say("pineapple", "h5")

    def silent() -> bool:
        capsys.readouterr()
        assert cli.main(["rules", "stats", "--json", "--days", "400", "--state", str(centre.state)]) == 0
        rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
        return any(row["rule_id"] == FIRST and row["silent"] == 1 for row in rows)

    wait(silent)
    assert centre.found().count(FIRST) == 1
