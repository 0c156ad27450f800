from __future__ import annotations

from collectors.mysql import Mysql
from collectors.mysql_audit import interpret
from soc_core.model.event import Event
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestMysql(TextCollectorTests):
    name = "mysql"
    samples = (
        "mysql_general.log",
        "mysql_server_audit.log",
        "mysql_error.log",
        "mysql_percona.csv",
        "mysql_percona.xml",
        "mysql_audit.json",
    )


def events_of(sample: str) -> list[Event]:
    return read_all(Mysql(), (GOLDEN / sample).read_bytes())[0]


def test_entries_without_a_time_have_that_above_them() -> None:
    events = events_of("mysql_general.log")
    assert len({event["@timestamp"] for event in events[:8]}) == 1
    assert events[0]["@timestamp"] == "2026-11-24T12:37:05.000000Z"
    assert events[5]["edusoc.database.statement"] == "select\n 1,\n 2"
    assert [event["@timestamp"] for event in events[-2:]] == [
        "2026-11-24T12:37:07.123456Z",
        "2026-11-24T12:37:08.123456Z",
    ]
    denied = events[-3]
    assert (denied["event.outcome"], denied["source.ip"], denied["user.name"]) == (
        "failure",
        "203.0.113.9",
        "app",
    )
    assert "event.outcome" not in events[-4]


def test_passwords_in_statements_are_hidden() -> None:
    for sample in ("mysql_general.log", "mysql_percona.csv"):
        text = str(events_of(sample))
        assert "Secret-123" not in text
        assert "'x1'" not in text
        assert "***" in text


def test_account_commands_are_marked() -> None:
    created = [
        e for e in events_of("mysql_general.log") if "create user" in str(e.get("edusoc.database.statement"))
    ]
    assert (created[0]["event.category"], created[0]["event.type"]) == (
        ["database", "iam"],
        ["user", "creation"],
    )


def test_refused_log_ins_of_every_format() -> None:
    for sample, count in (
        ("mysql_server_audit.log", 1),
        ("mysql_error.log", 1),
        ("mysql_percona.csv", 1),
        ("mysql_percona.xml", 1),
        ("mysql_audit.json", 1),
        ("mysql_general.log", 1),
    ):
        failed = [
            event
            for event in events_of(sample)
            if event.get("event.outcome") == "failure" and "authentication" in event["event.category"]  # type: ignore[operator]
        ]
        assert len(failed) == count, sample
        assert failed[0]["source.ip"] in ("203.0.113.9", "192.0.2.30")


def test_statements_over_lines_in_quotes() -> None:
    query = next(event for event in events_of("mysql_percona.csv") if event["event.action"] == "query")
    assert query["edusoc.database.statement"] == 'select "a",\n count(*) from one'
    xml = events_of("mysql_percona.xml")[0]
    assert xml["edusoc.database.statement"] == "show variables like 'audit%'"


def test_server_audit_in_syslog() -> None:
    event: Event = {}
    assert interpret(event, " db1,app,203.0.113.9,5,0,FAILED_CONNECT,,,1045")
    assert (event["event.outcome"], event["source.ip"], event["host.name"]) == (
        "failure",
        "203.0.113.9",
        "db1",
    )
    assert not interpret({}, "logging started to syslog")
