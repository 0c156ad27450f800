"""The demo's directory keeps its anchor for a day, is made anew after that, and never empties what isn't its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edusoc.demo.state import MARKER, fingerprint, take_database, take_ground
from soc_core.access.accounts import Role, User, add_user
from soc_core.access.tables import users
from soc_core.errors import StoreBusyError, UsageError
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from tests.postgresql_server import rows_of

MORNING = datetime(2026, 11, 24, 2, 40, tzinfo=UTC)


def test_the_anchor_is_the_hour_and_holds_all_day(tmp_path: Path) -> None:
    with take_ground(tmp_path / "d", MORNING, "a") as ground:
        assert ground.new
        assert ground.anchor == datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
        (ground.directory / "kept").write_text("x")
    with take_ground(tmp_path / "d", MORNING + timedelta(hours=9), "a") as again:
        assert not again.new
        assert again.anchor == ground.anchor
        assert (again.directory / "kept").exists()


@pytest.mark.parametrize("change", ["next day", "other make", "fresh", "clock went back"])
def test_everything_is_made_anew(tmp_path: Path, change: str) -> None:
    with take_ground(tmp_path / "d", MORNING, "a") as ground:
        (ground.directory / "folder").mkdir()
        (ground.directory / "folder" / "old").write_text("x")
        (ground.directory / "old").write_text("x")
    # 2026-11-24T16:00Z is midnight in China
    now = {
        "next day": datetime(2026, 11, 24, 16, 1, tzinfo=UTC),
        "clock went back": MORNING - timedelta(hours=2),
    }.get(change, MORNING)
    with take_ground(
        tmp_path / "d", now, "b" if change == "other make" else "a", fresh=change == "fresh"
    ) as again:
        assert again.new
        assert sorted(path.name for path in again.directory.iterdir()) == ["demo.json", "demo.lock"]


def test_a_directory_with_other_data_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_text("precious")
    with (
        pytest.raises(UsageError, match="not the demo's"),
        take_ground(tmp_path, MORNING, "a", fresh=True),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["state.sqlite"]


def test_a_database_with_other_accounts_is_refused_and_left_alone(
    database: Database, tree: OrganisationTree
) -> None:
    if not database.is_postgresql:
        take_database(database, new=True)  # lies in the directory, whose owner was looked at
        assert rows_of(database)["organisations"]
        return
    with pytest.raises(UsageError, match="not the demo's"):
        take_database(database, new=True)
    assert len(rows_of(database)["organisations"]) == len(tree.units)
    unit = tree.find("S1").id
    with database.write() as connection:
        add_user(connection, User("d", "d", Role.CONTACT, unit, "zh", demo=True), "x" * 12, now=MORNING)
    take_database(database, new=False)
    assert rows_of(database)["users"]
    with database.write() as connection:
        add_user(connection, User("e", "e", Role.CONTACT, unit, "zh", demo=False), "x" * 12, now=MORNING)
    with pytest.raises(UsageError, match="not the demo's"):
        take_database(database, new=True)
    with database.write() as connection:
        connection.execute(users.delete().where(users.c.demo.is_(False)))
    take_database(database, new=True)
    assert not any(rows_of(database).values())


def test_a_broken_marker_means_anew(tmp_path: Path) -> None:
    with take_ground(tmp_path / "d", MORNING, "a"):
        pass
    for text in ("", "[]", '{"anchor": 5}', '{"anchor": "yesterday", "made_from": "a"}'):
        (tmp_path / "d" / MARKER).write_text(text)
        with take_ground(tmp_path / "d", MORNING, "a") as ground:
            assert ground.new


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    with (
        take_ground(tmp_path / "d", MORNING, "a"),
        pytest.raises(StoreBusyError, match="writes here already"),
        take_ground(tmp_path / "d", MORNING, "a"),
    ):
        pass


def test_the_fingerprint_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.yml").write_text("1")
    first = fingerprint([tmp_path / "a"])
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "x.pyc").write_text("noise")
    assert fingerprint([tmp_path / "a"]) == first
    (tmp_path / "a" / "x.yml").write_text("2")
    second = fingerprint([tmp_path / "a"])
    (tmp_path / "a" / "x.yml").rename(tmp_path / "a" / "y.yml")
    assert len({first, second, fingerprint([tmp_path / "a"])}) == 3
