"""Features say what they claim, and never anything but finite numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly.flows import FlowRecord, read_flow
from detectors.anomaly.model.features import FEATURES, direction_of, hour_of, learn_usual, matrix, service_of
from soc_core.model.organisation import AddressPlan
from tests.detectors.anomaly.base import Maker
from tests.detectors.anomaly.model.base import normal


def flow(**fields: str | int) -> FlowRecord:
    event = Maker().flow(0, "192.168.1.9", "203.0.113.9", 443)
    event.update({name.replace("__", "."): value for name, value in fields.items()})
    record = read_flow(event)
    assert record is not None
    return record


def records(count: int) -> list[FlowRecord]:
    found = [read_flow(event) for event in normal(count)]
    return [record for record in found if record is not None]


def row_of(record: FlowRecord, direction: str = "outbound", *, days: int = 1) -> dict[str, float]:
    known = records(2_000)
    known = [replace(each, time_us=each.time_us + n % days * 86_400_000_000) for n, each in enumerate(known)]
    values = matrix([record], [direction], learn_usual(known))[0]
    return dict(zip(FEATURES, values.tolist(), strict=True))


def test_amounts_are_decimal_logarithms() -> None:
    row = row_of(
        flow(source__bytes=999, destination__bytes=99_999, source__packets=9, event__duration=99_000_000)
    )
    assert row["sent"] == pytest.approx(3)
    assert row["received"] == pytest.approx(5)
    assert row["ratio"] == pytest.approx(-2)
    assert row["packets_sent"] == pytest.approx(1)
    assert row["duration"] == pytest.approx(2)
    assert row["size_sent"] == pytest.approx(np.log10(112))


def test_the_same_amount_is_usual_for_one_service_and_not_for_another() -> None:
    web = row_of(flow(source__bytes=3_000))
    names = row_of(flow(source__bytes=3_000, destination__port=53, network__transport="udp"))
    assert abs(web["sent_here"]) < 0.2
    assert names["sent_here"] > 1.4
    assert names["udp"] == 1.0


def test_unknown_services_are_rare() -> None:
    assert row_of(flow(destination__port=6_667))["service"] > 3
    assert row_of(flow())["service"] < 0.5


@pytest.mark.parametrize(
    ("transport", "port", "expected"),
    [("tcp", 443, "tcp/443"), ("udp", 50_000, "udp/dynamic"), ("icmp", 0, "icmp"), ("", 0, "other")],
)
def test_services(transport: str, port: int, expected: str) -> None:
    assert service_of(flow(network__transport=transport, destination__port=port)) == expected


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        ("10.0.0.1", "10.0.0.2", "internal"),
        ("10.0.0.1", "203.0.113.1", "outbound"),
        ("203.0.113.1", "10.0.0.1", "inbound"),
        ("203.0.113.1", "203.0.113.2", ""),
    ],
)
def test_directions(source: str, destination: str, expected: str) -> None:
    assert direction_of(flow(source__ip=source, destination__ip=destination), AddressPlan()) == expected


def test_hours_are_learned_from_a_week_only() -> None:
    late = flow()
    assert hour_of(late) == 8
    assert row_of(late, days=6)["hour"] == 0.0
    assert row_of(late, days=7)["hour"] > 0.5


@given(
    st.integers(0, 2**62),
    st.integers(0, 2**62),
    st.integers(0, 2**40),
    st.integers(0, 65_535),
    st.sampled_from(["tcp", "udp", "icmp", "gre", ""]),
)
def test_rows_are_finite_whatever_the_flow(
    sent: int, received: int, packets: int, port: int, transport: str
) -> None:
    record = flow(
        source__bytes=sent,
        destination__bytes=received,
        source__packets=packets,
        destination__port=port,
        network__transport=transport,
    )
    assert np.isfinite(matrix([record], [""], learn_usual([record]))).all()
