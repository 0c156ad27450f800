"""Run ``edusoc rules convert`` as users do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.detectors.sigma.base import WINDOWS, rule_text
from tests.edusoc.test_rules import lines, run


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "rules"
    place.mkdir()
    good = rule_text("one:\n  CommandLine|contains: secret\ncondition: one", WINDOWS)
    bad = rule_text(
        "one:\n  Image|fieldref: ParentImage\ncondition: one",
        WINDOWS,
        "22222222-2222-4333-8444-555555555555",
    ).replace("A test", "Another")
    (place / "good.yml").write_text(good, encoding="utf-8")
    (place / "bad.yml").write_text(bad, encoding="utf-8")
    return place


def test_what_cant_be_said_is_named_and_told_by_the_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in ("elasticsearch", "kibana", "sql"):
        assert run("rules", "convert", folder, "--to", target) == 1
        output = capsys.readouterr()
        assert "secret" in output.out or "[sS]" in output.out
        assert "Another" not in output.out
        assert "not converted: Another: two fields can't be compared there" in output.err
        assert "1 exact, 0 approximate, 1 not converted" in output.err
    assert run("rules", "convert", folder / "good.yml", "--to", "sql") == 0


def test_a_line_of_json_for_each_rule(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "convert", folder, "--to", "elasticsearch", "--json") == 1
    bad, good = lines(capsys)
    assert (bad["outcome"], good["outcome"]) == ("refused", "exact")
    assert bad["reasons"]
    assert "converted" not in bad
    query = json.loads(str(good["converted"]))
    assert query["lucene"].startswith("(")
    assert query["exact"] is True


def test_approximate_rules_are_written_when_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "rules.ndjson"
    words = ("--to", "kibana", "--approximate", "--output", target)
    assert run("rules", "convert", folder, *words) == 0
    assert "converted, but not exact: Another" in capsys.readouterr().err
    names = [json.loads(line)["name"] for line in target.read_text(encoding="utf-8").split("\n") if line]
    assert names == ["Another", "A test"]


def test_a_rule_that_cant_be_loaded_is_named_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "worse.yml").write_text("title: x\n", encoding="utf-8")
    assert run("rules", "convert", folder, "--to", "sql", "--json") == 1
    assert any(row["outcome"] == "refused" and "worse.yml" in str(row["file"]) for row in lines(capsys))


def test_a_file_that_cant_be_written_is_said(folder: Path, tmp_path: Path) -> None:
    from soc_core.errors import UsageError

    with pytest.raises(UsageError, match="can't be written"):
        run("rules", "convert", folder, "--to", "sql", "--output", tmp_path)
