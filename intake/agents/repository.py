"""Read and write agents: all questions to their tables are here."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Connection, RowMapping, case, delete, func, insert, select, update

from intake.agents.model import Agent, AgentState, Epoch, Gap, NewCode, Sender, Source, SourceHealth
from intake.agents.tables import agents, codes, epochs, gaps, senders, sources, units
from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.state.among import among
from soc_core.store.interface import Scope

MOST_EPOCHS: Final = 50
"""An agent's older lives are forgotten: what they resend is known by the events' ids."""
MOST_GAPS: Final = 1_000
MOST_SENDERS: Final = 5_000
_MULTI: Final = frozenset({"units", "heartbeat", "state"})


def new_agent_id() -> str:
    """Return a fresh agent id."""
    return "g" + secrets.token_hex(8)


def add_code(connection: Connection, secret_hash: str, code: NewCode, *, now: datetime) -> None:
    """Keep a new enrolment code by the hash of its secret."""
    connection.execute(
        insert(codes).values(
            hash=secret_hash,
            name=code.name,
            organization_id=code.organization_id,
            also=orjson.dumps(list(code.also)).decode(),
            below=code.below,
            zone=code.zone,
            created_at=format_instant(now),
            expires_at=code.expires_at,
        )
    )


def enrol(connection: Connection, secret_hash: str, agent: Agent, *, now: datetime) -> Agent | None:
    """Use a code for the agent (its key, name, version and platform); ``None`` when the code is not good any more.

    Repeating it with the same key gives the same agent: the answer may have been lost on its way.
    """
    at = format_instant(now)
    row = connection.execute(select(codes).where(codes.c.hash == secret_hash)).first()
    if row is None or row.expires_at <= at:
        return None
    if row.agent_id:
        known = get_agent(connection, row.agent_id)
        return known if known is not None and known.public_key == agent.public_key else None
    values = {
        "id": new_agent_id(),
        "name": row.name or agent.name,
        "organization_id": row.organization_id,
        "zone": row.zone,
        "below": row.below,
        "public_key": agent.public_key,
        "state": AgentState.ENROLLED.value,
        "created_at": at,
        "version": agent.version,
        "platform": agent.platform,
    }
    connection.execute(insert(agents).values(values))
    also = dict.fromkeys([row.organization_id, *orjson.loads(row.also)])
    connection.execute(insert(units), [{"agent_id": values["id"], "organization_id": unit} for unit in also])
    used = update(codes).where(codes.c.hash == secret_hash)
    connection.execute(used.values(used_at=at, agent_id=values["id"]))
    return get_agent(connection, str(values["id"]))


def put_local(connection: Connection, agent: Agent, *, now: datetime) -> None:
    """Create the agent without a key that stands for a centre's own inputs, or bring it up to date."""
    values = {
        "name": agent.name,
        "organization_id": agent.organization_id,
        "zone": agent.zone,
        "below": agent.below,
        "state": AgentState.LOCAL.value,
        "revoked_at": "",
        "version": agent.version,
        "platform": agent.platform,
    }
    if not connection.execute(update(agents).where(agents.c.id == agent.id).values(values)).rowcount:
        fresh = {"id": agent.id, "public_key": "", "created_at": format_instant(now), **values}
        connection.execute(insert(agents).values(fresh))
    connection.execute(delete(units).where(units.c.agent_id == agent.id))
    connection.execute(insert(units).values(agent_id=agent.id, organization_id=agent.organization_id))


def forget_codes(connection: Connection, *, now: datetime) -> None:
    """Remove codes that expired."""
    connection.execute(delete(codes).where(codes.c.expires_at <= format_instant(now)))


def get_agent(connection: Connection, agent_id: str) -> Agent | None:
    """Return an agent, ``None`` when there is none."""
    row = connection.execute(select(agents).where(agents.c.id == agent_id)).first()
    if row is None:
        return None
    covered = select(units.c.organization_id).where(units.c.agent_id == agent_id)
    return _agent(row._mapping, sorted(connection.scalars(covered)))


def need_agent(connection: Connection, name: str) -> Agent:
    """Return the agent of an id or a name. Raises ``UsageError`` when there is none, or several of the name."""
    found = get_agent(connection, name)
    if found is not None:
        return found
    ids = list(connection.scalars(select(agents.c.id).where(agents.c.name == name).limit(2)))
    if len(ids) != 1:
        what = f"no agent is called '{name}'" if not ids else f"several agents are called '{name}'"
        raise UsageError(what, todo="see: edusoc agents list")
    agent = get_agent(connection, ids[0])
    assert agent is not None  # noqa: S101 - read in the same transaction
    return agent


