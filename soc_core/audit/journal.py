"""Keep who changed what in the operational database, chained, in the transaction of the change itself.

Each stream is one chain (``chain.py``). Its newest number is also its revision: who keeps a copy of what the stream
tells of asks for the number alone to see whether anything changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import Column, Connection, String, Table, Text, func, insert, select

from soc_core.audit.chain import Head, Link, Plain, beginning, link
from soc_core.state.database import Number, metadata

links = Table(
    "audit_links",
    metadata,
    Column("stream", String(32), primary_key=True),
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("at", String(27), nullable=False),
    Column("algorithm", String(16), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String(128), nullable=False),
    Column("hash", String(128), nullable=False),
)


def record(
    connection: Connection, stream: str, kind: str, body: Mapping[str, Plain], *, now: datetime
) -> Link:
    """Append what happened to a stream in the caller's transaction; writers wait for each other, so numbers are whole.

    ``body`` names the actor and the reason; raises ``UsageError`` when it holds floats.
    """
    made = link(head_of(connection, stream), kind, body, now)
    values = {name: getattr(made, name) for name in Link.__slots__}
    connection.execute(insert(links).values(values))
    return made


def head_of(connection: Connection, stream: str) -> Head:
    """Return the newest link's head; its number is 0 when nothing was recorded yet."""
    question = select(links).where(links.c.stream == stream).order_by(links.c.number.desc()).limit(1)
    row = connection.execute(question).first()
    return beginning(stream) if row is None else Link(**row._mapping).head


def revision_of(connection: Connection, stream: str) -> int:
    """Return the number of the newest link, 0 when there is none."""
    return connection.scalar(select(func.max(links.c.number)).where(links.c.stream == stream)) or 0


def read_links(connection: Connection, stream: str) -> Iterator[Link]:
    """Yield a stream's links, first to last."""
    question = select(links).where(links.c.stream == stream).order_by(links.c.number)
    for row in connection.execute(question):
        yield Link(**row._mapping)


def latest_links(
    connection: Connection, stream: str, *, before: int | None = None, limit: int = 50
) -> list[Link]:
    """Return the newest links before the number ``before``, newest first."""
    question = select(links).where(links.c.stream == stream)
    if before is not None:
        question = question.where(links.c.number < before)
    return [
        Link(**row._mapping)
        for row in connection.execute(question.order_by(links.c.number.desc()).limit(limit))
    ]
