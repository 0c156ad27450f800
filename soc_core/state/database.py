"""Open the operational database and hand out transactions.

SQLite runs in WAL mode with ``synchronous=FULL``: a committed change survives power loss, and readers in other
processes are never blocked by the writer. Write transactions take the write lock at once (``BEGIN IMMEDIATE``), so
two writers wait for each other instead of failing half way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
BUSY_TIMEOUT_MS: Final = 15_000


class Database:
    """Give read and write transactions on one operational database."""

    def __init__(self, url: URL | str) -> None:
        """Open ``url`` lazily; ``sqlite:///path`` creates the file (mode 0600) on first use."""
        self.url = make_url(url)
        self.engine = _engine(self.url)

    @classmethod
    def in_directory(cls, directory: Path) -> Database:
        """Return the SQLite database ``state.sqlite`` of a state directory, creating the directory (mode 0700)."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / "state.sqlite"
        path.touch(mode=0o600, exist_ok=True)
        return cls(URL.create("sqlite", database=str(path)))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent snapshot; nothing it does is kept."""
        with self.engine.connect() as connection:
            yield connection
            connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose changes are committed together when the block ends, or not at all."""
        with self.engine.connect().execution_options(edusoc_immediate=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        hide_parameters=True,  # errors go to logs, and parameters are people's names and password hashes
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not open transactions behind our back
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("edusoc_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
