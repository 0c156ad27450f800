"""Score how regular a series of connections to one peer is: by RITA's published formula and by one that bears breaks.

``rita_score`` computes the beacon score of RITA v5 (activecm/rita, analysis/beacons.go) so that people who know its
figures find them again. It asks for activity through most of 24 hours, which machines that are switched off at four
o'clock never show; ``steady_score`` asks only whether the gaps and sizes repeat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
BINS: Final = 24
MIN_DIFFERENT_SECONDS: Final = 4
MIN_INTERVALS: Final = 3


@dataclass(frozen=True, slots=True)
class RitaScore:
    """Hold RITA's score and its four parts, each 0–1 and rounded to three places as RITA rounds them."""

    score: float
    timestamps: float
    sizes: float
    histogram: float
    duration: float


def rita_score(times: Numbers, sizes: Numbers, *, start: float, end: float) -> RitaScore | None:
    """Return RITA v5's beacon score of connections at ``times`` (epoch seconds) with ``sizes`` bytes sent.

    ``start`` and ``end`` bound the period under analysis. ``None`` with fewer than four different whole seconds, as
    RITA does not score such pairs.
    """
    seconds = np.sort(times.astype(np.int64))
    gaps = np.diff(seconds)
    gaps = gaps[gaps > 0].astype(np.float64)
    if len(np.unique(seconds)) < MIN_DIFFERENT_SECONDS or len(gaps) < MIN_INTERVALS:
        return None
    counts, _ = np.histogram(seconds, bins=BINS, range=(start, end))
    parts = (
        _evenness(gaps, without_median=1.0),
        _evenness(sizes, without_median=0.0),
        _histogram_score(counts),
        _duration_score(counts, seconds, end - start),
    )
    return RitaScore(_rounded(sum(parts) / 4), *parts)


def _rounded(value: float) -> float:
    """Return three places with halves rounded up, as Go rounds positive numbers."""
    return math.floor(value * 1000 + 0.5) / 1000


def _rounded_up(value: float) -> float:
    return min(1.0, math.ceil(value * 1000) / 1000)


def _evenness(values: Numbers, *, without_median: float) -> float:
    """Return the mean of symmetry (Bowley skew) and concentration (median absolute deviation) of ``values``."""
    low, middle, high = _quartiles(np.sort(values))
    spread = high - low
    skewed = spread >= 10 and middle not in (low, high)
    skew = (low + high - 2 * middle) / spread if skewed else 0.0
    concentration = without_median
    if middle >= 1:
        deviation = float(np.median(np.abs(values - middle)))
        concentration = max(0.0, (middle - deviation) / middle)
    return _rounded((1 - abs(skew) + concentration) / 2)


def _quartiles(ordered: Numbers) -> tuple[float, float, float]:
    """Return the quartiles by halves: the middle value of an odd count belongs to neither half."""
    half = len(ordered) // 2
    upper = ordered[half + len(ordered) % 2 :]
    return float(np.median(ordered[:half])), float(np.median(ordered)), float(np.median(upper))


def _histogram_score(counts: NDArray[np.int64]) -> float:
    variation = float(counts.std() / counts.mean()) if counts.any() else math.inf
    even = _rounded(1 - variation) if variation <= 1 else 0.0
    return max(even, _bimodal_fit(counts))


def _bimodal_fit(counts: NDArray[np.int64]) -> float:
    """Return how much of the bars the two commonest heights explain; 0 with fewer than 11 bars."""
    bars = counts[counts > 0]
    if len(bars) < 11:
        return 0.0
    width = math.ceil(int(counts.max()) * 0.05)
    _, frequencies = np.unique(bars // width, return_counts=True)
    best_two = int(np.sort(frequencies)[-2:].sum())
    return min(1.0, _rounded(best_two / max(len(bars) - 1, 1)))


def _duration_score(counts: NDArray[np.int64], seconds: NDArray[np.int64], length: float) -> float:
    """Return the greater of coverage of the period and half-day runs of active hours, which wrap around midnight."""
    if int((counts > 0).sum()) < 6:
        return 0.0
    coverage = _rounded_up(float(seconds[-1] - seconds[0]) / length)
    run = longest = 0
    for count in (*counts, *counts):
        run = run + 1 if count > 0 else 0
        longest = max(longest, run)
    return max(coverage, _rounded_up(min(longest, BINS) / 12))


def steady_score(times: Numbers, sizes: Numbers) -> float:
    """Return 0–1: how well gaps repeat, whatever part of the day the device is on and whatever is lost between.

    Five parts: gaps folded onto the typical gap (a lost call makes a double gap), the share of gaps near it, the
    share of sizes near the typical size, how few different gaps there are, and how many connections say so.
    """
    moments = np.unique(np.round(times, 1))
    gaps = np.diff(moments)
    gaps = gaps[gaps >= 1.0]
    if len(gaps) < MIN_INTERVALS:
        return 0.0
    typical = float(np.median(gaps))
    folded = gaps / np.maximum(1.0, np.round(gaps / typical))
    repeat = 1 - min(1.0, float(np.median(np.abs(folded - typical))) / typical / 0.35)
    near = float(np.mean((gaps > typical * 0.5) & (gaps < typical * 1.6)))
    size = float(np.median(sizes))
    alike = float(np.mean(np.abs(sizes - size) <= 0.1 * size + 8))
    many = min(1.0, math.log10(len(moments)) / 2)
    return round(0.3 * repeat + 0.3 * near + 0.2 * alike + 0.1 * _order(gaps) + 0.1 * many, 3)


def _order(gaps: Numbers) -> float:
    """Return 1 minus the normalised entropy of the gaps' logarithms in steps of 0.35."""
    counts, edges = np.histogram(np.log(gaps), bins=np.arange(0, 12.25, 0.35))
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(1 + np.sum(shares * np.log(shares)) / math.log(len(edges) - 1))
