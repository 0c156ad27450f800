"""Keep in the catalogue how many events of which units and data sets each segment has, and from when to when.

A segment of a county has some hundred of them, so names are numbers here (table ``words``) and times microseconds
since 1970: as texts they took five times the room, 10 B an event. The functions take a connection, within whose
transaction they work.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from soc_core.clock import epoch_us, format_epoch_us, parse_instant
from soc_core.store.interface import SourceDay, SourceStatistics

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS words (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS tallies (
    segment INTEGER NOT NULL, organization INTEGER NOT NULL, dataset INTEGER NOT NULL, events INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (segment, organization, dataset)
) WITHOUT ROWID;
"""
_NAMED: Final = "JOIN words AS o ON o.number = organization JOIN words AS d ON d.number = dataset"
_SUMS: Final = "organization, dataset, sum(events) AS events, min(first) AS first, max(last) AS last"


def adopt_statistics(connection: sqlite3.Connection) -> None:
    """Take over what version 2 of the catalogue kept as texts."""
    old = connection.execute("SELECT name FROM sqlite_master WHERE name = 'statistics'").fetchone()
    if old is None:
        return
    names = [row[0] for row in connection.execute("SELECT DISTINCT segment FROM statistics")]
    for name in names:
        rows = connection.execute(
            "SELECT organization_id, dataset, events, first, last FROM statistics WHERE segment = ?", (name,)
        ).fetchall()
        insert_tallies(connection, name, [SourceStatistics(*row) for row in rows])
    connection.execute("DROP TABLE statistics")


def insert_tallies(
    connection: sqlite3.Connection, segment: str, statistics: Sequence[SourceStatistics]
) -> None:
    """Enter the counts of a segment."""
    texts = {segment, *(s.organization_id for s in statistics), *(s.dataset for s in statistics)}
    numbers = {text: _number(connection, text) for text in texts}
    connection.executemany(
        "INSERT INTO tallies VALUES (?,?,?,?,?,?)",
        [
            (
                numbers[segment],
                numbers[s.organization_id],
                numbers[s.dataset],
                s.events,
                _instant(s.first),
                _instant(s.last),
            )
            for s in statistics
        ],
    )


def _number(connection: sqlite3.Connection, text: str) -> int:
    found = connection.execute("SELECT number FROM words WHERE text = ?", (text,)).fetchone()
    if found is None:
        return int(connection.execute("INSERT INTO words (text) VALUES (?)", (text,)).lastrowid or 0)
    return int(found[0])


def _instant(text: str) -> int:
    return epoch_us(parse_instant(text))


def delete_tallies(connection: sqlite3.Connection, segment: str) -> None:
    """Remove the counts of a segment that is retired."""
    connection.execute(
        "DELETE FROM tallies WHERE segment = (SELECT number FROM words WHERE text = ?)", (segment,)
    )
    connection.execute("DELETE FROM words WHERE text = ?", (segment,))


def sum_tallies(
    connection: sqlite3.Connection, segments: Collection[str] | None = None
) -> list[SourceStatistics]:
    """Return counts per unit and data set of all or of some segments."""
    chosen = "segment IN (SELECT number FROM words WHERE text IN (SELECT value FROM json_each(?)))"
    rows = connection.execute(
        f"SELECT o.text, d.text, events, first, last FROM (SELECT {_SUMS} FROM tallies "  # noqa: S608 constants
        f"WHERE ? IS NULL OR {chosen} GROUP BY 1, 2) {_NAMED} ORDER BY 1, 2",
        (named := None if segments is None else json.dumps(sorted(segments)), named),
    )
    return [
        SourceStatistics(organization, dataset, events, _time(first), _time(last))
        for organization, dataset, events, first, last in _sound(rows, (str, str, int, int, int))
    ]


def sum_days(connection: sqlite3.Connection) -> list[SourceDay]:
    """Return counts per unit, data set and day of all segments."""
    rows = connection.execute(
        "SELECT o.text, d.text, day, sum(n) FROM (SELECT segment, organization, dataset, events AS n FROM tallies) "  # noqa: S608 constant
        f"JOIN words AS s ON s.number = segment JOIN segments ON name = s.text {_NAMED} GROUP BY 1, 2, 3"
    )
    return [SourceDay(*row) for row in _sound(rows, (str, str, str, int))]


def segments_holding(connection: sqlite3.Connection, cuts: Mapping[str, str]) -> set[str]:
    """Return the names of segments that hold events of a data set and of a day before the data set's cut."""
    rows = connection.execute(
        "SELECT DISTINCT name, d.text, day FROM tallies JOIN words AS d ON d.number = dataset "
        "JOIN words AS s ON s.number = segment JOIN segments ON name = s.text WHERE day < ?",
        (max(cuts.values(), default=""),),
    )
    return {segment for segment, dataset, day in rows if day < cuts.get(dataset, "")}


def miscounted_segments(connection: sqlite3.Connection) -> list[str]:
    """Return the names of sound segments whose counts do not add up to their events."""
    rows = connection.execute(
        f"SELECT name FROM segments LEFT JOIN (SELECT s.text AS segment, sum(n) AS counted FROM "  # noqa: S608 constant
        f"(SELECT segment AS place, organization, dataset, events AS n FROM tallies) "
        f"JOIN words AS s ON s.number = place {_NAMED} GROUP BY 1) ON segment = name "
        "WHERE retired IS NULL AND counted IS NOT events "
        "AND name NOT IN (SELECT name FROM quarantine) ORDER BY name"
    )
    return [str(row[0]) for row in rows]


def _time(number: int) -> str:
    try:
        return format_epoch_us(number)
    except OverflowError as error:
        raise sqlite3.DatabaseError("a time is written wrongly in it") from error


def _sound(rows: Iterable[Any], kinds: Sequence[type]) -> list[Any]:
    return list(checked(list(rows), kinds))


def checked(rows: Sequence[Any], types: Sequence[type]) -> Sequence[Any]:
    """Return the rows, whose values must be of these types: those of a damaged page can be anything."""
    for row in rows:
        if not all(isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
            raise sqlite3.DatabaseError("a row is written wrongly in it")
    return rows
