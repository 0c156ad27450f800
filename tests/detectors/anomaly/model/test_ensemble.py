"""The ensemble ranks outliers of every kind above what it learned, the same way each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from detectors.anomaly.model.ensemble import BINS, MAX_RARITY, Ensemble, fit
from detectors.anomaly.model.features import Numbers


def usual(count: int = 2_000, seed: int = 1) -> Numbers:
    chooser = np.random.default_rng(seed)
    first = chooser.normal(0, 1, count)
    return np.column_stack(
        [first, first + chooser.normal(0, 0.1, count), np.zeros(count), chooser.integers(0, 3, count)]
    )


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return fit(usual(), 7)


@pytest.mark.parametrize(
    "row",
    [[8, 8, 0, 1], [0, 0, 1, 1], [2, -2, 0, 1], [0, 0, 0, 9]],
    ids=["far", "new mark", "combination", "new value"],
)
def test_outliers_are_rarer_than_nearly_all_new_rows(ensemble: Ensemble, row: list[float]) -> None:
    scores = ensemble.score(usual(seed=2))
    (found,) = ensemble.score(np.array([row], dtype=np.float64))
    assert found > np.quantile(scores, 0.995)


def test_rarity_means_what_it_says(ensemble: Ensemble) -> None:
    """Of new rows of the same kind about one in ten is rarer than 1 in each view, so few are in the mean of three."""
    scores = ensemble.score(usual(seed=3))
    assert 0.01 < np.mean(scores > 1) < 0.12
    assert np.mean(scores > 3) < 0.002


def test_same_rows_and_seed_give_same_scores(ensemble: Ensemble) -> None:
    rows = usual(seed=4)
    assert np.array_equal(fit(usual(), 7).score(rows), ensemble.score(rows))
    assert not np.array_equal(fit(usual(), 8).score(rows), ensemble.score(rows))


def test_one_row_scores_as_it_does_among_many(ensemble: Ensemble) -> None:
    rows = usual(seed=5)[:50]
    alone = np.concatenate([ensemble.score(rows[n : n + 1]) for n in range(50)])
    assert alone == pytest.approx(ensemble.score(rows))


def test_surprises_point_at_the_column(ensemble: Ensemble) -> None:
    rows = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 9.0, 0.0, 1.0]])
    assert ensemble.surprises(rows).argmax(axis=1).tolist() == [2, 1]
    assert ensemble.overshoots(rows)[1, 1] > 0.5
    assert ensemble.rare.shape == (4, BINS + 2)


def test_no_rows_have_no_scores(ensemble: Ensemble) -> None:
    assert ensemble.score(np.zeros((0, 4))).shape == (0,)


@given(arrays.arrays(np.float64, (3, 4), elements=st.floats(-1e30, 1e30)))
def test_scores_are_finite_and_bounded(rows: Numbers) -> None:
    scores = _SHARED.score(rows)
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= MAX_RARITY)).all()


_SHARED = fit(usual(300), 7)
