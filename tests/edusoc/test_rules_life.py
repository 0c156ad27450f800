"""Run the actions of ``edusoc rules`` that change and show the life of rules, as users do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from edusoc.cli import main
from tests.edusoc.test_rule_watching import FIRST, SECOND, rule

UNITS = Path(__file__).parents[2] / "edusoc" / "demo" / "world" / "units.csv"
SCHOOL = "9912100003"


class Shell:
    """Run commands on one state directory whose rules lie in a folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def run(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert main([*words, "--state", str(self.folder / "state")]) == code
        captured = self._capsys.readouterr()
        return captured.out + captured.err

    def rows(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.run(*words, "--json", code=code).splitlines()]


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "first.yml").write_text(
        rule("one", FIRST).replace("title:", "tags: [attack.t1110]\ntitle:")
    )
    monkeypatch.setenv("EDUSOC_RULES", str(tmp_path / "rules"))
    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")
    made = Shell(tmp_path, capsys)
    made.run("organisations", "import", str(UNITS))
    return made


def test_states_severities_and_budgets(shell: Shell) -> None:
    [row] = shell.rows("rules", "silent", "first", "--reason", "x", "--organisation", SCHOOL)
    assert (row["rule"], row["state"]) == (FIRST, "silent")
    assert shell.rows("rules", "list")[0]["state"] == "blind"  # nobody collects what it asks for
    shell.run("rules", "off", FIRST[:10], "--reason", "x")
    assert shell.rows("rules", "list")[0]["state"] == "off"
    [row] = shell.rows("rules", "inherit", FIRST, "--reason", "x", "--organisation", SCHOOL)
    assert row["state"] == "off"
    [row] = shell.rows("rules", "severity", FIRST, "critical", "--reason", "x")
    assert row["severity"] == "critical"
    assert shell.rows("rules", "budget", "*", "7", "--reason", "x")[0]["budget"] == 7
    assert shell.rows("rules", "budget", "*", "inherit", "--reason", "x")[0]["budget"] == 1_000
    for name in ("indicator.ip.0123456789abcdef", "rules.over_budget", "beacon", "health.agent_silent"):
        assert shell.rows("rules", "silent", name, "--reason", "x")[0]["rule"] == name
    assert "there is no rule" in shell.run("rules", "off", "nothing", "--reason", "x", code=2)
    assert "needs a reason" in shell.run("rules", "off", FIRST, "--reason", " ", code=2)
    assert "no unit has the code" in shell.run(
        "rules", "off", FIRST, "--reason", "x", "--organisation", "?", code=2
    )


def test_changes_are_in_a_chain_that_is_verified(shell: Shell) -> None:
    shell.run("rules", "off", FIRST, "--reason", "x")
    shell.run("rules", "on", FIRST, "--reason", "y")
    [head] = [orjson.loads(line) for line in shell.run("audit", "heads", "--json").splitlines()]
    assert (head["stream"], head["number"]) == ("rules", 2)
    assert shell.rows("audit", "verify", code=1)[0]["verdict"] == "unanchored"
    assert shell.rows("audit", "verify", "--head", head["hash"])[0]["verdict"] == "anchored"


def test_suppressions(shell: Shell) -> None:
    words = ("rules", "suppress", "port_scan", "--entity", "10.1.1.9", "--organisation", SCHOOL)
    [made] = shell.rows(*words, "--days", "90", "--reason", "our scanner")
    assert "10.1.1.9" in shell.run("rules", "suppressions")
    shell.run("rules", "suppressions", "--end", made["id"], "--reason", "gone")
    assert shell.rows("rules", "suppressions") == []
    assert shell.rows("rules", "suppressions", "--all")[0]["ended_at"]
    assert "ends within a year" in shell.run(*words, "--until", "2020-01-01", "--reason", "x", code=2)


def test_import_says_what_comes_in_and_who_wins(shell: Shell) -> None:
    source = shell.folder / "foreign"
    source.mkdir()
    (source / "LICENSE").write_text("theirs")
    (source / "a.yml").write_text(rule("two", SECOND))
    (source / "b.yml").write_text(rule("three", FIRST, level="low"))
    (source / "c.yml").write_text("title: [")
    [row] = shell.rows("rules", "import", str(source), "--reason", "try", code=1)
    assert (row["name"], row["rules"], row["on"], row["silent"], row["unusable"]) == ("foreign", 2, 1, 1, 1)
    assert (row["texts"], row["doubled"]) == (["LICENSE"], [{"rule": FIRST, "wins": "own"}])
    assert {item.get("id") for item in shell.rows("rules", "list", code=1)} == {FIRST, SECOND, None}
    (source / "c.yml").unlink()
    told = shell.run("rules", "import", str(source))
    assert "2 rules, 1 on, 1 silent" in told
    assert shell.rows("rules", "sets")[0]["previous"] == row["digest"]
    assert shell.rows("rules", "sets", "--back", "foreign")[0]["digest"] == row["digest"]
    assert shell.rows("rules", "sets", "--remove", "foreign") == []
    (source / "a.yml").write_text("title: [")
    (source / "b.yml").unlink()
    assert "no rule of this set can run here" in shell.run("rules", "import", str(source), code=1)
    assert shell.rows("rules", "sets") == []


def test_coverage_and_the_navigators_layer(shell: Shell) -> None:
    layer = shell.folder / "layer.json"
    [row] = shell.rows("rules", "coverage", "--navigator", str(layer))
    assert (row["kind"], row["name"], row["best"], row["on"]) == ("technique", "T1110", "blind", 0)
    made = orjson.loads(layer.read_bytes())
    assert made["versions"] == {"attack": "19", "navigator": "5.2.0", "layer": "4.5"}
    assert made["domain"] == "enterprise-attack"
    [technique] = made["techniques"]
    assert (technique["techniqueID"], technique["score"], technique["enabled"]) == ("T1110", 1, True)
    assert {item["color"] for item in made["legendItems"]} >= {technique["color"]}
    shell.run("rules", "off", FIRST, "--reason", "x")
    assert shell.rows("rules", "coverage")[0]["best"] == "off"


def test_blind_says_why(shell: Shell) -> None:
    (shell.folder / "rules" / "bad.yml").write_text("title: [")
    found = {row["cause"]: row for row in shell.rows("rules", "blind")}
    assert set(found) == {"unsupported", "uncollected"}
    assert found["uncollected"]["collected"] is False
    assert shell.rows("rules", "blind", "--organisation", SCHOOL)


def test_status_and_stats_of_what_never_ran(shell: Shell) -> None:
    assert "nothing has run yet" in shell.run("rules", "status")
    assert shell.rows("rules", "stats") == []
