from pathlib import Path

import pytest
from sqlalchemy import text

from edusoc.migrating import check, upgrade
from soc_core.errors import StoreError
from soc_core.state.database import Database


def test_migrations_make_the_tables_the_code_knows(database: Database) -> None:
    check(database)


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    upgrade(database)
    check(database)


@pytest.mark.parametrize("revision", ["deadbeef", "../../x"])
def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path, revision: str) -> None:
    database = Database.in_directory(tmp_path)
    upgrade(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": revision})
    with pytest.raises(StoreError, match="newer"):
        upgrade(database)
    with database.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == revision
    database.close()
