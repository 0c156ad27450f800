"""Write sealed segments: one Parquet file a UTC day, sorted by time, with a sidecar of its ids.

Crash-safe: written under a temporary name, fsynced, renamed, the directory fsynced (once for all segments of a
sealing), and only then entered in the catalogue. What a crash leaves behind is not in the catalogue and is removed
when the writer opens.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.fields import FIELDS
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP
from soc_core.store.embedded.batches import concat
from soc_core.store.embedded.catalogue import Segment
from soc_core.store.embedded.ids import hash_ids, sidecar
from soc_core.store.embedded.schema import SEQUENCE
from soc_core.store.interface import SourceDay, SourceStatistics

ROW_GROUP: Final = 32_768
LEVEL: Final = 3
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sealed:
    """Hold a written segment and its counts per unit and data set."""

    segment: Segment
    statistics: list[SourceStatistics]


def by_day(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield day and rows of each day that ids in the table carry, earliest first."""
    days = pc.utf8_slice_codeunits(table[EVENT_ID], 0, 8)
    found = sorted(str(item) for item in pc.unique(days).to_pylist())
    for day in found:
        yield day, table if len(found) == 1 else table.filter(pc.equal(days, pa.scalar(day)))


def write_segment(directory: Path, day: str, tables: Sequence[pa.Table], mark: str = "") -> Sealed:
    """Write the rows of all tables as one segment of ``day``; raise ``OSError`` when the disk refuses.

    ``mark`` tells its name from that of another segment of the same rows.
    The caller makes the new names durable (``sync_directory``) before it enters segments in the catalogue.
    """
    table = concat(tables).combine_chunks().sort_by([(TIMESTAMP, "ascending"), (EVENT_ID, "ascending")])
    present = [name for name in table.column_names if table[name].null_count < len(table)]
    table = table.select(present)
    low, high = pc.min(table[SEQUENCE]).as_py(), pc.max(table[SEQUENCE]).as_py()
    path = directory / f"{day}-{low:020d}-{high:020d}-{len(table)}{mark}.parquet"
    ids_sha256 = write_sidecar(path, table[EVENT_ID])
    sha256 = _write(path, lambda target: _save_table(target, table))
    segment = Segment(
        name=path.name,
        day=day,
        events=len(table),
        first=str(table[TIMESTAMP][0].as_py()),
        last=str(table[TIMESTAMP][-1].as_py()),
        low=low,
        high=high,
        bytes=path.stat().st_size,
        sha256=sha256,
        ids_sha256=ids_sha256,
        columns=frozenset(present),
    )
    return Sealed(segment, count_sources(table))


def write_sidecar(path: Path, names: pa.ChunkedArray[Any]) -> str:
    """Write the sidecar of the segment at ``path`` from the ids of its events; return its SHA-256."""
    hashes = np.sort(hash_ids(str(name) for name in names.to_pylist()))
    return _write(sidecar(path), lambda target: _save_hashes(target, hashes))


def count_sources(table: pa.Table) -> list[SourceStatistics]:
    """Return counts and first and last time per unit and data set."""
    keys = {name: or_empty(table, name) for name in (ORGANIZATION_ID, DATASET)}
    counted = pa.table({**keys, TIMESTAMP: table[TIMESTAMP]}).group_by(list(keys))
    rows = counted.aggregate([(TIMESTAMP, "count"), (TIMESTAMP, "min"), (TIMESTAMP, "max")]).to_pylist()
    return [
        SourceStatistics(
            str(row[ORGANIZATION_ID]),
            str(row[DATASET]),
            int(row[f"{TIMESTAMP}_count"]),
            str(row[f"{TIMESTAMP}_min"]),
            str(row[f"{TIMESTAMP}_max"]),
        )
        for row in rows
    ]


def count_days(table: pa.Table) -> list[SourceDay]:
    """Return counts per unit, data set and day of the ids."""
    return [
        SourceDay(row.organization_id, row.dataset, day, row.events)
        for day, rows in by_day(table)
        for row in count_sources(rows)
    ]


def or_empty(table: pa.Table, name: str) -> pa.ChunkedArray[Any]:
    """Return a text column, with empty texts where there is none."""
    if name in table.column_names:
        filled: pa.ChunkedArray[Any] = pc.fill_null(table[name], "")  # type: ignore[arg-type] # the stubs lack text
        return filled
    return pa.chunked_array([[""] * len(table)], pa.string())


def _save_hashes(target: Path, hashes: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> None:
    with target.open("wb") as stream:
        np.save(stream, hashes)


def _save_table(target: Path, table: pa.Table) -> None:
    # Names and random texts gain nothing from a dictionary; dates share long beginnings.
    encoded = {TIMESTAMP: "DELTA_BYTE_ARRAY"}
    plain = {TIMESTAMP, EVENT_ID, SEQUENCE, "event.original", "message", "network.community_id"}
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=LEVEL,
        row_group_size=ROW_GROUP,
        write_page_checksum=True,  # so that the sound parts of a damaged file can be told
        use_dictionary=[  # type: ignore[arg-type] # the stubs know only a truth value
            _leaf(name) for name in table.column_names if name not in plain
        ],
        column_encoding=encoded,
    )


def _leaf(name: str) -> str:
    return f"{name}.list.element" if name in FIELDS and FIELDS[name].multi else name


def _write(path: Path, save: Callable[[Path], None]) -> str:
    """Write a file under a temporary name, make it durable, give it its name; return its SHA-256."""
    target = path.with_name(path.name + ".tmp")
    try:
        save(target)
        digest = file_sha256(target, sync=True)
        target.replace(path)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return digest


def file_sha256(path: Path, *, sync: bool = False) -> str:
    """Return the SHA-256 of a file, which is fsynced on the way if asked."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        if sync:
            os.fsync(stream.fileno())
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()
