"""Both kinds of operational database mean the same: one writer at a time, one snapshot for a reader, clear refusals."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from edusoc.cli import main
from edusoc.migrating import upgrade
from soc_core.config import Settings
from soc_core.errors import StoreBusyError, StoreError, UsageError
from soc_core.jobs import jobs, outbox
from soc_core.jobs.outbox import outbox as changes
from soc_core.state import database as state
from soc_core.state import postgresql
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE
from tests.conftest import NOW
from tests.elasticsearch_security import Authority
from tests.postgresql_server import Server, new_database, settings_of

ROOT = Path(__file__).parents[3]


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def publish(database: Database, topic: str) -> None:
    with database.write() as connection:
        outbox.publish(connection, topic, "u", {}, now=NOW)


def topics(database: Database) -> list[str]:
    with database.read() as connection:
        return [change.topic for change in outbox.after(connection, 0, SYSTEM_SCOPE)]


def test_a_reader_sees_one_moment(database: Database) -> None:
    publish(database, "before")
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(changes)) == 1
        publish(database, "meanwhile")
        assert connection.scalar(select(func.count()).select_from(changes)) == 1
    assert topics(database) == ["before", "meanwhile"]


def test_what_a_failed_block_wrote_is_gone(database: Database) -> None:
    with suppress(KeyError), database.write() as connection:
        outbox.publish(connection, "lost", "u", {}, now=NOW)
        raise KeyError
    publish(database, "kept")
    assert topics(database) == ["kept"]


def test_a_writer_sees_what_the_one_before_committed(database: Database) -> None:
    """Neither an update nor a sequence is lost, however many write: the outbox is read in the order of commits."""
    with database.write() as connection:
        jobs.add(connection, "k", ["a"], NOW)
    seen: list[list[int]] = []

    def work() -> None:
        other = Database(url_of(database))
        for _ in range(15):
            with other.write() as connection:
                count = connection.scalar(select(jobs.jobs.c.generation)) or 0
                outbox.publish(connection, "t", "u", {}, now=NOW)
                connection.execute(update(jobs.jobs).values(generation=count + 1))
        other.close()

    def watch() -> None:
        other, last, read = Database(url_of(database)), 0, []
        while len(read) < 60 and not stop.is_set():
            with other.read() as connection:
                found = outbox.after(connection, last, SYSTEM_SCOPE)
            read += [change.sequence for change in found]
            last = read[-1] if read else 0
        seen.append(read)
        other.close()

    stop = threading.Event()
    watcher = threading.Thread(target=watch)
    writers = [threading.Thread(target=work) for _ in range(4)]
    for thread in (watcher, *writers):
        thread.start()
    for thread in writers:
        thread.join(timeout=60)
    watcher.join(timeout=30)
    stop.set()
    with database.read() as connection:
        assert connection.scalar(select(jobs.jobs.c.generation)) == 60
        written = list(connection.scalars(select(changes.c.sequence).order_by(changes.c.sequence)))
    assert seen == [written]


LEASING = """
import sys
from datetime import timedelta
from soc_core.jobs import jobs
from soc_core.state.database import Database
from tests.conftest import NOW
from tests.elasticsearch_security import Authority
database = Database(sys.argv[1])
while True:
    with database.write() as connection:
        taken = jobs.lease(connection, "k", now=NOW, length=timedelta(hours=1), limit=7)
    if not taken:
        break
    print(*(job.key for job in taken), flush=True)
"""


@pytest.mark.slow
def test_a_job_has_one_holder_among_several_processes(database: Database) -> None:
    keys = [f"{number:03}" for number in range(100)]
    with database.write() as connection:
        jobs.add(connection, "k", keys, NOW)
    command = [sys.executable, "-c", LEASING, url_of(database)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    taken = [key for process in processes for key in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(taken) == keys


def test_a_writer_does_not_wait_for_ever(database: Database) -> None:
    publish(database, "first")
    other = Database(url_of(database))
    with database.write(), pytest.raises(StoreBusyError, match="others are writing"), other.write(0.2):
        pass
    publish(other, "second")
    other.close()
    assert topics(database) == ["first", "second"]


def test_restructuring_leaves_no_reference_into_nothing(tmp_path: Path) -> None:
    """PostgreSQL checks references while tables are changed, SQLite in the end."""
    database = Database.in_directory(tmp_path)
    upgrade(database)
    row = text("INSERT INTO sessions VALUES ('h', 'nobody', 'c', 'a', 'b')")
    with (
        pytest.raises(StoreError, match="'sessions' refers to none of 'users'"),
        database.restructure(1) as one,
    ):
        one.execute(row)
    with pytest.raises(IntegrityError), database.write() as other:
        other.execute(row)
    database.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server of its own, to be stopped and started."""
    with Server() as started:
        yield started


