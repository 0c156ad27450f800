from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from collectors.auditd import interpret
from collectors.auditd_syslog import SyslogGroups, has_records, join
from collectors.lines import Line
from collectors.live.base import Counters
from collectors.live.syslog_records import Received, RecordMaker
from soc_core.model.event import Event
from tests.collectors.base import CONTEXT, GOLDEN, assert_fits_dictionary

RECORDS = [
    line.decode().replace("\x1d", "")
    for line in (GOLDEN / "auditd.log").read_bytes().split(b"\n")
    if b":103)" in line or b":104)" in line or b":106)" in line
]


def event_of(number: int, text: str) -> Event:
    event: Event = {
        "event.id": f"id-{number}",
        "event.created": "2026-11-24T12:00:00.000000Z",
        "log.syslog.hostname": "web1",
        "host.name": "web1",
        "message": text,
        "event.original": f"<30>Nov 24 20:00:00 web1 audispd: {text}",
        "event.kind": "event",
    }
    assert interpret(event, text)
    return event


class Lines:
    """Stand for the parser of syslog lines: the head is fixed."""

    def parse(self, line: Line) -> Sequence[Event]:
        text = line.raw.decode()
        if text.startswith("sshd"):
            return ({"event.dataset": "syslog.auth", "message": text},)
        event = event_of(line.number, text)
        del event["event.original"], event["event.id"]
        return (event,)


def test_records_of_a_batch_are_joined_into_the_first() -> None:
    events = [event_of(number, text) for number, text in enumerate(RECORDS)]
    events.insert(1, {"event.dataset": "syslog.log", "message": "between", "event.id": "id-x"})
    joined = join(events)
    assert [event["event.id"] for event in joined] == ["id-0", "id-x", "id-1", f"id-{len(RECORDS) - 1}"]
    first = joined[0]
    assert first["process.args"] == ["wget", "-O", "/tmp/a b", "http://198.51.100.7/x.sh"]
    assert first["process.executable"] == "/usr/bin/wget"
    assert (first["log.syslog.hostname"], first["event.created"]) == ("web1", "2026-11-24T12:00:00.000000Z")
    assert str(first["event.original"]).count("\n") == 5
    for event in joined:
        if event["event.dataset"] == "auditd.log":
            assert_fits_dictionary(event)


def test_a_batch_without_records_is_returned_as_it_is() -> None:
    events: list[Event] = [{"event.dataset": "syslog.log", "message": "x"}]
    assert join(events) is events


def test_lines_of_a_file_are_joined_and_others_pass_at_once() -> None:
    groups = SyslogGroups(Lines())
    (other,) = groups.parse(Line(0, 1, b"sshd: something"))
    assert other.events[0]["event.dataset"] == "syslog.auth"
    found = []
    for number, text in enumerate(RECORDS, start=2):
        found += list(groups.parse(Line(number * 1_000, number, text.encode())))
    assert [group.events[0]["event.action"] for group in found] == ["process_started", "file_deleted", "sudo"]
    assert found[0].first.position == 2_000
    assert found[0].events[0]["log.syslog.hostname"] == "web1"
    assert groups.held() is None
    assert list(groups.rest()) == []


def test_files_with_records_are_told_by_their_beginning() -> None:
    assert has_records(b"<30>Nov 24 20:00:00 web1 audispd: type=CWD msg=audit(1.2:3): cwd=1")
    assert not has_records(b"Nov 24 20:00:00 web1 sshd: x")


def test_received_messages_of_one_event_become_one() -> None:
    messages = [
        Received(f"<30>Nov 23 08:00:00 web1 audispd: {text}".encode(), "192.0.2.9") for text in RECORDS
    ]
    maker = RecordMaker("syslog", b"run", Counters(), timedelta(days=3650))
    batch = maker.make(messages, CONTEXT)
    assert [event["event.action"] for event in batch.events] == ["process_started", "file_deleted", "sudo"]
    assert batch.counters["records"] == len(messages)
    assert len({event["event.id"] for event in batch.events}) == 3
