from edusoc.migrating import check, upgrade
from soc_core.state.database import Database


def test_migrations_make_the_tables_the_code_knows(database: Database) -> None:
    check(database)


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    upgrade(database)
    check(database)
