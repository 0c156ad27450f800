"""Remember the answers to creating requests, so that a repeated one creates nothing twice.

A client sends ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header); the answer is kept for a day in the same
transaction as what it created. The same key with another request is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.state.database import metadata

KEPT: Final = timedelta(days=1)

answers = Table(
    "remembered_answers",
    metadata,
    Column("user_name", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", String(27), nullable=False, index=True),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold who sends which key with which request (method, path and body)."""

    user_name: str
    key: str
    request: bytes

    @property
    def digest(self) -> str:
        """Return what tells one request from another."""
        return hashlib.sha256(self.request).hexdigest()


def recall(connection: Connection, asked: Asked, *, now: datetime) -> str | None:
    """Return the answer kept under the key; raise ``UsageError`` when the key belongs to another request."""
    connection.execute(delete(answers).where(answers.c.created_at < format_instant(now - KEPT)))
    question = select(answers).where(answers.c.user_name == asked.user_name, answers.c.key == asked.key)
    row = connection.execute(question).first()
    if row is None:
        return None
    if row.request != asked.digest:
        raise UsageError("this Idempotency-Key was used for another request", todo="send a fresh key")
    return str(row.answer)


def keep(connection: Connection, asked: Asked, answer: str, *, now: datetime) -> None:
    """Keep an answer in the caller's transaction."""
    connection.execute(
        insert(answers).values(
            user_name=asked.user_name,
            key=asked.key,
            request=asked.digest,
            answer=answer,
            created_at=format_instant(now),
        )
    )
