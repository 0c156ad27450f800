"""Derive columns from the field dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, TIMESTAMP

SEQUENCE: Final = "_seq"  # the log offset of an event, beside its fields
_ARROW: Final[dict[str, pa.DataType]] = {"long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}


def arrow_type(name: str) -> pa.DataType:
    """Return the column type of a dictionary field."""
    field = FIELDS[name]
    inner = _ARROW.get(field.type, pa.string())
    return pa.list_(pa.field("element", inner)) if field.multi else inner  # as Parquet names it


def sql_type(name: str) -> str:
    """Return the DuckDB type of a dictionary field or the sequence column."""
    if name == SEQUENCE:
        return "BIGINT"
    inner = {"long": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN"}.get(FIELDS[name].type, "VARCHAR")
    return inner + "[]" if FIELDS[name].multi else inner


def arrow_schema(names: Iterable[str]) -> pa.Schema:
    """Return the schema of the fields in dictionary order, the sequence column first."""
    present = set(names)
    columns = [(name, arrow_type(name)) for name in FIELDS if name in present]
    return pa.schema([(SEQUENCE, pa.int64()), *columns])


EMPTY: Final = arrow_schema((TIMESTAMP, EVENT_ID)).empty_table()
