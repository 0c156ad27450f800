"""Describe sealed segments, and how the catalogue's rows hold them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from soc_core.audit.chain import Plain
from soc_core.clock import parse_instant
from soc_core.fields import FIELDS
from soc_core.store.embedded.schema import SEQUENCE
from soc_core.store.embedded.tallies import insert_tallies
from soc_core.store.interface import SourceStatistics

FORMAT: Final = 2
"""Format of the segments that are written today."""
COLUMNS: Final = (
    "name, day, events, first, last, low, high, bytes, sha256, ids_sha256, columns, format, created"
)
_NAME: Final = re.compile(r"\d{8}-[0-9A-Za-z_-]{1,128}\.parquet")
_NUMBERS: Final = frozenset({"events", "low", "high", "bytes", "format"})


@dataclass(frozen=True, slots=True)
class Segment:
    """Describe a sealed segment: file name, day, number of events, first and last time, lowest and highest offset.

    ``columns`` are the fields present. ``sha256`` is of the Parquet file, ``ids_sha256`` of what lies beside it
    (``soc_core.store.embedded.sidecars``), which ``format`` tells: 1 of old stores, 2 today. ``created`` is when it
    was entered, in seconds since 1970.
    """

    name: str
    day: str
    events: int
    first: str
    last: str
    low: int
    high: int
    bytes: int
    sha256: str
    ids_sha256: str
    columns: frozenset[str]
    format: int = 2
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Damaged:
    """Name a damaged segment, its day, how many events can't be read, their first and last time, and what is wrong."""

    name: str
    day: str
    events: int
    first: str
    last: str
    what: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold what a question is answered from: the segments, and the log from ``sealed`` on.

    ``damaged`` ones are not among the segments: answers say that they are left out.
    """

    segments: tuple[Segment, ...]
    sealed: int
    damaged: tuple[Damaged, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Hold what one sealing changes: segments added with their statistics, names retired, the new sealed offset.

    ``kind`` and ``about`` go into the chain (``soc_core.store.embedded.chain``); without ``kind`` it is ``sealed``, or
    ``merged`` where the sealed offset stays.
    """

    added: Sequence[tuple[Segment, Sequence[SourceStatistics]]]
    retired: Sequence[str]
    sealed: int
    kind: str = ""
    about: Mapping[str, Plain] = field(default_factory=dict)


Sealing: TypeAlias = tuple[Segment, Sequence[SourceStatistics]]
"""A segment and its counts per unit and data set."""


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def segment_of_row(row: sqlite3.Row) -> Segment:
    """Return the segment a row of ``COLUMNS`` tells of; raise ``sqlite3.DatabaseError`` where it can't be one."""
    parts = dict(row)
    kinds = {**dict.fromkeys(parts, str), **dict.fromkeys(_NUMBERS, int), "created": float}
    sound = all(isinstance(parts[name], kind) for name, kind in kinds.items())
    sound = sound and _is_instant(parts["first"]) and _is_instant(parts["last"])
    if not sound or not _NAME.fullmatch(parts["name"]) or not parts["name"].startswith(parts["day"]):
        raise sqlite3.DatabaseError("a segment is written wrongly in it")  # what a damaged page can look like
    return Segment(**{**parts, "columns": _columns(parts["columns"])})


@lru_cache(maxsize=256)
def _columns(text: str) -> frozenset[str]:
    """Return the names of columns; segments of the same columns share one set."""
    return frozenset(name for name in text.split("\n") if name in FIELDS or name == SEQUENCE)


def insert_segment(
    connection: sqlite3.Connection, segment: Segment, statistics: Sequence[SourceStatistics]
) -> None:
    """Enter a segment and its counts, inside a transaction of the caller."""
    row = (
        segment.name, segment.day, segment.events, segment.first, segment.last, segment.low, segment.high,
        segment.bytes, segment.sha256, segment.ids_sha256, "\n".join(sorted(segment.columns)),
        segment.format, segment.created,
    )  # fmt: skip
    connection.execute(f"INSERT INTO segments ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608 constant
    insert_tallies(connection, segment.name, statistics)
