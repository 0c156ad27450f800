"""Open the operational database and hand out transactions.

It is a SQLite file by default and PostgreSQL for a centre that outgrows it; both mean the same. A committed change
survives power loss, readers see one snapshot and are never blocked by the writer, and writers wait for each other, so
that each sees what the one before committed and sequences are in the order of commits (``sqlite.py``,
``postgresql.py``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import BigInteger, Connection, Engine, Integer, MetaData
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from soc_core.config import Settings
from soc_core.state import postgresql, sqlite
from soc_core.state.failures import is_gone, said

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Number: Final = BigInteger().with_variant(Integer(), "sqlite")
"""The type of a column whose numbers grow without end: offsets, sequences, sums. SQLite's are of 64 bits anyway."""
WAIT_SECONDS: Final = 15.0
"""So long writers wait for each other before they say that the database is busy."""
PAUSES: Final = (0.2, 0.5, 1.0)
"""Seconds before a transaction is begun once more where the server, reached before, is gone: it may be restarting."""


class Database:
    """Give read and write transactions on one operational database."""

    def __init__(self, url: URL | str) -> None:
        """Open ``url`` lazily; ``sqlite:///path`` creates the file (mode 0600) on first use."""
        self.url = make_url(url)
        self.is_postgresql = self.url.get_backend_name() == "postgresql"
        kind = postgresql if self.is_postgresql else sqlite
        self.engine = kind.make_engine(self.url, WAIT_SECONDS)
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = self.engine.execution_options(**(snapshot if self.is_postgresql else {}))
        committed = (
            {"isolation_level": "READ COMMITTED"} if self.is_postgresql else {}
        )  # whatever its own default is
        self._writing = self.engine.execution_options(
            edusoc_writing=True, edusoc_wait=WAIT_SECONDS, **committed
        )
        self._reached = False

    @classmethod
    def in_directory(cls, directory: Path) -> Database:
        """Return the SQLite database ``state.sqlite`` of a state directory, creating the directory (mode 0700)."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / "state.sqlite"
        path.touch(mode=0o600, exist_ok=True)
        return cls(URL.create("sqlite", database=str(path)))

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """Return the database that the settings name: PostgreSQL by ``database_url``, else SQLite in ``state``."""
        if settings.database_url:
            return cls(postgresql.address(settings.database_url, settings.database_password))
        return cls.in_directory(settings.state_directory)

    @property
    def name(self) -> str:
        """Return what errors call the database: its file, or its server and name without password."""
        if not self.is_postgresql:
            return str(self.url.database or "")
        url = self.url
        bare = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
        return bare.render_as_string()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent snapshot; nothing it does is kept.

        Raises ``StoreError`` when the database can't be used.
        """
        with said(self.name), self._begun(self._reading) as connection:
            yield connection
            connection.rollback()

    @contextmanager
    def write(self, wait_seconds: float = WAIT_SECONDS) -> Iterator[Connection]:
        """Give a connection whose changes are committed together when the block ends, or not at all.

        Raises ``StoreBusyError`` when others write for longer than ``wait_seconds``, ``StoreError`` when the database
        can't be used. What is lost in the middle is not tried again: only the caller knows whether that is harmless.
        """
        writing = self._writing.execution_options(edusoc_wait=wait_seconds)
        with said(self.name), self._begun(writing) as connection:
            yield connection
            connection.commit()

    @contextmanager
    def restructure(self, wait_seconds: float) -> Iterator[Connection]:
        """Give a connection as ``write`` does, to change tables: references are checked in the end, not at each step.

        SQLite copies a table to change it, while others refer to it.
        """
        rebuilding = self._writing.execution_options(edusoc_wait=wait_seconds, edusoc_references=False)
        with said(self.name), self._begun(rebuilding) as connection:
            yield connection
            if not self.is_postgresql:
                sqlite.check_references(connection)
            connection.commit()

    def _begun(self, engine: Engine) -> Connection:
        """Return a connection in a new transaction; one the server had closed meanwhile is opened anew."""
        for pause in PAUSES if self._reached else ():
            try:
                return self._begin_once(engine)
            except OperationalError as error:
                if not is_gone(error):
                    raise
                time.sleep(pause)
        return self._begin_once(engine)

    def _begin_once(self, engine: Engine) -> Connection:
        connection = engine.connect()
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        self._reached = True
        return connection

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()
