"""Several processes may open a new SQLite file at once."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from soc_core import wal


def connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)


def mode(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_waits_for_who_uses_the_file(tmp_path: Path) -> None:
    with closing(connected(tmp_path / "a")) as other, closing(connected(tmp_path / "a")) as ours:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            ours.execute("PRAGMA journal_mode=WAL")
        waiting = threading.Thread(target=wal.use_wal, args=(ours,))
        waiting.start()
        other.execute("COMMIT")
        waiting.join()
        assert mode(ours) == "wal"


def test_says_in_the_end_that_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "TRIES", 2)
    with closing(connected(tmp_path / "a")) as other, closing(connected(tmp_path / "a")) as ours:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            wal.use_wal(ours)


def test_says_at_once_what_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"this is no database, whatever else it may be" * 100)
    with (
        closing(connected(tmp_path / "a")) as ours,
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
    ):
        wal.use_wal(ours)
