"""The operational database is brought up to date from every released version, on both kinds, or left as it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
from sqlalchemy import MetaData, insert, inspect, select, text

from cases.alerts.repository import AlertFilter, detections_of, history_of, list_alerts
from edusoc.cli import main
from edusoc.migrating import check, newest, revision, upgrade
from intake.tables import cursors, quarantine, sources
from soc_core.access.accounts import check_password, recent_failures
from soc_core.errors import StoreError
from soc_core.jobs import jobs, outbox
from soc_core.organisations.repository import find_asset, load_tree
from soc_core.state.database import Database, metadata
from soc_core.store.interface import SYSTEM_SCOPE
from tests.conftest import NOW, STATES
from tests.edusoc.old_states import AT, PASSWORD, RELEASED
from tests.postgresql_server import environment_of, new_database, settings_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=STATES)
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return a database without tables, of each kind in turn."""
    if request.param == "sqlite":
        opened = Database.in_directory(tmp_path / "bare")
        yield opened
        opened.close()
        return
    with new_database(request.getfixturevalue("postgresql_url")) as url:
        opened = Database.of(settings_of(url))
        yield opened
        opened.close()


def make_old(database: Database, released: str) -> None:
    """Make the tables of a released version and what it held."""
    upgrade(database, released)
    known = MetaData()
    with database.write() as connection:
        known.reflect(connection)
        for table in known.sorted_tables:
            if rows := RELEASED[released].get(table.name):
                connection.execute(insert(table), [dict(row) for row in rows])


def shape(database: Database) -> dict[str, object]:
    """Return the tables with their columns and indices, and all rows."""
    known = MetaData()
    with database.read() as connection:
        known.reflect(connection)
        indices = {
            name: sorted(
                (str(index["name"]), index["column_names"]) for index in inspect(connection).get_indexes(name)
            )
            for name in known.tables
        }
        columns = {
            name: [
                (column["name"], str(column["type"]), column["nullable"], str(column["default"]))
                for column in inspect(connection).get_columns(name)
            ]
            for name in known.tables
        }
        rows = {
            name: [tuple(row) for row in connection.execute(select(table))]
            for name, table in known.tables.items()
        }
    return {"indices": indices, "columns": columns, "rows": rows}


def test_migrations_make_the_tables_the_code_knows(database: Database) -> None:
    check(database)
    assert revision(database) == newest()


def test_upgrading_twice_changes_nothing(bare: Database) -> None:
    assert upgrade(bare)
    before = shape(bare)
    assert not upgrade(bare)
    assert shape(bare) == before


def test_every_released_version_has_its_rows() -> None:
    versions = ROOT / "edusoc" / "migrations" / "versions"
    released = sorted(path.name[:4] for path in versions.glob("0*.py"))
    assert [*RELEASED, newest()] == released


@pytest.mark.parametrize("released", RELEASED)
def test_what_older_versions_wrote_is_read(bare: Database, released: str) -> None:
    make_old(bare, released)
    assert upgrade(bare)
    check(bare)
    with bare.read() as connection:
        [alert] = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
        assert (alert.id, alert.entity.zone, alert.version) == ("aalert1", "校园网", 3)
        assert alert.help_wanted is (released != "0001")
        [detection] = detections_of(connection, SYSTEM_SCOPE, "aalert1")
        assert (detection.score, detection.confidence) == (0.93, 0.875)
        assert detection.reasons[0].values == {"seconds": 309}
        assert [step.action for step in history_of(connection, SYSTEM_SCOPE, "aalert1")] == [
            "created",
            "status.in_progress",
        ]
        tree = load_tree(connection, date(2026, 11, 20))
        assert tree.find("S1").name == "演示学校"
        assert load_tree(connection, date(2025, 11, 20)).find("S1").name == "演示旧校名"
        assert tree.visible_to("u0").ids == {"u0", "u1"}
        asset = find_asset(connection, "u1", "校园网", "192.168.20.45")
        assert asset is not None
        assert asset.importance == 3
        assert [change.sequence for change in outbox.after(connection, 0, SYSTEM_SCOPE)] == [1, 2]
        assert connection.scalar(select(cursors.c.log_offset)) == 2_000_000_000
        assert connection.scalar(select(sources.c.path)) == "/data/核心交换机.pcap"
        assert connection.scalar(select(quarantine.c.raw)) == b"\x00\xff bad"
        assert len(jobs.waiting(connection, "detect.window")) == 1
        assert recent_failures(connection, "wang", now=datetime(2026, 11, 20, 8, 5, tzinfo=UTC)) == 1
    with bare.write() as connection:
        assert check_password(connection, "wang", PASSWORD, now=NOW).display_name == "王老师"
        outbox.publish(connection, "alert.updated", "u1", {}, now=NOW)
        assert outbox.last_sequence(connection) == 3


