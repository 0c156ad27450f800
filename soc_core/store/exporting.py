"""Write events as a standard Parquet folder that pandas, DuckDB and Spark read: ``dataset=…/day=…/part-….parquet``.

Days are UTC days of ``@timestamp``; instants are Parquet timestamps in UTC, all files of a data set have the same
columns, and ``manifest.json`` names every file with its rows and SHA-256. The folder is written beside its place and
appears there whole or not at all. Memory is bounded: at most ``MOST_HELD`` events are held.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.errors import StoreError, UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import DATASET, EXTRA, TIMESTAMP, Event, Value, values_of
from soc_core.store.embedded.schema import arrow_type
from soc_core.store.interface import EventReader, Search
from soc_core.system import sync_directory

MOST_HELD: Final = 50_000
FORMAT: Final = "edusoc-export-1"
MANIFEST: Final = "manifest.json"
_INSTANT: Final = pa.timestamp("us", tz="UTC")
_LONGEST_NAME: Final = 150


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """Describe one file: its path in the folder, data set, day, rows, size and SHA-256."""

    path: str
    dataset: str
    day: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Exported:
    """Say what was written."""

    files: tuple[ExportedFile, ...]
    rows: int


@dataclass(slots=True)
class _Partition:
    """Collect the events of one data set and day until they are written."""

    dataset: str
    day: str
    events: list[Event] = field(default_factory=list)
    parts: int = 0


def export_events(
    reader: EventReader,
    request: Search,
    target: Path,
    about: Mapping[str, object],
    advance: Callable[[int], None] = lambda _rows: None,
) -> Exported:
    """Write the matching events to the new folder ``target``; ``about`` (plain values) goes into its manifest.

    Raises ``UsageError`` when ``target`` holds anything, ``StoreError`` when the disk refuses; nothing is then left.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError("there is something already", where=str(target), todo="name a new directory")
    partial = target.parent / f".{target.name}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)  # what an export that was killed left
        partial.mkdir(mode=0o700)
        writer = _Writer(partial)
        for batch in reader.scan(request):
            writer.take(batch)
            advance(len(batch))
        files = writer.finish()
        found = Exported(tuple(files), sum(file.rows for file in files))
        _write_manifest(partial, found, about)
        partial.replace(target)
        sync_directory(target.parent)
    except (OSError, pa.ArrowException) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StoreError(
            f"exporting failed: {error}", where=str(target), todo="free room on the disk"
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return found


class _Writer:
    """Write parts of partitions; events come in the order of time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[tuple[str, str], _Partition] = {}
        self._held = 0
        self._columns: dict[str, set[str]] = {}
        self._written: list[tuple[str, str, Path]] = []

    def take(self, events: Iterable[Event]) -> None:
        """Add events to their partitions, and write what is whole or too much."""
        for event in events:
            stamp = str(event[TIMESTAMP])
            key = (str(event.get(DATASET, "")), stamp[:10])
            if key not in self._open:
                self._close_before(stamp[:10])
                self._open[key] = _Partition(*key)
            self._open[key].events.append(event)
            self._held += 1
            if self._held >= MOST_HELD:
                self._write(max(self._open.values(), key=lambda part: len(part.events)))

    def _close_before(self, day: str) -> None:
        for key, partition in list(self._open.items()):
            if partition.day < day:
                self._write(partition)
                del self._open[key]

    def _write(self, partition: _Partition) -> None:
        if not partition.events:
            return
        place = self._root / f"dataset={_directory_name(partition.dataset)}" / f"day={partition.day}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"part-{partition.parts:05d}.parquet"
        table = _table(partition.events)
        _save(table, path)
        self._columns.setdefault(partition.dataset, set()).update(table.column_names)
        self._written.append((partition.dataset, partition.day, path))
        self._held -= len(partition.events)
        partition.events.clear()
        partition.parts += 1

    def finish(self) -> list[ExportedFile]:
        """Write the rest, give all files of a data set the same columns, and describe the files."""
        for partition in self._open.values():
            self._write(partition)
        return [self._finished(*item) for item in self._written]

    def _finished(self, dataset: str, day: str, path: Path) -> ExportedFile:
        names = [name for name in FIELDS if name in self._columns[dataset]]
        with pq.ParquetFile(path) as file:
            rows, there = int(file.metadata.num_rows), set(file.schema_arrow.names)
            table = file.read() if there != set(names) else None
        if table is not None:
            columns = [
                table[name] if name in there else pa.array([None] * rows, _type(name)) for name in names
            ]
            _save(pa.table(columns, names=names), path)
        digest, size = _digest(path)
        return ExportedFile(path.relative_to(self._root).as_posix(), dataset, day, rows, size, digest)


def _directory_name(dataset: str) -> str:
    """Return a name for a data set that is safe in every file system; Hive's own for none."""
    if not dataset:
        return "__HIVE_DEFAULT_PARTITION__"
    name = quote(dataset, safe="")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}~{hashlib.sha256(dataset.encode()).hexdigest()[:16]}"


def _type(name: str) -> pa.DataType:
    return _INSTANT if FIELDS[name].type == "date" and not FIELDS[name].multi else arrow_type(name)


def _table(events: list[Event]) -> pa.Table:
    try:
        return _columns(events)
    except ValueError:  # an instant that is no day of the calendar: stores keep such as the texts they are
        return _columns([_mended(event) for event in events])


def _columns(events: list[Event]) -> pa.Table:
    present = {name for event in events for name in event}
    columns, names = [], [name for name in FIELDS if name in present]
    for name in names:
        values = [event.get(name) for event in events]
        columns.append(pa.array(map(_instant, values) if _type(name) == _INSTANT else values, _type(name)))
    return pa.table(columns, names=names)


def _mended(event: Event) -> Event:
    """Return an event whose instants can be told as such; others go where stores keep what fits no field."""
    odd = [
        name for name in event if name in FIELDS and _type(name) == _INSTANT and not _is_instant(event[name])
    ]
    if not odd:
        return event
    mended: Event = {name: value for name, value in event.items() if name not in odd}
    mended[EXTRA] = [*map(str, values_of(event, EXTRA)), *(f"{name}={event[name]}" for name in odd)]
    return mended


def _is_instant(value: Value) -> bool:
    try:
        _instant(value)
    except ValueError:
        return False
    return True


def _instant(value: Value | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))


def _save(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", row_group_size=MOST_HELD)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _digest(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _write_manifest(root: Path, found: Exported, about: Mapping[str, object]) -> None:
    body = {"format": FORMAT, **about, "rows": found.rows, "files": [asdict(file) for file in found.files]}
    text = json.dumps(body, ensure_ascii=False, indent=1)
    path = root / MANIFEST
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    for directory in {root, *(path.parent for path in root.rglob("*.parquet"))}:
        sync_directory(directory)


def check_export(target: Path) -> Iterator[str]:
    """Yield what is wrong with an exported folder: paths of files that lack or differ."""
    body = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    for file in body["files"]:
        path = target / file["path"]
        if not path.is_file() or _digest(path) != (file["sha256"], file["bytes"]):
            yield str(file["path"])


def about_export(request: Search, text: str, now: datetime, head: object) -> dict[str, object]:
    """Return what the manifest says of a question: its words, time, units, when it was asked, and the chain's head."""
    units = None if request.scope.ids is None else sorted(request.scope.ids)
    return {
        "made_at": now.isoformat(),
        "query": text,
        "from": request.start.isoformat(),
        "to": request.end.isoformat(),
        "organisation_ids": units,
        "chain_head": head,
    }
