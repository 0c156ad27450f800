"""Define agents, codes and orders as the centre knows them. Times are canonical UTC text, empty for never."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class AgentState(StrEnum):
    """Say whether an agent's key is taken. The inputs of a centre itself (``edusoc run``) have none: ``local``."""

    ENROLLED = "enrolled"
    LOCAL = "local"
    REVOKED = "revoked"


class SourceHealth(StrEnum):
    """Say how a source is: it brings something, it is silent for too long, or it doesn't run."""

    OK = "ok"
    SILENT = "silent"
    FAILED = "failed"


class OrderState(StrEnum):
    """Say how far an order is: signed, given to the agent, answered by it, or too late."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Agent:
    """Hold an agent. ``organization_id`` is the unit its events belong to unless they are another's it covers.

    Those are ``units`` and, with ``below``, all units below any of them. Quotas of 0 are the installation's usual ones.
    ``day_bytes`` are those of ``day`` (YYYYMMDD, UTC); ``clock_offset_ms`` is how far its clock is ahead of ours.
    """

    id: str
    name: str
    organization_id: str
    zone: str
    public_key: str
    below: bool = False
    units: Sequence[str] = ()
    state: AgentState = AgentState.ENROLLED
    created_at: str = ""
    revoked_at: str = ""
    version: str = ""
    platform: str = ""
    events_per_second: int = 0
    bytes_per_day: int = 0
    last_number: int = 0
    last_order: int = 0
    last_seen_at: str = ""
    last_address: str = ""
    clock_offset_ms: int = 0
    accepted: int = 0
    duplicates: int = 0
    bad: int = 0
    refused: int = 0
    day: str = ""
    day_bytes: int = 0
    heartbeat_at: str = ""
    heartbeat: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Epoch:
    """Hold one life of an agent's log: everything below ``mark`` is durable here."""

    epoch: str
    mark: int
    first_at: str
    last_at: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Hold offsets (``end`` exclusive) that an agent's log passed over: what it had to shed, or lost."""

    epoch: str
    start: int
    end: int
    at: str


@dataclass(frozen=True, slots=True)
class Source:
    """Hold one input of an agent.

    ``longest_seconds`` is the longest pause between two records so far, ``limit_seconds`` the silence a person allows
    (0: what was learned decides).
    """

    agent_id: str
    name: str
    kind: str
    state: SourceHealth
    first_at: str
    last_at: str = ""
    longest_seconds: int = 0
    limit_seconds: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Hold an address whose events no unit's network holds: they are kept under the agent's own unit and counted."""

    agent_id: str
    zone: str
    address: str
    first_at: str
    last_at: str
    events: int


@dataclass(frozen=True, slots=True)
class NewCode:
    """Say what an enrolment code is for. ``also`` are further units that the key covers, ``name`` may be empty."""

    organization_id: str
    zone: str
    expires_at: str
    also: Sequence[str] = ()
    below: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """Hold an order as it stands; ``text`` is what the agent gets, ``result`` what it answered."""

    agent_id: str
    number: int
    kind: str
    state: OrderState
    issued_at: str
    expires_at: str
    text: str
    delivered_at: str = ""
    result: str = ""
    result_at: str = ""
