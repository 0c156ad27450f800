"""Keep records aside that could not be read or stored, with reason and place: nothing is dropped silently."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, insert, select

from intake.tables import quarantine
from soc_core.model.event import BadRecord

LONGEST_SOURCE_BYTES: Final = 1_500
MOST_BYTES: Final = 4_096


def keep_aside(connection: Connection, records: Iterable[BadRecord], organization_id: str, at: str) -> None:
    """Keep bad records (their first bytes); one that is known stays as it was. The caller bounds how many."""
    for bad in records:
        key = {"source": _ending(storable(bad.source)), "position": bad.position, "reason": bad.reason[:255]}
        known = select(quarantine.c.position).where(
            *(quarantine.c[name] == value for name, value in key.items())
        )
        if connection.execute(known).first() is None:
            rest = {
                "line": bad.line,
                "raw": bad.raw[:MOST_BYTES],
                "organization_id": organization_id,
                "at": at,
            }
            connection.execute(insert(quarantine).values(**key, **rest))


def storable(name: str) -> str:
    r"""Return a file's name as text a database takes: bytes that are no UTF-8 become ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _ending(name: str) -> str:
    """Return the end of a file's name, as much as an index of PostgreSQL holds beside the rest of the key."""
    return name.encode()[-LONGEST_SOURCE_BYTES:].decode(errors="ignore")
