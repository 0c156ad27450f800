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
from soc_core.store.embedded.catalogue import Catalogue, Segment
from soc_core.store.embedded.ids import sidecar
from soc_core.store.embedded.schema import SEQUENCE

Offsets = npt.NDArray[np.int64]


def orphans(directory: Path, catalogue: Catalogue, log: LogReader) -> Iterator[Path]:
    """Yield files that the catalogue does not know and whose events are elsewhere; set the others aside.

    Raises ``StoreError`` when it is the catalogue that was lost.
    """
    known = catalogue.names()
    known |= {sidecar(Path(name)).name for name in known}
    unknown = sorted(path for path in directory.iterdir() if path.name not in known)
    segments = catalogue.snapshot().segments
    start = log.start_offset()
    only_here = [
        path for path in unknown if path.suffix == ".parquet" and not _elsewhere(path, segments, start)
    ]
    if only_here and not segments:
        raise StoreError(
            f"the catalogue knows none of the {len(only_here)} segments that are there",
            where=str(catalogue.path),
            todo="run: edusoc store repair",
        )
    for path in only_here:
        put_aside(path, directory.parent)
        put_aside(sidecar(path), directory.parent)
    yield from (path for path in unknown if path.exists())


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
