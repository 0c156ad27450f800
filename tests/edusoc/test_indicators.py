"""Run ``edusoc indicators`` as people do."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from edusoc.cli import main


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDUSOC_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    return tmp_path


def run(*words: str) -> int:
    return main(["indicators", *words])


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_life_of_a_list(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state / "list.txt"
    file.write_text("45.9.1.2 # bot\nevil.cn\n10.0.0.1\n", encoding="utf-8")
    again = ("import", str(file), "--name", "feed", "--reason", "weekly", "--json")
    assert run(*again) == 1  # one entry is bad
    [done] = rows(capsys)
    assert (done["entries"], done["bad"], done["added"]) == (2, 1, 2)
    assert run(*again) == 0
    assert rows(capsys)[0]["unchanged"] is True
    assert run("check", "hxxp://evil[.]cn/x", "45.9.1.2", "8.8.8.8", "?", "--json") == 0
    assert [row["matches"] for row in rows(capsys)] == [True, True, False, False]
    assert run("allow", "evil.cn", "--reason", "ours", "--json") == 0
    assert run("check", "www.evil.cn", "--json") == 0
    assert [row.get("matches") for row in rows(capsys)] == [None, False]
    assert run("allowed", "--json") == 0
    assert rows(capsys)[0]["value"] == "evil.cn"
    assert run("allow", "evil.cn", "--end", "--reason", "over") == 0
    assert run("allow", "evil.cn", "--end", "--reason", "over") == 2
    assert run("hunt") == 0
    assert run("hunt", "feed") == 0
    assert run("show", "feed") == 0
    assert "line 3：10.0.0.1" in capsys.readouterr().out
    for action in ("disable", "enable"):
        assert run(action, "feed", "--reason", "why") == 0
    capsys.readouterr()
    assert run("list", "--rebuild", "--json") == 0
    assert [row["damaged"] for row in rows(capsys) if "damaged" in row] == [False]
    assert run("remove", "feed", "--reason", "old") == 0
    assert run("list") == 0
    assert "还没有名单" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("show", "nothing"),
        ("remove", "nothing", "--reason", "x"),
        ("allow", "not a value", "--reason", "x"),
        ("allow", "45.9.1.2", "--until", "never", "--reason", "x"),
        ("hunt", "nothing"),
    ],
)
def test_wrong_use_is_said(state: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert "edusoc: " in capsys.readouterr().err


def test_columns_and_unreadable_files(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state / "table.csv"
    file.write_bytes("目标,说明\n坏.中国,木马\n".encode("gb18030"))
    options = ("--name", "c", "--reason", "r")
    assert run("import", str(file), *options, "--format", "csv") == 1
    assert run("import", str(file), *options, "--column", "value") == 2
    assert run("import", str(file), *options, "--column", "reason=说明") == 2
    assert run("import", str(file), *options, "--format", "csv", "--column", "value=目标") == 0
    assert run("import", str(state / "none"), *options) == 3
    assert run("import", str(state), *options) == 3
    assert capsys.readouterr().err
