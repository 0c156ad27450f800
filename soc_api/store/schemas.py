"""Define what the store resource gives."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel


class HealthOut(BaseModel):
    """Say how the event store is: ``reasons`` in words, empty when all is well."""

    state: Literal["ok", "degraded", "read_only", "down"]
    reasons: list[str]


class GapOut(BaseModel):
    """Name a time without any event, ``end`` exclusive."""

    start: str
    end: str
    days: int


class KeptOut(BaseModel):
    """Give of one source of one unit what is kept.

    ``required_from`` is the day from which on it must be there; ``short`` says that it begins later although the unit
    was known before; ``sound`` that nothing is missing that must be there.
    """

    organisation_id: str
    dataset: str
    kind: Literal["guaranteed", "detail", "summary"]
    why: str
    events: int
    first: str
    last: str
    required_from: date
    days: int
    gaps: list[GapOut]
    short: bool
    sound: bool


class KeptPage(BaseModel):
    """Give one page of sources by unit and data set; ``missing`` counts all that are not sound."""

    months: int
    detail_days: int
    items: list[KeptOut]
    total: int
    missing: int
    cursor: str
