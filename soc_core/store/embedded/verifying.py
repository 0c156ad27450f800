"""Check a store against its checksums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.log import LogReader
from soc_core.store.embedded.catalogue import Catalogue, Segment
from soc_core.store.embedded.ids import sidecar
from soc_core.store.embedded.sealing import file_sha256
from soc_core.store.interface import Finding


def verify_store(directory: Path, catalogue: Catalogue, log: LogReader) -> list[Finding]:
    """Return what is wrong with catalogue, segments (in ``directory``) and log."""
    fault = catalogue.fault()
    found = [Finding(f"the catalogue is damaged: {fault}", "catalogue.sqlite")] if fault else []
    for segment in catalogue.snapshot().segments:
        found.extend(_segment(directory, segment))
    for hurt in log.damage():
        what = f"{hurt.length} bytes can't be read" if hurt.length else "records are missing before this file"
        found.append(Finding(f"the log is damaged: {what}", f"{hurt.path.name}:{hurt.position}"))
    return found


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
