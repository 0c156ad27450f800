"""Write rules as Kibana's Security app imports them: one JSON object a line (Elastic Security 8.19, "Import rules").

A rule asks by Lucene's language, looks back further than its interval, and goes by the time an event was stored, so
that late events are not missed. It comes switched off. The same rule always gives the same line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final
from uuid import UUID, uuid5

from detectors.sigma.conversion.attack import threats_of
from detectors.sigma.model import CorrelationRule, CorrelationType, Head
from soc_core.model.detection import Severity

INTERVAL: Final = timedelta(minutes=5)
LOOK_BACK: Final = timedelta(minutes=10)
"""Looked at again before each interval: a run may be late, and an event may become visible late."""
MOST_FIELDS: Final = 3
"""Fields a threshold rule may group by (8.15's schema of elastic/detection-rules)."""
_NAMESPACE: Final = UUID("5b7c1d8e-6f8f-5a0e-9c39-0f3c7d1b6a52")
_RISK: Final = {
    Severity.INFORMATIONAL: ("low", 5),
    Severity.LOW: ("low", 21),
    Severity.MEDIUM: ("medium", 47),
    Severity.HIGH: ("high", 73),
    Severity.CRITICAL: ("critical", 99),
}
"""Kibana's levels, and the scores that Elastic's own rules give to each."""


@dataclass(frozen=True, slots=True)
class About:
    """Hold what a rule's file says of it beyond its head: who wrote it, and where to read more."""

    authors: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    license: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Hold the indices a rule looks at, the language of its texts, and the remarks of its conversion."""

    pattern: str
    language: str
    limits: tuple[str, ...] = ()


def query_rule(head: Head, lucene: str, about: About, around: Surroundings) -> dict[str, Any]:
    """Return a rule that raises an alert for each event."""
    return _rule(head, about, around) | {
        "type": "query",
        "language": "lucene",
        "query": lucene,
        "index": [around.pattern],
        "from": f"now-{_seconds(INTERVAL + LOOK_BACK)}s",
    }


def threshold_of(rule: CorrelationRule) -> dict[str, Any] | None:
    """Return what a threshold rule counts, ``None`` where a correlation asks for something else."""
    groups = [_one_field(key) for key in rule.group_by]
    least = max((ceil(bound + (name == "gt")) for name, bound in rule.threshold.bounds), default=0)
    fields = [name for name in groups if name]
    if not rule.threshold.growing or least < 1 or len(fields) < len(groups) or len(fields) > MOST_FIELDS:
        return None
    if rule.type is CorrelationType.EVENT_COUNT:
        return {"field": fields, "value": least, "cardinality": []}
    counted = _one_field(rule.counted[0]) if len(rule.counted) == 1 else ""
    if rule.type is CorrelationType.VALUE_COUNT and counted:
        return {"field": fields, "value": 1, "cardinality": [{"field": counted, "value": least}]}
    return None


def _one_field(key: Mapping[tuple[str, str], tuple[str, ...]]) -> str:
    """Return the field of a key that is the same for all parts, an empty text where several would do."""
    fields = {name for names in key.values() for name in names}
    return fields.pop() if len(fields) == 1 else ""


def threshold_rule(
    rule: CorrelationRule, lucene: str, about: About, around: Surroundings, threshold: dict[str, Any]
) -> dict[str, Any]:
    """Return a rule that raises an alert when events are too many within the correlation's time."""
    return query_rule(rule.head, lucene, about, around) | {
        "type": "threshold",
        "threshold": threshold,
        "from": f"now-{_seconds(rule.timespan + INTERVAL)}s",
    }


def _rule(head: Head, about: About, around: Surroundings) -> dict[str, Any]:
    severity, risk = _RISK[head.severity]
    words = head.words.get(around.language, head.words["en"])
    return {
        "rule_id": identity_of(head.id),
        "name": words.title or head.title,
        "description": words.description or words.title or head.title,
        "author": list(about.authors),
        "license": about.license,
        "severity": severity,
        "risk_score": risk,
        "tags": _tags(head, around),
        "threat": threats_of(head.tags),
        "references": list(about.references),
        "false_positives": list(words.falsepositives),
        "note": _note(words.triage, words.steps, around.limits),
        "interval": f"{int(INTERVAL.total_seconds()) // 60}m",
        "to": "now",
        "meta": {"from": f"{_seconds(LOOK_BACK) // 60}m"},
        "timestamp_override": "event.ingested",
        "max_signals": 100,
        "enabled": False,
        "version": 1,
        "actions": [],
        "exceptions_list": [],
        "filters": [],
    }


def identity_of(rule_id: str) -> str:
    """Return the id of a rule in Kibana: its own where that is a UUID, else one made from it."""
    try:
        return str(UUID(rule_id))
    except ValueError:
        return str(uuid5(_NAMESPACE, rule_id))


def _tags(head: Head, around: Surroundings) -> list[str]:
    own = ["Sigma", "edusoc", *(["edusoc: approximate"] if around.limits else [])]
    return [*own, *sorted(dict.fromkeys(head.tags))]


def _note(triage: str, steps: Sequence[str], limits: Sequence[str]) -> str:
    parts = [
        triage,
        "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1)),
        "\n".join(limits),
    ]
    return "\n\n".join(part for part in parts if part)


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())
