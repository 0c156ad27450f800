"""Put a SQLite file into WAL mode, also when several processes open a new one at once."""

from __future__ import annotations

import sqlite3
import time
from typing import Final, Protocol

PAUSE_SECONDS: Final = 0.02
TRIES: Final = 500


class Cursor(Protocol):
    """Run statements: a cursor or connection of SQLite, however it is wrapped."""

    def execute(self, statement: str, /) -> object:
        """Run one statement."""
        ...


def use_wal(cursor: Cursor) -> None:
    """Switch to WAL mode; raise ``sqlite3.OperationalError`` when the file is locked for ten seconds.

    SQLite refuses the switch at once while somebody else reads, without the wait it has for writers, since two that
    waited for each other would wait for ever. Once the file is in WAL mode nothing needs to be switched.
    """
    for left in reversed(range(TRIES)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not left or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        time.sleep(PAUSE_SECONDS)
