"""Keep every outgoing change as a row in the same transaction as the change itself.

Live pages, notifications and the parent centre read the outbox in order of ``sequence``. On SQLite one writer holds
the write lock at a time, so sequences commit in order and a reader never misses one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Column, Connection, String, Table, Text, func, insert, select

from soc_core.clock import format_instant
from soc_core.model.event import Scalar
from soc_core.state.among import among
from soc_core.state.database import Number, metadata
from soc_core.store.interface import Scope

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", Number, primary_key=True, autoincrement=True),
    Column("topic", String(64), nullable=False),
    Column("organization_id", String(32), nullable=False, index=True),
    Column("payload", Text, nullable=False),
    Column("created_at", String(27), nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one outgoing change: ``topic`` such as ``alert.created``, and a small flat payload (ids, not content)."""

    sequence: int
    topic: str
    organization_id: str
    payload: Mapping[str, Scalar]
    created_at: str


Outgoing = tuple[str, str, Mapping[str, Scalar]]
"""What to publish: topic, unit, payload."""


def publish(
    connection: Connection, topic: str, organization_id: str, payload: Mapping[str, Scalar], *, now: datetime
) -> None:
    """Add a change to the caller's transaction."""
    publish_all(connection, [(topic, organization_id, payload)], now=now)


def publish_all(connection: Connection, changes: Iterable[Outgoing], *, now: datetime) -> None:
    """Add changes to the caller's transaction, in their order, by one statement."""
    at = format_instant(now)
    rows = [
        {
            "topic": topic,
            "organization_id": unit,
            "payload": orjson.dumps(dict(payload)).decode(),
            "created_at": at,
        }
        for topic, unit, payload in changes
    ]
    if rows:
        connection.execute(insert(outbox), rows)


def after(connection: Connection, sequence: int, scope: Scope, *, limit: int = 500) -> Sequence[Change]:
    """Return the changes after ``sequence`` that ``scope`` may see, in order."""
    question = select(outbox).where(outbox.c.sequence > sequence).order_by(outbox.c.sequence).limit(limit)
    if scope.ids is not None:
        question = question.where(among(connection, outbox.c.organization_id, scope.ids))
    return [
        Change(row.sequence, row.topic, row.organization_id, orjson.loads(row.payload), row.created_at)
        for row in connection.execute(question)
    ]


def last_sequence(connection: Connection) -> int:
    """Return the newest sequence, 0 when there is none."""
    return connection.scalar(select(func.coalesce(func.max(outbox.c.sequence), 0))) or 0
