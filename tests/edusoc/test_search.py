"""Hold that ``edusoc search`` prints, counts and lists what the store holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edusoc import cli
from edusoc.commands.search import time_of
from edusoc.composition import open_writer
from soc_core.config import Settings
from soc_core.errors import UsageError
from tests.contract.samples import make

NOW = datetime(2026, 11, 23, 4, 5, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
RANGE = ("--from", "2026-11-18", "--to", "2026-11-22")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a state directory whose store holds 2,500 events."""
    directory: Path = tmp_path_factory.mktemp("search")
    with open_writer(Settings(state=str(directory))) as writer:
        writer.store.append([make(n, day=19 + n % 3, organization=f"o{n % 3}") for n in range(2_500)])
    return str(directory)


def search(state: str, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert cli.main(["search", *words, "--state", state]) == 0
    return capsys.readouterr().out.splitlines()


def test_prints_the_newest_first(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = search(state, capsys, "source.port:>=1024", *RANGE, "--limit", "3")
    assert [line[:10] for line in lines] == ["2026-11-21"] * 3
    assert "source.ip=10.0." in lines[0]
    (first,) = search(
        state, capsys, "", *RANGE, "--limit", "1", "--oldest", "--fields", "message,source.port"
    )
    assert first == "2026-11-19T00:00:00.000000Z  message=record 0  source.port=1024"


def test_prints_all_as_json_page_by_page(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = search(state, capsys, "event.dataset:*.dns", *RANGE, "--all", "--json", "--fields", "message")
    assert len(lines) == 1_250
    assert set(json.loads(lines[0])) == {"@timestamp", "message"}
    assert len(search(state, capsys, "", *RANGE, "--json", "--limit", "1200")) == 1_200


def test_counts(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(state, capsys, "", *RANGE, "--count") == ["2500"]
    assert search(state, capsys, "-source.port:1024", *RANGE, "--count", "--json") == ['{"count":2499}']
    assert search(state, capsys, "", *RANGE, "--distinct", "source.port") == ["2500"]
    top = search(state, capsys, "", *RANGE, "--top", "organization.id", "--limit", "2")
    assert [line.split() for line in top] == [["834", "o0"], ["833", "o1"]]
    days = search(state, capsys, "", *RANGE, "--histogram", "1d", "--json")
    assert [json.loads(line) for line in days] == [
        {"key": f"2026-11-{day}T16:00:00.000000Z", "count": count}
        for day, count in ((18, 834), (19, 833), (20, 833))
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("source.ip:999",),
        ("", "--from", "soon"),
        ("", "--from", "now", "--to", "-1d"),
        ("", "--histogram", "often"),
        ("", "--histogram", "0h"),
        ("", "--fields", "no.such"),
        ("", "--top", "no.such"),
        ("", "--from", "-400d", "--histogram", "1s"),
    ],
    ids=" ".join,
)
def test_refuses_in_chinese(
    state: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    assert cli.main(["search", *words, "--state", state]) == 2
    said = capsys.readouterr().err
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said)


@pytest.mark.parametrize(
    ("text", "at_end", "expected"),
    [
        ("-7d", False, datetime(2026, 11, 16, 4, 5, tzinfo=UTC)),
        ("7d", False, datetime(2026, 11, 16, 4, 5, tzinfo=UTC)),
        ("now", True, NOW),
        ("now/d", False, datetime(2026, 11, 22, 16, tzinfo=UTC)),
        ("2026-11-20", False, datetime(2026, 11, 19, 16, tzinfo=UTC)),
        ("2026-11-20", True, datetime(2026, 11, 20, 16, tzinfo=UTC)),
        ("2026-11-20T08:00+08:00", False, datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T00:00:00.000001Z", True, datetime(2026, 11, 20, 0, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_times_are_those_people_type(text: str, at_end: bool, expected: datetime) -> None:
    assert time_of(text, NOW, ZONE, at_end=at_end) == expected
    with pytest.raises(UsageError):
        time_of("x", NOW, ZONE)
