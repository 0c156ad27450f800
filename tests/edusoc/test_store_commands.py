"""Run ``edusoc audit`` and the actions of ``edusoc store`` for retention, export and repair as users do."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from edusoc import cli
from edusoc.composition import open_database, open_events
from soc_core.clock import format_instant, utc_now
from soc_core.config import Settings
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from tests.soc_core.store.test_keeping import flow

NOW = utc_now()
UNIT_CODE = "9912100003"


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")
    monkeypatch.setattr("soc_core.clock.utc_now", lambda: NOW)  # midnight shall not come in between


def day(ago: int) -> str:
    return (NOW - timedelta(days=ago)).strftime("%Y%m%d")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return an installation: a school with flows of 40 and 2 days ago, and a log with a gap."""
    settings = Settings(state=str(tmp_path / "state"))
    database = open_database(settings)
    with database.write() as connection:
        attributes = [
            Attribute("code", UNIT_CODE),
            Attribute("name", "第一小学"),
            Attribute("level", "school"),
        ]
        unit = put_unit(connection, attributes, {}, now=NOW - timedelta(days=400))
    database.close()
    store = open_events(settings, writer=True)
    arrived = {"event.ingested": format_instant(NOW - timedelta(days=40))}
    store.append([flow(n, day=day(40), unit=unit, **arrived) for n in range(10)])
    store.append([flow(20 + n, day=day(n), unit=unit) for n in range(3)])
    for ago in (1, 2, 5):
        store.append([flow(50 + ago, day=day(ago), unit=unit, **{"event.dataset": "syslog.auth"})])
    store.seal()
    store.close()
    return tmp_path / "state"


def run(state: Path, *words: object) -> int:
    return cli.main([*(str(word) for word in words), "--state", str(state)])


def test_reports_gaps_and_removes_only_when_told(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert run(state, "store", "retention") == 1
        text = capsys.readouterr().out
        assert "第一小学" in text
        assert "(2 days)" in text
        assert "too short" in text
        assert "due: packets.flow" in text
        assert "nothing was removed; add --apply" in text
    assert run(state, "store", "retention", "--apply", "--json") == 1
    body = json.loads(capsys.readouterr().out)
    assert (body["applied"], body["removed"]["events"], body["removed"]["rollups"]) == (True, 10, 1)
    (log,) = [row for row in body["sources"] if row["dataset"] == "syslog.auth"]
    assert (log["class"], log["sound"], log["short"], log["days"]) == ("guaranteed", False, True, 3)
    assert [gap["days"] for gap in log["gaps"]] == [2]
    assert run(state, "store", "retention", "--json") == 1
    body = json.loads(capsys.readouterr().out)
    assert sum(row["events"] for row in body["plan"]) == 0
    assert {row["dataset"] for row in body["sources"]} == {"packets.flow", "rollup.flow", "syslog.auth"}


def test_says_that_less_than_six_months_is_not_taken(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_RETENTION_MONTHS", "2")
    run(state, "store", "retention")
    text = capsys.readouterr().out
    assert "article 23 of the Cybersecurity Law" in text
    assert "security logs 6 calendar months" in text


def test_exports_what_is_asked_for(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out"
    words = ["store", "export", target, "--dataset", "packets.flow", "--organisation", UNIT_CODE, "--json"]
    assert run(state, *words) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 13
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    assert {file["dataset"] for file in manifest["files"]} == {"packets.flow"}
    assert manifest["chain_head"]["number"] >= 2
    assert run(state, *words) == 2
    assert "something already" in capsys.readouterr().err
    assert (
        run(state, "store", "export", tmp_path / "some", "--query", "source.port:1", "--from", "2020-01-01")
        == 0
    )
    assert "exported 0 events" in capsys.readouterr().out


def test_only_an_anchor_from_outside_proves(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(state, "audit", "verify") == 1
    assert "internally consistent, not anchored" in capsys.readouterr().out
    assert run(state, "audit", "heads", "--json") == 0
    kept = tmp_path / "heads.txt"
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(state, "store", "retention", "--apply") == 1
    capsys.readouterr()
    assert run(state, "audit", "verify", "--anchor", kept) == 0
    assert "agree with the anchor" in capsys.readouterr().out
    head = json.loads(kept.read_text(encoding="utf-8"))["hash"]
    assert run(state, "audit", "verify", "--head", head, "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "anchored"
    assert run(state, "audit", "verify", "--head", "0" * 64) == 1
    assert "differs from the anchor" in capsys.readouterr().out
    assert run(state, "audit", "verify", "--head", "short") == 2
    assert run(state, "audit", "verify", "--anchor", tmp_path / "none") == 2
    assert run(state, "audit", "heads") == 0
    assert "chain segments: " in capsys.readouterr().out


def test_a_chain_rewritten_by_an_administrator_is_caught_by_the_anchor_only(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(state, "audit", "heads", "--json")
    kept = tmp_path / "heads.txt"
    kept.write_text(capsys.readouterr().out, encoding="utf-8")
    for path in (state / "events").glob("catalogue.sqlite*"):
        path.unlink()  # and with it the chain; opening for writing makes a new one of what there is
    open_events(Settings(state=str(state)), writer=True).close()
    assert run(state, "store", "verify") == 0
    assert run(state, "audit", "verify") == 1
    assert "internally consistent, not anchored" in capsys.readouterr().out
    assert run(state, "audit", "verify", "--anchor", kept) == 1
    assert "something was rewritten, removed or replaced" in capsys.readouterr().out


def test_names_damage_and_mends_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(state, "store", "repair") == 0
    assert "nothing wrong" in capsys.readouterr().out
    path = min((state / "events" / "segments").glob("*.parquet"))
    path.unlink()
    assert run(state, "store", "repair") == 1
    text = capsys.readouterr().out
    assert path.name in text
    assert "10 events are lost" in text
    assert "第一小学" in text
    assert run(state, "store", "repair", "--apply", "--json") == 1
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["events"], row["applied"], row["day"]) == (10, True, day(40))
    assert run(state, "store", "repair") == 0
    settings = Settings(state=str(state))
    reader = open_events(settings, writer=False)
    assert reader.health().state == "degraded"
    reader.close()
    assert run(state, "store", "repair", "--accept") == 2
    assert run(state, "store", "repair", "--apply", "--accept") == 0
    reader = open_events(settings, writer=False)
    assert reader.health().state == "ok"
    reader.close()
    capsys.readouterr()
    assert run(state, "store", "verify") == 0
    assert run(state, "audit", "verify") == 1


def test_there_must_be_a_store_to_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none", "store", "repair") == 2
    assert "no embedded store" in capsys.readouterr().err
    assert run(tmp_path / "none", "audit", "verify") == 1
