from dataclasses import replace
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


@pytest.mark.parametrize("name", ["", "a" * 65, "wang\n", "../x", "@192.0.2.1", "a b", "\x1b[2J", "\udcff"])
def test_a_name_that_nobody_can_type_is_refused(database: Database, name: str) -> None:
    with pytest.raises(UsageError, match="log-in name"), database.write() as connection:
        accounts.add_user(connection, replace(WANG, name=name), "a long password", now=NOW)


@pytest.mark.parametrize("name", ["wang", "王老师", "wang.li@school-3", "_x"])
def test_names_of_people_are_taken(database: Database, name: str) -> None:
    with database.write() as connection:
        accounts.add_user(connection, replace(WANG, name=name), "a long password", now=NOW)
        assert accounts.check_password(connection, name, "a long password", now=NOW).name == name


@pytest.mark.parametrize("password", ["x" * 257, "\udcffbroken bytes", "a long\0password"])
def test_a_password_that_nobody_can_type_is_refused(database: Database, password: str) -> None:
    with pytest.raises(UsageError, match="can be typed"), database.write() as connection:
        accounts.add_user(connection, WANG, password, now=NOW)


def test_a_log_in_with_broken_bytes_is_wrong_not_a_fault(known: Database) -> None:
    with known.write() as connection, pytest.raises(NotAllowedError, match="is wrong"):
        accounts.check_password(connection, "wang", "\udcff" * 12, now=NOW)


def test_a_closed_account_has_no_sessions_and_opens_none(known: Database) -> None:
    with known.write() as connection:
        token = accounts.open_session(connection, WANG, now=NOW)
        accounts.disable_user(connection, "wang")
        assert accounts.find_session(connection, token, now=NOW) is None
        assert accounts.list_users(connection) == []
        with pytest.raises(NotAllowedError, match="wrong"):
            accounts.check_password(connection, "wang", "a long password", now=NOW)
        with pytest.raises(UsageError, match="no account"):
            accounts.disable_user(connection, "nobody")
        accounts.add_user(connection, WANG, "another long one", now=NOW)
        assert accounts.check_password(connection, "wang", "another long one", now=NOW) == WANG


def test_a_name_is_free_until_an_open_account_has_it(database: Database) -> None:
    with database.write() as connection:
        accounts.require_free(connection, WANG.name)
        accounts.add_user(connection, WANG, "a long password", now=NOW)
        with pytest.raises(UsageError, match="already"):
            accounts.require_free(connection, WANG.name)
        accounts.disable_user(connection, WANG.name)
        accounts.require_free(connection, WANG.name)
