"""Define the detection: an immutable statement that something was seen (DESIGN §3).

Its id depends only on the rule, the unit, the entity and the event or the epoch-aligned event-time window, so
streaming, replay and retro-hunt give the same id and storing it twice changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from soc_core.model.event import Scalar


class Severity(StrEnum):
    """Order the five levels of Sigma; ``rank`` grows with severity."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return 0 (informational) to 4 (critical)."""
        return _RANK[self.value]


_RANK = {"informational": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}


@dataclass(frozen=True, slots=True)
class Reason:
    """Say why in words: a message key and its parameters, rendered when shown, in the reader's language."""

    key: str
    values: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entity:
    """Name what a detection is about. ``kind`` is ``ip``, ``host``, ``user`` or ``domain``.

    Addresses mean something only inside a network zone: 192.168.1.10 exists in every school.
    """

    kind: str
    value: str
    zone: str = "default"


@dataclass(frozen=True, slots=True)
class Detection:
    """State what rule saw what, where and when. Times are canonical UTC text.

    ``kind`` groups detections of one sort into one alert (``ssh_bruteforce``, ``dns_tunnel``, or the rule's own id).
    ``evidence`` holds at most 100 event ids in time order, ``count`` how many events there were in all.
    ``score`` is 0–1 (1 for plain rules); ``peer`` is the other side where there is one.
    """

    id: str
    rule_id: str
    rule_kind: str
    kind: str
    organization_id: str
    entity: Entity
    severity: Severity
    first_seen: str
    last_seen: str
    reasons: tuple[Reason, ...]
    evidence: tuple[str, ...]
    count: int = 1
    score: float = 1.0
    confidence: float = 1.0
    peer: str = ""
    techniques: tuple[str, ...] = ()
    model_version: str = ""


MAX_EVIDENCE = 100


def make_detection_id(rule_id: str, organization_id: str, entity: Entity, anchor: str) -> str:
    """Return the 26-character id of a detection.

    ``anchor`` is the event id for stateless rules, or the canonical start of the epoch-aligned window for stateful
    ones; nothing else that may differ between stream and replay goes in.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (rule_id, organization_id, entity.kind, entity.zone, entity.value, anchor):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return base64.b32hexencode(digest.digest()).decode("ascii").rstrip("=").lower()
