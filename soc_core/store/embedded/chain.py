"""Chain what happens to segments: each change of the catalogue is a link, written in the same transaction.

Kinds: ``genesis`` (what was there when the chain began), ``sealed``, ``merged``, ``compacted``, ``removed`` (which data
sets, how many events of which sources), ``repaired``, ``accepted`` (losses that answers no longer mention). Bodies list
segments ``added`` and ``retired`` with their checksums, so that the segments that must be there follow from the chain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from soc_core.audit.chain import Head, Link, Plain, beginning, link

STREAM: Final = "segments"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS links (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, algorithm TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL
);
"""
_COLUMNS: Final = "number, at, algorithm, kind, body, previous, hash"


@dataclass(frozen=True, slots=True)
class Named:
    """Name a segment in a link: file, day, number of events and the checksum of the file."""

    name: str
    day: str
    events: int
    sha256: str


def read_head(connection: sqlite3.Connection) -> Head:
    """Return the head of the chain."""
    row = connection.execute(
        "SELECT number, at, algorithm, hash FROM links ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return Head(STREAM, *row) if row else beginning(STREAM)


def append_link(connection: sqlite3.Connection, kind: str, body: Mapping[str, Plain], at: datetime) -> None:
    """Append a link inside a transaction of the caller; an empty chain first gets its genesis."""
    head = read_head(connection)
    if not head.number:
        there = connection.execute(
            "SELECT name, day, events, sha256 FROM segments WHERE retired IS NULL ORDER BY day, low"
        )
        genesis = link(head, "genesis", {"added": listed(Named(*row) for row in there), "retired": []}, at)
        _insert(connection, genesis)
        head = genesis.head
    if kind != "genesis":
        _insert(connection, link(head, kind, body, at))


def _insert(connection: sqlite3.Connection, item: Link) -> None:
    row = (item.number, item.at, item.algorithm, item.kind, item.body, item.previous, item.hash)
    connection.execute(f"INSERT INTO links ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)", row)  # noqa: S608 constant


def adopt_links(connection: sqlite3.Connection, links: Iterable[Link]) -> None:
    """Begin an empty chain with the links of another catalogue."""
    for item in links:
        _insert(connection, item)


def listed(segments: Iterable[Named]) -> list[Plain]:
    """Return segments as a link's body holds them."""
    return [{"name": s.name, "day": s.day, "events": s.events, "sha256": s.sha256} for s in segments]


def read_links(connection: sqlite3.Connection) -> Iterator[Link]:
    """Yield all links, first to last."""
    for row in connection.execute(f"SELECT {_COLUMNS} FROM links ORDER BY number"):  # noqa: S608 constant
        yield Link(STREAM, *row)


def segments_by_chain(links: Iterable[Link]) -> dict[str, Named]:
    """Return the segments that must be there by what the links say; bodies that make no sense are passed over."""
    there: dict[str, Named] = {}
    for item in links:
        try:
            body = orjson.loads(item.body)
            for name in body.get("retired", ()):
                there.pop(name["name"], None)
            for added in body.get("added", ()):
                there[added["name"]] = Named(added["name"], added["day"], added["events"], added["sha256"])
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # the chain's own check names it: the hash of such a link can't be right
    return there


def sealed_by_chain(links: Iterable[Link]) -> int | None:
    """Return the sealed offset that the last link which has one says; ``None`` when none does."""
    sealed = None
    for item in links:
        try:
            found = orjson.loads(item.body).get("sealed", sealed)
        except (ValueError, AttributeError):
            continue
        sealed = found if isinstance(found, int) else sealed
    return sealed
