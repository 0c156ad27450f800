from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.live.base import Counters
from collectors.live.documents import Document, DocumentReader, kind_of
from soc_core.model.event import Event
from tests.collectors.base import ALWAYS, GOLDEN, assert_fits_dictionary
from tests.collectors.live.outlets import Kept

AGENT = {"id": "a-1", "name": "web-1", "type": "filebeat", "version": "8.19.3", "ephemeral_id": "changes"}


def reader(epoch: bytes = b"run-1") -> DocumentReader:
    return DocumentReader("beats", epoch, Counters())


def read(*trees: object, epoch: bytes = b"run-1") -> list[Event]:
    documents = [Document(tree if isinstance(tree, bytes) else orjson.dumps(tree)) for tree in trees]
    batch, faults = reader(epoch).read(documents, Kept().context(None), "10.0.0.9")  # type: ignore[arg-type]
    assert [fault for fault in faults if fault] == [record.reason for record in batch.bad]
    for event in batch.events:
        assert_fits_dictionary(event)
        assert [name for name in ALWAYS if name not in event] == []
    return batch.events


def line(
    message: str, offset: int = 100, path: str = "/var/log/auth.log", **fields: object
) -> dict[str, object]:
    return {
        "@timestamp": "2026-11-23T01:59:00.000Z",
        "message": message,
        "log": {"file": {"path": path, "inode": "77"}, "offset": offset},
        "agent": AGENT,
        "host": {"name": "web-1"},
        "input": {"type": "filestream"},
        **fields,
    }


EVE = '{"timestamp":"2026-11-23T09:58:00.000000+0800","event_type":"alert","src_ip":"10.0.0.1","src_port":4000,"dest_ip":"10.0.0.2","dest_port":80,"proto":"TCP","alert":{"signature_id":1,"signature":"test","severity":2,"action":"allowed"}}'  # noqa: E501
ZEEK = '{"_path":"dns","ts":1795139880.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":53,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"a.example"}'  # noqa: E501
ACCESS = '10.0.0.1 - - [23/Nov/2026:09:58:00 +0800] "GET /a HTTP/1.1" 200 12 "-" "curl"'
SSHD = "Nov 23 09:58:00 web-1 sshd[7]: Failed password for root from 10.0.0.1 port 22 ssh2"
WINDOWS = {
    "@timestamp": "2026-11-23T01:58:00.000Z",
    "winlog": {"channel": "Security", "provider_name": "Microsoft-Windows-Security-Auditing", "event_id": "4625",
               "record_id": 8812, "computer_name": "DC1.school.example", "event_data": {"TargetUserName": "li"}},
    "event": {"code": "4625", "created": "2026-11-23T01:58:03.000Z"},
    "agent": {"id": "w-1", "type": "winlogbeat"}, "message": "An account failed to log on.",
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "dataset"),
    [
        (WINDOWS, "windows.security"),
        (line(EVE), "suricata.alert"),
        (line("x", json=orjson.loads(EVE)), "suricata.alert"),
        (line("x", suricata={"eve": orjson.loads(EVE)}), "suricata.alert"),
        ({**line("x"), **orjson.loads(EVE)}, "suricata.alert"),
        (orjson.loads(EVE), "suricata.alert"),
        (line(ZEEK), "zeek.dns"),
        (line(ACCESS), "web.access"),
        (line(SSHD), "syslog.auth"),
        (line("free text of some program"), "ecs.event"),
        (line('{"level":"info","msg":"own JSON"}'), "ecs.event"),
        (line("two\nlines"), "ecs.event"),
        ({"@timestamp": "2026-11-23T01:58:00Z", "event": {"dataset": "own.data"}}, "own.data"),
        ({"time": "2026-11-23 09:58:00", "msg": "hello", "level": {"name": "x"}}, "json.event"),
        ({"any": "thing"}, "json.event"),
    ],
)
def test_a_document_is_known_by_its_content(document: object, dataset: str) -> None:
    event = read(document)[0]
    assert event["event.dataset"] == dataset
    assert event["log.source.address"] == "10.0.0.9"


def test_a_sender_is_not_whom_it_says_it_is_and_answers_no_orders() -> None:
    claimed = {
        "@timestamp": "2026-11-23T01:58:00Z",
        "event": {"dataset": "edusoc.order", "outcome": "success"},
        "organization.id": "unit-2",
        "log.source.address": "10.99.0.1",
        "edusoc": {"order": {"number": 1}, "unit_code": "S2", "assigned_by": "sender", "agent": "g1"},
    }
    event = read(claimed)[0]
    assert event["log.source.address"] == "10.0.0.9"
    assert event["organization.id"] == "unit-1"
    assert event["event.dataset"] == "ecs.event"
    assert (
        not {"edusoc.order.number", "edusoc.unit_code", "edusoc.assigned_by", "edusoc.agent"} & event.keys()
    )
    said = event["edusoc.extra"]
    assert isinstance(said, list)
    assert {"log.source.address=10.99.0.1", "edusoc.unit_code=S2", "event.dataset=edusoc.order"} <= {*said}


def test_equal_ids_of_different_documents_are_different_events() -> None:
    documents = [Document(orjson.dumps({"time": "2026-11-23 09:58:00", "n": n}), "1") for n in (1, 2, 1)]
    batch, _ = reader(b"run-1").read(documents, Kept().context(None), "10.0.0.9")  # type: ignore[arg-type]
    one, two, again = (event["event.id"] for event in batch.events)
    assert one == again != two


