"""Define what the agent resource gives."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class SourceOut(BaseModel):
    """Give one input of an agent; ``limit_seconds`` is the silence a person allows (0: learned)."""

    name: str
    kind: str
    state: Literal["ok", "silent", "failed"]
    last_at: str
    limit_seconds: int
    counters: dict[str, int]
    fault: str


class GapOut(BaseModel):
    """Give offsets (``end`` exclusive) of an agent's log that never came."""

    epoch: str
    start: int
    end: int
    at: str


class AgentOut(BaseModel):
    """Give an agent: whose it is, how it is, what came of it. Times are UTC, empty for never."""

    id: str
    name: str
    organisation_id: str
    units: list[str]
    below: bool
    zone: str
    state: Literal["enrolled", "local", "revoked"]
    condition: Literal["ok", "troubled", "silent", "waiting", "revoked"]
    created_at: str
    revoked_at: str
    last_seen_at: str
    last_address: str
    version: str
    platform: str
    clock_offset_ms: int
    lag_seconds: int
    waiting: int
    disk_free: int
    disk_total: int
    accepted: int
    duplicates: int
    bad: int
    refused: int
    sources: list[SourceOut]


class AgentDetail(AgentOut):
    """Give an agent with the newest gaps of its log and how many records they hold in all."""

    gaps: list[GapOut]
    lost: int


class AgentList(BaseModel):
    """Give agents, ordered by unit and name."""

    items: list[AgentOut]


class SenderOut(BaseModel):
    """Give an address whose unit nobody knows; its events are kept under the agent's own unit."""

    zone: str
    address: str
    first_at: str
    last_at: str
    events: int


class SenderList(BaseModel):
    """Give unknown senders, those with most events first."""

    items: list[SenderOut]
