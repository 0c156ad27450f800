from datetime import UTC, datetime, timedelta

import pytest

from soc_core.access import accounts
from soc_core.access.accounts import Role, User
from soc_core.errors import NotAllowedError, UsageError
from soc_core.state.database import Database

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
WANG = User("wang", "王老师", Role.CONTACT, None, "zh", demo=False)


@pytest.fixture
def known(database: Database) -> Database:
    with database.write() as connection:
        accounts.add_user(connection, WANG, "a long password", now=NOW)
    return database


def test_the_right_password_opens_a_session(known: Database) -> None:
    with known.write() as connection:
        user = accounts.check_password(connection, "wang", "a long password", now=NOW)
        token = accounts.open_session(connection, user, now=NOW)
        session = accounts.find_session(connection, token, now=NOW)
        assert session is not None
        assert session.user == WANG
        assert accounts.find_session(connection, token, now=NOW + accounts.SESSION_LENGTH) is None
        accounts.close_session(connection, token)
        assert accounts.find_session(connection, token, now=NOW) is None


@pytest.mark.parametrize(
    ("name", "password"), [("wang", "wrong"), ("nobody", "a long password"), ("wang", "")]
)
def test_a_wrong_name_or_password_is_refused_alike(known: Database, name: str, password: str) -> None:
    with (
        known.read() as connection,
        pytest.raises(NotAllowedError, match="the name or the password is wrong"),
    ):
        accounts.check_password(connection, name, password, now=NOW)


def test_many_failures_lock_the_name_for_a_while(known: Database) -> None:
    with known.write() as connection:
        for _ in range(accounts.MAX_FAILURES):
            accounts.record_failure(connection, "wang", now=NOW)
        with pytest.raises(NotAllowedError, match="too many"):
            accounts.check_password(connection, "wang", "a long password", now=NOW)
        later = NOW + accounts.FAILURE_WINDOW + timedelta(seconds=1)
        assert accounts.check_password(connection, "wang", "a long password", now=later) == WANG


def test_neither_password_nor_token_is_stored(known: Database) -> None:
    with known.write() as connection:
        token = accounts.open_session(connection, WANG, now=NOW)
        dump = "\n".join(
            str(tuple(row))
            for table in ("users", "sessions")
            for row in connection.exec_driver_sql(f"select * from {table}")
        )
    assert "a long password" not in dump
    assert token not in dump


def test_a_short_password_is_refused(database: Database) -> None:
    with database.write() as connection, pytest.raises(UsageError, match="10"):
        accounts.add_user(connection, WANG, "short", now=NOW)
