"""Tell leftovers of a crash from events that a damaged catalogue forgot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.errors import StoreError
from soc_core.log import LogReader
from soc_core.log.files import DAMAGED
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.schema import SEQUENCE
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import old_sidecar, sidecar

Offsets = npt.NDArray[np.int64]


def orphans(directory: Path, catalogue: Catalogue, log: LogReader) -> Iterator[Path]:
    """Yield files that the catalogue does not know and that hold nothing that is not elsewhere too.

    The others stay for a repair. Raises ``StoreError`` when it is the catalogue that was lost.
    """
    leftovers, only_here = unknown_files(directory, catalogue, log)
    if only_here and not catalogue.live():
        raise StoreError(
            f"the catalogue knows none of the {len(only_here)} segments that are there",
            where=str(catalogue.path),
            todo="run: edusoc store repair",
        )
    yield from leftovers


def unknown_files(directory: Path, catalogue: Catalogue, log: LogReader) -> tuple[list[Path], list[Path]]:
    """Return the files the catalogue does not know: leftovers, and segments that hold events found nowhere else."""
    known = catalogue.names()
    known |= {beside(Path(name)).name for name in known for beside in (sidecar, old_sidecar)}
    unknown = sorted(path for path in directory.iterdir() if path.name not in known)
    snapshot = catalogue.snapshot()
    segments = snapshot.segments
    start = max(snapshot.sealed, log.start_offset())  # what lies below in the log is not looked at any more
    only_here = [
        path for path in unknown if path.suffix == ".parquet" and not _elsewhere(path, segments, start)
    ]
    beside_them = (beside(path) for path in only_here for beside in (sidecar, old_sidecar))
    kept = {*only_here, *beside_them}
    return [path for path in unknown if path not in kept], only_here


def _elsewhere(path: Path, segments: Sequence[Segment], start: int) -> bool:
    """Tell whether all events of a file are in the log or in segments: sealing, merging and removing leave such."""
    left = read_offsets(path)
    if left is None:
        return False
    left = left[left < start]
    for segment in segments:
        if not len(left):
            return True
        if segment.low <= left.max() and left.min() <= segment.high:
            there = read_offsets(path.parent / segment.name)
            left = left if there is None else np.setdiff1d(left, there)
    return not len(left)


def read_offsets(path: Path) -> Offsets | None:
    """Return the log offsets of a segment's events, ``None`` where they can't be read."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return np.asarray(file.read(columns=[SEQUENCE])[SEQUENCE].to_numpy(), np.int64)
    except (OSError, pa.ArrowException, ValueError, KeyError, MemoryError):
        return None


def put_aside(path: Path, store: Path) -> Path | None:
    """Move a file of a store into its folder of damaged files, never over another; ``None`` when it is not there."""
    folder = store / DAMAGED
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    number = 0
    while target.exists():
        number += 1
        target = folder / f"{path.name}.{number}"
    try:
        path.rename(target)
    except FileNotFoundError:
        return None
    return target