def list_agents(connection: Connection, scope: Scope) -> list[Agent]:
    """Return the agents whose own unit lies in ``scope``, ordered by unit, name and id."""
    question = select(agents).order_by(agents.c.organization_id, agents.c.name, agents.c.id)
    if scope.ids is not None:
        question = question.where(among(connection, agents.c.organization_id, scope.ids))
    rows = connection.execute(question).all()
    covered: dict[str, list[str]] = {}
    for row in connection.execute(select(units).order_by(units.c.organization_id)):
        covered.setdefault(row.agent_id, []).append(row.organization_id)
    return [_agent(row._mapping, covered.get(row.id, [])) for row in rows]


def revoke(connection: Connection, agent_id: str, *, now: datetime) -> bool:
    """Stop taking an agent's key, or looking after a centre's own inputs; return whether that was done before."""
    question = update(agents).where(agents.c.id == agent_id, agents.c.state != AgentState.REVOKED.value)
    changed = question.values(state=AgentState.REVOKED.value, revoked_at=format_instant(now))
    return bool(connection.execute(changed).rowcount)


def set_quota(connection: Connection, agent_id: str, events_per_second: int, bytes_per_day: int) -> None:
    """Set what an agent may send; 0 stands for the installation's usual quota."""
    changed = update(agents).where(agents.c.id == agent_id)
    connection.execute(changed.values(events_per_second=events_per_second, bytes_per_day=bytes_per_day))


def use_number(connection: Connection, agent_id: str, number: int) -> bool:
    """Use up a request's number; return whether it was above the last one and the agent is not revoked."""
    free = update(agents).where(
        agents.c.id == agent_id,
        agents.c.last_number < number,
        agents.c.state == AgentState.ENROLLED.value,
    )
    return bool(connection.execute(free.values(last_number=number)).rowcount)


def set_seen(connection: Connection, agent_id: str, values: Mapping[str, object], **amounts: int) -> None:
    """Set what was seen of an agent: columns by name, such as ``heartbeat``; add ``amounts`` to its counters."""
    added = {name: agents.c[name] + amount for name, amount in amounts.items() if amount}
    connection.execute(update(agents).where(agents.c.id == agent_id).values({**values, **added}))


def count(connection: Connection, agent_id: str, **amounts: int) -> None:
    """Add to an agent's counters ``accepted``, ``duplicates``, ``bad``, ``refused``."""
    added = {name: agents.c[name] + amount for name, amount in amounts.items() if amount}
    if added:
        connection.execute(update(agents).where(agents.c.id == agent_id).values(added))


def mark_of(connection: Connection, agent_id: str, epoch: str) -> int | None:
    """Return the offset below which everything of an epoch is durable; ``None`` for an epoch not seen before."""
    return connection.scalar(
        select(epochs.c.mark).where(epochs.c.agent_id == agent_id, epochs.c.epoch == epoch)
    )


def set_mark(connection: Connection, agent_id: str, epoch: str, mark: int, *, now: datetime) -> None:
    """Remember the offset below which everything of an epoch is durable; it never goes back."""
    at = format_instant(now)
    higher = case((epochs.c.mark < mark, mark), else_=epochs.c.mark)
    same = update(epochs).where(epochs.c.agent_id == agent_id, epochs.c.epoch == epoch)
    if connection.execute(same.values(last_at=at, mark=higher)).rowcount:
        return
    values = {"agent_id": agent_id, "epoch": epoch, "mark": mark, "first_at": at, "last_at": at}
    connection.execute(insert(epochs).values(values))
    _forget_epochs(connection, agent_id)


def _forget_epochs(connection: Connection, agent_id: str) -> None:
    known = select(epochs.c.epoch).where(epochs.c.agent_id == agent_id)
    old = list(
        connection.scalars(known.order_by(epochs.c.last_at.desc(), epochs.c.epoch).offset(MOST_EPOCHS))
    )
    if old:
        connection.execute(delete(epochs).where(epochs.c.agent_id == agent_id, epochs.c.epoch.in_(old)))


def list_epochs(connection: Connection, agent_id: str) -> list[Epoch]:
    """Return the lives of an agent's log, newest first."""
    question = select(epochs).where(epochs.c.agent_id == agent_id)
    rows = connection.execute(question.order_by(epochs.c.last_at.desc(), epochs.c.epoch))
    return [Epoch(row.epoch, row.mark, row.first_at, row.last_at) for row in rows]


def add_gaps(connection: Connection, agent_id: str, found: Iterable[Gap]) -> None:
    """Keep gaps, as many as there is room for; known ones stay as they are."""
    found = list(found)
    if not found:
        return
    known = connection.execute(select(gaps.c.epoch, gaps.c.start).where(gaps.c.agent_id == agent_id)).all()
    held = {(row.epoch, row.start) for row in known}
    rows = [
        {"agent_id": agent_id, "epoch": gap.epoch, "start": gap.start, "end": gap.end, "at": gap.at}
        for gap in found
        if (gap.epoch, gap.start) not in held
    ]
    rows = rows[: max(0, MOST_GAPS - len(held))]
    if rows:
        connection.execute(insert(gaps), rows)


