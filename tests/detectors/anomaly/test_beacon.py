"""Beacons of machines on for a school day are found; polling pages, updates and clocks are not, or are mild."""

from __future__ import annotations

import random

import pytest

from detectors.anomaly import beacon
from detectors.anomaly.beacon import Beacon
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from tests.detectors.anomaly.base import Maker, judge, names

DEVICE, PEER = "192.168.1.66", "203.0.113.9"


def calls(
    hours: float,
    *,
    every: float = 300,
    jitter: float = 0.2,
    start: float = 600,
    port: int = 8_443 + 1,
    source: str = DEVICE,
    answered: bool = True,
    maker: Maker | None = None,
    **fields: str,
) -> list[Event]:
    maker, chooser = maker or Maker(), random.Random(5)
    made, at = [], start
    while at < start + hours * 3_600:
        size = 800 + chooser.randrange(20)
        made.append(maker.flow(at, source, PEER, port, answered=answered, source__bytes=size, **fields))
        at += every * (1 + jitter * (2 * chooser.random() - 1))
    return made


def test_an_eight_hour_beacon_on_a_rare_port_with_jitter_is_high() -> None:
    (found,) = judge(Beacon(), calls(8))
    assert (found.kind, found.entity.value, found.peer) == ("beacon", DEVICE, PEER)
    assert found.severity is Severity.HIGH
    assert names([found]) == {"rhythm", "score", "jitter", "rare"}
    assert 290 <= dict(found.reasons[0].values)["seconds"] <= 310


@pytest.mark.parametrize(
    ("events", "severity", "reason"),
    [
        (calls(8, port=443), Severity.MEDIUM, "ordinary_port"),
        (calls(8, jitter=0), Severity.MEDIUM, "rare"),
        (calls(8, jitter=0, port=443), Severity.LOW, "ordinary_port"),
        (calls(8, answered=False), Severity.MEDIUM, "unanswered"),
    ],
    ids=["ordinary port", "clockwork", "clockwork on an ordinary port", "nobody answers"],
)
def test_weaker_signs_are_not_high(events: list[Event], severity: Severity, reason: str) -> None:
    (found,) = judge(Beacon(), events)
    assert found.severity is severity
    assert reason in names([found])


def test_gaps_that_vary_by_half_with_sizes_that_vary_are_found_but_not_high() -> None:
    maker, chooser = Maker(), random.Random(7)
    events, at = [], 600.0
    while at < 8 * 3_600:
        events.append(maker.flow(at, DEVICE, PEER, 8_444, source__bytes=round(chooser.gauss(800, 160))))
        at += 300 * (1 - 0.5 * chooser.random())
    (found,) = judge(Beacon(), events)
    assert found.severity is Severity.MEDIUM


def test_software_of_many_devices_is_low() -> None:
    maker = Maker()
    events = [e for n in range(5) for e in calls(8, source=f"192.168.1.{n + 10}", maker=maker)]
    found = judge(Beacon(), events)
    assert len(found) == 5
    assert {item.severity for item in found} == {Severity.LOW}


@pytest.mark.parametrize(
    "events",
    [
        calls(2, every=60),
        calls(8, every=1_500),
        calls(8, port=123, network__transport="udp"),
        calls(8, source="203.0.113.50"),
    ],
    ids=["a lesson or two", "too few", "clock", "not ours"],
)
def test_others_are_nothing(events: list[Event]) -> None:
    assert judge(Beacon(), events) == []


def test_people_who_browse_are_no_beacon() -> None:
    maker, chooser = Maker(), random.Random(11)
    events: list[Event] = []
    at = 600.0
    while at < 8 * 3_600:
        at += chooser.expovariate(1 / 40) if chooser.random() < 0.9 else chooser.uniform(600, 2_400)
        size = round(chooser.lognormvariate(7, 1.2))
        events.append(maker.flow(at, DEVICE, PEER, 443, source__bytes=size))
    assert judge(Beacon(), events) == []


def test_a_beacon_across_midnight_is_told_once_and_one_that_goes_on_once_a_day() -> None:
    assert len(judge(Beacon(), calls(4, start=22.5 * 3_600))) == 1
    assert len(judge(Beacon(), calls(72, start=0, every=1_200))) == 3


def test_calls_are_bounded_but_the_second_day_is_still_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beacon, "MAX_CALLS", 200)
    found = judge(Beacon(), calls(48, start=0, every=120))
    assert len(found) == 2
    assert "overflow" in names(found)
    assert all(item.count <= 200 for item in found)
