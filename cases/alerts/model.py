"""Define the alert and the states it goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from soc_core.model.detection import Entity, Severity
from soc_core.model.event import Scalar

ATTACH_GAP: Final = timedelta(hours=12)
"""Detections of one (unit, entity, kind) closer than this in event time belong to one alert."""


class Status(StrEnum):
    """Name where an alert stands."""

    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"


OPEN: Final = (Status.NEW, Status.ASSIGNED, Status.IN_PROGRESS)


class CloseReason(StrEnum):
    """Say why an alert was closed: 属实, 误报, 正常业务, 演练."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    BENIGN = "benign"
    DRILL = "drill"


ALLOWED: Final[Mapping[Status, frozenset[Status]]] = {
    Status.NEW: frozenset({Status.ASSIGNED, Status.IN_PROGRESS, Status.CLOSED}),
    Status.ASSIGNED: frozenset({Status.IN_PROGRESS, Status.CLOSED, Status.NEW}),
    Status.IN_PROGRESS: frozenset({Status.ASSIGNED, Status.CLOSED}),
    Status.CLOSED: frozenset({Status.IN_PROGRESS}),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """Hold an alert as stored: ``priority`` 0–100, times canonical UTC text, ``version`` grows with each change.

    ``help_wanted``: the school asked the centre for help with it.
    """

    id: str
    organization_id: str
    kind: str
    entity: Entity
    peer: str
    rule_id: str
    rule_kind: str
    severity: Severity
    priority: int
    status: Status
    close_reason: str
    assigned_to: str
    help_wanted: bool
    first_seen: str
    last_seen: str
    detection_count: int
    event_count: int
    version: int
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """Hold one step of an alert's life: when, who, what."""

    at: str
    actor: str
    action: str
    detail: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Step:
    """Hold a step of some alert's life as the auditor's list shows it; ``number`` grows with time."""

    number: int
    alert: Alert
    entry: HistoryEntry


def priority_of(severity: Severity, importance: int, confidence: float) -> int:
    """Return 0–100: severity × asset importance (1–4, clipped) × confidence (0–1), DESIGN §3.

    An ordinary device (importance 1) takes 70 % of the severity, the most important 100 %, so that a critical alert on
    a classroom PC still stands above a high one on a server.
    """
    weight = 0.6 + 0.1 * min(max(importance, 1), 4)
    return round(100 * (severity.rank + 1) / 5 * weight * min(max(confidence, 0.0), 1.0))


def highest_priority(severity: Severity) -> int:
    """Return the highest priority an alert of this severity can have (the most important asset, full confidence)."""
    return priority_of(severity, 4, 1.0)
