"""Say in SQL how events are grouped, and read its answer."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa

from soc_core.model.event import EVENT_ID
from soc_core.query.tree import And, Query, Range
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sql import quote
from soc_core.store.interface import Group, Grouping


def of_days(segments: tuple[Segment, ...], query: Query) -> tuple[Segment, ...]:
    """Return the segments that may match a query that bounds ids, which begin with the day of their segment."""
    for part in query.children if isinstance(query, And) else (query,):
        if isinstance(part, Range) and part.field == EVENT_ID:
            low, high = str(part.gte or "")[:8], str(part.lt or "~")
            segments = tuple(s for s in segments if low <= s.day < high)
    return segments


def grouping_sql(asked: Grouping, matching: str) -> str:
    """Return the statement over the statement of matching events; columns in the order of a group's parts."""
    keys = [f"{quote(name)} AS k{at}" for at, name in enumerate(asked.keys)]
    sums = [f"coalesce(sum({quote(name)}), 0) AS s{at}" for at, name in enumerate(asked.sums)]
    parts = ", ".join([*keys, "count(*) AS n", *sums])
    by = ", ".join(str(at + 1) for at in range(len(keys)))
    # Without keys SQL has one group even of nothing.
    return f"SELECT {parts} FROM ({matching}) " + (f"GROUP BY {by}" if by else "HAVING count(*) > 0")  # noqa: S608


def groups_of_batch(asked: Grouping, batch: pa.RecordBatch) -> list[Group]:
    """Return the groups that rows of the statement tell of."""
    columns = [column.to_pylist() for column in batch.columns]
    width = len(asked.keys)
    rows = zip(*columns, strict=True)
    return [Group(row[:width], int(row[width]), tuple(map(_number, row[width + 1 :]))) for row in rows]


def _number(value: int | float | Decimal) -> int | float:
    """Return a sum as a plain number: whole ones come as decimals, which hold more than 64 bits."""
    return int(value) if isinstance(value, Decimal) else value
