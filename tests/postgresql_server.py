"""Start a real PostgreSQL server for tests: on a free loopback port, in a temporary directory, as an ordinary user.

Whatever becomes of a test, the server ends with it: when it is done, when Python ends, and when Python is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from soc_core.config import Settings
from soc_core.state.database import Database, metadata
from soc_core.state.postgresql import DRIVER
from tests.elasticsearch_server import ORDINARY_USER, free_port, temporary_directory
from tests.needs import need

HOW_TO_GET: Final = "no PostgreSQL: apt-get install postgresql, or set EDUSOC_TEST_POSTGRESQL_URL"
START_SECONDS: Final = 60.0
USER: Final = "edusoc"
Rows = Mapping[str, Sequence[Mapping[str, object]]]
"""The rows of tables by name."""


def binaries() -> Path | None:
    """Return the directory of the server's programs, or ``None`` when there is none on this machine."""
    places = [Path(found).parent for found in [shutil.which("postgres")] if found]
    if shutil.which("pg_config"):
        told = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True)
        places.append(Path(told.stdout.strip()))
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    return next(
        (path for path in places if (path / "postgres").exists() and (path / "initdb").exists()), None
    )


def need_binaries() -> Path:
    """Return the programs' directory; skip the test without one, or fail where one is required."""
    return need("postgresql", binaries(), HOW_TO_GET)


class Server:
    """Run one server. Stopped and started, it is the same; it asks for a password and makes commits durable."""

    def __init__(self, certificate: bytes = b"", key: bytes = b"") -> None:
        """Make its files; nothing runs yet. With ``certificate`` and ``key`` it offers TLS."""
        self._programs = need_binaries()
        self.directory = temporary_directory("postgresql-")
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        secret = self.directory / "password"
        secret.write_text(self.password)
        given = [
            "-D",
            "data",
            "-U",
            USER,
            "--pwfile",
            secret,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        # A language with an order of its own, to see that ours does not depend on it.
        self._run("initdb", *given, "--locale-provider=icu", "--icu-locale=zh-CN", "--locale=C.UTF-8")
        secret.unlink()
        self._tls = bool(certificate)
        for name, content in (("server.crt", certificate), ("server.key", key)) if self._tls else ():
            path = self.directory / "data" / name
            path.write_bytes(content)
            path.chmod(0o600)
            if os.getuid() == 0:
                shutil.chown(path, ORDINARY_USER)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            **self._surroundings(),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _surroundings(self) -> dict[str, Any]:
        user = {"user": ORDINARY_USER, "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LANG": "C.UTF-8"}
        return {"env": environment, "cwd": self.directory, "preexec_fn": _end_with_parent, **user}

    @property
    def url(self) -> str:
        """Return the address of the database it begins with, password included."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> Server:
        """Start it and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "shared_buffers": "32MB",
            "max_wal_size": "256MB",
            "fsync": "on",
            "ssl": "on" if self._tls else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "out.log").open("ab") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", "-p", str(self.port), *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                **self._surroundings(),
            )
        atexit.register(self.stop)
        self._wait()
        return self

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        engine = create_engine(make_url(self.url).set(drivername=DRIVER))
        try:
            while True:
                try:
                    engine.connect().close()
                    return
                except OperationalError:
                    assert self._process is not None
                    if self._process.poll() is not None or time.monotonic() > end:
                        raise
                    time.sleep(0.05)
        finally:
            engine.dispose()

    def kill(self) -> None:
        """Kill the server as a power cut would: the processes it made end with it."""
        assert self._process is not None
        self._end(signal.SIGQUIT)  # "immediate": nothing is written any more, the next start recovers

    def stop(self) -> None:
        """End it; connections are cut."""
        if self._process is not None:
            self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        atexit.unregister(self.stop)
        self._process.send_signal(how)
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def _end_with_parent() -> None:
    """Ask the kernel to send this process SIGQUIT when its parent dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def settings_of(url: str, **others: Any) -> Settings:
    """Return settings that name the database of an address with a password in it."""
    parsed = make_url(url)
    bare = URL.create("postgresql", parsed.username, None, parsed.host, parsed.port, parsed.database)
    return Settings(
        database_url=bare.render_as_string(), database_password=str(parsed.password or ""), **others
    )


def environment_of(database: Database) -> Mapping[str, str]:
    """Return the variables that make commands use a database; nothing for SQLite, which lies in the state directory."""
    if not database.is_postgresql:
        return {}
    return {
        "EDUSOC_DATABASE_URL": database.name,
        "EDUSOC_DATABASE_PASSWORD": str(database.url.password or ""),
    }


@contextlib.contextmanager
def new_database(url: str) -> Iterator[str]:
    """Give the address of a new, empty database on a server, removed in the end."""
    name = f"edusoc_test_{os.getpid()}_{secrets.token_hex(4)}"
    engine = create_engine(
        make_url(url).set(drivername=DRIVER), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def rows_of(database: Database) -> Rows:
    """Return all that is in the tables the code knows."""
    with database.read() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in metadata.sorted_tables
        }


def fill(database: Database, rows: Rows) -> None:
    """Make these the only rows, as ``rows_of`` gave them, and let numbers go on after them.

    Quicker by far than a new database for each test.
    """
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        for table in metadata.sorted_tables:
            if rows.get(table.name):
                connection.execute(insert(table), rows[table.name])
            column = table.autoincrement_column
            if column is not None and database.is_postgresql:
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                following = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
                connection.execute(select(func.setval(sequence, following, False)))
