from __future__ import annotations

import pytest

from collectors.database import hide_passwords, mark_accounts, put_statement, start
from soc_core.model.event import Event


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("create user 'a' identified by 'Secret-1'", "create user 'a' identified by '***'"),
        ("ALTER USER a IDENTIFIED WITH native AS '*ABC'", "ALTER USER a IDENTIFIED WITH native AS '***'"),
        ("create role a login password 'Secr''et'", "create role a login password '***'"),
        ("set password for 'a'@'b' = 'x'", "set password for 'a'@'b' = '***'"),
        ("set password = password(\"abc def\")", "set password = password(\"***\")"),
        ("CHANGE MASTER TO MASTER_PASSWORD='p'", "CHANGE MASTER TO MASTER_PASSWORD='***'"),
        ("'create user \\'a\\' identified by \\'Secret-1\\''", "'create user \\'a\\' identified by \\'***\\''"),
        ("select 'password'", "select 'password'"),
        ("create user 'a' identified by *****", "create user 'a' identified by *****"),
    ],
)  # fmt: skip
def test_passwords_of_account_commands(statement: str, shown: str) -> None:
    assert hide_passwords(statement)[0] == shown


def test_the_original_is_hidden_too() -> None:
    event: Event = {}
    put_statement(event, "set password = 'Secret-1'", "3 Query set password = 'Secret-1' -- Secret-1")
    assert event["event.original"] == "3 Query set password = '***' -- ***"
    short: Event = {}
    put_statement(short, "set password = 'abc'", "3 Query set password = 'abc' -- abc")
    assert short["event.original"] == "set password = '***'"


def test_accounts_and_rights() -> None:
    for statement, types in (
        ("GRANT ALL ON *.* TO a", ["user", "change"]),
        ("drop user a", ["user", "deletion"]),
        ("create group g", ["group", "creation"]),
        ("create table users (id int)", ["info"]),
    ):
        event: Event = {}
        start(event, dataset="x.y", product="x", action="Query")
        mark_accounts(event, statement)
        assert event["event.type"] == types, statement
