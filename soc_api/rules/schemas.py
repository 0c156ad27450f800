"""Define what the rule resource takes and gives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from intake.rules.model import RuleState
from soc_api.rules.queries import RuleDetail, RuleRow, from_where
from soc_api.security import Caller
from soc_core.model.detection import Severity


class StatisticsOut(BaseModel):
    """Give what a rule did in the unit and below: hits by what became of them, alerts by why they were closed."""

    fired: int
    silent: int
    suppressed: int
    over_budget: int
    opened: int
    last_at: str
    closed: dict[str, int]
    false_positive_rate: float | None


class RuleOut(BaseModel):
    """Give a rule as it stands in a unit.

    ``…_from`` is the id of the unit that set it, ``above`` for one you may not see, empty where nobody did.
    """

    id: str
    title: str
    state: RuleState
    state_from: str
    severity: Severity
    severity_from: str
    own_severity: Severity
    budget: int
    budget_from: str
    status: str
    source: str
    file: str
    origin: Annotated[str, Field(description="name of the imported set; empty for our own")]
    techniques: list[str]
    graded_protection: list[str]
    blind: Annotated[str, Field(description="why no collector delivers what it asks for")]
    statistics: StatisticsOut


class RulePageOut(BaseModel):
    """Give one page of rules and the cursor of the next (empty at the end)."""

    items: list[RuleOut]
    total: int
    cursor: str


class SettingOut(BaseModel):
    """Give what is set in the unit itself; absent parts are inherited from above."""

    organisation: str
    state: RuleState | None
    severity: Severity | None
    budget: int | None
    version: int
    actor: str
    reason: str
    updated_at: str


class DayOut(BaseModel):
    """Give the hits of a local day."""

    day: str
    hits: int


class RuleDetailOut(RuleOut):
    """Give everything about a rule, in the caller's language."""

    description: str
    falsepositives: list[str]
    triage: str
    steps: list[str]
    yaml: str
    samples: str
    setting: SettingOut
    days: list[DayOut]


class RulePatch(BaseModel):
    """Take what is to be set in the unit; absent parts stay, ``null`` is inherited from above."""

    model_config = ConfigDict(extra="forbid")
    state: RuleState | None = None
    severity: Severity | None = None
    budget: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


def rule_out(row: RuleRow, caller: Caller) -> RuleOut:
    """Return the list form of a rule."""
    return RuleOut.model_validate(_values(row, caller))


def rule_detail(detail: RuleDetail, caller: Caller) -> RuleDetailOut:
    """Return the detail form of a rule."""
    words, setting = detail.row.words, detail.setting
    more: dict[str, object] = {
        "description": words.description,
        "falsepositives": list(words.falsepositives),
        "triage": words.triage,
        "steps": list(words.steps),
        "yaml": detail.source,
        "samples": detail.samples,
        "setting": {
            "organisation": setting.organization_id,
            "state": setting.state,
            "severity": setting.severity,
            "budget": setting.budget,
            "version": setting.version,
            "actor": setting.actor,
            "reason": setting.reason,
            "updated_at": setting.updated_at,
        },
        "days": [{"day": day, "hits": hits} for day, hits in detail.days],
    }
    return RuleDetailOut.model_validate({**_values(detail.row, caller), **more})


def _values(row: RuleRow, caller: Caller) -> dict[str, object]:
    head, standing, did = row.rule.head, row.standing, row.did
    source = (
        str(row.rule.logsource) if hasattr(row.rule, "logsource") else f"correlation={row.rule.type.value}"
    )
    return {
        "id": head.id,
        "title": row.words.title,
        "state": standing.state,
        "state_from": from_where(caller, standing.state_from),
        "severity": row.severity,
        "severity_from": from_where(caller, standing.severity_from),
        "own_severity": head.severity,
        "budget": standing.budget,
        "budget_from": from_where(caller, standing.budget_from),
        "status": head.status,
        "source": source,
        "file": Path(head.file).name,
        "origin": row.origin,
        "techniques": list(head.techniques),
        "graded_protection": list(head.words["zh"].graded_protection),
        "blind": row.blind,
        "statistics": {
            "fired": did.fired,
            "silent": did.silent,
            "suppressed": did.suppressed,
            "over_budget": did.over_budget,
            "opened": did.opened,
            "last_at": did.last_at,
            "closed": dict(did.closed),
            "false_positive_rate": did.false_rate,
        },
    }