@pytest.mark.slow
def test_all_text_in_postgresql_is_ordered_by_its_characters(
    postgresql_databases: tuple[Database, ...],
) -> None:
    with postgresql_databases[0].read() as connection:
        found = inspect(connection)
        kinds = {
            str(column["type"])
            for table in metadata.sorted_tables
            for column in found.get_columns(table.name)
            if column["type"].python_type is str
        }
    assert kinds == {'TEXT COLLATE "C"'}


@pytest.mark.parametrize("column", ["log_offset", "position", "event_count", "sequence"])
def test_numbers_grow_beyond_32_bits(database: Database, column: str) -> None:
    table = next(table for table in metadata.sorted_tables if column in table.c)
    row = {name: found.type.python_type() for name, found in table.c.items()}
    with database.write() as connection:
        connection.execute(insert(table).values({**row, column: 10**18}))
        assert connection.scalar(select(table.c[column]).where(table.c[column] >= 10**18)) == 10**18


@pytest.mark.parametrize("unknown", ["deadbeef", "../../x"])
def test_a_database_of_a_newer_program_is_left_alone(bare: Database, unknown: str) -> None:
    upgrade(bare)
    with bare.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": unknown})
    before = shape(bare)
    with pytest.raises(StoreError, match="newer"):
        upgrade(bare)
    assert shape(bare) == before


def test_commands_say_that_a_database_is_newer(
    bare: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    upgrade(bare)
    with bare.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    environment = {"EDUSOC_STATE": str(tmp_path / "bare"), "EDUSOC_LANGUAGE": "zh", **environment_of(bare)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["users", "list"]) == 3
    said = capsys.readouterr().err
    assert "运行数据库是较新版本或其他程序写的" in said
    assert "Traceback" not in said


def test_upgrade_tells_and_does(
    bare: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(bare, "0001")
    environment = {"EDUSOC_STATE": str(tmp_path / "bare"), "EDUSOC_LANGUAGE": "en", **environment_of(bare)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["upgrade", "--check"]) == 1
    assert f"it is 0001 and needs {newest()}" in capsys.readouterr().out
    assert revision(bare) == "0001"
    assert main(["upgrade", "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["found"], told["newest"], told["upgraded"]) == ("0001", newest(), True)
    assert main(["upgrade", "--check"]) == main(["upgrade"]) == 0
    assert capsys.readouterr().out.count("up to date") == 2
    check(bare)


AT_ONCE = """
import sys
from edusoc.migrating import upgrade
from soc_core.state.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(upgrade(database), flush=True)
"""


@pytest.mark.slow
def test_of_processes_that_start_at_once_one_migrates(bare: Database) -> None:
    url = bare.url.render_as_string(hide_password=False)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = sorted(process.communicate(timeout=60)[0] for process in processes)
    assert outcomes == ["False\n", "False\n", "True\n"]
    check(bare)


KILLED = """
import os, signal, sys
from sqlalchemy import event
from edusoc.migrating import upgrade
from soc_core.state.database import Database
database, left = Database(sys.argv[1]), int(sys.argv[2])
def count(connection, cursor, statement, parameters, context, executemany):
    global left
    if statement.lstrip().upper().startswith(("CREATE", "ALTER", "DROP", "UPDATE", "INSERT")):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
event.listen(database.engine, "after_cursor_execute", count)
upgrade(database)
"""


@pytest.mark.slow
def test_killed_half_way_the_old_tables_are_there(bare: Database) -> None:
    make_old(bare, "0001")
    before = shape(bare)
    bare.close()
    url = bare.url.render_as_string(hide_password=False)
    for done in (0, 4, 9):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, url, str(done)], cwd=ROOT, check=False, timeout=60
        )
        assert killed.returncode == -9
        assert shape(bare) == before
    upgrade(bare)
    check(bare)
    with bare.read() as connection:
        assert [alert.created_at for alert in list_alerts(connection, SYSTEM_SCOPE, AlertFilter())] == [AT]
