"""Define what the alert resource takes and gives."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cases.alerts.card import AlertCard
from cases.alerts.model import Alert, CloseReason, HistoryEntry, Status


class AlertOut(BaseModel):
    """Give an alert as it stands in a list."""

    id: str
    title: str
    organisation_id: str
    organisation: str
    device: str
    entity_kind: str
    entity: str
    zone: str
    peer: str
    kind: str
    rule_id: str
    rule_kind: str
    severity: str
    priority: int
    status: str
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


class AlertPage(BaseModel):
    """Give one page of alerts and the cursor of the next (empty at the end).

    ``total`` says how many match in all; where ``total_exact`` is false there are at least that many.
    """

    items: list[AlertOut]
    total: int
    total_exact: bool
    cursor: str


class HistoryOut(BaseModel):
    """Give one step of an alert's life."""

    at: str
    actor: str
    action: str
    detail: dict[str, str | int | float | bool]


class DutyOut(BaseModel):
    """Give the duty holders (主管、运维、使用) and the unit's contact."""

    supervisor: str
    operator: str
    user: str
    contact: str


class AlertDetail(AlertOut):
    """Give everything about an alert a person needs to act on it, in the caller's language."""

    sentence: str
    organisation_path: list[str]
    description: str
    reasons: list[str]
    falsepositives: list[str]
    triage: str
    steps: list[str]
    duty: DutyOut
    techniques: list[str]
    graded_protection: list[str]
    evidence: list[str]
    history: list[HistoryOut]


class AlertPatch(BaseModel):
    """Take a change of an alert; absent parts stay. Closing needs a reason."""

    model_config = ConfigDict(extra="forbid")
    status: Status | None = None
    close_reason: CloseReason | None = None
    assigned_to: Annotated[str, Field(max_length=64, description="account; empty takes it away")] | None = (
        None
    )
    help_wanted: bool | None = None
    comment: Annotated[str, Field(max_length=2_000)] = ""


class NoteIn(BaseModel):
    """Take a note on an alert."""

    model_config = ConfigDict(extra="forbid")
    comment: str = Field(min_length=1, max_length=2_000)


def alert_out(alert: Alert, *, title: str, organisation: str, device: str) -> AlertOut:
    """Return the list form of an alert."""
    return AlertOut.model_validate(_values(alert, title=title, organisation=organisation, device=device))


def alert_detail(card: AlertCard, history: list[HistoryEntry]) -> AlertDetail:
    """Return the detail form of an alert's card."""
    values: dict[str, object] = {
        **_values(card.alert, title=card.title, organisation=card.unit, device=card.device),
        "sentence": card.sentence,
        "organisation_path": card.unit_path,
        "description": card.description,
        "reasons": card.reasons,
        "falsepositives": card.falsepositives,
        "triage": card.triage,
        "steps": card.steps,
        "duty": asdict(card.duty),
        "techniques": card.techniques,
        "graded_protection": card.graded_protection,
        "evidence": card.evidence,
        "history": [asdict(entry) for entry in history],
    }
    return AlertDetail.model_validate(values)


def _values(alert: Alert, *, title: str, organisation: str, device: str) -> dict[str, str | int | bool]:
    return {
        "id": alert.id,
        "title": title,
        "organisation_id": alert.organization_id,
        "organisation": organisation,
        "device": device,
        "entity_kind": alert.entity.kind,
        "entity": alert.entity.value,
        "zone": alert.entity.zone,
        "peer": alert.peer,
        "kind": alert.kind,
        "rule_id": alert.rule_id,
        "rule_kind": alert.rule_kind,
        "severity": alert.severity.value,
        "priority": alert.priority,
        "status": alert.status.value,
        "close_reason": alert.close_reason,
        "assigned_to": alert.assigned_to,
        "help_wanted": alert.help_wanted,
        "first_seen": alert.first_seen,
        "last_seen": alert.last_seen,
        "detection_count": alert.detection_count,
        "event_count": alert.event_count,
        "version": alert.version,
        "created_at": alert.created_at,
        "updated_at": alert.updated_at,
    }
