"""Correlations: sliding timespans over tumbling windows, groups, aliases, order, bounds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.sigma import CorrelationDetector, load_rules
from detectors.sigma.samples import START, judge_history
from soc_core.clock import EPOCH, format_instant
from soc_core.model.detection import Detection
from soc_core.model.event import Event
from tests.detectors.sigma.base import rule_text, say

BASE = "11111111-2222-4333-8444-55555555555"
MANY = "22222222-2222-4333-8444-555555555555"


def detector_of(folder: Path, correlation: str, bases: int = 1, more: str = "") -> CorrelationDetector:
    texts = [
        rule_text(
            f"s: {{event.action: act{number}}}\ncondition: s",
            identity=f"{BASE}{number}",
            more=f"name: base{number}",
        )
        for number in range(bases)
    ]
    texts.append(f"title: Many\nid: {MANY}\nlevel: high\ncorrelation: {{{correlation}}}\n{more}")
    (folder / "rules.yml").write_text("\n---\n".join(texts), encoding="utf-8")
    rules = load_rules([folder])
    assert [say(item.reason.key, **item.reason.values) for item in rules.problems] == []
    return CorrelationDetector(rules.correlations[0])


def event(seconds: float, action: int = 0, **fields: str | list[str]) -> Event:
    instant = START + timedelta(seconds=seconds)
    made: Event = {
        "@timestamp": format_instant(instant),
        "event.id": f"20261120-{seconds:09.3f}-{action}-{len(fields)}-{'-'.join(map(str, fields.values()))}",
        "organization.id": "o",
        "edusoc.zone": "lan",
        "event.dataset": "test",
        "event.action": f"act{action}",
        "source.ip": "10.0.0.1",
    }
    for name, value in fields.items():
        made[name.replace("__", ".")] = value
    return made


def judge(detector: CorrelationDetector, events: list[Event]) -> list[Detection]:
    return judge_history(detector, events)


COUNT = "type: event_count, rules: [base0], group-by: [source.ip], timespan: 1m, condition: {gte: 3}"


@pytest.mark.parametrize(
    ("condition", "times", "fires"),
    [
        ("{gte: 3}", [0, 30, 60], True),
        ("{gte: 3}", [0, 30, 60.001], False),
        ("{gte: 3}", [0, 30], False),
        ("{gt: 3}", [0, 1, 2], False),
        ("{gt: 3}", [0, 1, 2, 3], True),
        ("{eq: 2}", [0, 1], True),
        ("{eq: 2}", [0], False),
        # the windows that are judged begin every five minutes: a stretch over the boundary counts
        ("{gte: 3}", [280, 299, 301], True),
        ("{gte: 3}", [239.5, 299, 301], False),
        ("{gte: 3}", [299, 301, 350, 3_000], True),
    ],
)
def test_event_count_slides(tmp_path: Path, condition: str, times: list[float], fires: bool) -> None:
    detector = detector_of(tmp_path, COUNT.replace("{gte: 3}", condition))
    assert bool(judge(detector, [event(time) for time in times])) is fires


def test_detection_says_what_happened_once(tmp_path: Path) -> None:
    detector = detector_of(tmp_path, COUNT, more="edusoc: {kind: many, peer: [destination.ip]}\n")
    events = [event(time, destination__ip="10.0.0.9") for time in (290, 299, 301, 302)]
    (found,) = judge(detector, [*events, event(303, source__ip="10.0.0.2")])
    assert (found.rule_id, found.rule_kind, found.kind) == (MANY, "sigma", "many")
    assert (found.entity.kind, found.entity.value, found.entity.zone) == ("ip", "10.0.0.1", "lan")
    assert found.peer == "10.0.0.9"
    assert found.count == 4
    assert found.evidence == tuple(str(item["event.id"]) for item in events)
    assert (found.first_seen, found.last_seen) == (events[0]["@timestamp"], events[-1]["@timestamp"])
    texts = [say(reason.key, **reason.values) for reason in found.reasons]
    assert texts[0] == "4 times within 60 seconds (10.0.0.1)."
    assert texts[1] == "Action: act0"


def test_longer_timespans_are_told_in_minutes(tmp_path: Path) -> None:
    (found,) = judge(detector_of(tmp_path, COUNT.replace("1m", "1h")), [event(n) for n in range(3)])
    assert say(found.reasons[0].key, **found.reasons[0].values) == "3 times within 60 minutes (10.0.0.1)."


def test_what_goes_on_is_said_again_in_each_window(tmp_path: Path) -> None:
    detector = detector_of(tmp_path, COUNT)
    found = judge(detector, [event(time) for time in range(0, 900, 10)])
    assert [item.first_seen[11:16] for item in found] == ["02:00", "02:05", "02:10"] or len(found) == 3
    assert len({item.id for item in found}) == 3


def test_groups_are_apart_and_events_without_key_in_none(tmp_path: Path) -> None:
    detector = detector_of(tmp_path, COUNT.replace("[source.ip]", "[source.ip, user.name]"))
    apart = [event(n, user__name=name) for n, name in enumerate("aabb")]
    assert judge(detector, apart) == []
    assert judge(detector, [event(n) for n in range(5)]) == []
    (found,) = judge(detector, [*apart, event(9, user__name="a")])
    assert found.count == 3


def test_value_count_counts_distinct_values(tmp_path: Path) -> None:
    text = COUNT.replace("event_count", "value_count").replace("gte: 3", "gte: 3, field: user.name")
    detector = detector_of(tmp_path, text)
    assert judge(detector, [event(n, user__name="aA"[n % 2]) for n in range(9)]) == []
    assert judge(detector, [event(n) for n in range(9)]) == []
    (found,) = judge(detector, [event(n, user__name="abca"[n]) for n in range(4)])
    assert say(found.reasons[0].key, **found.reasons[0].values).startswith(
        "3 different values within 60 seconds"
    )
    assert judge(detector, [event(n * 40, user__name="abc"[n]) for n in range(3)]) == []


def test_several_values_of_one_event_count_each(tmp_path: Path) -> None:
    text = "type: value_count, rules: [base0], timespan: 1m, condition: {gte: 3, field: tags}"
    detector = detector_of(tmp_path, text)
    assert len(judge(detector, [event(0, tags=["a", "b", "c"])])) == 1


def test_temporal_wants_all_rules_near_each_other(tmp_path: Path) -> None:
    text = "type: temporal, rules: [base0, base1], group-by: [source.ip], timespan: 1m"
    detector = detector_of(tmp_path, text, bases=2)
    assert judge(detector, [event(0), event(1), event(2)]) == []
    assert judge(detector, [event(0, 1), event(61, 0)]) == []
    (found,) = judge(detector, [event(0, 1), event(59, 0)])
    assert found.count == 2


def test_temporal_ordered_wants_the_order(tmp_path: Path) -> None:
    text = "type: temporal_ordered, rules: [base0, base1, base2], group-by: [source.ip], timespan: 1m"
    detector = detector_of(tmp_path, text, bases=3)
    assert judge(detector, [event(0, 2), event(1, 1), event(2, 0)]) == []
    assert judge(detector, [event(0, 0), event(1, 2), event(2, 1)]) == []
    assert judge(detector, [event(0, 0), event(40, 1), event(70, 2)]) == []
    assert len(judge(detector, [event(0, 0), event(1, 1), event(50, 0), event(60, 1), event(70, 2)])) == 1


def test_aliases_name_the_same_thing_in_different_events(tmp_path: Path) -> None:
    text = (
        "type: temporal, rules: [base0, base1], group-by: [account], timespan: 1m, "
        "aliases: {account: {base0: user.name, base1: user.target.name}}"
    )
    detector = detector_of(tmp_path, text, bases=2)
    assert judge(detector, [event(0, 0, user__name="ann"), event(1, 1, user__target__name="bob")]) == []
    assert len(judge(detector, [event(0, 0, user__name="ann"), event(1, 1, user__target__name="ann")])) == 1


def test_order_and_batches_do_not_matter(tmp_path: Path) -> None:
    detector = detector_of(tmp_path, COUNT)
    events = [event(time) for time in (290, 299, 301, 302, 900, 901, 902)]
    assert judge(detector, events) == judge(detector, events[::-1])


def test_fields_suffice_to_judge_again(tmp_path: Path) -> None:
    detector = detector_of(tmp_path, COUNT.replace("[source.ip]", "[No Such]"))
    assert "edusoc.extra" in detector.fields
    whole = [event(n, edusoc__extra=["No Such=x"], message="unneeded") for n in range(3)]
    always = {"@timestamp", "event.id", "organization.id", "edusoc.zone"}
    narrow: list[Event] = [
        {name: value for name, value in item.items() if name in always or name in detector.fields}
        for item in whole
    ]
    assert judge(detector, narrow) == judge(detector, whole) != []


@settings(max_examples=150, deadline=None)
@given(times=st.lists(st.integers(0, 1_500), max_size=12))
def test_count_fires_exactly_when_some_stretch_is_full(
    tmp_path_factory: pytest.TempPathFactory, times: list[int]
) -> None:
    detector = DETECTOR or remember(detector_of(tmp_path_factory.mktemp("rules"), COUNT))
    ordered = sorted(times)
    full = any(ordered[n + 2] - ordered[n] <= 60 for n in range(len(ordered) - 2))
    found = judge(detector, [event(time, number__x=str(number)) for number, time in enumerate(ordered)])
    assert bool(found) is full


DETECTOR: CorrelationDetector | None = None


def remember(detector: CorrelationDetector) -> CorrelationDetector:
    global DETECTOR
    DETECTOR = detector
    return detector


def test_too_many_groups_and_hits_stay_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.sigma.hits.MAX_HITS", 10)
    monkeypatch.setattr("detectors.sigma.hits.MAX_GROUPS", 3)
    monkeypatch.setattr("detectors.sigma.hits.MAX_ALL", 40)
    detector = detector_of(tmp_path, COUNT)
    found = judge(detector, [event(n / 10) for n in range(50)])
    assert found[0].count == 10
    assert any(reason.key.endswith("left_out") for reason in found[0].reasons)
    many = [event(n, source__ip=f"10.0.1.{g}") for g in range(9) for n in range(3)]
    assert len(judge(detector, many)) == 3
    early = [event(250 + n / 10) for n in range(50)]
    assert (
        judge(detector, [*early, *(event(301 + n / 10) for n in range(5))])[-1].last_seen > "2026-11-20T02:05"
    )


def test_epoch_alignment(tmp_path: Path) -> None:
    detector = detector_of(tmp_path, COUNT.replace("1m", "7m"))
    assert detector.window == timedelta(minutes=7) == detector.lookback
    assert (START - EPOCH) % timedelta(minutes=5) == timedelta(0)
