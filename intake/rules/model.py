"""Define a rule's state, its settings by unit, suppressions, and what became of a detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from sqlalchemy import Connection

from soc_core.model.detection import Detection, Severity

EVERYWHERE: Final = ""
"""Stands for the whole installation where a unit's id could be."""
ALL_RULES: Final = "*"
"""Stands for every rule: a unit's budget of all rules together, a suppression whatever the rule."""
STREAM: Final = "rules"
"""The stream of the journal that tells who changed what about rules; its newest number is the settings' revision."""


class RuleState(StrEnum):
    """Say what a rule does: nothing, only count, or alert."""

    OFF = "off"
    SILENT = "silent"
    ON = "on"


class Outcome(StrEnum):
    """Name what became of a detection; all but ``OFF`` are columns of the counts."""

    FIRED = "fired"
    SILENT = "silent"
    SUPPRESSED = "suppressed"
    OVER_BUDGET = "over_budget"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Setting:
    """Hold what was set for a rule at a unit and below; ``None`` is inherited from the unit above.

    ``budget`` bounds the alerts the rule may open in each unit a day; ``version`` grows with each change.
    """

    rule_id: str
    organization_id: str
    state: RuleState | None = None
    severity: Severity | None = None
    budget: int | None = None
    version: int = 0
    actor: str = ""
    reason: str = ""
    updated_at: str = ""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Hold what is not to become an alert: of a rule, at a unit and below, of an entity or where events match a query.

    Times are canonical UTC text; ``ended_at`` is empty while nobody took it back.
    """

    id: str
    rule_id: str
    organization_id: str
    entity_kind: str
    entity_value: str
    query: str
    owner: str
    reason: str
    created_at: str
    expires_at: str
    ended_at: str = ""
    hits: int = 0
    last_hit_at: str = ""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Ruling:
    """Say what is to become of a detection; its severity is already the one that holds in its unit."""

    detection: Detection
    outcome: Outcome
    suppression_id: str = ""


Gate = Callable[[Detection], bool]
"""Tell whether a detection may open a new alert; one that attaches to an alert that is there is not asked about."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Say what the sink did with detections: stored, which of those opened an alert, and which the gate refused."""

    stored: Sequence[Detection] = ()
    opened: Sequence[Detection] = ()
    refused: Sequence[Detection] = ()


class DetectionSink(Protocol):
    """Take detections into the caller's transaction; storing one twice changes nothing."""

    def take(self, connection: Connection, found: Sequence[Detection], gate: Gate | None = None) -> Taken:
        """Store and attach detections; those that would open an alert the gate refuses are left to the caller."""
        ...

    def known(self, connection: Connection, found: Sequence[Detection]) -> set[str]:
        """Return the ids of those that are stored already."""
        ...


@dataclass(frozen=True, slots=True)
class Defaults:
    """Say how rules start where nobody set anything: their states by id (others: on), and the budgets."""

    states: Mapping[str, RuleState] = field(default_factory=dict)
    budget: int = 100
    unit_budget: int = 1_000
