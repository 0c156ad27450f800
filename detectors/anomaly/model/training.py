"""Learn a model from normal traffic, and set its threshold on traffic of other times by an alert budget."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors.anomaly.model.card import FORMAT, Column, ModelCard, installed
from detectors.anomaly.model.ensemble import Ensemble, fit
from detectors.anomaly.model.features import FEATURES, Numbers, Usual, learn_usual
from detectors.anomaly.model.files import Model
from detectors.anomaly.model.samples import (
    DAY_US,
    HOUR_US,
    Plans,
    Sample,
    block_us,
    gather,
    greatest_scores,
    private_ranges,
    rows_of,
    unit_days,
)
from soc_core.clock import Clock, format_epoch_us, format_instant, utc_now
from soc_core.errors import UsageError
from soc_core.model.event import Event

MIN_FLOWS: Final = 300
MIN_HELD_OUT: Final = 60
MIN_THRESHOLD: Final = 2.0
"""Nothing that one flow in a hundred does is worth a word."""
MAX_STEP: Final = 1.0
"""How far beyond the most unusual held-out flow the threshold may lie: who has seen n flows can't tell 1 in 100 n."""
TAIL: Final = 0.01
HELD_OUT_EVERY: Final = 4


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Say how to learn: ``budget`` is alerts a unit and day, ``organizations`` whose data it is (empty: not known)."""

    seed: int = 7
    budget: float = 3.0
    organizations: tuple[str, ...] = ()


def train_from_events(
    events: Iterable[Event],
    plans: Plans = private_ranges,
    options: TrainingOptions | None = None,
    *,
    clock: Clock = utc_now,
) -> Model:
    """Return a model of what is usual in ``events``; they are taken as normal. Some ten thousand flows take seconds.

    A quarter of the time, spread evenly, is held out of the learning and sets the threshold. The same events, options
    and library versions give the same scores. Raises ``UsageError`` with fewer than ``MIN_FLOWS`` usable flows.
    """
    options = options or TrainingOptions()
    samples = gather(events, plans)
    if len(samples) < MIN_FLOWS:
        raise UsageError(
            f"only {len(samples)} usable flows to learn from, {MIN_FLOWS} are needed",
            todo="give captures or logs of a normal day, with addresses inside (see --inside)",
        )
    fitted, held_out = _split(samples)
    usual = learn_usual([sample.flow for sample in fitted])
    rows = rows_of(fitted, usual)
    ensemble = fit(rows, options.seed)
    learned = _Learned(samples, fitted, held_out, rows, ensemble, usual)
    return Model(_card(learned, options, format_instant(clock())), ensemble, usual)


def _split(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return what to learn from and what to hold out: every fourth 48th of the time, or of the ids in a burst."""
    first, block = samples[0].flow.time_us, block_us(samples)
    parts: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        parts[(sample.flow.time_us - first) // block % HELD_OUT_EVERY == HELD_OUT_EVERY - 1].append(sample)
    if len(parts[1]) < MIN_HELD_OUT or len(parts[0]) < MIN_HELD_OUT:
        parts = ([], [])
        for sample in samples:
            digest = hashlib.blake2b(b"split" + sample.flow.event_id.encode(), digest_size=1).digest()
            parts[digest[0] % HELD_OUT_EVERY == 0].append(sample)
    return parts


def choose_threshold(samples: Sequence[Sample], scores: Numbers, budget: float) -> float:
    """Return the score above which, on held-out normal traffic, at most ``budget`` episodes a unit and day lie.

    An hour of a device counts as one episode, so that places with few devices are not told of each one every day.
    Where too little was held out to contain even one allowed alert, the scores' tail (exponential beyond the rarest
    hundredth) says where it would lie, at most ``MAX_STEP`` beyond the greatest score seen.
    """
    days = unit_days(samples)
    ordered = greatest_scores(samples, scores, HOUR_US)
    allowed = int(budget * days)
    if allowed >= len(ordered):
        return MIN_THRESHOLD
    if allowed:
        return max(MIN_THRESHOLD, ordered[allowed])
    start = float(np.quantile(scores, 1 - TAIL))
    beyond = scores[scores > start] - start
    excess = float(beyond.mean()) if len(beyond) else 0.0
    share = budget * days / len(samples)
    tail = start + excess * float(np.log(TAIL / share)) if share < TAIL else start
    return max(MIN_THRESHOLD, ordered[0], min(tail, ordered[0] + MAX_STEP))


@dataclass(frozen=True, slots=True)
class _Learned:
    samples: Sequence[Sample]
    fitted: Sequence[Sample]
    held_out: Sequence[Sample]
    rows: Numbers
    ensemble: Ensemble
    usual: Usual


def _card(learned: _Learned, options: TrainingOptions, created_at: str) -> ModelCard:
    samples, held_out = learned.samples, learned.held_out
    scores = learned.ensemble.score(rows_of(held_out, learned.usual))
    threshold = choose_threshold(held_out, scores, options.budget)
    digest = hashlib.sha256("\n".join(sample.flow.event_id for sample in samples).encode()).hexdigest()
    settings = f"{FORMAT}|{digest}|{options.seed}|{options.budget}|{FEATURES}|{options.organizations}"
    first, last = samples[0].flow.time_us, samples[-1].flow.time_us
    libraries = installed()
    return ModelCard(
        version=hashlib.sha256(settings.encode()).hexdigest()[:12],
        created_at=created_at,
        seed=options.seed,
        budget=options.budget,
        threshold=threshold,
        fitted=len(learned.fitted),
        held_out=len(held_out),
        held_out_days=round(unit_days(held_out), 4),
        held_out_alerts=sum(1 for score in greatest_scores(held_out, scores, DAY_US) if score > threshold),
        days=round((last - first) / DAY_US, 4),
        first=format_epoch_us(first),
        last=format_epoch_us(last),
        data_sha256=digest,
        organizations=options.organizations,
        columns=_columns(learned.rows),
        scikit_learn=libraries["scikit_learn"],
        numpy=libraries["numpy"],
        skops=libraries["skops"],
    )


def _columns(rows: Numbers) -> tuple[Column, ...]:
    quantiles = np.quantile(rows, (0.05, 0.5, 0.95), axis=0).T.tolist()
    return tuple(
        Column(name, *(round(value, 4) for value in row))
        for name, row in zip(FEATURES, quantiles, strict=True)
    )
