"""Check a store against its checksums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.audit.verification import verify_links
from soc_core.log import LogReader
from soc_core.model.event import TIMESTAMP
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.chain import STREAM, sealed_by_chain, segments_by_chain
from soc_core.store.embedded.orphans import unknown_files
from soc_core.store.embedded.schema import SEQUENCE
from soc_core.store.embedded.sealing import file_sha256
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import sidecar_of
from soc_core.store.interface import Finding

_TRIES: Final = 20


def verify_store(directory: Path, catalogue: Catalogue, log: LogReader) -> list[Finding]:
    """Return what is wrong with catalogue, segments (in ``directory``) and log."""
    fault = catalogue.fault()
    found = [Finding(f"the catalogue is damaged: {fault}", "catalogue.sqlite")] if fault else []
    for segment in catalogue.snapshot().segments:
        wrong = list(_segment(directory, segment))
        # One that was merged into another while we looked is no loss.
        found.extend(wrong if wrong and segment.name in catalogue.names() else ())
    wrong_counts = "the counts per unit and data set are not those of the segment"
    found.extend(Finding(wrong_counts, name) for name in catalogue.miscounted())
    found.extend(verify_chain(catalogue))
    unknown = unknown_files(directory, catalogue, log)[1]
    found.extend(Finding("the catalogue does not know this file", path.name) for path in unknown)
    for hurt in log.damage():
        what = f"{hurt.length} bytes can't be read" if hurt.length else "records are missing before this file"
        found.append(Finding(f"the log is damaged: {what}", f"{hurt.path.name}:{hurt.position}"))
    return found


def verify_chain(catalogue: Catalogue) -> list[Finding]:
    """Return what is wrong with the chain of segments, and where it and the catalogue's segments disagree."""
    for _ in range(_TRIES):
        head = catalogue.head()
        found = list(_chain(catalogue))
        if catalogue.head() == head:  # else it was read while something changed
            break
    return found


def _chain(catalogue: Catalogue) -> Iterator[Finding]:
    snapshot = catalogue.snapshot()
    verdict = verify_links(STREAM, catalogue.links())
    for fault in verdict.faults:
        yield Finding(f"the chain is broken: {fault.what}", f"catalogue.sqlite:{STREAM}:{fault.number}")
    if not verdict.head.number:
        if snapshot.segments:
            yield Finding("the chain has not begun: segments are not chained yet", "catalogue.sqlite")
        return
    chained = segments_by_chain(catalogue.links())
    if sealed_by_chain(catalogue.links()) not in (None, snapshot.sealed):
        yield Finding("the catalogue says otherwise of the sealed offset than the chain", "catalogue.sqlite")
    for segment in snapshot.segments:
        known = chained.pop(segment.name, None)
        if known is None:
            yield Finding("the segment is not in the chain", segment.name)
        elif (known.sha256, known.events) != (segment.sha256, segment.events):
            yield Finding("the catalogue says otherwise of the segment than the chain", segment.name)
    for name in sorted(chained.keys() - {item.name for item in snapshot.damaged}):
        yield Finding("the chain knows a segment that the catalogue lacks", name)


def _segment(directory: Path, segment: Segment) -> Iterator[Finding]:
    path = directory / segment.name
    for file, expected in ((path, segment.sha256), (sidecar_of(directory, segment), segment.ids_sha256)):
        try:
            actual = file_sha256(file)
        except OSError as error:
            yield Finding(error.strerror or "can't be read", file.name)
            continue
        if actual != expected:
            yield Finding(f"the checksum differs; {segment.events} events are affected", file.name)
        elif file is path and _rows(path) != segment.events:
            yield Finding("the number of events differs from the catalogue's", file.name)
        elif file is path and not describes(path, segment):
            yield Finding("the catalogue says otherwise of the segment than its file", file.name)


def describes(path: Path, segment: Segment) -> bool:
    """Tell whether the catalogue's times and offsets of a segment are those of its file."""
    return _bounds(path) == (segment.first, segment.last, segment.low, segment.high)


def _bounds(path: Path) -> tuple[str, str, int, int] | None:
    """Return first and last time, lowest and highest offset: questions leave out segments by them."""
    try:
        table = pq.read_table(path, columns=[TIMESTAMP, SEQUENCE])
    except (OSError, pa.ArrowException):
        return None
    times, offsets = table[TIMESTAMP], table[SEQUENCE]
    first, last = str(pc.min(times).as_py()), str(pc.max(times).as_py())
    return first, last, pc.min(offsets).as_py(), pc.max(offsets).as_py()


def _rows(path: Path) -> int:
    try:
        with pq.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException):
        return -1
