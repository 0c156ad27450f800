"""Make alerts of what the centre says about its collecting: refused keys, gaps, silence (data set ``edusoc.health``).

What an agent had to drop comes as ``edusoc.gap`` from the agent itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from soc_core.model.detection import Detection, Entity, Reason, Severity, make_detection_id
from soc_core.model.event import (
    DATASET,
    EVENT_ID,
    ORGANIZATION_ID,
    TIMESTAMP,
    ZONE,
    Event,
    Scalar,
    extra_values,
)

HEALTH: Final = "edusoc.health"
GAP: Final = "edusoc.gap"
AGENT_GAP: Final = "agent_gap"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Say how serious an action is, and which ATT&CK technique it may be."""

    severity: Severity
    techniques: tuple[str, ...] = ()


KINDS: Final = {
    "agent_key_refused": _Kind(Severity.HIGH, ("T1078",)),
    "agent_replay": _Kind(Severity.HIGH, ("T1557",)),
    "agent_foreign_unit": _Kind(Severity.HIGH, ("T1036",)),
    "agent_code_refused": _Kind(Severity.MEDIUM, ("T1110",)),
    "agent_silent": _Kind(Severity.MEDIUM),
    "source_silent": _Kind(Severity.MEDIUM),
    "source_failed": _Kind(Severity.MEDIUM),
    AGENT_GAP: _Kind(Severity.MEDIUM),
    "agent_drops": _Kind(Severity.MEDIUM),
    "agent_quota": _Kind(Severity.LOW),
    "agent_clock": _Kind(Severity.LOW),
    "agent_disk": _Kind(Severity.MEDIUM),
    "rules_broken": _Kind(Severity.MEDIUM),
}
"""The actions of ``edusoc.health`` that become alerts; their texts are ``cases.kinds.<action>``."""


class HealthDetector:
    """Turn each health event into a detection."""

    id = "collection_health"

    def detect(self, events: Sequence[Event]) -> list[Detection]:
        """Return detections of this batch in event order."""
        return [_detection(event, action) for event in events if (action := _action(event)) in KINDS]


def _action(event: Event) -> str:
    dataset = event.get(DATASET)
    if dataset == HEALTH:
        return str(event.get("event.action", ""))
    return AGENT_GAP if dataset == GAP else ""


def _detection(event: Event, action: str) -> Detection:
    unit, at = str(event[ORGANIZATION_ID]), str(event[TIMESTAMP])
    kind = KINDS[action]
    name = str(event.get("agent.name") or event.get("edusoc.health.subject") or event.get("edusoc.agent", ""))
    source = str(event.get("edusoc.health.source") or event.get("edusoc.source", ""))
    about = f"{name} · {source}" if source else name
    entity = Entity("host", about or "agent", str(event.get(ZONE, "default")))
    return Detection(
        id=make_detection_id(f"health.{action}", unit, entity, str(event[EVENT_ID])),
        rule_id=f"health.{action}",
        rule_kind="health",
        kind=action,
        organization_id=unit,
        entity=entity,
        severity=kind.severity,
        first_seen=at,
        last_seen=at,
        reasons=(Reason(f"detectors.health.{action}", _values(event)),),
        evidence=(str(event[EVENT_ID]),),
        peer=str(event.get("source.address", "")),
        techniques=kind.techniques,
    )


def _values(event: Event) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {
        "address": str(event.get("source.address", "")),
        "reason": str(event.get("event.reason", "")),
        "count": 0,
        "minutes": 0,
        "percent": 0,
    }
    for name in ("count", "percent"):
        value = event.get(f"edusoc.health.{name}")
        found[name] = value if isinstance(value, int) else 0
    seconds = event.get("edusoc.health.seconds")
    found["minutes"] = seconds // 60 if isinstance(seconds, int) else 0
    dropped = extra_values(event, "gap.events")
    if dropped and dropped[0].isdigit():
        found["count"] = int(dropped[0][:18])
    return found
