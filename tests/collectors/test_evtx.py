from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache

from collectors.evtx import Evtx
from tests.collectors.base import CollectorTests, assert_fits_dictionary, read_all
from tests.collectors.evtx_maker import CHUNK, make_evtx

_SECURITY = {"Channel": "Security", "Provider": "Microsoft-Windows-Security-Auditing"}
_FAILED = {
    **_SECURITY, "EventID": "4625", "SubjectUserName": "-", "TargetUserName": "t.li", "TargetDomainName": "SCHOOL",
    "IpAddress": "10.8.1.5", "IpPort": "51000", "LogonType": "3", "Status": "0xc000006d",
}  # fmt: skip
_CREATED = {**_SECURITY, "EventID": "4720", "SubjectUserName": "t.li", "TargetUserName": "backdoor"}
_STARTED = {
    **_SECURITY, "EventID": "4688", "SubjectUserName": "t.li", "NewProcessName": "C:\\Windows\\cmd.exe",
    "NewProcessId": "0x1f4", "ProcessId": "0x10", "CommandLine": "cmd /c whoami", "ParentProcessName": "C:\\a.exe",
}  # fmt: skip


@cache
def _file() -> bytes:
    return make_evtx(
        [[_FAILED, _CREATED, _STARTED], [_FAILED] * 3], datetime(2026, 11, 20, 2, 3, 4, tzinfo=UTC)
    )


class TestEvtx(CollectorTests):
    name = "evtx"

    def inputs(self) -> list[bytes]:
        return [_file()]


def test_records_of_all_chunks_are_read() -> None:
    events, bad, batches = read_all(Evtx(), _file())
    assert bad == []
    assert [event["winlog.record_id"] for event in events] == ["1", "2", "3", "4", "5", "6"]
    failed, created, started = events[:3]
    assert (failed["event.outcome"], failed["user.name"], failed["source.ip"]) == (
        "failure",
        "t.li",
        "10.8.1.5",
    )
    assert (created["user.name"], created["user.target.name"]) == ("t.li", "backdoor")
    assert (started["process.pid"], started["process.parent.pid"], started["process.name"]) == (
        500,
        16,
        "cmd.exe",
    )
    assert batches[0].counters["records"] == 6


def test_a_broken_chunk_costs_only_itself() -> None:
    data = bytearray(_file())
    data[4096 : 4096 + 8] = b"garbage!"
    events, bad, _ = read_all(Evtx(), bytes(data))
    assert [event["winlog.record_id"] for event in events] == ["4", "5", "6"]
    assert [(record.position, record.reason) for record in bad] == [(4096, "not an event log chunk")]


def test_a_lost_header_costs_nothing() -> None:
    events, _, _ = read_all(Evtx(), _file()[4096:])
    assert len(events) == 6


def test_damage_anywhere_raises_nothing() -> None:
    chooser = random.Random(3)
    for _ in range(60):
        data = bytearray(_file())
        for _ in range(chooser.randrange(1, 30)):
            place = 4096 + chooser.randrange(2) * CHUNK + chooser.randrange(4000)
            data[place] = chooser.randrange(256)
        events, bad, _ = read_all(Evtx(), bytes(data))
        assert len(events) <= 6
        assert len(events) == 6 or bad
        for event in events:
            assert_fits_dictionary(event)
