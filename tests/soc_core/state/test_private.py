"""What lies on disk is for its owner only, and errors of the database name nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from edusoc.migrating import upgrade
from soc_core.access.tables import users
from soc_core.keys.store import KeyStore
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore


@pytest.fixture
def open_place(tmp_path: Path) -> Iterator[Path]:
    """Give a state directory that others may enter, as service managers make them, and the usual mask."""
    before = os.umask(0o022)
    (tmp_path / "state").mkdir(mode=0o755)
    yield tmp_path / "state"
    os.umask(before)


def test_others_on_the_machine_read_nothing(open_place: Path) -> None:
    database = Database.in_directory(open_place)
    upgrade(database)
    EmbeddedStore(open_place / "events", writer=True).close()
    KeyStore(open_place / "keys").sign("cursors", b"x")
    for path in open_place.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
    database.close()


def test_errors_of_the_database_hold_no_values(tmp_path: Path) -> None:
    database = Database.in_directory(tmp_path)
    upgrade(database)
    row = {"name": "a", "display_name": "a", "password_hash": "the-hash", "role": "analyst", "created_at": ""}
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        connection.execute(insert(users).values(**row, organisation_id="none"))
    assert "the-hash" not in str(caught.value)
    database.close()
