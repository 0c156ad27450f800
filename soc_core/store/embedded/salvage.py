"""Look at one segment's files: whether they are sound, and what can still be read of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.fields import FIELDS
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP
from soc_core.store.embedded.batches import concat
from soc_core.store.embedded.catalogue import Segment
from soc_core.store.embedded.schema import SEQUENCE, arrow_type
from soc_core.store.embedded.sealing import file_sha256
from soc_core.store.embedded.sidecars import sidecar_of

NEEDED: Final = frozenset({SEQUENCE, EVENT_ID, TIMESTAMP, ORGANIZATION_ID, DATASET})
"""Without one of these an event can't be told apart, found, scoped or kept by its class."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Say what is wrong with the files of a segment; both empty: nothing."""

    parquet: str
    sidecar: str


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Hold the rows that could be read, how many could not, and which fields are missing in some of the rows."""

    rows: pa.Table
    lost: int
    fields: tuple[str, ...]


def condition_of(directory: Path, segment: Segment) -> Condition:
    """Check a segment's files against the checksums of the catalogue."""
    path = directory / segment.name
    return Condition(_fault(path, segment.sha256), _fault(sidecar_of(directory, segment), segment.ids_sha256))


def _fault(path: Path, expected: str) -> str:
    try:
        return "" if file_sha256(path) == expected else "the checksum differs"
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return error.strerror or "can't be read"


def salvage(path: Path, expected: int) -> Salvaged:
    """Read what can be read of a damaged segment of ``expected`` events, row group by row group, field by field.

    Pages have checksums of their own, so what comes out is what went in. Of a group one of whose needed fields is
    damaged all rows are lost; any other damaged field is left out of its rows.
    """
    found: list[pa.Table] = []
    hurt: set[str] = set()
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                table = _group(file, group, hurt)
                if table is not None and table.num_rows:
                    found.append(table)
    except (OSError, pa.ArrowException, ValueError, MemoryError):
        pass  # without its footer nothing of a Parquet file can be read
    rows = concat(found) if found else pa.table({SEQUENCE: pa.array([], pa.int64())})
    return Salvaged(rows, max(0, expected - rows.num_rows), tuple(sorted(hurt)))


def _group(file: pq.ParquetFile, group: int, hurt: set[str]) -> pa.Table | None:
    """Return the sound columns of a row group, ``None`` where a needed one is not sound."""
    columns, names = [], []
    for name in [SEQUENCE, *(name for name in FIELDS if name in file.schema_arrow.names)]:
        wanted = pa.int64() if name == SEQUENCE else arrow_type(name)
        try:
            column = file.read_row_group(group, columns=[name])[name]
            column.validate(full=True)
            if column.type != wanted:
                raise ValueError
        except (OSError, pa.ArrowException, ValueError, KeyError, MemoryError):
            if name in NEEDED:
                return None
            hurt.add(name)
            continue
        columns.append(column)
        names.append(name)
    return pa.table(columns, names=names)
