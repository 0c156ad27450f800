"""Look at one segment's files: whether they are sound, and what can still be read of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.fields import FIELDS
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP
from soc_core.store.embedded.schema import SEQUENCE, arrow_type
from soc_core.store.embedded.sealing import Sealed, SegmentWriter, arranged, file_sha256
from soc_core.store.embedded.segments import Segment
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
    """Say how many events can be read, how many can't, and which fields are missing in some of them."""

    events: int
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


def look_at(path: Path, expected: int) -> Salvaged:
    """Return what can be read of a damaged segment of ``expected`` events."""
    hurt: set[str] = set()
    events = sum(table.num_rows for table in sound_groups(path, hurt))
    return Salvaged(events, max(0, expected - events), tuple(sorted(hurt)))


def sound_groups(path: Path, hurt: set[str]) -> Iterator[pa.Table]:
    """Yield what can be read of a damaged segment, a row group at a time, field by field.

    Pages have checksums of their own, so what comes out is what went in. Of a group one of whose needed fields is
    damaged all rows are lost; any other damaged field is left out of its rows and named in ``hurt``.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                table = _group(file, group, hurt)
                if table is not None and table.num_rows:
                    yield table
    except (OSError, pa.ArrowException, ValueError, MemoryError):
        return  # without its footer nothing of a Parquet file can be read


def write_rows(
    directory: Path, segment: tuple[str, Collection[str]], tables: Iterable[pa.Table], mark: str = ""
) -> Sealed | None:
    """Write tables, in order of time, as one segment of a day with these fields; ``None`` if there are no rows."""
    day, names = segment
    rows = 0
    with SegmentWriter(directory, day, names) as writer:
        for table in tables:
            for part in arranged(table) if table.num_rows else ():
                writer.add(part)
                rows += part.num_rows
        return writer.finish(mark) if rows else None


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
