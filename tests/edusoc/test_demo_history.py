"""The generated months: the same bytes for one anchor, gaps and silence where they are wanted, readable throughout."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from collectors.reading import collect, read_paths
from edusoc.demo.history import activity, load_pasts, write_history
from soc_core.clock import LOCAL_ZONE, parse_instant

ANCHOR = datetime(2026, 11, 24, 6, tzinfo=UTC)


def days_of(paths: list[Path]) -> set[date]:
    events, statistics = collect(read_paths([str(path) for path in paths]))
    assert statistics.bad == 0
    assert set(statistics.collectors) <= {"syslog", "web_access"}
    return {parse_instant(str(event["@timestamp"])).astimezone(LOCAL_ZONE).date() for event in events}


def test_one_anchor_gives_the_same_bytes(tmp_path: Path) -> None:
    for past in load_pasts():
        first = [path.read_bytes() for path in write_history(past, tmp_path / "a", ANCHOR)]
        second = [
            path.read_bytes() for path in write_history(past, tmp_path / "b", ANCHOR + timedelta(hours=5))
        ]
        assert first == second


def test_there_are_some_thousand_lines_over_seven_months(tmp_path: Path) -> None:
    lines = 0
    for past in load_pasts():
        for path in write_history(past, tmp_path, ANCHOR):
            lines += path.read_bytes().count(b"\n")
    assert 4_000 < lines < 12_000


def test_a_gap_a_silent_unit_and_whole_months_elsewhere(tmp_path: Path) -> None:
    today = ANCHOR.astimezone(LOCAL_ZONE).date()
    every = {today - timedelta(days=ago) for ago in range(1, 211)}
    with_gap = silent = 0
    for past in load_pasts():
        days = days_of(write_history(past, tmp_path, ANCHOR))
        missing = every - days
        if past.gaps:
            with_gap += 1
            assert missing == {
                today - timedelta(days=ago) for first, last in past.gaps for ago in range(last, first + 1)
            }
        elif past.until > 1:
            silent += 1
            assert missing == {today - timedelta(days=ago) for ago in range(1, past.until)}
        else:
            assert missing == set()
    assert with_gap
    assert silent


def test_the_school_year_shows() -> None:
    assert activity(date(2026, 11, 24)) > activity(date(2026, 11, 22)) > activity(date(2026, 7, 30))