def list_gaps(connection: Connection, agent_id: str, limit: int = 100) -> list[Gap]:
    """Return the newest gaps of an agent."""
    question = select(gaps).where(gaps.c.agent_id == agent_id).order_by(gaps.c.at.desc(), gaps.c.start.desc())
    return [Gap(row.epoch, row.start, row.end, row.at) for row in connection.execute(question.limit(limit))]


def lost_offsets(connection: Connection, agent_id: str) -> int:
    """Return how many offsets the gaps of an agent hold."""
    question = select(func.sum(gaps.c.end - gaps.c.start)).where(gaps.c.agent_id == agent_id)
    return int(connection.scalar(question) or 0)


def list_sources(connection: Connection, agent_ids: Iterable[str]) -> list[Source]:
    """Return the sources of agents, ordered by agent and name."""
    question = select(sources).where(among(connection, sources.c.agent_id, list(agent_ids)))
    rows = connection.execute(question.order_by(sources.c.agent_id, sources.c.source))
    return [
        Source(
            agent_id=row.agent_id,
            name=row.source,
            kind=row.kind,
            state=SourceHealth(row.state),
            first_at=row.first_at,
            last_at=row.last_at,
            longest_seconds=row.longest_seconds,
            limit_seconds=row.limit_seconds,
            counters=orjson.loads(row.counters),
            fault=row.fault,
        )
        for row in rows
    ]


def put_source(connection: Connection, source: Source) -> None:
    """Create a source or bring it up to date; the limit a person set stays."""
    values = {
        "kind": source.kind,
        "state": source.state.value,
        "last_at": source.last_at,
        "longest_seconds": source.longest_seconds,
        "counters": orjson.dumps(dict(source.counters)).decode(),
        "fault": source.fault,
    }
    same = (sources.c.agent_id == source.agent_id, sources.c.source == source.name)
    if not connection.execute(update(sources).where(*same).values(values)).rowcount:
        new = {"agent_id": source.agent_id, "source": source.name, "first_at": source.first_at, **values}
        connection.execute(insert(sources).values(new))


def set_limit(connection: Connection, agent_id: str, source: str, seconds: int) -> None:
    """Set how long a source may be silent (0: as learned); raise ``UsageError`` when there is no such source."""
    same = (sources.c.agent_id == agent_id, sources.c.source == source)
    if not connection.execute(update(sources).where(*same).values(limit_seconds=seconds)).rowcount:
        raise UsageError(f"the agent has no source '{source}'", todo="see: edusoc agents show AGENT")


def count_senders(
    connection: Connection, agent_id: str, found: Mapping[tuple[str, str], int], *, now: datetime
) -> None:
    """Add events of unknown senders (zone, address) to the list, as far as there is room."""
    at = format_instant(now)
    for (zone, address), events in sorted(found.items()):
        same = (senders.c.agent_id == agent_id, senders.c.zone == zone, senders.c.address == address)
        added = update(senders).where(*same).values(events=senders.c.events + events, last_at=at)
        if connection.execute(added).rowcount:
            continue
        held = connection.scalar(select(func.count()).where(senders.c.agent_id == agent_id)) or 0
        if held < MOST_SENDERS:
            row = {"agent_id": agent_id, "zone": zone, "address": address, "events": events}
            connection.execute(insert(senders).values({**row, "first_at": at, "last_at": at}))


def list_senders(connection: Connection, agent_ids: Iterable[str], limit: int = 1_000) -> list[Sender]:
    """Return unknown senders of agents, those with most events first."""
    question = select(senders).where(among(connection, senders.c.agent_id, list(agent_ids)))
    order = (senders.c.events.desc(), senders.c.agent_id, senders.c.zone, senders.c.address)
    rows = connection.execute(question.order_by(*order).limit(limit))
    return [
        Sender(row.agent_id, row.zone, row.address, row.first_at, row.last_at, row.events) for row in rows
    ]


def forget_sender(connection: Connection, agent_id: str, zone: str, address: str) -> None:
    """Take a sender off the list: somebody said whose it is."""
    same = (senders.c.agent_id == agent_id, senders.c.zone == zone, senders.c.address == address)
    connection.execute(delete(senders).where(*same))


def _agent(row: RowMapping, covered: list[str]) -> Agent:
    plain = {str(name): value for name, value in row.items() if name not in _MULTI}
    return Agent(
        **plain,
        state=AgentState(row["state"]),
        units=covered,
        heartbeat=orjson.loads(row["heartbeat"]),
    )
