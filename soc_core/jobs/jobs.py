"""Keep work to be done as rows: what, when due, who holds it.

A job is named by (kind, key): adding it again while it waits changes nothing but may bring it forward. A job is
leased for a time; when the holder dies the lease runs out and another takes it, so work is done at least once and
must be harmless to repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Column, Connection, Integer, String, Table, bindparam, delete, select, text, update

from soc_core.clock import format_instant, parse_instant
from soc_core.state.database import metadata

jobs = Table(
    "jobs",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("due_at", String(27), nullable=False, index=True),
    Column("leased_until", String(27), nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("generation", Integer, nullable=False, default=0),
)

_ADD: Final = text(
    "INSERT INTO jobs (kind, key, due_at, leased_until, attempts, generation) "
    "VALUES (:kind, :key, :due_at, '', 0, 0) "
    "ON CONFLICT (kind, key) DO UPDATE SET generation = jobs.generation + 1"
)
"""SQLite and PostgreSQL both understand it."""


@dataclass(frozen=True, slots=True)
class Job:
    """Name one leased job; ``generation`` tells whether it was added again while it was worked on."""

    kind: str
    key: str
    attempts: int
    generation: int


def add(connection: Connection, kind: str, keys: Iterable[str], due: datetime) -> None:
    """Add jobs due at ``due``; those that wait already get a new generation, so that work in progress is repeated."""
    rows = [{"kind": kind, "key": key, "due_at": format_instant(due)} for key in keys]
    if rows:
        # One statement for all: thousands of windows are marked in the transaction that also moves the cursor, and
        # while it lasts nobody else can write.
        connection.execute(_ADD, rows)


def lease(
    connection: Connection, kind: str, *, now: datetime, length: timedelta, limit: int = 100
) -> list[Job]:
    """Take up to ``limit`` due jobs that nobody holds, in order of their keys."""
    at = format_instant(now)
    rows = connection.execute(
        select(jobs.c.key, jobs.c.attempts, jobs.c.generation)
        .where(jobs.c.kind == kind, jobs.c.due_at <= at, jobs.c.leased_until <= at)
        .order_by(jobs.c.key)
        .limit(limit)
    ).all()
    taken = [Job(kind, row.key, row.attempts + 1, row.generation) for row in rows]
    if taken:
        held = update(jobs).where(jobs.c.kind == bindparam("of_kind"), jobs.c.key == bindparam("of_key"))
        held = held.values(leased_until=format_instant(now + length), attempts=bindparam("tried"))
        parameters = [{"of_kind": kind, "of_key": job.key, "tried": job.attempts} for job in taken]
        connection.execute(held, parameters)
    return taken


def finish(connection: Connection, done: Sequence[Job]) -> None:
    """Remove jobs that are done; one that was added again meanwhile is released instead, to be done once more."""
    if not done:
        return
    same = (jobs.c.kind == bindparam("of_kind"), jobs.c.key == bindparam("of_key"))
    parameters = [{"of_kind": job.kind, "of_key": job.key, "seen": job.generation} for job in done]
    connection.execute(delete(jobs).where(*same, jobs.c.generation == bindparam("seen")), parameters)
    left = [{"of_kind": job.kind, "of_key": job.key} for job in done]
    connection.execute(update(jobs).where(*same).values(leased_until="", attempts=0), left)


def due_of(connection: Connection, kind: str, key: str) -> datetime | None:
    """Return when a job is due, ``None`` when there is none of the name."""
    found = connection.scalar(select(jobs.c.due_at).where(jobs.c.kind == kind, jobs.c.key == key))
    return None if found is None else parse_instant(found)


def put(connection: Connection, kind: str, key: str, due: datetime) -> None:
    """Make a job due at ``due``, whatever it was before; who holds it loses it."""
    connection.execute(delete(jobs).where(jobs.c.kind == kind, jobs.c.key == key))
    add(connection, kind, [key], due)


def waiting(connection: Connection, kind: str) -> list[str]:
    """Return the keys of all jobs of ``kind``, due or not, ordered."""
    return list(connection.scalars(select(jobs.c.key).where(jobs.c.kind == kind).order_by(jobs.c.key)))


def release(connection: Connection, kind: str) -> None:
    """Give back all leases of ``kind``: for a holder that knows it is alone, after its predecessor died."""
    connection.execute(update(jobs).where(jobs.c.kind == kind).values(leased_until=""))
