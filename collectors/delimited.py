"""Take rows of comma-separated values apart, as programs write them (RFC 4180), without raising for odd ones."""

from __future__ import annotations

import csv

from collectors.base import MAX_RECORD_BYTES
from collectors.making import RecordError

# One statement may fill a record; the library's limit is for the whole process.
csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))


def cells_of(text: str) -> list[str]:
    """Return the cells of one row, which may hold line breaks in quotes. Raises ``RecordError`` for a broken row."""
    try:
        rows = list(csv.reader([line + "\n" for line in text.split("\n")], strict=True))
    except csv.Error as fault:
        raise RecordError(f"broken row: {fault}") from fault
    if len(rows) != 1:
        raise RecordError("broken row: more than one row")
    cells = rows[0]
    if cells:
        cells[-1] = cells[-1].rstrip("\r\n")
    return cells
