"""Operational state comes back into SQLite and PostgreSQL, whichever it came from, also from an older schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from edusoc.migrating import check, revision, upgrade
from intake.tables import cursors, quarantine
from soc_core.access.tables import users
from soc_core.backup.making import Order
from soc_core.backup.manifest import EventsCopy, Manifest, Snapshot
from soc_core.backup.meter import SilentMeter
from soc_core.backup.package import FolderTarget, PackageReader, PackageWriter
from soc_core.backup.tables import Loaded, dump_tables, forget_restore, load_tables
from soc_core.errors import StoreError, UsageError
from soc_core.jobs import outbox
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from soc_core.state.database import Database
from tests.postgresql_server import new_database, rows_of, settings_of
from tests.soc_core.backup.scenes import back_up, make_state

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def write_rows(database: Database) -> None:
    """Put rows of every kind of value: dates, truth, bytes, text of the world, numbers given out and taken away."""
    with database.write() as connection:
        unit = put_unit(
            connection,
            [Attribute("code", "S1", date(2020, 9, 1), None), Attribute("name", "青禾县第一中学 🏫")],
            {},
            now=NOW,
        )
        put_unit(
            connection, [Attribute("code", "S2"), Attribute("name", 'quote " \\ line\nend')], {}, now=NOW
        )
        person = {
            "name": "wang",
            "display_name": "王",
            "password_hash": "x",
            "role": "contact",
            "organisation_id": unit,
        }
        connection.execute(
            insert(users).values(**person, disabled=True, created_at="2026-11-24T00:00:00.000000Z")
        )
        raw = {"source": "a", "position": 2**40, "reason": "bad", "line": 0, "raw": bytes(range(256))}
        connection.execute(insert(quarantine).values(**raw, organization_id=unit, at="2026"))
        connection.execute(insert(cursors).values(name="detect", log_offset=2**40))
        outbox.publish_all(
            connection, [("alert", unit, {"number": number}) for number in range(2_500)], now=NOW
        )
        connection.execute(text("DELETE FROM outbox WHERE sequence > 2400"))


def in_order(database: Database) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows)) for name, rows in rows_of(database).items()}


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Database]]:
    """Give databases without tables, by kind."""
    with ExitStack() as stack:
        found: dict[str, Database] = {}
        for name in request.param:
            if name.startswith("postgresql"):
                url = stack.enter_context(new_database(request.getfixturevalue("postgresql_url")))
                found[name] = Database.of(settings_of(url))
            else:
                found[name] = Database.in_directory(tmp_path / name)
            stack.callback(found[name].close)
        yield found


def dump(database: Database, directory: Path) -> PackageReader:
    package = PackageWriter(FolderTarget(directory, "edusoc-x"), None)
    state = dump_tables(database, package, SilentMeter())
    manifest = Manifest("edusoc-x", "", "", False, state, EventsCopy(), Snapshot(), package.entries())
    return PackageReader(package.finish(manifest), None)


def load(database: Database, package: PackageReader) -> Loaded:
    return load_tables(database, package, upgrade, SilentMeter())


KINDS = [
    ("sqlite", "sqlite-2"),
    pytest.param(("sqlite", "postgresql"), marks=pytest.mark.slow),
    pytest.param(("postgresql", "sqlite"), marks=pytest.mark.slow),
    pytest.param(("postgresql", "postgresql-2"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("opened", KINDS, indirect=True)
def test_all_rows_come_back_and_numbers_go_on(opened: dict[str, Database], tmp_path: Path) -> None:
    source, target = opened.values()
    upgrade(source)
    write_rows(source)
    package = dump(source, tmp_path / "dump")
    loaded = load(target, package)
    assert in_order(target) == in_order(source)
    assert loaded.rows == sum(map(len, rows_of(source).values()))
    check(target)
    with target.write() as connection:
        outbox.publish(connection, "alert", "", {}, now=NOW)
        assert connection.scalar(select(text("max(sequence)")).select_from(text("outbox"))) == 2_501


@pytest.mark.parametrize("opened", KINDS[:2], indirect=True)
def test_an_older_schema_is_loaded_and_migrated(opened: dict[str, Database], tmp_path: Path) -> None:
    source, target = opened.values()
    upgrade(source, "0001")
    columns = (
        "id, organization_id, kind, entity_kind, entity_zone, entity_value, peer, rule_id, rule_kind, severity, "
        "priority, status, close_reason, assigned_to, first_seen, last_seen, detection_count, event_count, version, "
        "created_at, updated_at"
    )
    long = "x" * 400  # SQLite does not mind the declared length, PostgreSQL would
    values = (
        f"'a1', 'u1', 'k', 'e', 'z', '{long}', '', 'r', 's', 3, 3, 'new', '', '', '', '', 1, 1, 1, '', ''"
    )
    with source.write() as connection:
        connection.execute(text(f"INSERT INTO alerts ({columns}) VALUES ({values})"))
    package = dump(source, tmp_path / "dump")
    assert package.manifest.state.revision == "0001"
    load(target, package)
    check(target)
    with target.read() as connection:
        row = connection.execute(text("SELECT entity_value, help_wanted FROM alerts")).one()
    assert (row.entity_value, bool(row.help_wanted)) == (long, False)


@pytest.mark.slow
@pytest.mark.parametrize("opened", [("sqlite", "postgresql")], indirect=True)
def test_a_killed_restore_into_postgresql_can_be_repeated(
    opened: dict[str, Database], tmp_path: Path
) -> None:
    source, target = opened.values()
    upgrade(source)
    write_rows(source)
    with source.write() as connection:
        connection.execute(text("UPDATE users SET display_name = 'a' || char(0) || 'b'"))
    package = dump(source, tmp_path / "dump")

    class KilledError(Exception):
        pass

    class Killing(SilentMeter):
        def __init__(self, after: int) -> None:
            self.left = after

        def advance(self, size: int) -> None:
            self.left -= 1
            if self.left < 0:
                raise KilledError

    upgrade(target)  # as a program that ran on it once would leave it: tables, no rows
    for after in (0, 5, 12):
        with pytest.raises(KilledError):
            load_tables(target, package, upgrade, Killing(after))
    assert load(target, package).replaced == 1
    assert load(target, package).rows == sum(
        package.manifest.state.rows.values()
    )  # killed after its transaction
    with target.write() as connection:
        assert connection.scalar(select(users.c.display_name)) == "a\u2400b"
        connection.execute(text("COMMENT ON TABLE alembic_version IS NULL"))
    with pytest.raises(UsageError, match="not empty"):
        load(target, package)


@pytest.mark.slow
@pytest.mark.parametrize("opened", [("sqlite", "postgresql")], indirect=True)
def test_the_name_of_a_backup_is_no_command_to_postgresql(
    opened: dict[str, Database], tmp_path: Path
) -> None:
    source, target = opened.values()
    upgrade(source)
    package = dump(source, tmp_path / "dump")
    odd = "x'; DROP TABLE users; --:name %s"
    package.manifest = replace(package.manifest, id=odd)
    load(target, package)
    check(target)
    with target.read() as connection:
        said = connection.scalar(text("SELECT obj_description('alembic_version'::regclass)"))
    assert said == f"restored from {odd}"


@pytest.mark.slow
@pytest.mark.parametrize("opened", [("sqlite", "postgresql")], indirect=True)
def test_what_was_written_since_a_restore_is_not_taken_for_the_restore(
    opened: dict[str, Database], tmp_path: Path
) -> None:
    source, target = opened.values()
    upgrade(source)
    write_rows(source)
    package = dump(source, tmp_path / "dump")
    load(target, package)
    forget_restore(target)  # as a restore does when all of it is there
    with target.write() as connection:
        outbox.publish(connection, "late", "", {}, now=NOW)
    with pytest.raises(UsageError, match="not empty"):
        load(target, package)


@pytest.mark.parametrize("opened", [("sqlite", "sqlite-2")], indirect=True)
def test_what_others_write_meanwhile_is_not_seen_in_part(
    opened: dict[str, Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = opened.values()
    upgrade(source)
    write_rows(source)

    class Meddling(SilentMeter):
        """Write a row into two tables after the first block."""

        done = False

        def advance(self, size: int) -> None:
            if not self.done:
                self.done = True
                with source.write() as connection:
                    outbox.publish(connection, "late", "", {}, now=NOW)
                    connection.execute(insert(cursors).values(name="late", log_offset=1))

    before = in_order(source)
    package = PackageWriter(FolderTarget(tmp_path / "dump", "edusoc-x"), None)
    state = dump_tables(source, package, Meddling())
    assert in_order(source) != before
    manifest = Manifest("edusoc-x", "", "", False, state, EventsCopy(), Snapshot(), package.entries())
    load(target, PackageReader(package.finish(manifest), None))
    assert in_order(target) == before


@pytest.mark.parametrize("opened", [("sqlite", "sqlite-2")], indirect=True)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"columns":["name"', b'"columns":["nome"', "columns are not those"),
        (b'\n["detect",', b'\n["detect"', "row is damaged"),
        (b'\n["detect",', b'\n["detect",1,', "row is damaged"),
        (b'\n["detect",1099511627776]', b"", "number of rows"),
    ],
)
def test_a_dump_that_does_not_fit_is_refused(
    opened: dict[str, Database], tmp_path: Path, old: bytes, new: bytes, said: str
) -> None:
    source, target = opened.values()
    upgrade(source)
    write_rows(source)
    package = PackageWriter(FolderTarget(tmp_path / "dump", "edusoc-x"), None)
    state = dump_tables(source, package, SilentMeter())
    name = "state/intake_cursors.ndjson"
    body = (tmp_path / "dump" / "edusoc-x.partial" / name).read_bytes()
    assert old in body
    package.forget(name)
    package.add(name, [body.replace(old, new)])
    manifest = Manifest("edusoc-x", "", "", False, state, EventsCopy(), Snapshot(), package.entries())
    with pytest.raises(StoreError, match=said):
        load(target, PackageReader(package.finish(manifest), None))
    assert all(not rows for rows in rows_of(target).values())


@pytest.mark.parametrize("opened", [("sqlite", "sqlite-2")], indirect=True)
def test_a_schema_nobody_knows_is_refused(opened: dict[str, Database], tmp_path: Path) -> None:
    source, target = opened.values()
    upgrade(source)
    with source.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    with pytest.raises(StoreError, match="newer"):
        load(target, dump(source, tmp_path / "dump"))


def test_a_backup_leaves_the_schema_as_it_is(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state")
    database = Database.in_directory(state)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    made = back_up(state, Order(tmp_path / "usb"))
    assert made.manifest.state.revision == revision(database) == "0001"
    database.close()
