"""Flow records of all sensors say alike whether the other side answered."""

from __future__ import annotations

import pytest

from detectors.anomaly.flows import Outcome, is_backscatter, is_group_address, read_flow, read_flows, time_us
from soc_core.clock import epoch_us, parse_instant
from soc_core.model.event import Event
from tests.detectors.anomaly.base import Maker


def outcome(**fields: str | int) -> Outcome:
    event = Maker().flow(0, "10.0.0.1", "10.0.0.2", 80, **fields)
    record = read_flow(event)
    assert record is not None
    return record.outcome


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("S0", "silent"),
        ("REJ", "refused"),
        ("SF", "opened"),
        ("RSTO", "opened"),
        ("OTH", "opened"),
        ("RSTRH", "refused"),
    ],
)
def test_zeek_states(state: str, expected: str) -> None:
    assert outcome(event__dataset="zeek.conn", zeek__conn__state=state).value == expected


@pytest.mark.parametrize(
    ("asked", "answer", "packets", "expected"),
    [
        ("S", "", 0, "silent"),
        ("S", "RA", 1, "refused"),
        ("SA", "SAF", 4, "opened"),
        ("SAR", "SAR", 4, "opened"),
        ("SAP", "", 0, "opened"),
        ("A", "", 0, "silent"),
    ],
)
def test_our_own_flags(asked: str, answer: str, packets: int, expected: str) -> None:
    flags = {"edusoc__flow__tcp_flags_source": asked, "edusoc__flow__tcp_flags_destination": answer}
    found = outcome(**flags, destination__packets=packets, source__packets=1)
    assert found.value == expected


@pytest.mark.parametrize(
    ("answer", "expected"), [("14", "refused"), ("1b", "opened"), ("zz", "opened"), ("", "opened")]
)
def test_suricata_writes_flags_in_hexadecimal(answer: str, expected: str) -> None:
    fields = {"event__dataset": "suricata.flow", "edusoc__flow__tcp_flags_destination": answer}
    assert outcome(**fields, destination__packets=1).value == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("224.0.0.251", True),
        ("192.168.1.255", True),
        ("ff02::1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.2", False),
        ("2001:db8::1", False),
        ("not an address", False),
    ],
)
def test_group_addresses(address: str, expected: bool) -> None:
    assert is_group_address(address) is expected


def test_odd_events_do_not_raise() -> None:
    maker = Maker()
    odd: list[Event] = [
        maker.event(0, {"event.dataset": "packets.flow"}),
        maker.event(
            0, {"event.dataset": "packets.flow", "source.ip": ["10.0.0.1"], "destination.ip": "10.0.0.2"}
        ),
        maker.event(1, {"source.ip": "10.0.0.1", "destination.ip": "10.0.0.2", "source.bytes": "many"}),
        maker.event(2, {"source.ip": "10.0.0.1", "destination.ip": "10.0.0.2", "source.bytes": -5}),
    ]
    records = list(read_flows([odd]))
    assert [record.sent for record in records] == [0, 0]
    assert records[0].part == 1


@pytest.mark.parametrize(
    "text", ["2026-11-20T08:09:10.123456Z", "1970-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z"]
)
def test_times_are_those_of_the_clock(text: str) -> None:
    assert time_us(text) == epoch_us(parse_instant(text))


def test_backscatter_is_an_answer_from_a_service_port() -> None:
    record = read_flow(Maker().flow(0, "10.0.0.1", "10.0.0.2", 50_000, source__port=53))
    assert record is not None
    assert is_backscatter(record)


@pytest.mark.parametrize(("server", "client"), [(67, 68), (547, 546)])
def test_a_dhcp_server_s_answers_are_backscatter(server: int, client: int) -> None:
    record = read_flow(Maker().flow(0, "10.0.0.1", "10.0.0.2", client, source__port=server))
    assert record is not None
    assert is_backscatter(record)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("S", False), ("SAPF", False), ("A", True), ("PAF", True), ("R", False), ("", False)],
)
def test_midstream_is_an_acknowledgement_without_a_beginning(asked: str, expected: bool) -> None:
    record = read_flow(Maker().flow(0, "10.0.0.1", "10.0.0.2", 443, edusoc__flow__tcp_flags_source=asked))
    assert record is not None
    assert record.midstream is expected


def test_midstream_understands_suricata_s_numbers() -> None:
    fields = {"event__dataset": "suricata.flow"}
    for text, expected in (("1a", False), ("10", True), ("02", False)):
        event = Maker().flow(0, "10.0.0.1", "10.0.0.2", 443, edusoc__flow__tcp_flags_source=text, **fields)
        record = read_flow(event)
        assert record is not None
        assert record.midstream is expected
