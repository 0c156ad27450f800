"""Score rows of numbers by three views that err differently, and average how rare each finds them.

- An isolation forest (Liu, Ting, Zhou 2008): few random cuts set an unusual row apart.
- Histograms (Goldstein, Dengel 2012): values that are rare for themselves.
- Principal components (Shyu et al. 2003): values that are usual for themselves but not together.

Each view's score becomes a *rarity*, minus the decimal logarithm of the share of training rows that score as high (3
is one in a thousand); beyond the rarest hundredth an exponential tail goes on. The result is the mean of the three.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from detectors.anomaly.model.features import Numbers

BINS: Final = 20
TREES: Final = 100
ROWS_PER_TREE: Final = 256
MAX_RARITY: Final = 12.0
MAX_DEVIATIONS: Final = 10.0
TAIL: Final = 0.01
GRID: Final = 1_000
VIEWS: Final = 3


class Forest(Protocol):
    """Do what we use of scikit-learn's ``IsolationForest``."""

    def score_samples(self, rows: Numbers, /) -> Numbers:
        """Return one score a row, lower for the unusual."""
        ...


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Hold the three fitted views. Arrays have one entry per column unless they say otherwise.

    ``axes`` are the principal components as columns, ``variances`` what lies along each. ``rare`` holds per column
    and bin how many decimal steps rarer it is than the column's commonest bin; the first and last bin are for what
    lies outside. ``reference`` holds per view ``GRID`` quantiles of training scores, ``tails`` the start and the mean
    excess of its tail.
    """

    forest: Forest
    center: Numbers
    scale: Numbers
    axes: Numbers
    variances: Numbers
    low: Numbers
    width: Numbers
    rare: Numbers
    reference: Numbers
    tails: Numbers

    def score(self, rows: Numbers) -> Numbers:
        """Return the mean rarity of each row, 0 to ``MAX_RARITY``."""
        if not len(rows):
            return np.zeros(0)
        views = _views(self, rows)
        rarities = [_rarity(self.reference[n], self.tails[n], views[n]) for n in range(VIEWS)]
        mean: Numbers = np.mean(rarities, axis=0)
        return mean

    def surprises(self, rows: Numbers) -> Numbers:
        """Return per row and column how many decimal steps rarer the value is than the commonest."""
        return self.rare[np.arange(self.rare.shape[0]), _bins(self, rows)]

    def overshoots(self, rows: Numbers) -> Numbers:
        """Return per row and column how far the value lies outside the training range, in lengths of that range."""
        top = self.low + BINS * self.width
        outside: Numbers = np.maximum(np.maximum(self.low - rows, rows - top), 0) / (BINS * self.width)
        return outside


def fit(rows: Numbers, seed: int) -> Ensemble:
    """Return the ensemble fitted to ``rows`` of normal data; the same rows and seed give the same scores."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 — heavy, and needed only where a model is used

    forest = IsolationForest(
        n_estimators=TREES, max_samples=min(ROWS_PER_TREE, len(rows)), random_state=seed, n_jobs=1
    ).fit(rows)
    center, scale = rows.mean(axis=0), rows.std(axis=0)
    # A column that never varied is worth as little as any rare mark: a change of it is one deviation a tenth.
    scale = np.where(scale > 1e-6, scale, 0.1)
    standard = _standard(rows, center, scale)
    variances, axes = np.linalg.eigh(np.cov(standard, rowvar=False))
    low = rows.min(axis=0)
    width = (rows.max(axis=0) - low) / BINS
    blank = np.zeros((VIEWS, GRID))
    shape = Ensemble(
        forest=forest,
        center=center,
        scale=scale,
        axes=axes,
        variances=np.maximum(variances, 0.01 * variances.mean()),
        low=low,
        width=np.where(width > 0, width, 1.0),
        rare=np.zeros((rows.shape[1], BINS + 2)),
        reference=blank,
        tails=np.zeros((VIEWS, 2)),
    )
    return _calibrated(_with_histograms(shape, rows), rows)


def _with_histograms(shape: Ensemble, rows: Numbers) -> Ensemble:
    bins = _bins(shape, rows)
    counts = np.stack([np.bincount(bins[:, column], minlength=BINS + 2) for column in range(rows.shape[1])])
    logs = np.log10((counts + 0.5) / (len(rows) + 0.5 * (BINS + 2)))
    return _replaced(shape, rare=logs.max(axis=1, keepdims=True) - logs)


def _calibrated(shape: Ensemble, rows: Numbers) -> Ensemble:
    views = _views(shape, rows)
    reference = np.quantile(views, np.linspace(0, 1, GRID), axis=1).T
    starts = np.quantile(views, 1 - TAIL, axis=1)
    tails = []
    for scores, start in zip(views, starts, strict=True):
        beyond = scores[scores > start] - start
        tails.append((start, max(float(beyond.mean()) if len(beyond) else 0.0, 1e-9)))
    return _replaced(shape, reference=reference, tails=np.array(tails))


def _replaced(shape: Ensemble, **arrays: Numbers) -> Ensemble:
    return replace(shape, **arrays)  # type: ignore[arg-type]  # only array fields are given


def _views(ensemble: Ensemble, rows: Numbers) -> Numbers:
    """Return three rows of scores, higher for the unusual: forest, histograms, components."""
    standard = _standard(rows, ensemble.center, ensemble.scale)
    distances = ((standard @ ensemble.axes) ** 2 / ensemble.variances).sum(axis=1)
    return np.stack(
        [
            -ensemble.forest.score_samples(rows),
            ensemble.surprises(rows).sum(axis=1),
            np.log10(1 + distances),
        ]
    )


def _standard(rows: Numbers, center: Numbers, scale: Numbers) -> Numbers:
    return np.clip((rows - center) / scale, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def _bins(ensemble: Ensemble, rows: Numbers) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return per row and column the bin: 1 to ``BINS`` inside, 0 below, ``BINS + 1`` above."""
    steps = np.floor((rows - ensemble.low) / ensemble.width)
    # The greatest training value belongs to the last bin, not beyond it.
    steps = np.where(rows <= ensemble.low + BINS * ensemble.width, np.minimum(steps, BINS - 1), BINS)
    return (np.clip(steps, -1, BINS) + 1).astype(np.int64)


def _rarity(reference: Numbers, tail: Numbers, scores: Numbers) -> Numbers:
    start, excess = tail
    share = 1 - np.searchsorted(reference, scores, side="left") / len(reference)
    inside = -np.log10(np.clip(share, TAIL, 1.0))
    beyond = -np.log10(TAIL) + np.maximum(scores - start, 0) / excess / np.log(10)
    rarity: Numbers = np.minimum(np.where(scores > start, beyond, inside), MAX_RARITY)
    return rarity
