"""Define what the suppression resource takes and gives."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from intake.rules.model import Suppression
from intake.rules.repository import is_active
from soc_api.parameters import Instant

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class SuppressionOut(BaseModel):
    """Give a suppression; ``active`` tells whether it still holds, ``hits`` how often it kept something back."""

    id: str
    rule: str
    organisation: str
    entity_kind: str
    entity: str
    query: str
    owner: str
    reason: str
    created_at: str
    expires_at: str
    ended_at: str
    hits: int
    last_hit_at: str
    version: int
    active: bool


class SuppressionList(BaseModel):
    """Give suppressions, newest first."""

    items: list[SuppressionOut]


class SuppressionIn(BaseModel):
    """Take what is to be suppressed: a rule (``*``: all), a unit and all below it, an entity or a query."""

    model_config = ConfigDict(extra="forbid")
    rule: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^([A-Za-z0-9_.-]+|\*)$")]
    organisation: Annotated[str, Field(max_length=32, description="id of the unit; yours by default")] = ""
    entity_kind: Literal["", "ip", "host", "user", "domain"] = ""
    entity: Annotated[str, Field(max_length=255)] = ""
    query: Annotated[
        str, Field(max_length=2_000, description="all known events of the hit must match it")
    ] = ""
    reason: Reason
    expires_at: Annotated[Instant, Field(description="within a year")]


class EndIn(BaseModel):
    """Say why a suppression is taken back."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


def suppression_out(found: Suppression, now: datetime) -> SuppressionOut:
    """Return the form of a suppression that goes out."""
    values = asdict(found)
    names = {"rule": "rule_id", "organisation": "organization_id", "entity": "entity_value"}
    renamed = {ours: values.pop(theirs) for ours, theirs in names.items()}
    return SuppressionOut.model_validate({**values, **renamed, "active": is_active(found, now)})
