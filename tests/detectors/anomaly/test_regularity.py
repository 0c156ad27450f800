"""The beacon scores follow their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly.regularity import RitaScore, rita_score, steady_score

DAY = 86_400.0


def score(times: list[float], sizes: list[float]) -> RitaScore | None:
    return rita_score(np.array(times), np.array(sizes), start=0.0, end=DAY)


def test_a_perfect_beacon_scores_one() -> None:
    times = [60.0 * n for n in range(1_440)]
    assert score(times, [500.0] * len(times)) == RitaScore(1.0, 1.0, 1.0, 1.0, 1.0)


def test_parts_by_hand() -> None:
    # Gaps 10 20 30 40 of five calls in the first two minutes. Quartiles by halves 15 25 35: no skew; median absolute
    # deviation 10, so concentration (25-10)/25 = 0.6 and the part 0.8. Sizes 1 1 1 1 96: spread 47.5, but the median
    # equals the lower quartile, so no skew; deviation 0: 1. All calls lie in one of 24 bars: variation sqrt(23) > 1.
    found = score([0, 10, 30, 60, 100], [1, 1, 1, 1, 96])
    assert found == RitaScore(0.45, 0.8, 1.0, 0.0, 0.0)


def test_skew_counts() -> None:
    # Gaps 10 10 20 100: quartiles 10, 15, 60; skew (10+60-30)/50 = 0.8; deviation 5: (15-5)/15; (0.2 + 0.667) / 2.
    found = score([0, 10, 20, 40, 140], [5.0] * 5)
    assert found is not None
    assert found.timestamps == 0.433


def test_eight_hours_score_by_their_run() -> None:
    times = [60.0 * n for n in range(480)]
    found = score(times, [500.0] * len(times))
    assert found is not None
    # Eight of 24 bars of 60 calls: mean 20, deviation sqrt(800); one run of eight active hours of twelve.
    assert (found.histogram, found.duration) == (0.0, 0.667)


def test_seven_hours_are_rounded_up() -> None:
    times = [60.0 * n for n in range(420)]
    found = score(times, [500.0] * len(times))
    assert found is not None
    assert found.duration == 0.584


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([1] * 9, 1.0),
        ([98, 99, 99, 100, 100, 100, 101, 101, 102], 0.995),
        ([98, 300] * 5, 0.746),
        ([1, 299, 25, 4975, 90, 2, 42, 500, 1500], 0.083),
    ],
)
def test_the_part_of_the_gaps_equals_what_rita_states(gaps: list[int], expected: float) -> None:
    """Figures as stated by the tests of activecm/rita v5, analysis/beacons_test.go, TestGetTimestampScore."""
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    found = rita_score(times, np.full(len(times), 60.0), start=0.0, end=DAY)
    assert found is not None
    assert found.timestamps == expected


def test_the_part_of_the_sizes_equals_what_rita_states() -> None:
    found = score([60.0 * n for n in range(10)], list(range(1, 11)))
    assert found is not None
    assert found.sizes == 0.773


def test_too_few_different_seconds_have_no_score() -> None:
    assert score([0, 10, 20], [1, 1, 1]) is None
    assert score([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1] * 6) is None


@given(
    st.lists(st.tuples(st.floats(0, DAY - 1), st.floats(0, 1e12)), max_size=60).map(sorted),
)
def test_scores_stay_between_zero_and_one(calls: list[tuple[float, float]]) -> None:
    times, sizes = [time for time, _ in calls], [size for _, size in calls]
    found = score(times, sizes)
    if found is not None:
        assert all(0 <= part <= 1 for part in (found.score, found.sizes, found.histogram, found.duration))
        assert 0 <= found.timestamps <= 1
    if calls:
        assert 0 <= steady_score(np.array(times), np.array(sizes)) <= 1


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_the_steady_score_bears_lost_calls(loss: float) -> None:
    chooser = np.random.default_rng(3)
    times = np.arange(0, 8 * 3_600, 300.0) + chooser.uniform(-30, 30, 96)
    times = times[chooser.random(96) >= loss]
    assert steady_score(np.sort(times), np.full(len(times), 800.0)) > 0.8
    assert steady_score(np.sort(chooser.uniform(0, 8 * 3_600, 96)), chooser.lognormal(7, 1.5, 96)) < 0.7
