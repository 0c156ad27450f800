"""Check a store against its checksums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.audit.verification import verify_links
from soc_core.log import LogReader
from soc_core.store.embedded.catalogue import Catalogue, Segment
from soc_core.store.embedded.chain import STREAM, segments_by_chain
from soc_core.store.embedded.ids import sidecar
from soc_core.store.embedded.sealing import file_sha256
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
    found.extend(verify_chain(catalogue))
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
    for file, expected in ((path, segment.sha256), (sidecar(path), segment.ids_sha256)):
        try:
            actual = file_sha256(file)
        except OSError as error:
            yield Finding(error.strerror or "can't be read", file.name)
            continue
        if actual != expected:
            yield Finding(f"the checksum differs; {segment.events} events are affected", file.name)
        elif file is path and _rows(path) != segment.events:
            yield Finding("the number of events differs from the catalogue's", file.name)


def _rows(path: Path) -> int:
    try:
        with pq.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException):
        return -1
