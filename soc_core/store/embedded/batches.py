"""Write batches of events into log records and read them back.

A record's payload is a zstd frame of one JSON line with the names of all fields present, then one JSON line an event.
JSON rather than Arrow IPC: small batches stay small, and the log can be read without a schema.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.json as pj
import zstandard

from soc_core.errors import StoreError
from soc_core.log import Record
from soc_core.model.event import EVENT_ID, TIMESTAMP, Event
from soc_core.store.embedded.schema import SEQUENCE, arrow_schema

MAX_BATCH_BYTES: Final = 200 * 1024 * 1024
_RUN_EVENTS: Final = 4_096
_FEW_ROWS: Final = 1_024
"""Rows of which each value is simply made: looking for equal ones takes longer."""
_MANY_NULLS: Final = 8_192
_UNIQUE: Final = frozenset({EVENT_ID, TIMESTAMP})


def encode(lines: Sequence[bytes], names: set[str]) -> bytes:
    """Return the payload of a batch."""
    body = b"\n".join([orjson.dumps(sorted(names)), *lines])
    return zstandard.ZstdCompressor(level=1).compress(body)


def _body(record: Record) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(record.payload, max_output_size=MAX_BATCH_BYTES)
    except zstandard.ZstdError as error:
        raise StoreError("a log record can't be unpacked", where=f"offset {record.offset}") from error


def decode(record: Record) -> list[Event]:
    """Return the events of a record."""
    return [orjson.loads(line) for line in _body(record).split(b"\n")[1:]]


def decode_ids(record: Record) -> list[str]:
    """Return the event ids of a record."""
    return [str(event[EVENT_ID]) for event in decode(record)]


def to_table(records: Sequence[Record]) -> pa.Table:
    """Return the events of records (at least one) as a table with the sequence column.

    They are parsed some at a time: parsing takes five times the memory of what comes out.
    """
    tables = [_parsed(run) for run in _runs(records)]
    return concat(tables) if len(tables) == 1 else concat(tables).combine_chunks()


def _runs(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the records in runs of about ``_RUN_EVENTS``."""
    run: list[Record] = []
    for record in records:
        if run and record.end - run[0].offset > _RUN_EVENTS:
            yield run
            run = []
        run.append(record)
    yield run


def _parsed(records: Sequence[Record]) -> pa.Table:
    bodies = [_body(record).partition(b"\n") for record in records]
    schema = arrow_schema({name for names, _, _ in bodies for name in orjson.loads(names)})
    lines = b"\n".join([lines for _, _, lines in bodies])
    table = pj.read_json(
        io.BytesIO(lines),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema.remove(0), unexpected_field_behavior="ignore"),
    )
    numbers = pa.array([n for record in records for n in range(record.offset, record.end)], pa.int64())
    return table.select(schema.names[1:]).add_column(0, pa.field(SEQUENCE, pa.int64()), numbers)


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Return one table of all rows; columns that some lack are null there."""
    if len(tables) == 1:
        return tables[0]
    schema = arrow_schema({name for table in tables for name in table.column_names})
    return pa.concat_tables([widened(table, schema) for table in tables])


def widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of a schema; those it lacks are null."""
    # Asking a table for its names builds the list anew each time, so it is asked once.
    columns = dict(zip(table.column_names, table.columns, strict=True))
    rows = table.num_rows
    filled = [columns[field.name] if field.name in columns else nulls(rows, field.type) for field in schema]
    return pa.table(filled, schema=schema)


def nulls(rows: int, kind: pa.DataType) -> pa.Array[Any]:
    """Return an array of nulls; of as many as a row group has, a part of one that is kept."""
    return _many_nulls(kind).slice(0, rows) if rows <= _MANY_NULLS else _made(rows, kind)


@lru_cache(maxsize=32)
def _many_nulls(kind: pa.DataType) -> pa.Array[Any]:
    return _made(_MANY_NULLS, kind)


def _made(rows: int, kind: pa.DataType) -> pa.Array[Any]:
    made: pa.Array[Any] = pa.nulls(rows, kind)  # type: ignore[call-overload] # the stubs know only subclasses
    return made


def to_events(table: pa.Table) -> list[Event]:
    """Return the rows as events: null cells are absent fields, the sequence column is left out."""
    events: list[Event] = [{} for _ in range(table.num_rows)]
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name == SEQUENCE or column.null_count == len(column):
            continue
        for event, value in zip(events, _values(name, column), strict=True):
            if value is not None:
                event[name] = value
    return events


def _values(name: str, column: pa.ChunkedArray[Any]) -> list[Any]:
    """Return the values of a column; texts that come again and again are one object each, not thousands."""
    if len(column) < _FEW_ROWS or name in _UNIQUE or not pa.types.is_string(column.type):
        return column.to_pylist()
    values: list[Any] = []
    for chunk in column.chunks:
        encoded = chunk.dictionary_encode()
        words = [*encoded.dictionary.to_pylist(), None]
        values.extend(words[place] for place in encoded.indices.fill_null(-1).to_numpy().tolist())
    return values


def whole_numbers(column: pa.ChunkedArray[Any]) -> list[int]:
    """Return the values of a column of whole numbers."""
    return [int(value) for value in column.to_numpy()]