def interrupted(database: Database, server: Server) -> None:
    """Let the server die in the middle of a change."""
    with database.write() as connection:
        outbox.publish(connection, "under way", "u", {}, now=NOW)
        server.kill()
        connection.execute(select(1))


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(state, "PAUSES", (0.01, 0.01))
    database = Database.of(settings_of(server.url))
    upgrade(database)
    publish(database, "kept")
    with pytest.raises(StoreError, match="was lost"):
        interrupted(database, server)
    with pytest.raises(StoreError, match="can't be used") as refused, database.read():
        pass
    assert server.password not in str(refused.value)
    assert "check that PostgreSQL runs" in str(refused.value)
    monkeypatch.setenv("EDUSOC_DATABASE_URL", database.name)
    monkeypatch.setenv("EDUSOC_STATE", str(tmp_path))
    assert main(["users", "list"]) == 3
    assert "Traceback" not in capsys.readouterr().err
    server.start()
    assert topics(database) == ["kept"]
    publish(database, "again")
    database.close()
    wrong = Database.of(Settings(database_url=database.name, database_password="wrong"))
    with pytest.raises(StoreError, match="password authentication failed"), wrong.read():
        pass
    wrong.close()


@pytest.mark.slow
def test_a_database_that_can_not_hold_all_names_is_refused(server: Server) -> None:
    first = Database.of(settings_of(server.url))
    with first.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
        )
    first.close()
    second = Database.of(settings_of(server.url.replace("/postgres", "/latin")))
    with pytest.raises(StoreError, match="keeps text as LATIN1"), second.read():
        pass
    second.close()


@pytest.mark.slow
def test_the_certificate_is_checked_where_the_address_names_whom_to_trust(tmp_path: Path) -> None:
    trusted, other = Authority.make(), Authority.make("others")
    issued = trusted.issue()
    with Server(issued["http.crt"], issued["http.key"]) as server:
        settings = settings_of(server.url)
        for authority, fault in ((trusted, ""), (other, "certificate verify failed")):
            ca = authority.write(tmp_path / "ca.pem")
            named = replace(settings, database_url=f"{settings.database_url}?sslrootcert={ca}")
            database = Database.of(named)
            if fault:
                with pytest.raises(StoreError, match=fault), database.read():
                    pass
            else:
                with database.read() as connection:
                    question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                    assert connection.scalar(text(question))
            database.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///x", "is no address of PostgreSQL"),
        ("mysql://a@b/c", "is no address of PostgreSQL"),
        ("postgresql://a@b:port/c", "is no address of PostgreSQL"),
        ("10.0.0.1", "is no address of PostgreSQL"),
        ("postgresql://a:secret@b/c", "must not hold the password"),
        ("postgresql://a@b/c?password=secret", "must not hold the password"),
        ("postgresql://a@b/c?options=-cfsync=off", "unknown parameter 'options'"),
    ],
)
def test_addresses_that_are_refused(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        Database.of(Settings(database_url=url))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://a@db.example/c", "require"),
        ("postgresql://a@10.1.2.3:5433/c", "require"),
        ("postgresql://a@db.example/c?sslrootcert=/ca.pem", "verify-full"),
        ("postgresql://a@db.example/c?sslmode=verify-ca&sslrootcert=/ca.pem", "verify-ca"),
        ("postgresql://a@/c?host=one,two&port=5432,5433&target_session_attrs=read-write", "require"),
        ("postgresql://a@/c?host=localhost:5432&host=two:5432", "require"),
        ("postgresql://a@/c?host=localhost:5432&host=[::1]:5432", None),
        ("postgresql://a@127.0.0.1/c", None),
        ("postgresql://a@[::1]/c", None),
        ("postgresql://a@/c?host=/run/postgresql", None),
        ("postgresql+psycopg://a@localhost/c", None),
    ],
)
def test_connections_to_other_machines_are_encrypted(url: str, mode: str | None) -> None:
    found = postgresql.address(url, "s")
    assert (found.query.get("sslmode"), found.password) == (mode, "s")
    database = Database(found)
    assert "s3cret" not in database.name
    assert ":s@" not in database.name
    database.close()


def test_without_the_driver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(postgresql, "import_module", refuse)
    with pytest.raises(UsageError, match=r"pip install 'edusoc\[postgresql\]'"):
        Database.of(Settings(database_url="postgresql://a@localhost/c"))


@pytest.mark.slow
def test_a_writer_sees_what_the_one_before_committed_whatever_the_server_is_set_to(
    postgresql_url: str,
) -> None:
    """In REPEATABLE READ the snapshot would be taken while the writers' lock is still waited for."""
    with new_database(postgresql_url) as url:
        database = Database.of(settings_of(url))
        name = database.url.database
        with database.write() as connection:
            connection.execute(
                text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
            )
        database.close()
        with database.write() as connection:
            assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
        with database.read() as connection:
            assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        database.close()
