"""Write sealed segments: Parquet files of one UTC day each, in row groups by time, with a sidecar each.

Crash-safe: written under a temporary name, fsynced, renamed, the directory fsynced (once for all segments of a
sealing), and only then entered in the catalogue. What a crash leaves behind is not in the catalogue and is removed
when the writer opens.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.fields import FIELDS
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP
from soc_core.store.counting import merge_statistics
from soc_core.store.embedded.batches import concat, widened
from soc_core.store.embedded.beside import SidecarBuilder, rebuild_sidecar
from soc_core.store.embedded.cells import text_column
from soc_core.store.embedded.schema import SEQUENCE, arrow_schema
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import save_sidecar, sidecar
from soc_core.store.interface import SourceDay, SourceStatistics

ROW_GROUP: Final = 8_192
LEVEL: Final = 3
_CHUNK: Final = 1024 * 1024
_NUMBERS: Final = count()
BY_TIME: Final[list[tuple[str, Literal["ascending", "descending"]]]] = [
    (TIMESTAMP, "ascending"),
    (EVENT_ID, "ascending"),
]


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


class SegmentWriter:
    """Write one segment of a day from tables in order of time, a row group each, in bounded memory.

    Within a row group rows lie by data set, then time: alike rows side by side take a tenth less room, and whoever
    wants the newest events still reads one row group. Leave the context without ``finish`` and nothing remains.
    """

    def __init__(self, directory: Path, day: str, names: Collection[str]) -> None:
        """Take the columns that will occur; raise ``OSError`` when the disk refuses."""
        self._directory, self._day = directory, day
        self._schema = arrow_schema(names)
        self._target = directory / f"{day}-{next(_NUMBERS)}-{os.getpid()}.tmp"
        self._file = pq.ParquetWriter(self._target, self._schema, **_options(self._schema.names))
        self._beside, self._sources, self._events = SidecarBuilder(), list[SourceStatistics](), 0
        self._low, self._high = 2**63 - 1, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._target.unlink(missing_ok=True)

    def add(self, table: pa.Table) -> None:
        """Write the next row group: at most ``ROW_GROUP`` rows, none before those of the tables before."""
        table = widened(table, self._schema)
        self._file.write_table(table, row_group_size=ROW_GROUP)
        self._beside.add(table)
        self._events += len(table)
        self._sources = merge_statistics([*self._sources, *count_sources(table)])
        self._low = min(self._low, int(pc.min(table[SEQUENCE]).as_py()))
        self._high = max(self._high, int(pc.max(table[SEQUENCE]).as_py()))

    def finish(self, mark: str = "") -> Sealed:
        """Make the segment durable under its name; ``mark`` tells it from that of another of the same rows.

        The caller makes the name durable (``sync_directory``) before it enters the segment in the catalogue.
        """
        self._file.close()
        stem = f"{self._day}-{self._low:020d}-{self._high:020d}-{self._events}{mark}"
        path = _free_path(self._directory, stem)
        beside = self._beside.content(self._schema.names)
        ids_sha256 = _write(sidecar(path), lambda target: save_sidecar(target, beside))
        sha256 = file_sha256(self._target, sync=True)
        self._target.replace(path)
        segment = Segment(
            name=path.name,
            day=self._day,
            events=self._events,
            first=min(row.first for row in self._sources),
            last=max(row.last for row in self._sources),
            low=self._low,
            high=self._high,
            bytes=path.stat().st_size,
            sha256=sha256,
            ids_sha256=ids_sha256,
            columns=frozenset(self._schema.names),
        )
        return Sealed(segment, self._sources)


def write_segment(directory: Path, day: str, tables: Sequence[pa.Table], mark: str = "") -> Sealed:
    """Write the rows of all tables as one segment of ``day``; raise ``OSError`` when the disk refuses.

    ``mark`` tells its name from that of another segment of the same rows.
    The caller makes the new names durable (``sync_directory``) before it enters segments in the catalogue.
    """
    table = concat(tables).combine_chunks()
    present = [name for name in table.column_names if table[name].null_count < len(table)]
    with SegmentWriter(directory, day, present) as writer:
        for part in arranged(table.select(present)):
            writer.add(part)
        return writer.finish(mark)


def arranged(table: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows of a table by time in parts of about equal size that make row groups."""
    order = pc.sort_indices(table.select([TIMESTAMP, EVENT_ID]), sort_keys=BY_TIME)
    count = -(-len(table) // ROW_GROUP)
    names = [name for name in (DATASET, TIMESTAMP) if name in table.column_names]
    keys = table.select(names)
    for number in range(count):
        start, end = len(table) * number // count, len(table) * (number + 1) // count
        part = order.slice(start, end - start)
        inner = pc.sort_indices(keys.take(part), sort_keys=[(name, "ascending") for name in names])
        yield table.take(part.take(inner))


def _free_path(directory: Path, stem: str) -> Path:
    """Return a path that no file has: readers may still look at a segment of the same rows that was retired."""
    for turn in count():
        path = directory / (f"{stem}-{turn}.parquet" if turn else f"{stem}.parquet")
        if not path.exists():
            return path
    raise AssertionError  # numbers do not end


def write_sidecar(path: Path) -> str:
    """Write what lies beside the segment at ``path`` anew from its rows; return its SHA-256."""
    beside = rebuild_sidecar(path)
    return _write(sidecar(path), lambda target: save_sidecar(target, beside))


def count_sources(table: pa.Table) -> list[SourceStatistics]:
    """Return counts and first and last time per unit and data set."""
    keys = {name: text_column(table, name) for name in (ORGANIZATION_ID, DATASET)}
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


def _options(names: Sequence[str]) -> dict[str, Any]:
    """Return how columns are written.

    Names and random texts gain nothing from a dictionary; dates share long beginnings; numbers are small or near each
    other. Together this takes a tenth off, see docs/decisions/0015-segments.md. Bounds are kept of what rows lie by.
    """
    dates = [name for name in names if name in FIELDS and FIELDS[name].type == "date"]
    numbers = [n for n in names if n == SEQUENCE or (FIELDS[n].type == "long" and not FIELDS[n].multi)]
    plain = {EVENT_ID, "event.original", "message", "network.community_id", *dates, *numbers}
    return {
        "compression": "zstd",
        "compression_level": LEVEL,
        "store_schema": False,  # Parquet's own says the same, and is read with each opening anyway
        "write_page_checksum": True,  # so that the sound parts of a damaged file can be told
        "use_dictionary": [_leaf(name) for name in names if name not in plain],
        "column_encoding": {
            **dict.fromkeys(dates, "DELTA_BYTE_ARRAY"),
            **dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
        },
        "write_statistics": [
            name for name in names if name in {TIMESTAMP, SEQUENCE, DATASET, ORGANIZATION_ID}
        ],
    }


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
