"""What the collector makes of captures: events complete, ids stable, protocols found on any port."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.base import ReadContext
from collectors.opening import open_bytes
from collectors.packets.collector import PacketsCollector
from collectors.reading import collect, read_paths
from soc_core.clock import EPOCH
from soc_core.model.event import Event, make_event_id, make_source_identity
from tests.collectors.base import ALWAYS, CONTEXT, assert_fits_dictionary, read_all
from tests.collectors.packets.making import (
    ACK,
    BEGIN,
    PSH,
    SYN,
    Timed,
    connection,
    dns_query,
    pcap,
    pcapng,
    read,
    tcp_frame,
    udp_frame,
)

REQUEST = b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: test\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
LOOKUP: list[Timed] = [
    (BEGIN, udp_frame(dns_query("www.example.com"))),
    (
        BEGIN + 0.1,
        udp_frame(dns_query("www.example.com", answer="192.0.2.1"), 53, 5000, "10.0.0.2", "10.0.0.1"),
    ),
]
WEB = connection(REQUEST, ANSWER, start=BEGIN + 1)


def _by_dataset(events: list[Event], dataset: str) -> list[Event]:
    return [event for event in events if event["event.dataset"] == dataset]


def test_recognises_captures_only() -> None:
    packets = PacketsCollector()
    assert packets.recognise(pcap([]), "x") == packets.recognise(pcapng([]), "x.txt") == 100
    assert packets.recognise(pcap([], order=">", nanos=True), "x") == 100
    assert packets.recognise(b"\0" * 40, "x.pcap") == packets.recognise(b"", "x.pcap") == 0


def test_events_fit_the_dictionary_and_are_complete() -> None:
    events, bad, _ = read_all(PacketsCollector(), pcap(LOOKUP + WEB), CONTEXT)
    assert not bad
    assert {event["event.dataset"] for event in events} == {"packets.flow", "packets.dns", "packets.http"}
    for event in events:
        assert_fits_dictionary(event)
        assert not set(ALWAYS) - set(event)
    assert len({event["event.id"] for event in events}) == len(events)


def test_messages_carry_the_addressing_of_their_flow() -> None:
    events, _ = read(pcap(LOOKUP))
    question, answer = _by_dataset(events, "packets.dns")
    (flow,) = _by_dataset(events, "packets.flow")
    for event in (question, answer):
        for name in (
            "source.ip",
            "source.port",
            "destination.ip",
            "destination.port",
            "network.community_id",
            "event.start",
        ):
            assert event[name] == flow[name]
    assert (question["dns.type"], answer["dns.type"]) == ("query", "answer")
    assert question["dns.question.name"] == "www.example.com"
    assert flow["network.protocol"] == "dns"
    assert answer["@timestamp"] > question["@timestamp"]


@pytest.mark.parametrize("dport", [80, 31337])
def test_http_on_any_port(dport: int) -> None:
    events, _ = read(pcap(connection(REQUEST, ANSWER, dport=dport)))
    (event,) = _by_dataset(events, "packets.http")
    assert event["http.request.method"] == "GET"
    assert event["http.response.status_code"] == 200
    assert event["destination.port"] == dport
    (flow,) = _by_dataset(events, "packets.flow")
    assert flow["network.protocol"] == "http"


def test_dns_on_any_port_and_over_tcp() -> None:
    strange = [(BEGIN, udp_frame(dns_query("odd.example.com"), dport=9999))]
    message = dns_query("tcp.example.com")
    over_tcp = connection(len(message).to_bytes(2, "big") + message, dport=5353)
    events, _ = read(pcap(strange + over_tcp))
    assert [event["dns.question.name"] for event in _by_dataset(events, "packets.dns")] == [
        "odd.example.com",
        "tcp.example.com",
    ]


def _segments(data: bytes, cuts: list[int], *, swap: bool = False) -> list[Timed]:
    frames = [tcp_frame(True, 99, SYN), tcp_frame(False, 499, SYN | ACK)]
    pieces = [(start, data[start:end]) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    frames += [
        tcp_frame(True, 100 + start, PSH | ACK, piece)
        for start, piece in (reversed(pieces) if swap else pieces)
    ]
    frames.append(tcp_frame(False, 500, PSH | ACK, ANSWER))
    return [(BEGIN + number / 100, frame) for number, frame in enumerate(frames)]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("cuts", [[30], [1], [3], [2, 5], [1, 2, 3, 4], [7, 50]])
def test_cut_request_is_put_together(cuts: list[int], swap: bool) -> None:
    events, _ = read(pcap(_segments(REQUEST, cuts, swap=swap)))
    (event,) = _by_dataset(events, "packets.http")
    assert event["url.original"] == "/index.html" or str(event["url.original"]).endswith("/index.html")
    assert event["user_agent.original"] == "test"


def test_sequence_numbers_that_wrap() -> None:
    begin = 0xFFFFFFF0
    frames = [
        tcp_frame(True, begin - 1, SYN),
        tcp_frame(False, 499, SYN | ACK),
        tcp_frame(True, begin, PSH | ACK, REQUEST[:40]),
        tcp_frame(True, begin + 40, PSH | ACK, REQUEST[40:]),
        tcp_frame(False, 500, PSH | ACK, ANSWER),
    ]
    events, _ = read(pcap([(BEGIN, frame) for frame in frames]))
    assert len(_by_dataset(events, "packets.http")) == 1


def test_many_requests_on_one_connection_with_large_bodies() -> None:
    body = b"z" * 1400
    frames = [tcp_frame(True, 99, SYN), tcp_frame(False, 499, SYN | ACK)]
    client, server = 100, 500
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 140000\r\n\r\n"
    for number in range(5):
        request = f"GET /{number} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode()
        frames.append(tcp_frame(True, client, PSH | ACK, request))
        client += len(request)
        for piece in [head, *[body] * 100]:
            frames.append(tcp_frame(False, server, PSH | ACK, piece))
            server += len(piece)
    events, _ = read(pcap([(BEGIN + number / 1000, frame) for number, frame in enumerate(frames)]))
    found = _by_dataset(events, "packets.http")
    assert [str(event["url.original"])[-1] for event in found] == list("01234")


def test_flows_only_gives_the_same_flows() -> None:
    capture = pcap(LOOKUP + WEB)
    whole, _ = read(capture)
    only, statistics = read(capture, only="packets.flow")
    assert only == _by_dataset(whole, "packets.flow")
    assert set(statistics.datasets) == {"packets.flow"}


def _ids(capture: bytes, context: ReadContext = CONTEXT) -> set[str]:
    with open_bytes(capture) as source:
        return {
            str(e["event.id"]) for batch in PacketsCollector().read(source, context) for e in batch.events
        }


def test_ids_belong_to_source_place_and_bytes() -> None:
    capture = pcap(LOOKUP + WEB)
    whole = _ids(capture)
    assert _ids(gzip.compress(capture)) == _ids(capture) == whole
    assert not whole & _ids(capture, replace(CONTEXT, organization_id="unit-2"))
    assert not whole & _ids(capture, replace(CONTEXT, zone="office"))
    more = _ids(pcap(LOOKUP + WEB + connection(REQUEST, ANSWER, start=BEGIN + 9, sport=40001)))
    assert whole < more


def test_equal_datagrams_are_two_events() -> None:
    events, _ = read(pcap([(BEGIN, udp_frame(dns_query())), (BEGIN, udp_frame(dns_query()))]))
    assert len({event["event.id"] for event in _by_dataset(events, "packets.dns")}) == 2


def test_reading_from_disk_with_statistics(tmp_path: Path) -> None:
    file = tmp_path / "capture.anything"
    file.write_bytes(pcap(LOOKUP + WEB) + b"\x01")
    events, statistics = collect(read_paths([str(file)]))
    summary = statistics.as_json()
    assert summary["packets"] == len(LOOKUP) + len(WEB)
    assert summary["conserved"] is True
    assert summary["bad_records"] == [
        {
            "file": str(file),
            "offset": file.stat().st_size - 1,
            "line": 0,
            "reason": "the capture ends in the middle of a record",
        }
    ]
    assert json.dumps(events)


def test_one_conversation_too_many_ends_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.packets.applications.MAX_CONVERSATIONS", 3)
    half = [connection(REQUEST, sport=41000 + number)[:4] for number in range(10)]
    events, statistics = read(pcap([packet for packets in half for packet in packets]))
    assert statistics.counters["streams_given_up"] == 7
    assert len(_by_dataset(events, "packets.flow")) == 10


def test_empty_capture() -> None:
    assert read(pcap([]))[0] == read(pcapng([]))[0] == []


def test_time_zero_and_far_future() -> None:
    events, _ = read(pcap([(0, udp_frame(dns_query())), (4_294_967_295, udp_frame(dns_query()))]))
    assert {str(event["@timestamp"])[:4] for event in events} == {"1970", "2106"}
    assert EPOCH.year == 1970


@settings(deadline=None)
@given(st.integers(0, 4_294_967_295), st.integers(0, 60), st.text(max_size=8))
def test_flow_ids_are_those_of_make_event_id(moment: int, before: int, unit: str) -> None:
    """The kernel digests what ``make_event_id`` would."""
    noise = [(float(moment), b"x" * 20)] * before
    frame = udp_frame(b"y" * 30, dport=9)
    capture = pcap([*noise, (float(moment), frame)])
    context = ReadContext(EPOCH, organization_id=unit)
    with open_bytes(capture) as source:
        (flow,) = [event for batch in PacketsCollector().read(source, context) for event in batch.events]
    first = (moment * 1_000_000).to_bytes(8, "big") + (b"x" * 20 if before else frame)
    identity = make_source_identity(unit, "default", "packets", first)
    position = 24 + before * 36 + 16
    assert flow["edusoc.capture.offset"] == position
    assert flow["event.id"] == make_event_id(str(flow["@timestamp"]), identity, position, b"flow", 1)


def test_few_remembered_datagram_flows_give_the_same_events(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = [
        (BEGIN + turn, udp_frame(dns_query(f"n{turn}.example.com"), sport=5000 + number))
        for turn in range(4)
        for number in range(9)
    ]
    whole, _ = read(pcap(packets))
    monkeypatch.setattr("collectors.packets.applications.MAX_DATAGRAM_FLOWS", 2)
    again, _ = read(pcap(packets))
    assert again == whole
