"""Make detections the same way in every detector of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.anomaly.bounded import Evidence
from detectors.base import Window
from soc_core.model.detection import (
    MAX_EVIDENCE,
    Detection,
    Entity,
    Reason,
    Severity,
    make_detection_id,
)
from soc_core.model.event import Scalar

PREFIX = "detectors.anomaly"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say what a detector concluded about one device (``address``) and, where there is one, the other side.

    ``about`` goes into the id beside window and peer when one pair can have several verdicts, e.g. the port.
    """

    kind: str
    address: str
    severity: Severity
    reasons: tuple[Reason, ...]
    techniques: tuple[str, ...]
    peer: str = ""
    about: str = ""
    entity_kind: str = "ip"
    score: float = 1.0
    confidence: float = 1.0
    model_version: str = ""


def reason(detector_id: str, name: str, /, **values: Scalar) -> Reason:
    """Return the reason ``detectors.anomaly.<detector_id>.<name>``; floats are rounded, since people read them."""
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
    return Reason(f"{PREFIX}.{detector_id}.{name}", rounded)


def overflow_reasons(left_out: int) -> tuple[Reason, ...]:
    """Return the reason that says that ``left_out`` records found no room, if there were any."""
    return (Reason(f"{PREFIX}.overflow", {"count": left_out}),) if left_out else ()


def make_detection(detector_id: str, window: Window, verdict: Verdict, evidence: Evidence) -> Detection:
    """Return the detection of ``verdict``; its id depends on detector, unit, device, peer, level and window only.

    The level belongs to it because a window may be judged before all of its events are there: what turns out worse
    later is another statement, which must not vanish behind the milder one already stored.
    """
    entity = Entity(verdict.entity_kind, verdict.address, window.zone)
    anchor = "|".join((window.anchor, verdict.peer, verdict.about, verdict.severity.value))
    return Detection(
        id=make_detection_id(detector_id, window.organization_id, entity, anchor),
        rule_id=detector_id,
        rule_kind="anomaly",
        kind=verdict.kind,
        organization_id=window.organization_id,
        entity=entity,
        severity=verdict.severity,
        first_seen=evidence.first,
        last_seen=evidence.last,
        reasons=verdict.reasons,
        evidence=tuple(evidence.ids[:MAX_EVIDENCE]),
        count=evidence.count,
        score=round(verdict.score, 3),
        confidence=verdict.confidence,
        peer=verdict.peer,
        techniques=verdict.techniques,
        model_version=verdict.model_version,
    )


def in_stable_order(found: Sequence[Detection]) -> list[Detection]:
    """Return detections by first time, then id, so that a window's result is always the same list."""
    return sorted(found, key=lambda detection: (detection.first_seen, detection.id))
