"""Convert rules to SQL for DuckDB over a folder that ``edusoc store export`` wrote.

The condition is the embedded store's own (``soc_core.store.embedded.sql``), its values written out. The table
``events`` that it asks is made by ``preamble``: every field it may name, absent ones empty, times as the text that
rules compare.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from detectors.sigma.conversion.obstacles import obstacles
from soc_core.fields import FIELDS
from soc_core.model.detection import Reason
from soc_core.model.event import EVENT_ID, EXTRA, TIMESTAMP, Scalar
from soc_core.query.fields import fields_of
from soc_core.query.tree import Query
from soc_core.store.embedded.sql import Parameter, compile_condition, quote

_ALWAYS: Final = (
    TIMESTAMP,
    EVENT_ID,
    EXTRA,
    "event.dataset",
    "organization.id",
    "host.name",
    "source.ip",
    "user.name",
)
_TYPES: Final = {"long": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN", "date": "TIMESTAMPTZ"}
_INSTANT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Selected:
    """Hold a condition, the fields it names, and why it finds more than was asked (empty: it doesn't)."""

    condition: str
    fields: frozenset[str]
    reasons: tuple[Reason, ...]


def to_sql(query: Query) -> Selected:
    """Return the condition of a query; raise ``ValueError`` for a bad network."""
    found = compile_condition(query, FIELDS)
    pieces = found.sql.split("?")
    values = [*map(_literal, found.parameters), ""]
    condition = "".join(piece + value for piece, value in zip(pieces, values, strict=True))
    reasons = () if found.exact else obstacles(query, _is_exact)
    return Selected(condition, frozenset(fields_of(query)), reasons)


def _is_exact(query: Query) -> bool:
    return compile_condition(query, FIELDS).exact


def _literal(value: Parameter) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return text(value) if isinstance(value, str) else repr(value)


def text(value: Scalar) -> str:
    """Return a text as SQL has it."""
    return "'" + str(value).replace("'", "''") + "'"


def preamble(fields: Iterable[str], folder: str) -> str:
    """Return what makes the view ``events`` of a folder's files, with these fields and those that tell events apart."""
    names = sorted({*_ALWAYS, *fields} & FIELDS.keys())
    columns = ", ".join(f"CAST(NULL AS {_type(name)}) AS {quote(name)}" for name in names)
    files = text(folder.rstrip("/") + "/**/*.parquet")
    lines = (
        "CREATE OR REPLACE TEMP VIEW events AS",
        f"SELECT {', '.join(map(_shown, names))}",
        f"FROM (SELECT {columns} WHERE false UNION ALL BY NAME",
        f"SELECT * FROM read_parquet({files}, union_by_name = true, hive_partitioning = false));",  # noqa: S608 # quoted
    )
    return "\n".join(lines) + "\n"


def _type(name: str) -> str:
    field = FIELDS[name]
    kind = _TYPES.get(field.type, "VARCHAR")
    if not field.multi:
        return kind
    return "VARCHAR[]" if field.type == "date" else kind + "[]"  # lists of times are exported as texts


def _shown(name: str) -> str:
    column = quote(name)
    if FIELDS[name].type != "date" or FIELDS[name].multi:
        return column
    return f"strftime({column} AT TIME ZONE 'UTC', {text(_INSTANT)}) AS {column}"
