"""Keep the catalogue of sealed segments: what a reader sees is decided here, in one transaction.

SQLite in WAL mode with ``synchronous=FULL``: one process writes, any number read. The *sealed offset* says which part
of the log is in segments; segments and the sealed offset change together, so no event is missed or seen twice.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from soc_core.audit.chain import Head, Link, Plain
from soc_core.clock import parse_instant
from soc_core.errors import StoreError
from soc_core.fields import FIELDS
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
from soc_core.store.embedded.schema import SEQUENCE
from soc_core.store.interface import SourceDay, SourceStatistics
from soc_core.wal import use_wal

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS segments (
    name TEXT PRIMARY KEY, day TEXT NOT NULL, events INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
    low INTEGER NOT NULL, high INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    ids_sha256 TEXT NOT NULL, columns TEXT NOT NULL, retired REAL,
    format INTEGER NOT NULL DEFAULT 1, created REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS segments_by_day ON segments (day);
CREATE TABLE IF NOT EXISTS statistics (
    segment TEXT NOT NULL, organization_id TEXT NOT NULL, dataset TEXT NOT NULL, events INTEGER NOT NULL,
    first TEXT NOT NULL, last TEXT NOT NULL, PRIMARY KEY (segment, organization_id, dataset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    name TEXT PRIMARY KEY, day TEXT NOT NULL, events INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
    what TEXT NOT NULL
) WITHOUT ROWID;
"""
_NAME: Final = re.compile(r"\d{8}-[0-9A-Za-z_-]{1,128}\.parquet")
_NUMBERS: Final = frozenset({"events", "low", "high", "bytes", "format"})
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})
_COLUMNS: Final = (
    "name, day, events, first, last, low, high, bytes, sha256, ids_sha256, columns, format, created"
)
VERSION: Final = 2
"""Version of the catalogue (``PRAGMA user_version``). The first had none and no formats; columns were added since."""
_ADDED: Final = {"format": "INTEGER NOT NULL DEFAULT 1", "created": "REAL NOT NULL DEFAULT 0"}


@dataclass(frozen=True, slots=True)
class Segment:
    """Describe a sealed segment: file name, day, number of events, first and last time, lowest and highest offset.

    ``columns`` are the fields present. ``sha256`` is of the Parquet file, ``ids_sha256`` of what lies beside it
    (``soc_core.store.embedded.sidecars``), which ``format`` tells: 1 of old stores, 2 today. ``created`` is when it
    was entered, in seconds since 1970.
    """

    name: str
    day: str
    events: int
    first: str
    last: str
    low: int
    high: int
    bytes: int
    sha256: str
    ids_sha256: str
    columns: frozenset[str]
    format: int = 2
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Damaged:
    """Name a damaged segment, its day, how many events can't be read, their first and last time, and what is wrong."""

    name: str
    day: str
    events: int
    first: str
    last: str
    what: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold what a question is answered from: the segments, and the log from ``sealed`` on.

    ``damaged`` ones are not among the segments: answers say that they are left out.
    """

    segments: tuple[Segment, ...]
    sealed: int
    damaged: tuple[Damaged, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Hold what one sealing changes: segments added with their statistics, names retired, the new sealed offset.

    ``kind`` and ``about`` go into the chain (``soc_core.store.embedded.chain``); without ``kind`` it is ``sealed``, or
    ``merged`` where the sealed offset stays.
    """

    added: Sequence[tuple[Segment, Sequence[SourceStatistics]]]
    retired: Sequence[str]
    sealed: int
    kind: str = ""
    about: Mapping[str, Plain] = field(default_factory=dict)


