"""Make a catalogue anew from the segments and the log, when the old one is lost or damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.audit.chain import Link
from soc_core.audit.verification import verify_links
from soc_core.clock import Clock
from soc_core.fields import FIELDS
from soc_core.log import LogReader
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP, partition_of
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.chain import STREAM, read_links
from soc_core.store.embedded.orphans import put_aside
from soc_core.store.embedded.salvage import sound_groups, write_rows
from soc_core.store.embedded.schema import SEQUENCE
from soc_core.store.embedded.sealing import Sealed, count_sources, file_sha256, write_sidecar
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import old_sidecar, sidecar
from soc_core.system import sync_directory

NAMES: Final = ("catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm")
_READ: Final = (SEQUENCE, TIMESTAMP, EVENT_ID, ORGANIZATION_ID, DATASET)

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Say how many segments and events the new catalogue has, and how many links of the old chain were saved."""

    segments: int
    events: int
    links: int


def rebuild_catalogue(directory: Path, log: LogReader, clock: Clock) -> Rebuilt:
    """Put the old catalogue aside and make a new one; what is in no segment stays in the log.

    Files that add nothing (left from merging) or can't be read are put aside too.
    """
    links = _saved_links(directory / NAMES[0])
    for name in NAMES:
        put_aside(directory / name, directory)
    chosen = _chosen(directory)
    sealed = _sealed(chosen, log)
    kept = [item for found in chosen if (item := _taken(directory, found, sealed)) is not None]
    sync_directory(directory / "segments")
    catalogue = Catalogue(directory / NAMES[0])
    catalogue.rebuild(links, [(s.segment, s.statistics) for s in kept], sealed, clock().timestamp())
    return Rebuilt(len(kept), sum(s.segment.events for s in kept), len(links))


def _saved_links(path: Path) -> list[Link]:
    """Return what can be read of the old chain and is consistent, from its beginning on."""
    links: list[Link] = []
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            for item in read_links(connection):
                texts = (item.at, item.algorithm, item.kind, item.body, item.previous, item.hash)
                if type(item.number) is not int or not all(isinstance(text, str) for text in texts):
                    break
                links.append(item)
    except sqlite3.Error:
        pass  # what was read until then is judged
    verdict = verify_links(STREAM, links)
    sound = min((fault.number for fault in verdict.faults), default=len(links) + 1) - 1
    return links[: max(0, sound)]


@dataclass(frozen=True, slots=True)
class _Found:
    """Hold a segment's file, the offsets of the events that can be read in it, and which of them to take from it."""

    path: Path
    offsets: Offsets
    wanted: Offsets


def _chosen(directory: Path) -> list[_Found]:
    """Return which files to take which events from: each once, the largest file first (merged ones hold smaller)."""
    found = [(path, _offsets(path)) for path in sorted((directory / "segments").glob("*.parquet"))]
    covered = np.zeros(
        max((int(offsets.max()) + 1 for _, offsets in found if len(offsets)), default=0), np.bool_
    )
    chosen = []
    for path, offsets in sorted(found, key=lambda item: (-len(item[1]), item[0].name)):
        chosen.append(_Found(path, offsets, offsets[~covered[offsets]]))
        covered[offsets] = True
    return chosen


def _offsets(path: Path) -> Offsets:
    parts = [np.asarray(table[SEQUENCE].to_numpy(), np.int64) for table in sound_groups(path, set())]
    return np.concatenate(parts) if parts else np.array([], np.int64)


def _sealed(chosen: Sequence[_Found], log: LogReader) -> int:
    """Return the offset up to which everything that the log still holds is in segments too."""
    size = max((int(item.offsets.max()) + 1 for item in chosen if len(item.offsets)), default=0)
    covered = np.zeros(size, np.bool_)
    for item in chosen:
        covered[item.offsets] = True
    for record in log.records(log.start_offset()):
        if record.end > size or not covered[record.offset : record.end].all():
            return record.offset  # whole records only, as sealing has it
    return max(size, log.end_offset())


def _taken(directory: Path, found: _Found, sealed: int) -> Sealed | None:
    """Return the segment with the events to take that are not in the log; the file goes aside where it is another."""
    wanted = found.wanted[found.wanted < sealed]
    described = describe(found.path) if len(wanted) == len(found.offsets) else None
    if described is not None:
        return described
    made = _only(directory, found.path, wanted) if len(wanted) else None
    put_aside(found.path, directory)
    for beside in (sidecar, old_sidecar):
        put_aside(beside(found.path), directory)
    return made


def _only(directory: Path, path: Path, wanted: Offsets) -> Sealed | None:
    """Write the events of some offsets of a file as a segment."""
    values = pa.array(wanted)
    groups = (
        table.filter(pc.is_in(table[SEQUENCE], value_set=values)) for table in sound_groups(path, set())
    )
    first = next((table for table in groups if table.num_rows), None)
    if first is None:
        return None
    with pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if name in FIELDS]
    return write_rows(directory / "segments", (_day(first), names), chain([first], groups), mark="-r")


def _day(rows: pa.Table) -> str:
    return partition_of(str(rows[EVENT_ID][0].as_py()))


def describe(path: Path) -> Sealed | None:
    """Return the description of a file that is sound throughout, its sidecar made anew; ``None`` for any other."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            read = [name for name in _READ if name in names]
            groups = [file.read_row_group(group).select(read) for group in range(file.num_row_groups)]
        table = pa.concat_tables(groups)
        low, high = pc.min(table[SEQUENCE]).as_py(), pc.max(table[SEQUENCE]).as_py()
        first, last = pc.min(table[TIMESTAMP]).as_py(), pc.max(table[TIMESTAMP]).as_py()
        day = _day(table)
    except (OSError, pa.ArrowException, ValueError, KeyError, IndexError, MemoryError):
        return None
    segment = Segment(
        name=path.name,
        day=day,
        events=table.num_rows,
        first=str(first),
        last=str(last),
        low=low,
        high=high,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        ids_sha256=write_sidecar(path),
        columns=frozenset(names),
    )
    return Sealed(segment, count_sources(table))
