"""Say in words which features made a flow unusual, against what is usual at the place."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.anomaly.making import reason
from detectors.anomaly.model.features import FEATURES, SERVICE_COLUMNS, hour_of, service_of
from detectors.anomaly.model.files import Model
from detectors.anomaly.model.samples import Sample, rows_of
from soc_core.model.detection import Reason
from soc_core.model.event import Scalar

MAX_REASONS: Final = 3
MIN_SURPRISE: Final = 1.0
"""Decimal steps: a value ten times rarer than the commonest is worth a word."""
MAX_OVERSHOOT: Final = 3.0
_THEMES: Final = {
    "sent": "sent",
    "packets_sent": "sent",
    "size_sent": "sent",
    "sent_here": "sent",
    "received": "received",
    "packets_received": "received",
    "size_received": "received",
    "received_here": "received",
    "duration": "duration",
    "duration_here": "duration",
    "ratio": "ratio",
    "service": "service",
    "port_class": "service",
    "inbound": "direction",
    "internal": "direction",
    "failed": "failed",
    "udp": "service",
    "icmp": "service",
    "hour": "hour",
}
"""Features that say the same in other words: the most surprising one speaks for its theme."""


def explain(model: Model, sample: Sample) -> list[Reason]:
    """Return up to three reasons, most surprising first; one that says that only the combination is rare if none is."""
    row = rows_of([sample], model.usual)
    surprises = model.ensemble.surprises(row)[0]
    # Where several values were never seen at all, the one farthest away speaks first.
    strength = surprises + np.minimum(model.ensemble.overshoots(row)[0], MAX_OVERSHOOT)
    order = sorted(range(len(FEATURES)), key=lambda column: (-strength[column], column))
    found: dict[str, Reason] = {}
    for column in order:
        theme = _THEMES[FEATURES[column]]
        if len(found) == MAX_REASONS:
            break
        telling = surprises[column] >= MIN_SURPRISE and not _in_usual_range(
            model, column, float(row[0, column])
        )
        if telling and theme not in found:
            found[theme] = _say(model, sample, column, float(row[0, column]))
    return list(found.values()) or [reason("unusual_flow", "combination", service=_service(sample))]


def _in_usual_range(model: Model, column: int, value: float) -> bool:
    """Tell whether the words would contradict themselves: a rare value between two common ones."""
    usual = model.card.columns[column]
    return (usual.name in _UNITS or usual.name == "ratio") and usual.low <= value <= usual.high


def _say(model: Model, sample: Sample, column: int, value: float) -> Reason:
    name, flow = FEATURES[column], sample.flow
    usual = model.card.columns[column]
    if name.endswith("_here"):
        if service_of(flow) in model.usual.services:
            return _compared(model, sample, column)
        # A service never seen has no usual of its own: the amount is compared with all services.
        base = FEATURES.index(name.removesuffix("_here"))
        return _say(model, sample, base, float(rows_of([sample], model.usual)[0, base]))
    if name == "ratio":
        numbers = {"value": _times(value), "low": _times(usual.low), "high": _times(usual.high)}
        return reason("unusual_flow", "ratio", **numbers)
    if name in _UNITS:
        unit = _UNITS[name]
        return reason(
            "unusual_flow",
            name,
            value=_amount(value, unit),
            low=_amount(usual.low, unit),
            high=_amount(usual.high, unit),
        )
    if name in {"inbound", "internal"}:
        return reason("unusual_flow", sample.direction)
    if name == "failed":
        return reason("unusual_flow", "failed" if flow.failed else "answered")
    if name == "hour":
        return reason("unusual_flow", "hour", hour=hour_of(flow))
    return reason("unusual_flow", "service", service=_service(sample), share=_share(model, sample))


def _compared(model: Model, sample: Sample, column: int) -> Reason:
    """Return how far the flow is from the median of its own service."""
    name = FEATURES[column].removesuffix("_here")
    base = FEATURES.index(name)
    positions = model.usual.positions()
    row = positions.get(service_of(sample.flow), len(model.usual.services))
    middle = float(model.usual.medians[row][SERVICE_COLUMNS.index(base)])
    value = float(rows_of([sample], model.usual)[0, base])
    values: dict[str, Scalar] = {
        "service": _service(sample),
        "value": _amount(value, _UNITS[name]),
        "usual": _amount(middle, _UNITS[name]),
    }
    return reason("unusual_flow", f"{name}_here", **values)


_UNITS: Final = {
    "sent": "bytes",
    "received": "bytes",
    "size_sent": "bytes",
    "size_received": "bytes",
    "packets_sent": "",
    "packets_received": "",
    "duration": "ms",
}
_STEPS: Final = {
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")),
    "ms": ((3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")),
    "": ((1, ""),),
}


def _amount(logarithm: float, unit: str) -> str:
    """Return what ``logarithm`` (of one more than the amount) stands for, in the fitting unit."""
    amount = max(0.0, 10**logarithm - 1)
    for size, name in _STEPS[unit]:
        if amount >= size:
            return f"{_short(amount / size)} {name}".strip()
    return f"0 {_STEPS[unit][-1][1]}".strip()


def _times(logarithm: float) -> str:
    return _short(10**logarithm)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _service(sample: Sample) -> str:
    flow = sample.flow
    return (
        f"{flow.transport.upper()}/{flow.port}"
        if flow.transport in {"tcp", "udp"}
        else flow.transport.upper()
    )


def _share(model: Model, sample: Sample) -> str:
    """Return the service's share in per cent, as text."""
    row = model.usual.positions().get(service_of(sample.flow))
    return "0" if row is None else f"{100 * float(model.usual.shares[row]):.2g}"
