from __future__ import annotations

import pytest

from collectors.postgresql_entries import Entry
from collectors.postgresql_log import PostgresqlLog, interpret, take_prefix
from soc_core.model.event import Event
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestPostgresqlLog(TextCollectorTests):
    name = "postgresql"
    samples = ("postgresql.log", "postgresql.csv", "postgresql.json")


def events_of(sample: str) -> list[Event]:
    return read_all(PostgresqlLog(), (GOLDEN / sample).read_bytes())[0]


@pytest.mark.parametrize("sample", ["postgresql.log", "postgresql.csv", "postgresql.json"])
def test_every_format_says_the_same(sample: str) -> None:
    events = events_of(sample)
    good = [e for e in events if e["event.action"] == "connect" and e["event.outcome"] == "success"]
    assert {event["user.name"] for event in good} == {"postgres"}
    failed = [e for e in events if e["event.action"] == "connect" and e["event.outcome"] == "failure"]
    assert [event["user.name"] for event in failed][:2] == ["teacher", "nobody"]
    assert failed[0]["event.category"] == ["database", "authentication"]
    audits = [event for event in events if event["event.dataset"] == "postgresql.audit"]
    assert [event["event.action"] for event in audits] == [
        "create_database",
        "create_role",
        "create_table",
        "insert",
        "select",
        "drop_table",
    ]
    assert audits[1]["event.category"] == ["database", "iam"]
    assert audits[3]["edusoc.database.statement"] == "insert into pupils values (1, '王,\"小\"明')"
    assert audits[2]["edusoc.database.statement"] in (
        "create table pupils (id int,\n\t name text)",
        "create table pupils (id int,\n name text)",
    )
    slow = [event for event in events if event.get("event.duration") == 50_298_000]
    assert slow[0]["edusoc.database.statement"] == "select pg_sleep(0.05)"
    (missing,) = [
        e
        for e in events
        if e.get("error.message") == 'relation "nothing" does not exist'
        or "at character 15" in str(e.get("error.message"))
    ]
    assert missing["edusoc.database.statement"] == "select * from nothing"
    assert "Secret-123" not in str(events)
    ended = next(event for event in events if event["event.action"] == "disconnect")
    assert (ended["event.duration"], ended["source.ip"]) == (37_000_000, "192.0.2.30")


def test_other_prefixes_zones_and_lines_below() -> None:
    refused, wrong = events_of("postgresql.log")[-2:]
    assert (refused["@timestamp"], refused["source.ip"], refused["edusoc.database.application"]) == (
        "2026-11-24T12:38:00.000000Z",
        "203.0.113.9",
        "psql",
    )
    assert wrong["@timestamp"] == "2026-11-24T12:38:01.000000Z"
    assert (wrong["source.port"], wrong["process.pid"]) == (50211, 301)
    assert wrong["error.message"] == 'syntax error at or near "selec"\nline two of the message'
    assert wrong["edusoc.database.statement"] == "selec\n1"


def test_prefix_of_user_and_database() -> None:
    entry = Entry("LOG", "x")
    take_prefix(entry, " [27222] postgres@school 2001:db8::9(5000) ")
    assert (entry.user, entry.database, entry.host, entry.port, entry.process) == (
        "postgres",
        "school",
        "2001:db8::9",
        "5000",
        "27222",
    )


def test_syslog_carries_the_same_messages() -> None:
    event: Event = {}
    assert interpret(
        event, '[5-1] user=teacher,db=school FATAL:  password authentication failed for user "teacher"'
    )
    assert (event["event.outcome"], event["user.name"]) == ("failure", "teacher")
    assert not interpret({}, "[5-2] #011more of it")
