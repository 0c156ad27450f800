"""Measure a model: how many alerts a normal day would cost, and how well attacks stand out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from detectors.anomaly.model.features import Numbers
from detectors.anomaly.model.files import Model
from detectors.anomaly.model.samples import (
    DAY_US,
    Plans,
    Sample,
    gather,
    greatest_scores,
    private_ranges,
    rows_of,
    unit_days,
)
from soc_core.model.event import Event


@dataclass(frozen=True, slots=True)
class Ranking:
    """Tell how well scores set attacks apart. ``recall_at_1_percent`` is at 1 % of the normal rows above it."""

    area_under_curve: float
    average_precision: float
    recall_at_1_percent: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Hold the outcome. Alerts are devices a day above the threshold; those of attacks take all flows as attacks.

    ``precision`` is the share of alerts that are of attacks, ``None`` without alerts or without attacks.
    """

    normal_flows: int
    normal_days: float
    normal_alerts: int
    attack_flows: int = 0
    attack_alerts: int = 0
    precision: float | None = None
    ranking: Ranking | None = None

    @property
    def alerts_per_unit_day(self) -> float:
        """Return how many alerts a day of one unit costs; an estimate from less than a day is rough."""
        return self.normal_alerts / self.normal_days if self.normal_days else 0.0


def rank(normal: Numbers, attacks: Numbers) -> Ranking:
    """Return how well the scores of ``attacks`` lie above those of ``normal``; neither may be empty."""
    from sklearn.metrics import (  # noqa: PLC0415 — heavy, and needed only where a model is used
        average_precision_score,
        roc_auc_score,
    )

    truth = np.concatenate([np.zeros(len(normal)), np.ones(len(attacks))])
    scores = np.concatenate([normal, attacks])
    limit = np.sort(normal)[::-1][int(0.01 * len(normal))]
    return Ranking(
        area_under_curve=float(roc_auc_score(truth, scores)),
        average_precision=float(average_precision_score(truth, scores)),
        recall_at_1_percent=float(np.mean(attacks > limit)),
    )


def evaluate_events(
    model: Model, normal: Iterable[Event], attacks: Iterable[Event] = (), plans: Plans = private_ranges
) -> Evaluation:
    """Return how the model does on events it was not trained on."""
    quiet, loud = gather(normal, plans), gather(attacks, plans)
    quiet_scores, loud_scores = (model.ensemble.score(rows_of(part, model.usual)) for part in (quiet, loud))
    false_alerts, true_alerts = _alerts(model, quiet, quiet_scores), _alerts(model, loud, loud_scores)
    alerts = false_alerts + true_alerts
    return Evaluation(
        normal_flows=len(quiet),
        normal_days=unit_days(quiet),
        normal_alerts=false_alerts,
        attack_flows=len(loud),
        attack_alerts=true_alerts,
        precision=true_alerts / alerts if loud and alerts else None,
        ranking=rank(quiet_scores, loud_scores) if quiet and loud else None,
    )


def _alerts(model: Model, samples: list[Sample], scores: Numbers) -> int:
    return sum(1 for score in greatest_scores(samples, scores, DAY_US) if score > model.card.threshold)
