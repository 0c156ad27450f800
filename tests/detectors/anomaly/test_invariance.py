"""Detections depend on nothing but the events: not on ties, batch cuts or repetition; and what is lost stays lost."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.anomaly.registry import default_detectors
from detectors.base import WindowDetector
from soc_core.model.detection import Detection
from soc_core.model.event import Event
from tests.detectors.anomaly import test_beacon, test_brute_force, test_dns_tunnel, test_exfiltration
from tests.detectors.anomaly.base import SITE, Maker, cut_at, judge, shuffled_ties, windows_of

DETECTORS = {detector.id: detector for detector in default_detectors()}


@cache
def mixed() -> tuple[Event, ...]:
    """Return attacks of every kind, many in the same second."""
    maker, chooser = Maker(), random.Random(1)
    events: list[Event] = []
    for n in range(120):
        at = 3_500 + n * 2
        events.append(maker.flow(at, "192.168.1.66", "192.168.1.10", 20 + n, answered=n % 9 == 0))
        events.append(maker.flow(at, "192.168.1.67", f"192.168.2.{n + 1}", 445, answered=n % 5 == 0))
        events.append(
            maker.login(at, "203.0.113.7", chooser.choice(["failure"] * 9 + ["success"]), f"u{n % 30}")
        )
    for group in (
        test_brute_force.flows(90),
        test_dns_tunnel.tunnel(150, start=3_500),
        test_exfiltration.upload(900),
        test_beacon.calls(9),
    ):
        events.extend(group)
    for number, event in enumerate(events):
        event["event.id"] = f"{str(event['event.id'])[:8]}-{number:05d}"
        event["@timestamp"] = f"{str(event['@timestamp'])[:19]}.000000Z"
    return tuple(events)


@cache
def expected(name: str) -> tuple[Detection, ...]:
    return tuple(judge(DETECTORS[name], mixed()))


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_detector_finds_its_part(name: str) -> None:
    assert expected(name)
    assert {item.rule_id for item in expected(name)} == {name}


@pytest.mark.parametrize("name", sorted(DETECTORS))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), size=st.integers(1, 400))
def test_ties_and_cuts_do_not_matter(name: str, seed: int, size: int) -> None:
    detector: WindowDetector = DETECTORS[name]
    found = judge(detector, shuffled_ties(mixed(), seed), cut=cut_at(size))
    assert tuple(found) == expected(name)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_nothing_comes_of_nothing(name: str) -> None:
    assert judge(DETECTORS[name], []) == []


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_what_the_pipeline_hands_over_is_enough(name: str) -> None:
    """The store returns only the fields a detector asks for (and those of its query)."""
    detector = DETECTORS[name]
    fields = {*detector.fields, "@timestamp", "event.id", "organization.id", "edusoc.zone", "event.dataset"}
    fields |= {"event.category", "destination.port"} if name == "brute_force" else set()
    cut = [{key: value for key, value in event.items() if key in fields} for event in mixed()]
    assert tuple(judge(detector, cut)) == expected(name)


_VALUES = st.one_of(
    st.sampled_from(["tcp", "udp", "icmp", "failure", "success", "packets.flow", "packets.dns", "zeek.conn"]),
    st.sampled_from(["10.0.0.1", "203.0.113.9", "a.b.example", "S0", "SA", "1b", "authentication"]),
    st.text(max_size=30),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.booleans(),
    st.lists(st.text(max_size=5), max_size=3),
    st.lists(st.integers(0, 70_000), max_size=3),
)


@pytest.mark.parametrize("name", sorted(DETECTORS))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_value_of_any_field_makes_it_fail(name: str, data: st.DataObject) -> None:
    detector, maker = DETECTORS[name], Maker()
    fields = sorted({*detector.fields, "event.category", "event.dataset"} - {"@timestamp", "event.id"})
    odd = data.draw(st.lists(st.dictionaries(st.sampled_from(fields), _VALUES), max_size=12))
    given_fields = ("@timestamp", "event.id")
    events = []
    for number, row in enumerate(odd):
        usual = mixed()[number * 37 % len(mixed())]
        kept = {key: value for key, value in usual.items() if key not in given_fields}
        events.append(maker.event(number, {**kept, **row}))
    window = windows_of(detector, [maker.event(0, {})])[0]
    found = detector.detect(window, [events], SITE)
    assert all(item.severity for item in found)


def test_late_events_give_what_they_would_have_given_in_time() -> None:
    """Judging a window twice, first with half of its events, ends with the same detections as judging it once."""
    for name, detector in DETECTORS.items():
        early = judge(detector, mixed()[::2])
        full = judge(detector, mixed())
        assert tuple(full) == expected(name)
        worse = {(item.entity, item.kind, item.peer): item.severity.rank for item in full}
        for item in early:
            assert worse.get((item.entity, item.kind, item.peer), -1) >= item.severity.rank
