"""Define what the indicator resource gives."""

from __future__ import annotations

from pydantic import BaseModel


class ListOut(BaseModel):
    """Give a list; ``last_hit_at`` is event time, empty where nothing was hit yet."""

    id: str
    name: str
    source: str
    format: str
    version: int
    entries: int
    bad: int
    confidence: int
    tlp: str
    severity: str
    allow: bool
    enabled: bool
    updated_at: str
    hits: int
    last_hit_at: str


class ListsOut(BaseModel):
    """Give the lists by name."""

    items: list[ListOut]


class EntryOut(BaseModel):
    """Give an entry of a list; ``since`` and ``expires`` are seconds since 1970, 0 where nobody says."""

    list: str
    list_id: str
    source: str
    kind: str
    value: str
    confidence: int
    tlp: str
    since: int
    expires: int
    reason: str
    reference: str


class CheckOut(BaseModel):
    """Say whether a value is listed and whether something allows it; ``kind`` is empty for what can't be listed."""

    text: str
    kind: str
    value: str
    matches: bool
    listed: list[EntryOut]
    allowed: list[EntryOut]


class HitOut(BaseModel):
    """Give how often an indicator of a list was seen in a unit; times are event time."""

    list: str
    list_id: str
    indicator: str
    value: str
    organization_id: str
    hits: int
    first_at: str
    last_at: str


class HitsOut(BaseModel):
    """Give hits, those seen last first."""

    items: list[HitOut]
