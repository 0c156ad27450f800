"""Make a normal day of a small school, and a model of it."""

from __future__ import annotations

from functools import cache

from benchmarks._traffic import school_flows
from detectors.anomaly.model.files import Model
from detectors.anomaly.model.training import train_from_events
from soc_core.model.event import Event
from tests.conftest import NOW
from tests.detectors.anomaly.base import UNIT, ZONE


def normal(count: int, *, seed: int = 1, start: float = 0, hours: float = 9) -> list[Event]:
    """Return ``count`` flows over ``hours`` of a school's traffic, by time."""
    flows = school_flows(count, seed=seed, start=start, hours=hours)
    return [{**flow, "organization.id": UNIT, "edusoc.zone": ZONE} for flow in flows]


@cache
def small_model() -> Model:
    """Return a model of 6,000 normal flows, always the same."""
    return train_from_events(normal(6_000), clock=lambda: NOW)
