"""Notice what agents don't say: silence of an agent or a source, drops, wrong clocks, full disks.

A source has an expected rhythm: the longest pause between two records so far, three times over. In its first week only
a whole day of silence counts, since nights and week-ends are not known yet; a person may set a limit. That an agent is
looked after is a row of the table of jobs, so that a restart forgets nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import orjson
from sqlalchemy import Connection

from intake.agents import repository
from intake.agents.model import Agent, AgentState, Source, SourceHealth
from intake.health import Finding, Findings
from soc_core.clock import format_instant, parse_instant
from soc_core.jobs import jobs
from soc_core.model.event import Event, make_event_id, make_source_identity
from soc_core.state.database import Database
from soc_core.uplink.heartbeat import LATE, MOST_SOURCES, Heartbeat, SourceState

JOB: Final = "agents.watch"
LEASE: Final = timedelta(minutes=5)
AGAIN: Final = timedelta(days=1)
"""An agent that stays silent is spoken of once a day."""
AGENT_SILENT: Final = "agent_silent"
SOURCE_SILENT: Final = "source_silent"
SOURCE_FAILED: Final = "source_failed"
DROPS: Final = "agent_drops"
CLOCK: Final = "agent_clock"
DISK: Final = "agent_disk"
DATASET: Final = "edusoc.heartbeat"
STORE_EVERY: Final = timedelta(minutes=10)
WEEK: Final = timedelta(days=7)
DAY_SECONDS: Final = 86_400
LEAST_SECONDS: Final = 900
MOST_SECONDS: Final = 7 * DAY_SECONDS
TIMES: Final = 3
FADING: Final = 0.999
"""A pause that does not come again is forgotten: by half in about 700 heartbeats with records."""
MOST_SKEW_MS: Final = 60_000
LEAST_FREE_PERCENT: Final = 5
MOST_COUNTERS: Final = 500
OWN: Final = "agent"
"""The kind of what an agent says of itself: that it seldom has anything to say is no silence."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Hold what a heartbeat led to: the event to store (``None``: not yet again) and what is wrong."""

    event: Event | None
    findings: tuple[Finding, ...]


def begin(connection: Connection, agent_id: str, now: datetime) -> None:
    """Look after an agent from now on."""
    jobs.put(connection, JOB, agent_id, now + LATE)


def take_beat(connection: Connection, agent: Agent, beat: Heartbeat, skew_ms: int, now: datetime) -> Noticed:
    """Note a heartbeat in the caller's transaction."""
    known = {source.name: source for source in repository.list_sources(connection, [agent.id])}
    findings: list[Finding] = []
    for state in beat.sources:
        if state.name not in known and len(known) >= MOST_SOURCES:
            continue  # an agent that invents names must not fill the table
        source, wrong = _follow(agent, known.get(state.name), state, now, skew_ms)
        repository.put_source(connection, source)
        known[source.name] = source
        findings += wrong
    findings += _general(agent, beat, skew_ms)
    stored_at = str(agent.heartbeat.get("stored", ""))
    due = not stored_at or parse_instant(stored_at) + STORE_EVERY <= now
    summary = {**_summary(beat), "stored": format_instant(now) if due else stored_at}
    repository.set_seen(
        connection,
        agent.id,
        {
            "heartbeat": orjson.dumps(summary).decode(),
            "heartbeat_at": format_instant(now),
            "version": beat.version[:128] or agent.version,
            "platform": beat.platform[:128] or agent.platform,
        },
    )
    begin(connection, agent.id, now)
    return Noticed(_event(agent, beat, skew_ms, now) if due else None, tuple(findings))


def look(database: Database, findings: Findings, now: datetime) -> int:
    """Say which agents are silent; return how many jobs were due."""
    with database.write() as connection:
        due = jobs.lease(connection, JOB, now=now, length=LEASE)
        told: list[Finding] = []
        for job in due:
            agent = repository.get_agent(connection, job.key)
            if agent is None or agent.state is AgentState.REVOKED:
                jobs.finish(connection, [job])
                continue
            heard = parse_instant(agent.last_seen_at or agent.created_at)
            silent = now - heard >= LATE
            jobs.put(connection, JOB, job.key, now + AGAIN if silent else heard + LATE)
            if silent:
                seconds = int((now - heard).total_seconds())
                told.append(
                    _finding(agent, AGENT_SILENT, "nothing was heard of the agent", {"seconds": seconds})
                )
    for finding in told:
        findings.report(finding)
    return len(due)


def limit_of(source: Source, now: datetime) -> int:
    """Return after how many seconds of silence a source is spoken of."""
    if source.limit_seconds:
        return source.limit_seconds
    learned = source.longest_seconds * TIMES
    young = now - parse_instant(source.first_at) < WEEK
    return min(MOST_SECONDS, max(learned, DAY_SECONDS if young else LEAST_SECONDS))


