"""Hold what a cursor promises: it stays, and its epoch ends when the log lost what was given out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from soc_core.log import Cursor, LogReader, LogWriter


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    opened = LogWriter(tmp_path / "log", max_file=200, reserve=0)
    yield opened
    opened.close()


def opened(directory: Path, end: int) -> Cursor:
    return Cursor(directory, LogReader(directory).start_offset(), end)


def test_stays_across_restarts(tmp_path: Path, log: LogWriter) -> None:
    log.append(b"x", 10)
    cursor = opened(tmp_path / "log", log.end_offset)
    epoch = cursor.epoch
    assert len(epoch) == 26
    cursor.move(7)
    cursor.close()
    again = opened(tmp_path / "log", log.end_offset)
    assert (again.epoch, again.acknowledged) == (epoch, 7)
    again.close()


def test_a_log_that_lost_its_end_begins_anew(tmp_path: Path, log: LogWriter) -> None:
    log.append(b"x", 10)
    cursor = opened(tmp_path / "log", log.end_offset)
    cursor.move(10)
    cursor.close()
    again = opened(tmp_path / "log", 4)
    assert again.epoch != cursor.epoch
    assert again.acknowledged == 0
    again.close()


@pytest.mark.parametrize("damage", [b"", b"short\n", b"\xff" * 26])
def test_a_damaged_epoch_begins_anew(tmp_path: Path, log: LogWriter, damage: bytes) -> None:
    cursor = opened(tmp_path / "log", log.end_offset)
    cursor.close()
    (tmp_path / "log" / "epoch").write_bytes(damage)
    again = opened(tmp_path / "log", log.end_offset)
    assert again.epoch not in {cursor.epoch, ""}
    again.close()


def test_a_damaged_mark_only_sends_again(tmp_path: Path, log: LogWriter) -> None:
    log.append(b"x", 10)
    cursor = opened(tmp_path / "log", log.end_offset)
    cursor.move(7)
    cursor.close()
    (tmp_path / "log" / "acknowledged").write_bytes(b"nonsense")
    again = opened(tmp_path / "log", log.end_offset)
    assert (again.epoch, again.acknowledged) == (cursor.epoch, 0)
    again.close()


def test_skipped_offsets_are_a_jump(tmp_path: Path, log: LogWriter) -> None:
    log.append(b"a", 2)
    assert log.skip(5) == 2
    assert log.end_offset == 2  # nothing to see before something follows
    assert log.append(b"b") == 7
    log.close()
    again = LogWriter(tmp_path / "log", max_file=200, reserve=0)
    assert again.end_offset == 8
    assert [record.offset for record in LogReader(tmp_path / "log").records(0)] == [0, 7]
    assert again.damage == []
    again.close()


def test_size_counts_all_files(tmp_path: Path, log: LogWriter) -> None:
    def size() -> int:
        return sum(path.stat().st_size for path in (tmp_path / "log").glob("*.log"))

    for _ in range(30):
        log.append(b"y" * 30)
        assert log.size == size()
    assert log.drop_below(20) > 2
    assert log.size == size()
    log.close()
    again = LogWriter(tmp_path / "log", max_file=200, reserve=0)
    assert again.size == size()
    again.close()
    shutil.rmtree(tmp_path / "log")
