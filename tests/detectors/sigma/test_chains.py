"""Correlations that measure, that name their parts in words, and that refer to other correlations."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from detectors.sigma import CorrelationDetector, RuleSet, load_rules
from detectors.sigma.samples import judge_history
from soc_core.model.event import Event
from tests.detectors.sigma.base import rule_text, say
from tests.detectors.sigma.test_correlation import BASE, MANY, detector_of, event

OUTER = "33333333-2222-4333-8444-555555555555"
FAILED = "type: event_count, rules: [base0], group-by: [host.name], timespan: 10m, condition: {gte: 3}"
SUCCESS = "type: temporal_ordered, rules: [many, base1], group-by: [user.name], timespan: 10m"


def rule_set(folder: Path, *correlations: tuple[str, str, str], more: str = "") -> RuleSet:
    """Load two base rules and correlations (id, name, body)."""
    texts = [
        rule_text(
            f"s: {{event.action: act{number}}}\ncondition: s",
            identity=f"{BASE}{number}",
            more=f"name: base{number}",
        )
        for number in range(2)
    ]
    texts += [
        f"title: {name}\nid: {identity}\nname: {name}\nlevel: high\ncorrelation: {{{body}}}\n{more}"
        for identity, name, body in correlations
    ]
    (folder / "rules.yml").write_text("\n---\n".join(texts), encoding="utf-8")
    return load_rules([folder])


def chain(folder: Path, inner: str = FAILED, outer: str = SUCCESS) -> CorrelationDetector:
    rules = rule_set(folder, (OUTER, "outer", outer), (MANY, "many", inner))
    assert told(rules) == []
    assert [one.alone for one in rules.correlations] == [True, False]
    assert not rules.rules[0].alone
    return CorrelationDetector(rules.correlations[0])


def told(rules: RuleSet) -> list[str]:
    return [say(one.reason.key, **one.reason.values) for one in rules.problems if one.fatal]


def failure(seconds: float, user: str = "ann", host: str = "pc") -> Event:
    return event(seconds, 0, user__name=user, host__name=host)


def success(seconds: float, user: str = "ann", host: str = "pc") -> Event:
    return event(seconds, 1, user__name=user, host__name=host)


@pytest.mark.parametrize(
    ("kind", "condition", "values", "fires"),
    [
        ("value_sum", "{gt: 100}", [60, 41], True),
        ("value_sum", "{gt: 100}", [60, 40], False),
        ("value_sum", "{gte: 0.3}", ["0.1", "0.2"], True),
        ("value_sum", "{gt: 0.3}", ["0.1", "0.2"], False),
        ("value_sum", "{gt: 100}", [60, "much", 30], False),
        ("value_sum", "{lt: 10}", [4, 5], True),
        ("value_avg", "{gte: 50}", [40, 60], True),
        ("value_avg", "{gt: 50}", [40, 60], False),
        ("value_avg", "{lt: 5}", [], False),
        ("value_min", "{lt: 5}", [9, 4], True),
        ("value_max", "{gte: 9}", [9, 4], True),
        ("value_max", "{gt: 9}", [9, 4], False),
        ("value_median", "{gte: 5}", [1, 5, 9], True),
        ("value_median", "{gt: 3, lt: 4}", [1, 3, 4, 9], True),
        ("value_percentile", "{percentile: 90, gte: 9}", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], True),
        ("value_percentile", "{percentile: 90, gt: 10}", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], False),
    ],
)
def test_measures(tmp_path: Path, kind: str, condition: str, values: list[int | str], fires: bool) -> None:
    body = condition.replace("{", "{field: http.response.bytes, ", 1)
    text = f"type: {kind}, rules: [base0], group-by: [source.ip], timespan: 1m, condition: {body}"
    detector = detector_of(tmp_path, text)
    events = [event(0, number__x=str(n)) | {"http.response.bytes": value} for n, value in enumerate(values)]
    found = judge_history(detector, events)
    assert bool(found) is fires
    if found:
        sentence = say(found[0].reasons[0].key, **found[0].reasons[0].values)
        assert "http.response.bytes" in sentence
        assert "within 60 seconds" in sentence


def test_measures_of_parts_of_a_stretch_prove_nothing(tmp_path: Path) -> None:
    text = "type: value_avg, rules: [base0], timespan: 1m, condition: {field: http.response.bytes, gte: 50}"
    detector = detector_of(tmp_path, text)
    low = [event(n) | {"http.response.bytes": 0} for n in (270, 280, 290, 295)]
    high: Event = event(301) | {"http.response.bytes": 100}
    assert judge_history(detector, [*low, high]) == []  # the windows part at 300
    assert len(judge_history(detector, [high])) == 1


@pytest.mark.parametrize(
    ("condition", "times", "fires"),
    [
        ("{gte: 2, lte: 3}", [0, 1], True),
        ("{gt: 3, lt: 5}", [0, 1, 2, 3], True),
        ("{gt: 3, lt: 5}", [0, 0, 0, 0, 0], False),
        ("{eq: 2}", [298, 299, 301, 302], True),
        ("{eq: 2}", [298, 298, 298, 301, 302], False),
        ("{neq: 0}", [5], True),
    ],
)
def test_ranges_are_of_whole_stretches(
    tmp_path: Path, condition: str, times: list[float], fires: bool
) -> None:
    text = f"type: event_count, rules: [base0], timespan: 1m, condition: {condition}"
    events = [event(time, number__x=str(n)) for n, time in enumerate(times)]
    assert bool(judge_history(detector_of(tmp_path, text), events)) is fires


@pytest.mark.parametrize(
    ("condition", "actions", "fires"),
    [
        ("base0 and base1", [0, 1], True),
        ("base0 AND (base1 OR base2)", [2, 0], True),
        ("base0 or base1", [1], True),
        ("base0 and not base1", [0, 0], True),
        ("base0 and not base1", [1, 0], False),
    ],
)
def test_temporal_conditions_in_words(
    tmp_path: Path, condition: str, actions: list[int], fires: bool
) -> None:
    bases = 3 if "base2" in condition else 2
    names = ", ".join(f"base{n}" for n in range(bases))
    text = f"type: temporal, rules: [{names}], timespan: 1m, condition: {condition}"
    detector = detector_of(tmp_path, text, bases=bases)
    assert bool(judge_history(detector, [event(n, action) for n, action in enumerate(actions)])) is fires


def test_fields_counted_together_and_alias_of_the_counted_one(tmp_path: Path) -> None:
    text = (
        "type: value_count, rules: [base0], timespan: 1m, condition: {gte: 3, field: [user.name, host.name]}"
    )
    detector = detector_of(tmp_path, text)
    pairs = [("a", "x"), ("a", "y"), ("A", "x"), ("b", "x")]
    events = [failure(n, *pair) for n, pair in enumerate(pairs)]
    assert judge_history(detector, events[:3]) == []
    assert len(judge_history(detector, events)) == 1


def test_groups_ignore_case(tmp_path: Path) -> None:
    text = "type: event_count, rules: [base0], group-by: [user.name], timespan: 1m, condition: {gte: 2}"
    (found,) = judge_history(detector_of(tmp_path, text), [failure(0, "Ann"), failure(1, "ANN")])
    assert "Ann" in say(found.reasons[0].key, **found.reasons[0].values)


def test_steps_of_one_instant_follow_each_other_either_way(tmp_path: Path) -> None:
    text = "type: temporal_ordered, rules: [base0, base1], timespan: 1m"
    assert len(judge_history(detector_of(tmp_path, text, bases=2), [event(0, 1), event(0, 0)])) == 1


def test_many_failures_then_success_of_one_of_those_users(tmp_path: Path) -> None:
    detector = chain(tmp_path)
    assert detector.lookback == timedelta(minutes=20) == detector.window
    spray = [failure(0, "ann"), failure(10, "bob"), failure(20, "eve")]
    (found,) = judge_history(detector, [*spray, success(500, "bob", "other")])
    assert found.rule_id == OUTER
    assert found.count == 2  # bob's failure and bob's success
    assert judge_history(detector, [*spray, success(500, "zoe")]) == []
    assert judge_history(detector, [*spray, success(5, "ann")]) == []  # before there were many
    assert judge_history(detector, [*spray, success(621, "ann")]) == []  # too late
    assert judge_history(detector, [*spray[:2], success(500, "ann")]) == []


def test_a_chain_over_the_edges_of_windows(tmp_path: Path) -> None:
    detector = chain(tmp_path)
    for start in range(0, 2_400, 150):
        events = [failure(start), failure(start + 290), failure(start + 590), success(start + 1_180)]
        assert len(judge_history(detector, events)) == 1, start


def test_what_goes_on_for_hours_still_ends_in_success(tmp_path: Path) -> None:
    events = [failure(n * 100) for n in range(60)]
    assert len(judge_history(chain(tmp_path), [*events, success(6_100)])) == 1


def test_counting_a_correlation_counts_how_often_it_begins(tmp_path: Path) -> None:
    outer = "type: event_count, rules: [many], group-by: [host.name], timespan: 2h, condition: {gte: 3}"
    detector = chain(tmp_path, outer=outer)
    burst = [failure(n) for n in range(50)]
    assert judge_history(detector, burst) == []
    later = [failure(start + n) for start in (1_000, 2_000, 3_000) for n in range(4)]
    (found,) = judge_history(detector, later)
    assert found.reasons[0].values["count"] == 3


def test_different_values_over_a_correlation(tmp_path: Path) -> None:
    outer = "type: value_count, rules: [many], timespan: 1h, condition: {gte: 2, field: host.name}"
    detector = chain(tmp_path, outer=outer)
    one = [failure(n) for n in range(9)]
    assert judge_history(detector, one) == []
    assert len(judge_history(detector, [*one, *(failure(100 + n, host="b") for n in range(3))])) == 1


def test_aliases_reach_through_a_chain_and_log_sources_differ(tmp_path: Path) -> None:
    texts = [
        rule_text("s: {event.action: act0}\ncondition: s", identity=f"{BASE}0", more="name: base0"),
        rule_text(
            "s: {event.action: act1}\ncondition: s",
            logsource="{product: other}",
            identity=f"{BASE}1",
            more="name: base1",
        ),
        f"title: Many\nid: {MANY}\nname: many\ncorrelation: {{type: event_count, rules: [base0], timespan: 1m, "
        "group-by: [account], aliases: {account: {base0: user.target.name}}, condition: {gte: 2}}",
        f"title: Outer\nid: {OUTER}\nlevel: high\ncorrelation: {{type: temporal, rules: [many, base1], "
        "timespan: 5m, group-by: [account], aliases: {account: {base1: user.name}}}",
    ]
    (tmp_path / "rules.yml").write_text("\n---\n".join(texts), encoding="utf-8")
    rules = load_rules([tmp_path])
    assert told(rules) == []
    detector = CorrelationDetector(rules.correlations[1])
    many = [event(n, 0, user__target__name="ann") for n in range(2)]
    other: Event = event(60, 1, user__name="ann") | {"event.dataset": "other"}
    assert len(judge_history(detector, [*many, other])) == 1
    assert judge_history(detector, [*many, other | {"user.name": "bob"}]) == []


def test_late_and_shuffled_events_give_the_same_detections(tmp_path: Path) -> None:
    detector = chain(tmp_path)
    chance = random.Random(7)
    events = [failure(chance.randrange(9_000), chance.choice("ab")) for _ in range(120)]
    events += [success(chance.randrange(9_000), chance.choice("ab")) for _ in range(9)]
    whole = judge_history(detector, events)
    assert whole
    for _ in range(3):
        chance.shuffle(events)
        assert judge_history(detector, events) == whole


@pytest.mark.parametrize(
    ("inner", "outer", "word"),
    [
        (FAILED.replace("base0", "outer"), SUCCESS, "circle: outer → many → outer"),
        (FAILED.replace("10m", "4d"), SUCCESS.replace("10m", "4d"), "7 days along a chain"),
        (FAILED.replace("base0", "gone"), SUCCESS, "'gone'"),
        (
            FAILED,
            "type: value_sum, rules: [many], timespan: 1h, condition: {gte: 2, field: a}",
            "not of corr",
        ),
        (FAILED.replace("gte: 3", "gte: 30000"), SUCCESS, "25000"),
        (FAILED.replace("gte: 3", "gte: many"), SUCCESS, "numbers only"),
        (FAILED.replace("gte: 3", "gte: .inf"), SUCCESS, "numbers only"),
        (FAILED, SUCCESS + ", condition: {gte: 1}", "all its rules"),
        (FAILED, SUCCESS + ", condition: many or base1", "joins all"),
        (
            FAILED,
            SUCCESS.replace("_ordered", "") + ", condition: not many and not base1",
            "without any event",
        ),
        (FAILED, SUCCESS.replace("_ordered", "") + ", condition: {gte: 3}", "more rules"),
        (
            FAILED.replace("event_count", "value_percentile").replace("gte: 3", "gte: 3, field: a"),
            SUCCESS,
            "percentile from 0",
        ),
    ],
)
def test_what_cannot_be_judged_is_said_with_its_place(
    tmp_path: Path, inner: str, outer: str, word: str
) -> None:
    rules = rule_set(tmp_path, (OUTER, "outer", outer), (MANY, "many", inner))
    assert len(rules.rules) == 2
    assert any(word in text for text in told(rules)), told(rules)
    assert {one.line > 10 for one in rules.problems} == {True}


def test_chains_are_bounded(tmp_path: Path) -> None:
    body = "type: event_count, rules: [{}], timespan: 1m, condition: {{gte: 1}}"
    rows = [
        (f"44444444-2222-4333-8444-{n:012}", f"c{n}", body.format(f"c{n - 1}" if n else "base0"))
        for n in range(40)
    ]
    for order in (rows, rows[::-1]):
        rules = rule_set(tmp_path, *order)
        assert len(rules.correlations) == 5
        assert sum("5 deep" in text or "can't be used" in text for text in told(rules)) == 35


def test_what_is_lost_below_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.sigma.hits.MAX_HITS", 10)
    events = [failure(n / 10) for n in range(50)]
    (found,) = judge_history(chain(tmp_path), [*events, success(60)])
    assert found.reasons[-1].values["count"] == 40


def test_documents_with_but_a_name_are_parts(tmp_path: Path) -> None:
    text = rule_text("s: {event.action: act0}\ncondition: s", more="name: base0")
    nameless = "\n".join(line for line in text.splitlines() if not line.startswith(("id:", "title:")))
    body = "type: event_count, rules: [base0], timespan: 1m, condition: {gte: 2}"
    (tmp_path / "a.yml").write_text(
        f"{nameless}\n---\ntitle: Many\nid: {MANY}\ncorrelation: {{{body}}}\n", encoding="utf-8"
    )
    rules = load_rules([tmp_path])
    assert told(rules) == []
    assert rules.rules[0].head.title == "base0"
    assert len(judge_history(CorrelationDetector(rules.correlations[0]), [event(0), event(1)])) == 1
