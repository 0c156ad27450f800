from __future__ import annotations

import os
from pathlib import Path

import pytest

from collectors.live.files import finding
from collectors.live.files.finding import Finder


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: Path, finder: Finder, now: float = 0.0) -> list[str]:
    return [
        Path(path).relative_to(folder).as_posix()
        for path in finder.find(now)
        if Path(path).exists() or "missing" in path
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.log", ["a.log"]),
        ("missing.log", ["missing.log"]),
        ("*.log", ["a.log", "b-2026-11-24.log"]),
        ("b-????-??-??.log", ["b-2026-11-24.log"]),
        ("[ab]*.log", ["a.log", "b-2026-11-24.log"]),
        ("*/conn.log", ["2026-11-23/conn.log", "2026-11-24/conn.log"]),
        ("2026-*/dns*", ["2026-11-24/dns.10_00.log.gz"]),
        (
            "**/*.log",
            ["a.log", "b-2026-11-24.log", "2026-11-23/conn.log", "2026-11-24/conn.log", "deep/er/x.log"],
        ),
        ("deep/**", ["deep/er/x.log"]),
        (".hidden*", [".hidden.log"]),
        ("nowhere/*", []),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, found: list[str]) -> None:
    make(
        tmp_path, "a.log", "b-2026-11-24.log", "c.txt", ".hidden.log", "2026-11-23/conn.log", "deep/er/x.log"
    )
    make(tmp_path, "2026-11-24/conn.log", "2026-11-24/dns.10_00.log.gz")
    assert names(tmp_path, Finder([str(tmp_path / pattern)])) == found


def test_each_once_without_what_is_excluded_and_not_too_many(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "b.log", "b.log.gz", "c.log", "d.log")
    finder = Finder([str(tmp_path / "*"), str(tmp_path / "*.log")], ["*.gz", "a*"], most=2)
    assert names(tmp_path, finder) == ["b.log", "c.log"]
    assert finder.left_out >= 1


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    make(tmp_path, "a/x.log")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert names(tmp_path, Finder([str(tmp_path / "**" / "*.log")])) == ["a/x.log"]


def test_a_folder_is_listed_again_only_when_it_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.log")
    listed: list[str] = []
    really = finding._list
    monkeypatch.setattr(finding, "_list", lambda folder: [listed.append(folder), really(folder)][1])
    finder = Finder([str(tmp_path / "*.log")])
    for now in (0.0, 1.0, 1.9):
        finder.find(now)
    assert len(listed) == 1
    for now in (2.5, 3.5, 29.0):  # once more: the clock of the folder may be coarse
        finder.find(now)
    assert len(listed) == 2
    finder.find(40.0)
    assert len(listed) == 3
    # A file that appears although the folder's time stays (a coarse clock) is found by the second look.
    times = (tmp_path.stat().st_atime_ns, tmp_path.stat().st_mtime_ns)
    make(tmp_path, "b.log")
    assert names(tmp_path, finder, 41.0) == ["a.log", "b.log"]
    make(tmp_path, "c.log")
    os.utime(tmp_path, ns=times)
    assert names(tmp_path, finder, 72.0) == ["a.log", "b.log", "c.log"]
