"""Keep the catalogue of sealed segments: what a reader sees is decided here, in one transaction.

SQLite in WAL mode with ``synchronous=FULL``: one process writes, any number read. The *sealed offset* says which part
of the log is in segments; segments and the sealed offset change together, so no event is missed or seen twice.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from soc_core.audit.chain import Head, Link, Plain
from soc_core.errors import StoreError
from soc_core.store.embedded.chain import (
    SCHEMA,
    Named,
    adopt_links,
    append_link,
    listed,
    read_head,
    read_links,
    segments_by_chain,
)
from soc_core.store.embedded.segments import (
    COLUMNS,
    FORMAT,
    Change,
    Damaged,
    Sealing,
    Segment,
    Snapshot,
    insert_segment,
    segment_of_row,
)
from soc_core.store.embedded.tallies import SCHEMA as TALLIES
from soc_core.store.embedded.tallies import (
    adopt_statistics,
    checked,
    delete_tallies,
    miscounted_segments,
    segments_holding,
    sum_days,
    sum_tallies,
)
from soc_core.store.interface import SourceDay, SourceStatistics
from soc_core.wal import use_wal

T = TypeVar("T")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS segments (
    name TEXT PRIMARY KEY, day TEXT NOT NULL, events INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
    low INTEGER NOT NULL, high INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    ids_sha256 TEXT NOT NULL, columns TEXT NOT NULL, retired REAL,
    format INTEGER NOT NULL DEFAULT 1, created REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS segments_by_day ON segments (day);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    name TEXT PRIMARY KEY, day TEXT NOT NULL, events INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
    what TEXT NOT NULL
) WITHOUT ROWID;
"""
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})
VERSION: Final = 3
"""Version of the catalogue (``PRAGMA user_version``).

The first had none and no formats; the second had texts where ``tallies`` have numbers."""
_ADDED: Final = {"format": "INTEGER NOT NULL DEFAULT 1", "created": "REAL NOT NULL DEFAULT 0"}


