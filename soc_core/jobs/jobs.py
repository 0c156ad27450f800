"""Keep work to be done as rows: what, when due, who holds it.

A job is named by (kind, key): adding it again while it waits changes nothing but may bring it forward. A job is
leased for a time; when the holder dies the lease runs out and another takes it, so work is done at least once and
must be harmless to repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Integer, String, Table, delete, insert, select, update

from soc_core.clock import format_instant
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


@dataclass(frozen=True, slots=True)
class Job:
    """Name one leased job; ``generation`` tells whether it was added again while it was worked on."""

    kind: str
    key: str
    attempts: int
    generation: int


def add(connection: Connection, kind: str, keys: Iterable[str], due: datetime) -> None:
    """Add jobs due at ``due``; those that wait already get a new generation, so that work in progress is repeated."""
    at = format_instant(due)
    for key in keys:
        bumped = connection.execute(
            update(jobs)
            .where(jobs.c.kind == kind, jobs.c.key == key)
            .values(generation=jobs.c.generation + 1)
        )
        if not bumped.rowcount:
            connection.execute(
                insert(jobs).values(kind=kind, key=key, due_at=at, leased_until="", attempts=0, generation=0)
            )


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
    for job in taken:
        connection.execute(
            update(jobs)
            .where(jobs.c.kind == kind, jobs.c.key == job.key)
            .values(leased_until=format_instant(now + length), attempts=job.attempts)
        )
    return taken


def finish(connection: Connection, done: Sequence[Job]) -> None:
    """Remove jobs that are done; one that was added again meanwhile is released instead, to be done once more."""
    for job in done:
        same = (jobs.c.kind == job.kind, jobs.c.key == job.key)
        removed = connection.execute(delete(jobs).where(*same, jobs.c.generation == job.generation))
        if not removed.rowcount:
            connection.execute(update(jobs).where(*same).values(leased_until="", attempts=0))


def waiting(connection: Connection, kind: str) -> list[str]:
    """Return the keys of all jobs of ``kind``, due or not, ordered."""
    return list(connection.scalars(select(jobs.c.key).where(jobs.c.kind == kind).order_by(jobs.c.key)))


def release(connection: Connection, kind: str) -> None:
    """Give back all leases of ``kind``: for a holder that knows it is alone, after its predecessor died."""
    connection.execute(update(jobs).where(jobs.c.kind == kind).values(leased_until=""))