Sealing: TypeAlias = tuple[Segment, Sequence[SourceStatistics]]
"""A segment and its counts per unit and data set."""


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
            connection.executescript(_SCHEMA + SCHEMA)

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
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")

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
                f"SELECT {_COLUMNS} FROM segments WHERE rowid IN (SELECT value FROM json_each(?))",  # noqa: S608 constant
                (json.dumps(fresh),),
            )
            known.update((segment.name, segment) for segment in map(_segment, rows))
            damaged = connection.execute("SELECT * FROM quarantine ORDER BY first, name").fetchall()
            sealed = connection.execute("SELECT value FROM state WHERE name = 'sealed'").fetchone()
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
        self._known = known
        segments = tuple(sorted(known.values(), key=lambda s: (s.day, s.low, s.name)))
        number = _checked([sealed] if sealed else [(0,)], (int,))[0][0]
        left_out = tuple(Damaged(*row) for row in _checked(damaged, (str, str, int, str, str, str)))
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
                _insert(connection, replace(segment, created=now), statistics)
            for name in change.retired:
                connection.execute("UPDATE segments SET retired = ? WHERE name = ?", (now, name))
                connection.execute("DELETE FROM statistics WHERE segment = ?", (name,))
            connection.execute("INSERT OR REPLACE INTO state VALUES ('sealed', ?)", (change.sealed,))
            connection.execute("COMMIT")

    def statistics(self, sealed: int) -> list[SourceStatistics] | None:
        """Return counts of all segments per unit and data set; ``None`` if the sealed offset has moved on."""
        sql = "SELECT organization_id, dataset, sum(events), min(first), max(last) FROM statistics GROUP BY 1, 2"
        rows = self._counted(sql, (str, str, int, str, str), sealed)
        return None if rows is None else [SourceStatistics(*row) for row in rows]

    def days(self, sealed: int) -> list[SourceDay] | None:
        """Return counts of all segments per unit, data set and day; ``None`` if the sealed offset has moved on."""
        sql = (
            "SELECT organization_id, dataset, day, sum(statistics.events) FROM statistics "
            "JOIN segments ON segments.name = statistics.segment GROUP BY 1, 2, 3"
        )
        rows = self._counted(sql, (str, str, str, int), sealed)
        return None if rows is None else [SourceDay(*row) for row in rows]

    def _counted(self, sql: str, kinds: Sequence[type], sealed: int) -> list[sqlite3.Row] | None:
        """Return the checked rows of ``sql``; ``None`` if the sealed offset has moved on."""
        with self._connect() as connection:
            connection.execute("BEGIN")
            found = connection.execute(sql).fetchall()
            now = connection.execute("SELECT value FROM state WHERE name = 'sealed'").fetchone()
            connection.execute("COMMIT")
            rows = list(_checked(found, kinds))
        return rows if (now[0] if now else 0) == sealed else None

    def statistics_of(self, names: Collection[str]) -> list[SourceStatistics]:
        """Return counts per unit and data set of some segments."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT organization_id, dataset, sum(events), min(first), max(last) FROM statistics "
                "WHERE segment IN (SELECT value FROM json_each(?)) GROUP BY 1, 2",
                (json.dumps(sorted(names)),),
            ).fetchall()
        return [SourceStatistics(*row) for row in rows]

    def holding(self, cuts: Mapping[str, str]) -> set[str]:
        """Return the names of segments that hold events of a data set and of a day before the data set's cut."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT segment, dataset, day FROM statistics JOIN segments ON segments.name = statistics.segment "
                "WHERE day < ?",
                (max(cuts.values(), default=""),),
            ).fetchall()
        return {segment for segment, dataset, day in rows if day < cuts.get(dataset, "")}

    def live(self) -> list[Segment]:
        """Return all segments that are not retired, damaged ones too."""
        with self._connect() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM segments WHERE retired IS NULL ORDER BY name")  # noqa: S608 constant
            return [_segment(row) for row in rows]

    def set_sidecar(self, name: str, ids_sha256: str) -> None:
        """Take the checksum of a sidecar that was made anew, in today's format."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE segments SET ids_sha256 = ?, format = ? WHERE name = ?", (ids_sha256, VERSION, name)
            )

    def rebuild(self, links: Sequence[Link], added: Sequence[Sealing], sealed: int, now: float) -> None:
        """Fill an empty catalogue with what was found, continuing the ``links`` of the lost one."""
        chained = segments_by_chain(links)
        found = {s.name: Named(s.name, s.day, s.events, s.sha256) for s, _ in added}
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            adopt_links(connection, links)
            for segment, statistics in added:
                _insert(connection, segment, statistics)
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
            rows = connection.execute(
                "SELECT name FROM segments LEFT JOIN "
                "(SELECT segment, sum(events) AS counted FROM statistics GROUP BY 1) ON segment = name "
                "WHERE retired IS NULL AND counted IS NOT events "
                "AND name NOT IN (SELECT name FROM quarantine) ORDER BY name"
            ).fetchall()
        return [row[0] for row in rows]

    def fault(self) -> str:
        """Return what SQLite's own check finds wrong, or an empty text."""
        with self._connect() as connection:
            found = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        return "" if found == "ok" else found


def _checked(rows: Sequence[Any], types: Sequence[type]) -> Sequence[Any]:
    """Return the rows, whose values must be of these types: those of a damaged page can be anything."""
    for row in rows:
        if not all(isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
            raise sqlite3.DatabaseError("a row is written wrongly in it")
    return rows


def _is_without_room(error: sqlite3.Error) -> bool:
    """Tell whether SQLite could not make a file it needs; errors that we raise have no code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def _segment(row: sqlite3.Row) -> Segment:
    parts = dict(row)
    kinds = {**dict.fromkeys(parts, str), **dict.fromkeys(_NUMBERS, int), "created": float}
    sound = all(isinstance(parts[name], kind) for name, kind in kinds.items())
    sound = sound and _is_instant(parts["first"]) and _is_instant(parts["last"])
    if not sound or not _NAME.fullmatch(parts["name"]) or not parts["name"].startswith(parts["day"]):
        raise sqlite3.DatabaseError("a segment is written wrongly in it")  # what a damaged page can look like
    return Segment(**{**parts, "columns": _columns(parts["columns"])})


@lru_cache(maxsize=256)
def _columns(text: str) -> frozenset[str]:
    """Return the names of columns; segments of the same columns share one set."""
    return frozenset(name for name in text.split("\n") if name in FIELDS or name == SEQUENCE)


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


def _insert(connection: sqlite3.Connection, segment: Segment, statistics: Sequence[SourceStatistics]) -> None:
    row = (
        segment.name, segment.day, segment.events, segment.first, segment.last, segment.low, segment.high,
        segment.bytes, segment.sha256, segment.ids_sha256, "\n".join(sorted(segment.columns)),
        segment.format, segment.created,
    )  # fmt: skip
    connection.execute(f"INSERT INTO segments ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608 constant
    connection.executemany(
        "INSERT INTO statistics VALUES (?,?,?,?,?,?)",
        [(segment.name, s.organization_id, s.dataset, s.events, s.first, s.last) for s in statistics],
    )