class Catalogue:
    """Open the catalogue of a store directory; each call uses a connection of its own, so threads may share it.

    One that is ``watching`` keeps one more for ``snapshot``, by which it sees whether anything changed since it last
    looked; it must be closed.
    """

    def __init__(self, path: Path, *, watching: bool = False) -> None:
        """Create the tables where they are missing, bring old ones up to date.

        Raises ``StoreError`` when the file is no sound catalogue or of a version we do not know yet. In a file system
        that can't be written to the catalogue is read as it is.
        """
        self.path = path
        self._frozen = path.exists() and not os.access(path.parent, os.W_OK)
        self._lock = threading.Lock()
        self._watches = watching and not self._frozen
        self._watching: sqlite3.Connection | None = None
        self._seen = -1
        self._snapshot = Snapshot((), 0)
        self._known: dict[str, Segment] = {}
        if self._frozen:
            return
        with self._connect() as connection:
            self._bring_up_to_date(connection)
            connection.executescript(_SCHEMA + TALLIES + SCHEMA)

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise StoreError(
                f"the store was written by a newer version (catalogue {version}, known are up to {VERSION})",
                where=str(self.path),
                todo="use the version that wrote it, or a newer one",
            )
        if version < VERSION:
            connection.execute("BEGIN IMMEDIATE")
            there = {row["name"] for row in connection.execute("PRAGMA table_info(segments)")}
            for name, kind in _ADDED.items() if there else ():
                if name not in there:
                    connection.execute(f"ALTER TABLE segments ADD COLUMN {name} {kind}")
            for statement in TALLIES.split(";"):
                connection.execute(statement)
            adopt_statistics(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
            if there:
                with suppress(sqlite3.OperationalError):  # without room, or while others read
                    connection.execute("VACUUM")

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._open()
            try:
                connection.row_factory = sqlite3.Row
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> StoreError:
        # Full, busy and read-only are operational errors; the rest means that the file is not what it should be.
        damaged = not isinstance(error, sqlite3.OperationalError) or "decode" in str(error)
        todo = "run: edusoc store repair" if damaged else ""
        return StoreError(f"the catalogue: {error}", where=str(self.path), todo=todo)

    def _open(self, *, shared: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._address(), uri=True, isolation_level=None, timeout=30, check_same_thread=not shared
        )
        if self._frozen:
            return connection
        try:
            use_wal(connection)
            connection.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error as error:
            connection.close()
            log = self.path.with_name(self.path.name + "-wal")
            if shared or not _is_without_room(error) or (log.exists() and log.stat().st_size):
                raise
            # Not one byte is free, so SQLite can't make its shared memory; nobody can write either, for now.
            return sqlite3.connect(self._address() + "?immutable=1", uri=True, isolation_level=None)
        return connection

    def _address(self) -> str:
        address = f"file:{quote(str(self.path.absolute()))}"
        if not self._frozen:
            return address
        log = self.path.with_name(self.path.name + "-wal")
        # Without a log of its own nothing can change it, and SQLite need not lock what it can't write.
        return address + ("?mode=ro" if log.exists() and log.stat().st_size else "?immutable=1")

    def snapshot(self) -> Snapshot:
        """Return segments (by day, then lowest offset) and sealed offset as of one moment.

        For one that is watching this is, while nothing changes, one look at a number; after a change only new
        segments are read.
        """
        if not self._watches:
            with self._connect() as connection:
                return self._read(connection)
        try:
            with self._lock:
                if self._watching is None:
                    self._watching = self._open(shared=True)
                    self._watching.row_factory = sqlite3.Row
                version = self._watching.execute("PRAGMA data_version").fetchone()[0]
                if version != self._seen:
                    self._snapshot = self._read(self._watching)
                    # What was committed while we read is seen again: our transaction may be older than the number.
                    self._seen = version
                return self._snapshot
        except sqlite3.Error as error:
            if not _is_without_room(error):
                raise self._error(error) from error
        with self._connect() as connection:
            return self._read(connection)

    def _read(self, connection: sqlite3.Connection) -> Snapshot:
        connection.execute("BEGIN")
        try:
            # Not by an index: a damaged one would leave out segments or name wrong ones.
            there = connection.execute(
                "SELECT rowid, name FROM segments NOT INDEXED WHERE retired IS NULL "
                "AND name NOT IN (SELECT name FROM quarantine)"
            ).fetchall()
            known = {name: self._known[name] for _, name in there if name in self._known}
            fresh = [number for number, name in there if name not in known]
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM segments WHERE rowid IN (SELECT value FROM json_each(?))",  # noqa: S608 constant
                (json.dumps(fresh),),
            )
            known.update((segment.name, segment) for segment in map(segment_of_row, rows))
            damaged = connection.execute("SELECT * FROM quarantine ORDER BY first, name").fetchall()
            sealed = connection.execute("SELECT value FROM state WHERE name = 'sealed'").fetchone()
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
        self._known = known
        segments = tuple(sorted(known.values(), key=lambda s: (s.day, s.low, s.name)))
        number = checked([sealed] if sealed else [(0,)], (int,))[0][0]
        left_out = tuple(Damaged(*row) for row in checked(damaged, (str, str, int, str, str, str)))
        return Snapshot(segments, number, left_out)

    def close(self) -> None:
        """Close the connection that is kept, if there is one; the next look opens another."""
        with self._lock:
            if self._watching is not None:
                self._watching.close()
                self._watching, self._seen = None, -1

    def apply(self, change: Change, now: float) -> None:
        """Add and retire segments and move the sealed offset, all or nothing; ``now`` in seconds dates retiring."""
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _chain(connection, change, now)
            for segment, statistics in change.added:
                insert_segment(connection, replace(segment, created=now), statistics)
            for name in change.retired:
                connection.execute("UPDATE segments SET retired = ? WHERE name = ?", (now, name))
                delete_tallies(connection, name)
            connection.execute("INSERT OR REPLACE INTO state VALUES ('sealed', ?)", (change.sealed,))
            connection.execute("COMMIT")

    def statistics(self, sealed: int) -> list[SourceStatistics] | None:
        """Return counts of all segments per unit and data set; ``None`` if the sealed offset has moved on."""
        return self._counted(sum_tallies, sealed)

    def days(self, sealed: int) -> list[SourceDay] | None:
        """Return counts of all segments per unit, data set and day; ``None`` if the sealed offset has moved on."""
        return self._counted(sum_days, sealed)

    def _counted(self, count: Callable[[sqlite3.Connection], list[T]], sealed: int) -> list[T] | None:
        """Return what is counted; ``None`` if the sealed offset has moved on."""
        with self._connect() as connection:
            connection.execute("BEGIN")
            rows = count(connection)
            now = connection.execute("SELECT value FROM state WHERE name = 'sealed'").fetchone()
            connection.execute("COMMIT")
        return rows if (now[0] if now else 0) == sealed else None

    def statistics_of(self, names: Collection[str]) -> list[SourceStatistics]:
        """Return counts per unit and data set of some segments."""
        with self._connect() as connection:
            return sum_tallies(connection, names)

    def holding(self, cuts: Mapping[str, str]) -> set[str]:
        """Return the names of segments that hold events of a data set and of a day before the data set's cut."""
        with self._connect() as connection:
            return segments_holding(connection, cuts)

    def live(self) -> list[Segment]:
        """Return all segments that are not retired, damaged ones too."""
        with self._connect() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM segments WHERE retired IS NULL ORDER BY name")  # noqa: S608 constant
            return [segment_of_row(row) for row in rows]

    def set_sidecar(self, name: str, ids_sha256: str) -> None:
        """Take the checksum of a sidecar that was made anew, in today's format."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE segments SET ids_sha256 = ?, format = ? WHERE name = ?", (ids_sha256, FORMAT, name)
            )

    def rebuild(self, links: Sequence[Link], added: Sequence[Sealing], sealed: int, now: float) -> None:
        """Fill an empty catalogue with what was found, continuing the ``links`` of the lost one."""
        chained = segments_by_chain(links)
        found = {s.name: Named(s.name, s.day, s.events, s.sha256) for s, _ in added}
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            adopt_links(connection, links)
            for segment, statistics in added:
                insert_segment(connection, segment, statistics)
            connection.execute("INSERT OR REPLACE INTO state VALUES ('sealed', ?)", (sealed,))
            fresh = [item for name, item in found.items() if chained.get(name) != item] if links else []
            gone = [item for name, item in chained.items() if found.get(name) != item]
            body: dict[str, Plain] = {"added": listed(fresh), "retired": listed(gone), "sealed": sealed}
            append_link(connection, "repaired", {**body, "why": "the catalogue was rebuilt"}, _moment(now))
            connection.execute("COMMIT")

    def accept_losses(self, now: float) -> None:
        """Stop mentioning lost events with every answer; the chain goes on saying what was lost."""
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            rows = connection.execute(
                "SELECT name, events FROM quarantine WHERE name NOT IN "
                "(SELECT name FROM segments WHERE retired IS NULL) ORDER BY name"
            ).fetchall()
            lost: list[Plain] = [{"name": str(name), "events": int(events)} for name, events in rows]
            if lost:
                append_link(connection, "accepted", {"lost": lost}, _moment(now))
                connection.executemany("DELETE FROM quarantine WHERE name = ?", [(row[0],) for row in rows])
            connection.execute("COMMIT")

    def begin_chain(self, now: float) -> None:
        """Begin the chain of a store that has none yet by saying what is there."""
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not read_head(connection).number:
                append_link(connection, "genesis", {}, _moment(now))
            connection.execute("COMMIT")

    def head(self) -> Head:
        """Return the head of the chain."""
        with self._connect() as connection:
            return read_head(connection)

    def links(self) -> Iterator[Link]:
        """Yield the links of the chain, first to last."""
        with self._connect() as connection:
            yield from read_links(connection)

    def quarantine(self, damaged: Sequence[Damaged]) -> None:
        """Leave damaged segments out of answers from now on, or say anew what is wrong with them."""
        rows = [(d.name, d.day, d.events, d.first, d.last, d.what) for d in damaged]
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO quarantine VALUES (?,?,?,?,?,?)", rows)
            connection.execute("COMMIT")

    def retired_before(self, moment: float) -> list[str]:
        """Return names of segments retired before ``moment``: no reader should need them any more."""
        with self._connect() as connection:
            return [
                row[0] for row in connection.execute("SELECT name FROM segments WHERE retired < ?", (moment,))
            ]

    def forget(self, names: Sequence[str]) -> None:
        """Remove retired segments, whose files are gone, from the catalogue."""
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "DELETE FROM segments WHERE name = ? AND retired IS NOT NULL", [(n,) for n in names]
            )
            connection.execute("COMMIT")

    def names(self) -> set[str]:
        """Return the names of all segments, retired ones too."""
        with self._connect() as connection:
            return {row[0] for row in connection.execute("SELECT name FROM segments NOT INDEXED")}

    def miscounted(self) -> list[str]:
        """Return the names of sound segments whose counts per unit and data set do not add up to their events."""
        with self._connect() as connection:
            return miscounted_segments(connection)

    def fault(self) -> str:
        """Return what SQLite's own check finds wrong, or an empty text."""
        with self._connect() as connection:
            found = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        return "" if found == "ok" else found


def _is_without_room(error: sqlite3.Error) -> bool:
    """Tell whether SQLite could not make a file it needs; errors that we raise have no code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def _chain(connection: sqlite3.Connection, change: Change, now: float) -> None:
    """Append the link that tells of a change, before it is made."""
    added = [Named(s.name, s.day, s.events, s.sha256) for s, _ in change.added]
    retired = []
    for name in change.retired:
        row = connection.execute(
            "SELECT name, day, events, sha256 FROM segments WHERE name = ?", (name,)
        ).fetchone()
        retired.extend([Named(*row)] if row else [])
    before = connection.execute("SELECT value FROM state WHERE name = 'sealed'").fetchone()
    moved = change.sealed != (before[0] if before else 0)
    kind = change.kind or ("sealed" if moved else "merged")
    body = {**change.about, "added": listed(added), "retired": listed(retired), "sealed": change.sealed}
    append_link(connection, kind, body, _moment(now))