def _follow(
    agent: Agent, known: Source | None, state: SourceState, now: datetime, skew_ms: int
) -> tuple[Source, list[Finding]]:
    """Return the source as it is now, and what is wrong that was not before."""
    at = format_instant(now)
    before = known or Source(agent.id, state.name, state.kind, SourceHealth.OK, first_at=at)
    longest = before.longest_seconds
    if state.last > before.last_at and before.last_at:
        pause = _seconds(before.last_at, state.last)
        longest = max(pause, int(longest * FADING))
    source = replace(
        before,
        kind=state.kind[:64],
        last_at=max(state.last, before.last_at),
        longest_seconds=min(longest, MOST_SECONDS),
        counters=state.counters,
        fault=state.fault,
    )
    silence = _seconds(
        source.last_at or source.first_at, format_instant(now + timedelta(milliseconds=skew_ms))
    )
    silent = silence >= limit_of(source, now) and state.kind != OWN
    health = SourceHealth.FAILED if state.fault else SourceHealth.SILENT if silent else SourceHealth.OK
    found: list[Finding] = []
    if health is not before.state and health is SourceHealth.SILENT:
        found.append(
            _finding(
                agent, SOURCE_SILENT, "the source brings nothing any more", {"seconds": silence}, state.name
            )
        )
    if health is not before.state and health is SourceHealth.FAILED:
        found.append(_finding(agent, SOURCE_FAILED, state.fault, {}, state.name))
    dropped = _grown(before.counters, state.counters, "dropped")
    if dropped and known is not None:
        reason = "the kernel dropped records before they could be read"
        found.append(_finding(agent, DROPS, reason, {"count": dropped}, state.name))
    return replace(source, state=health), found


def _general(agent: Agent, beat: Heartbeat, skew_ms: int) -> list[Finding]:
    found: list[Finding] = []
    if abs(skew_ms) > MOST_SKEW_MS:
        seconds = abs(skew_ms) // 1_000
        found.append(
            _finding(agent, CLOCK, "the agent's clock differs from the centre's", {"seconds": seconds})
        )
    if beat.disk_total and beat.disk_free * 100 < beat.disk_total * LEAST_FREE_PERCENT:
        percent = beat.disk_free * 100 // beat.disk_total
        found.append(_finding(agent, DISK, "the agent's disk is nearly full", {"percent": percent}))
    return found


def _finding(agent: Agent, action: str, reason: str, values: Mapping[str, int], source: str = "") -> Finding:
    return Finding(
        action=action,
        organization_id=agent.organization_id,
        subject=agent.id,
        zone=agent.zone,
        agent_name=agent.name,
        source=source,
        reason=reason,
        values=values,
    )


def _grown(before: Mapping[str, int], now: Mapping[str, int], name: str) -> int:
    """Return by how much a counter grew; one that is smaller began anew with the agent."""
    old, new = before.get(name, 0), now.get(name, 0)
    return new - old if new >= old else new


def _seconds(start: str, end: str) -> int:
    return max(0, int((parse_instant(end) - parse_instant(start)).total_seconds()))


def _summary(beat: Heartbeat) -> dict[str, object]:
    names = ("started", "waiting", "waiting_bytes", "oldest", "disk_free", "disk_total", "memory")
    return {**{name: getattr(beat, name) for name in names}, "shed": dict(beat.shed)}


def _event(agent: Agent, beat: Heartbeat, skew_ms: int, now: datetime) -> Event:
    """Return the heartbeat as an event."""
    at = format_instant(now)
    identity = make_source_identity(agent.organization_id, agent.zone, DATASET, agent.id.encode())
    event: Event = {
        "@timestamp": at,
        "event.id": make_event_id(at, identity, int(now.timestamp()), b""),
        "event.created": at,
        "event.kind": "metric",
        "event.category": ["host"],
        "event.type": ["info"],
        "event.dataset": DATASET,
        "event.module": "edusoc",
        "organization.id": agent.organization_id,
        "edusoc.zone": agent.zone,
        "agent.id": agent.id,
        "agent.name": agent.name,
        "agent.version": beat.version,
        "edusoc.health.waiting": beat.waiting,
        "edusoc.health.waiting_bytes": beat.waiting_bytes,
        "edusoc.health.disk_free": beat.disk_free,
        "edusoc.health.memory": beat.memory,
        "edusoc.health.clock_offset": skew_ms * 1_000_000,
        "edusoc.health.counters": _counters(beat)[:MOST_COUNTERS],
    }
    if beat.oldest:
        event["edusoc.health.oldest"] = beat.oldest
    return event


def _counters(beat: Heartbeat) -> list[str]:
    shed = [f"shed.{name}={count}" for name, count in sorted(beat.shed.items())]
    return shed + [
        f"{source.name}.{name}={count}"
        for source in beat.sources
        for name, count in sorted(source.counters.items())
    ]
