"""Training is deterministic, holds out other times, and keeps the alert budget on normal traffic."""

from __future__ import annotations

import random

import numpy as np
import pytest

from detectors.anomaly.model import samples as samples_module
from detectors.anomaly.model.evaluation import evaluate_events, rank
from detectors.anomaly.model.samples import (
    HOUR_US,
    Sample,
    gather,
    greatest_scores,
    private_ranges,
    unit_days,
)
from detectors.anomaly.model.training import (
    MIN_THRESHOLD,
    TrainingOptions,
    choose_threshold,
    train_from_events,
)
from soc_core.errors import UsageError
from tests.conftest import NOW
from tests.detectors.anomaly.model.base import normal, small_model
from tests.detectors.anomaly.test_host_scan import sweep
from tests.detectors.anomaly.test_unusual_flow import odd


def test_order_does_not_matter_and_everything_is_on_the_card() -> None:
    events = normal(1_500)
    first = train_from_events(events, clock=lambda: NOW)
    random.Random(1).shuffle(events)
    second = train_from_events(events, clock=lambda: NOW)
    assert first.card == second.card
    card = first.card
    assert card.fitted + card.held_out == 1_500
    assert 0.15 < card.held_out / 1_500 < 0.35
    assert 0 < card.held_out_days < 0.2
    assert len(card.data_sha256) == 64
    assert card.created_at == "2026-11-23T04:00:00.000000Z"
    assert card.scikit_learn
    assert card.threshold >= MIN_THRESHOLD


def test_seed_budget_and_units_make_another_version() -> None:
    events = normal(400)
    versions = {
        train_from_events(events, private_ranges, options, clock=lambda: NOW).card.version
        for options in (
            TrainingOptions(),
            TrainingOptions(seed=8),
            TrainingOptions(budget=9),
            TrainingOptions(organizations=("u1",)),
        )
    }
    assert len(versions) == 4


def test_too_little_is_refused() -> None:
    with pytest.raises(UsageError, match="299 usable flows"):
        train_from_events(normal(299))
    with pytest.raises(UsageError, match="0 usable flows"):
        train_from_events([{"@timestamp": "2026-11-20T00:00:00.000000Z", "event.id": "x"}])


def test_a_burst_of_a_second_can_be_learned_too() -> None:
    model = train_from_events(normal(600, hours=0.0001), clock=lambda: NOW)
    assert model.card.held_out >= 60


def test_only_flows_with_a_side_inside_count_and_each_once() -> None:
    events = normal(50)
    outside = normal(50, seed=2)
    for event in outside:
        event["source.ip"], event["destination.ip"] = "198.51.100.1", "203.0.113.1"
    parts = normal(50, seed=3)
    for event in parts:
        event["edusoc.flow.part"] = 2
    group = normal(50, seed=4)
    for event in group:
        event["destination.ip"] = "239.1.1.1"
    assert len(gather(events + outside + parts + group, private_ranges)) == 50


def test_memory_is_bounded_by_a_choice_that_order_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "MAX_FLOWS", 100)
    events = normal(1_000)
    chosen = [sample.flow.event_id for sample in gather(events, private_ranges)]
    assert len(chosen) == 100
    assert [sample.flow.event_id for sample in gather(events[::-1], private_ranges)] == chosen
    early = sum(1 for event_id in chosen if event_id in {str(event["event.id"]) for event in events[:500]})
    assert 30 <= early <= 70


def days_of(count: int, days: int) -> list[Sample]:
    return gather(normal(count, hours=24 * days), private_ranges)


def test_the_threshold_keeps_the_budget_where_there_are_days_to_count() -> None:
    samples = days_of(4_000, 10)
    scores = np.random.default_rng(1).exponential(0.5, len(samples)) + 2
    assert unit_days(samples) == pytest.approx(10, rel=0.05)
    for budget in (1.0, 3.0):
        threshold = choose_threshold(samples, scores, budget)
        episodes = sum(1 for score in greatest_scores(samples, scores, HOUR_US) if score > threshold)
        assert episodes <= budget * unit_days(samples)
        assert episodes >= budget * unit_days(samples) - 2


def test_from_an_hour_the_threshold_lies_beyond_what_was_seen_but_not_far() -> None:
    samples = gather(normal(500, hours=1), private_ranges)
    scores = np.random.default_rng(1).exponential(0.3, len(samples)) + 2
    threshold = choose_threshold(samples, scores, 1.0)
    assert scores.max() < threshold <= scores.max() + 1


def test_nothing_common_is_ever_over_the_threshold() -> None:
    samples = days_of(500, 5)
    assert choose_threshold(samples, np.full(len(samples), 0.3), 3.0) == MIN_THRESHOLD
    assert choose_threshold(samples, np.full(len(samples), 0.3), 1_000.0) == MIN_THRESHOLD


def test_evaluation_tells_normal_from_attack() -> None:
    found = evaluate_events(small_model(), normal(6_000, seed=21), odd(0, count=20) + sweep(60, start=10_000))
    assert found.ranking is not None
    assert found.ranking.area_under_curve > 0.97
    assert found.ranking.recall_at_1_percent > 0.9
    assert found.attack_alerts >= 1
    assert found.precision is not None
    assert found.precision >= 0.3
    assert found.alerts_per_unit_day == pytest.approx(found.normal_alerts / found.normal_days)


def test_evaluation_without_attacks_or_flows() -> None:
    found = evaluate_events(small_model(), normal(500, seed=22))
    assert (found.ranking, found.precision, found.attack_flows) == (None, None, 0)
    assert evaluate_events(small_model(), []).alerts_per_unit_day == 0.0


def test_ranking_by_hand() -> None:
    found = rank(np.arange(100.0), np.array([1_000.0, 98.5, 50.5]))
    assert found.area_under_curve == pytest.approx((100 + 99 + 51) / 300)
    assert found.recall_at_1_percent == pytest.approx(2 / 3)
