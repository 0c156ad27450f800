"""Put an agent into words that lists, pages and programs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from intake.agents.model import Agent, AgentState, Source, SourceHealth
from soc_core.clock import parse_instant
from soc_core.model.event import Scalar
from soc_core.uplink.heartbeat import LATE

OK: Final = "ok"
TROUBLED: Final = "troubled"
"""The agent is there, but one of its sources is not, or its clock or disk."""
SILENT: Final = "silent"
WAITING: Final = "waiting"
"""Enrolled, never heard of."""
REVOKED: Final = "revoked"
CONDITIONS: Final = (OK, TROUBLED, SILENT, WAITING, REVOKED)


def condition_of(agent: Agent, sources: Sequence[Source], now: datetime) -> str:
    """Return how an agent is, in one word."""
    if agent.state is AgentState.REVOKED:
        return REVOKED
    if not agent.last_seen_at:
        return WAITING
    if now - parse_instant(agent.last_seen_at) >= LATE:
        return SILENT
    return OK if all(source.state is SourceHealth.OK for source in sources) else TROUBLED


def lag_seconds(agent: Agent, now: datetime) -> int:
    """Return how old the oldest event is that waits at the agent to be sent, as far as we know; 0: nothing waits."""
    oldest = agent.heartbeat.get("oldest")
    if not isinstance(oldest, str) or not oldest:
        return 0
    return max(0, int((now - parse_instant(oldest)).total_seconds()))


def agent_row(agent: Agent, sources: Sequence[Source], now: datetime) -> dict[str, object]:
    """Return an agent as a program reads it; nothing secret is in it."""
    return {
        "id": agent.id,
        "name": agent.name,
        "organisation_id": agent.organization_id,
        "units": list(agent.units),
        "below": agent.below,
        "zone": agent.zone,
        "state": agent.state.value,
        "condition": condition_of(agent, sources, now),
        "created_at": agent.created_at,
        "revoked_at": agent.revoked_at,
        "last_seen_at": agent.last_seen_at,
        "last_address": agent.last_address,
        "version": agent.version,
        "platform": agent.platform,
        "clock_offset_ms": agent.clock_offset_ms,
        "lag_seconds": lag_seconds(agent, now),
        "waiting": _number(agent.heartbeat, "waiting"),
        "disk_free": _number(agent.heartbeat, "disk_free"),
        "disk_total": _number(agent.heartbeat, "disk_total"),
        "accepted": agent.accepted,
        "duplicates": agent.duplicates,
        "bad": agent.bad,
        "refused": agent.refused,
        "sources": [source_row(source) for source in sources],
    }


def source_row(source: Source) -> dict[str, object]:
    """Return a source as a program reads it."""
    return {
        "name": source.name,
        "kind": source.kind,
        "state": source.state.value,
        "last_at": source.last_at,
        "limit_seconds": source.limit_seconds,
        "counters": dict(source.counters),
        "fault": source.fault,
    }


def _number(found: Mapping[str, object], name: str) -> Scalar:
    value = found.get(name, 0)
    return value if isinstance(value, int) else 0
