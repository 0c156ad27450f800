"""Vertical scans are found once, by the right device; look-alikes are not."""

from __future__ import annotations

import pytest

from detectors.anomaly import port_scan, targets
from detectors.anomaly.port_scan import PortScan
from detectors.base import Site
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from soc_core.model.organisation import AddressPlan
from tests.detectors.anomaly.base import Maker, judge, names

SCANNER, VICTIM, OUTSIDE = "192.168.1.66", "192.168.1.10", "203.0.113.9"


def scan(
    ports: int,
    *,
    start: float = 600,
    step: float = 0.1,
    source: str = SCANNER,
    target: str = VICTIM,
    opened: int = 2,
) -> list[Event]:
    maker = Maker()
    return [
        maker.flow(start + step * n, source, target, 20 + n, answered=n < opened, source__port=50_000)
        for n in range(ports)
    ]


def test_a_scan_inside_is_high_and_names_scanner_and_victim() -> None:
    (found,) = judge(PortScan(), scan(100))
    assert (found.kind, found.entity.value, found.peer) == ("port_scan", SCANNER, VICTIM)
    assert found.severity is Severity.HIGH
    assert found.count == 100
    assert found.techniques == ("T1046",)
    assert dict(found.reasons[0].values)["failed"] == 98
    assert dict(found.reasons[1].values) == {"count": 2, "ports": "20, 21"}


@pytest.mark.parametrize(("failed", "expected"), [(14, 0), (15, 1)])
def test_the_threshold_is_fifteen_closed_ports(failed: int, expected: int) -> None:
    assert len(judge(PortScan(), scan(failed, opened=0))) == expected


def test_a_scan_from_outside_is_low_and_about_the_device_scanned() -> None:
    (found,) = judge(PortScan(), scan(500, source=OUTSIDE))
    assert (found.entity.value, found.peer, found.severity) == (VICTIM, OUTSIDE, Severity.LOW)


def test_a_scan_of_the_internet_needs_more_to_be_high() -> None:
    (few,) = judge(PortScan(), scan(60, target=OUTSIDE))
    (many,) = judge(PortScan(), scan(200, target=OUTSIDE))
    assert (few.severity, many.severity) == (Severity.MEDIUM, Severity.HIGH)


def test_own_public_addresses_count_as_inside() -> None:
    site = Site(AddressPlan(["203.0.113.0/24"]))
    (found,) = judge(PortScan(), scan(100, source=OUTSIDE), site=site)
    assert (found.entity.value, found.severity) == (OUTSIDE, Severity.HIGH)


def test_a_scan_across_the_hour_is_told_once_by_the_later_window() -> None:
    (found,) = judge(PortScan(), scan(24, start=3_600 - 12, step=1, opened=0))
    assert found.count == 24


def test_a_scan_that_goes_on_is_told_again_each_hour() -> None:
    events = [event for hour in range(3) for event in scan(40, start=3_600 * hour + 60)]
    for number, event in enumerate(events):
        event["event.id"] = f"{str(event['event.id'])[:8]}-{number}"
    assert len(judge(PortScan(), events)) == 3


def test_a_full_lookback_does_not_blind_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_scan, "MAX_PORTS", 40)
    monkeypatch.setattr(port_scan, "MAX_PAIRS", 2)
    monkeypatch.setattr(port_scan, "MAX_TARGETS_IN_ALL", 60)
    before, now = scan(200, opened=0), scan(200, start=4_000, opened=0)
    for number, event in enumerate(now):
        event["event.id"] = f"{str(event['event.id'])[:8]}-{number}"
        event["destination.port"] = 1_000 + number
    found = judge(PortScan(), before + now)
    assert len(found) == 2
    assert "overflow" in names(found)


def test_memory_is_bounded_by_targets_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_scan, "MAX_TARGETS_IN_ALL", 100)
    made: list[targets.Targets] = []

    class Spy(targets.Targets):
        __slots__ = ()

        def __init__(self, limit: int, places: port_scan.Room) -> None:
            super().__init__(limit, places)
            made.append(self)

    monkeypatch.setattr(port_scan, "Targets", Spy)
    events = [event for n in range(20) for event in scan(30, target=f"192.168.2.{n + 1}")]
    for number, event in enumerate(events):
        event["event.id"] = f"{str(event['event.id'])[:8]}-{number}"
    judge(PortScan(), events)
    for start in range(0, len(made), 20):
        assert sum(row.tried(targets.Period.BOTH) for row in made[start : start + 20]) <= 100


def test_open_ports_answers_traceroute_and_second_records_do_not_count() -> None:
    maker = Maker()
    many_open = scan(60, opened=60)
    answers = [
        maker.flow(n, "192.168.1.1", SCANNER, 40_000 + n, answered=False, source__port=53) for n in range(60)
    ]
    trace = [
        maker.flow(n, SCANNER, OUTSIDE, 33_434 + n, answered=False, network__transport="udp")
        for n in range(60)
    ]
    parts = [maker.flow(n, SCANNER, VICTIM, 20 + n, answered=False, edusoc__flow__part=2) for n in range(60)]
    for events in (many_open, answers, trace, parts):
        assert judge(PortScan(), events) == []


def test_a_second_sensor_does_not_double_the_count() -> None:
    events = scan(10, opened=0)
    doubled = [dict(event) for event in events]
    for number, (event, other) in enumerate(zip(events, doubled, strict=True)):
        event["network.community_id"] = other["network.community_id"] = f"1:{number}"
        other["event.id"] = f"{str(event['event.id'])[:8]}-z{number}"
        other["event.dataset"] = "zeek.conn"
        other["destination.port"] = 500 + number
    assert judge(PortScan(), events + doubled) == []
