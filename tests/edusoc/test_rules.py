"""Run ``edusoc rules`` and ``edusoc detect`` as users do, in this process: the work behind them is tested elsewhere."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from edusoc.commands import detect, rules
from tests.detectors.sigma.test_lint import SAMPLES, WHOLE

ID = "11111111-2222-4333-8444-555555555555"
DNS = {"@timestamp": "2026-11-20T02:00:00Z", "event": {"dataset": "packets.dns", "category": ["network"]}}
BAD = DNS | {"dns": {"question": {"name": "bad.example"}}, "source": {"ip": "10.0.0.7"}}


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "rules"
    place.mkdir()
    (place / "rule.yml").write_text(WHOLE, encoding="utf-8")
    (place / "rule.samples.yml").write_text(SAMPLES, encoding="utf-8")
    return place


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    rules.add(subparsers)
    detect.add(subparsers)
    parsed = parser.parse_args([str(word) for word in words])
    return int(parsed.run(parsed))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_lint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "lint", folder) == 0
    assert "1 rules, 0 problems" in capsys.readouterr().out
    (folder / "rule.yml").write_text(WHOLE.replace("level: high\n", ""), encoding="utf-8")
    assert run("rules", "lint", folder) == 1
    assert f"{folder / 'rule.yml'}:1: level is missing" in capsys.readouterr().out
    assert run("rules", "lint", "--json", folder) == 1
    (row,) = lines(capsys)
    assert (row["file"], row["line"], row["rule"]) == (str(folder / "rule.yml"), 1, ID)


def test_samples(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "test", folder) == 0
    assert "2 samples passed, 0 failed; 0 files have no samples" in capsys.readouterr().out
    (folder / "rule.samples.yml").write_text(SAMPLES.replace("good", "bad"), encoding="utf-8")
    assert run("rules", "test", folder) == 1
    assert f"negative 1: should not fire and did (another name): {ID}" in capsys.readouterr().out
    assert run("rules", "test", "--json", folder) == 1
    assert [row["passed"] for row in lines(capsys)] == [True, False]
    (folder / "rule.samples.yml").write_text("x: [", encoding="utf-8")
    assert run("rules", "test", folder) == 1
    assert "can't be read" in capsys.readouterr().out


def test_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "list", "--json", folder) == 0
    (row,) = lines(capsys)
    assert (row["id"], row["state"], row["source"], row["level"]) == (ID, "on", "category=dns", "high")
    (folder / "bad.yml").write_text(WHOLE.replace("condition: s", "condition: t"), encoding="utf-8")
    assert run("rules", "list", folder) == 1
    assert "bad.yml:1: wrong rule: Detection 't' not defined" in capsys.readouterr().out


def test_what_our_own_checks_say_of_a_rule_is_said_in_chinese(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    rule = re.sub(
        r"^  s:.*?(?=^  condition)",
        "  s: {destination.ip|expand: '%x%'}\n",
        WHOLE,
        flags=re.DOTALL | re.MULTILINE,
    )
    (folder / "bad.yml").write_text(rule.replace(ID, ID.replace("1", "3")), encoding="utf-8")
    assert run("rules", "list", folder) == 1
    assert "bad.yml:1: 规则写法有误：占位符“x”没有给出值（expand）" in capsys.readouterr().out


def test_blind(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty = tmp_path / "state"
    assert run("rules", "blind", "--state", empty, "--json", folder) == 0
    assert lines(capsys) == []
    cloud = WHOLE.replace("category: dns", "product: aws, service: cloudtrail").replace(ID, ID[:-1] + "6")
    (folder / "cloud.yml").write_text(cloud, encoding="utf-8")
    assert run("rules", "blind", "--state", empty, "--json", folder) == 0
    (row,) = lines(capsys)
    assert row["collected"] is False
    assert "product=aws service=cloudtrail" in str(row["reason"])


def test_blind_asks_the_store(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from soc_core.store.embedded import EmbeddedStore

    state = tmp_path / "state"
    store = EmbeddedStore(state / "events", writer=True)
    assert run("rules", "blind", "--state", state, folder) == 0
    assert "the store holds no event of this log source: category=dns" in capsys.readouterr().out
    store.append(
        [
            {
                "@timestamp": "2026-11-20T02:00:00.000000Z",
                "event.id": "20261120-a",
                "event.dataset": "zeek.dns",
                "organization.id": "o",
                "edusoc.zone": "default",
            }
        ]
    )
    store.close()
    assert run("rules", "blind", "--state", state, "--json", folder) == 0
    assert lines(capsys) == []


def test_detect(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    events, stats = tmp_path / "events.json", tmp_path / "stats.json"
    events.write_text("\n".join(json.dumps(event) for event in (DNS, BAD)), encoding="utf-8")
    assert run("detect", "--rules", folder, "--stats", stats, events) == 0
    captured = capsys.readouterr()
    (found,) = [json.loads(line) for line in captured.out.splitlines()]
    assert found["rule_id"] == ID
    assert found["entity"] == {"kind": "ip", "value": "10.0.0.7", "zone": "default"}
    assert found["reasons"] == ["Name asked for: bad.example"]
    assert "2 events; 1 rules, 1 detections" in captured.err
    body = json.loads(stats.read_text(encoding="utf-8"))
    assert (body["rules"], body["detections"], body["by_rule"], body["rule_problems"]) == (1, 1, {ID: 1}, [])
    assert body["reading"]["events"] == 2


def test_detect_correlates(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    counted = f"type: event_count, rules: [{ID}], timespan: 5m, condition: {{gte: 2}}"
    many = f"---\ntitle: Many\nid: {ID[:-1]}6\ncorrelation: {{{counted}}}\n"
    (folder / "rule.yml").write_text(WHOLE + many, encoding="utf-8")
    events = tmp_path / "events.json"
    second = BAD | {"@timestamp": "2026-11-20T02:00:07Z"}
    events.write_text("\n".join(json.dumps(event) for event in (second, BAD)), encoding="utf-8")
    assert run("detect", "--rules", folder, events) == 0
    (found,) = lines(capsys)
    assert (found["rule_id"], found["count"], found["first_seen"]) == (
        ID[:-1] + "6",
        2,
        "2026-11-20T02:00:00.000000Z",
    )


def test_detect_says_what_it_could_not_use(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (folder / "bad.yml").write_text("title: x", encoding="utf-8")
    events = tmp_path / "events.json"
    events.write_text(json.dumps(BAD) + "\nnonsense\n", encoding="utf-8")
    assert run("detect", "--rules", folder, events, tmp_path / "none") == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "bad.yml:1: there is no id" in captured.err
    assert "none" in captured.err


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["detect"], ["rules"], *(["rules", name] for name in ("lint", "test", "list", "blind"))):
        with pytest.raises(SystemExit) as caught:
            run(*words, "--help")
        assert caught.value.code == 0
        assert len(capsys.readouterr().out) > 150