def test_what_the_beat_says_of_itself_is_kept() -> None:
    event = read(line(SSHD))[0]
    assert event["agent.id"] == "a-1"
    assert event["log.file.path"] == "/var/log/auth.log"
    assert event["log.offset"] == 100
    assert event["@timestamp"] == "2026-11-23T01:58:00.000000Z"
    assert event["event.original"] == SSHD


@pytest.mark.parametrize("name", ["suricata.json", "winlogbeat.json", "opencanary.json", "hfish.json"])
def test_golden_samples_give_what_their_files_give(name: str) -> None:
    lines = [text for text in (GOLDEN / name).read_bytes().splitlines() if text.startswith(b"{")]
    expected = orjson.loads((GOLDEN / f"{name}.expected.json").read_bytes())["events"]
    ids = {
        "event.id",
        "event.created",
        "log.source.address",
        "edusoc.time.fault",
        "edusoc.time.claimed",
        "@timestamp",
    }
    found = [{key: value for key, value in event.items() if key not in ids} for event in read(*lines)]
    wanted = [{key: value for key, value in event.items() if key not in ids} for event in expected]
    assert found[: len(wanted)] == wanted


def ids(*trees: object, epoch: bytes = b"run-1") -> list[object]:
    return [event["event.id"] for event in read(*trees, epoch=epoch)]


def test_a_document_sent_again_is_the_same_event() -> None:
    again = {
        **WINDOWS,
        "event": {"code": "4625", "created": "2026-11-23T02:20:00.000Z"},
        "agent": {"id": "w-1"},
    }
    assert ids(WINDOWS) == ids(again, epoch=b"run-2")
    changed = line(SSHD)
    changed["agent"] = {**AGENT, "ephemeral_id": "other"}
    changed["@timestamp"] = "2026-11-23T02:30:00.000Z"
    assert ids(line(SSHD)) == ids(changed, epoch=b"run-2")
    assert ids(orjson.loads(EVE)) == ids(orjson.loads(EVE), epoch=b"run-2")


def test_the_second_line_of_a_file_is_read_like_the_first() -> None:
    first, second = read(line(SSHD), line(SSHD, 200))
    own = {"event.id", "log.offset"}
    assert {k: v for k, v in first.items() if k not in own} == {
        k: v for k, v in second.items() if k not in own
    }


def test_different_records_are_different_events() -> None:
    other = {**WINDOWS, "winlog": {**WINDOWS["winlog"], "record_id": 8813}}  # type: ignore[dict-item]
    found = ids(WINDOWS, other, line(SSHD), line(SSHD, 200), line(SSHD, path="/var/log/b.log"), orjson.loads(EVE), orjson.loads(EVE))  # fmt: skip # noqa: E501
    assert len(set(found)) == len(found)


def test_equal_documents_without_time_are_not_one() -> None:
    one = reader()
    context = Kept().context(None)  # type: ignore[arg-type]
    found = [one.read([Document(b'{"status":"ok"}')], context)[0].events[0]["event.id"] for _ in range(3)]
    assert len(set(found)) == 3


def test_the_senders_id_is_the_identity() -> None:
    context = Kept().context(None)  # type: ignore[arg-type]
    first, _ = reader().read([Document(b'{"a":1}', "i\0x")], context)
    second, _ = reader(b"run-2").read([Document(b'{"a":1}', "i\0x")], context)
    assert first.events[0]["event.id"] == second.events[0]["event.id"]


def test_impossible_dates_are_kept_beside() -> None:
    event = read({"@timestamp": "2999-01-01T00:00:00Z", "message": "x"})[0]
    assert event["@timestamp"] == "2026-11-23T02:00:00.000000Z"
    assert event["edusoc.time.fault"] == "future"
    assert str(event["event.id"]).startswith("20261123-")


def test_without_answers_each_document_is_an_event_of_its_own() -> None:
    one = DocumentReader("eve", b"run", Counters(), answers=False)
    context = Kept().context(None)  # type: ignore[arg-type]
    found = [
        event["event.id"] for _ in range(2) for event in one.read([Document(EVE.encode())], context)[0].events
    ]
    assert len(set(found)) == 2


def test_a_parser_that_fails_takes_no_other_document_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr("collectors.suricata.EveParser.parse", fail)
    documents = [Document(EVE.encode()), Document(orjson.dumps(WINDOWS))]
    batch, faults = reader().read(documents, Kept().context(None))  # type: ignore[arg-type]
    assert faults == ["parser failed: KeyError", ""]
    assert len(batch.events) == len(batch.bad) == 1


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["winlog", "message", "log", "file", "path", "offset", "agent", "id", "@timestamp", "event_type",
                 "ts", "timestamp", "logtype", "node_id", "event", "json", "suricata", "eve", "_source", "EventID",
                 "record_id"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_json_raises_nothing(tree: object) -> None:
    try:
        raw = orjson.dumps(tree)
    except TypeError:  # an integer beyond 64 bits
        return
    read(raw)
    if isinstance(tree, dict):
        assert kind_of(tree)


@given(st.binary(max_size=200))
def test_garbage_is_kept_aside(junk: bytes) -> None:
    read(junk)
