"""Copy the embedded event store while another process writes to it.

The catalogue is copied in one step by SQLite's online backup, so it is of one moment. Everything it names is immutable:
segments with what lies beside them, and the committed records of the log from its sealed offset on. Where a file was
merged away or removed before it was copied, the copy goes on from a newer catalogue with what it has.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soc_core.backup.manifest import EventsCopy, SourceCount
from soc_core.backup.meter import Meter, metered
from soc_core.backup.package import BLOCK, PackageWriter
from soc_core.errors import StoreError
from soc_core.log import LogReader
from soc_core.log.files import COMMITTED, file_name, publish
from soc_core.log.frames import encode, file_header
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.segments import Damaged, Segment
from soc_core.store.embedded.store import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE

DIRECTORY: Final = "events"
_TRIES: Final = 20
_FOREVER: Final = float("inf")
OWN: Final = frozenset(
    {"catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm", "segments", "log"}
)
"""What is copied here; anything else in the directory of the events is copied like other files."""


class _ChangedError(Exception):
    """Tell that a file was gone before it was copied."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """Hold one state of the store: a directory with catalogue and log tail, the segments, offsets, missing items.

    ``hurt`` are segments that were found damaged before and are left out of answers; what there is of them is copied.
    """

    directory: Path
    segments: tuple[Segment, ...]
    hurt: tuple[Damaged, ...]
    sealed: int
    end: int
    missing: int


def size_of(source: Path) -> int:
    """Return about how many bytes will be copied; 0 when there is no store."""
    total = 0
    for directory in (source / "segments", source / "log"):
        if directory.is_dir():
            for item in os.scandir(directory):
                with suppress(FileNotFoundError):  # merged away or renamed since
                    total += item.stat().st_size if item.is_file() else 0
    return total


def copy_events(source: Path, package: PackageWriter, meter: Meter, damaged: list[str]) -> EventsCopy:
    """Copy the events of a store directory; what is damaged there is copied as it is, and named in ``damaged``.

    Raises ``StoreError`` when the catalogue can't be read or the store changes faster than it can be copied.
    """
    if not (source / "catalogue.sqlite").exists():
        return EventsCopy("embedded")
    copied: dict[tuple[str, str], list[str]] = {}
    for _ in range(_TRIES):
        with tempfile.TemporaryDirectory(prefix="edusoc-backup-") as made:
            try:
                moment = _take(source, Path(made))
                _copy_segments(source, moment, package, _Seen(copied, damaged, meter))
            except _ChangedError:
                continue
            _forget_others(moment, copied, package)
            _copy_hurt(source / "segments", moment, package, damaged)
            return _finish(moment, package, damaged)
    raise StoreError(
        "the store changes faster than it can be copied", where=str(source), todo="try again later"
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Hold what several attempts share: names copied by (segment, SHA-256), damage, the meter."""

    copied: dict[tuple[str, str], list[str]]
    damaged: list[str]
    meter: Meter


def _take(source: Path, directory: Path) -> _Moment:
    """Copy catalogue and log tail into ``directory``, both of one moment."""
    _copy_catalogue(source / "catalogue.sqlite", directory / "catalogue.sqlite")
    catalogue = Catalogue(directory / "catalogue.sqlite")
    catalogue.forget(catalogue.retired_before(_FOREVER))  # their files may be gone already
    snapshot = catalogue.snapshot()
    log = LogReader(source / "log")
    end = max(log.end_offset(), snapshot.sealed)
    (directory / "log").mkdir()
    written = _copy_log(log, directory / "log", snapshot.sealed, end)
    if log.start_offset() > snapshot.sealed and end > snapshot.sealed:
        raise _ChangedError  # sealed and dropped since
    missing = end - snapshot.sealed - written
    return _Moment(directory, snapshot.segments, snapshot.damaged, snapshot.sealed, end, missing)


def _copy_catalogue(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)  # all pages in one step: of one moment, whoever writes
    except sqlite3.Error as error:
        raise StoreError(
            f"the catalogue: {error}", where=str(source), todo="repair it with: edusoc store repair"
        ) from error


def _copy_log(log: LogReader, directory: Path, start: int, end: int) -> int:
    """Write the committed records of [start, end) as one log file; return how many items they hold."""
    written, stream = 0, None
    try:
        for record in log.records(start, end):
            if stream is None:
                stream = (directory / file_name(record.offset)).open("wb")
                stream.write(file_header(record.offset))
            stream.write(encode(record))
            written += record.end - max(record.offset, start)
    finally:
        if stream is not None:
            stream.close()
    mark = os.open(directory / COMMITTED, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        publish(mark, end)
    finally:
        os.close(mark)
    return written


def _copy_segments(source: Path, moment: _Moment, package: PackageWriter, seen: _Seen) -> None:
    beside = _beside(source / "segments")
    for segment in moment.segments:
        if (segment.name, segment.sha256) in seen.copied:
            continue
        for key in [key for key in seen.copied if key[0] == segment.name]:
            _undo(seen.copied.pop(key), package)  # another segment of the same name has taken its place
        names: list[str] = []
        seen.copied[segment.name, segment.sha256] = names
        try:
            for path, expected in _files(source / "segments", segment, beside):
                names.append(_copy_file(path, expected, package, seen))
        except FileNotFoundError as error:
            _undo(seen.copied.pop((segment.name, segment.sha256)), package)
            if not _still_named(source, segment):
                raise _ChangedError from None  # merged away or removed; otherwise it was lost
            seen.damaged.append(f"{Path(error.filename or segment.name).name}: the file is missing")
            seen.copied[segment.name, segment.sha256] = []


def _copy_hurt(directory: Path, moment: _Moment, package: PackageWriter, damaged: list[str]) -> None:
    """Add what there is of segments that were found damaged before: a repair may still read some of it."""
    beside = _beside(directory)
    for hurt in moment.hurt:
        damaged.append(f"{hurt.name}: {hurt.what}")
        for name in sorted(beside.get(hurt.name.partition(".")[0], ())):
            with suppress(OSError):
                package.add(f"{DIRECTORY}/segments/{name}", read_blocks(directory / name))


def _still_named(source: Path, segment: Segment) -> bool:
    """Tell whether the live catalogue still names a segment: then its missing file was lost, not merged away."""
    return any(
        (now.name, now.sha256) == (segment.name, segment.sha256)
        for now in Catalogue(source / "catalogue.sqlite").snapshot().segments
    )


def _beside(directory: Path) -> dict[str, list[str]]:
    """Return the names of the files that belong to each segment by its name's stem."""
    found: dict[str, list[str]] = {}
    for item in os.scandir(directory):
        if not item.name.endswith(".tmp"):
            found.setdefault(item.name.partition(".")[0], []).append(item.name)
    return found


def _files(directory: Path, segment: Segment, beside: dict[str, list[str]]) -> Iterator[tuple[Path, str]]:
    """Yield a segment's file with the SHA-256 the catalogue has of it, then what lies beside it (without)."""
    yield directory / segment.name, segment.sha256
    stem = segment.name.partition(".")[0]
    yield from ((directory / name, "") for name in sorted(beside.get(stem, ())) if name != segment.name)


def _copy_file(path: Path, expected: str, package: PackageWriter, seen: _Seen) -> str:
    """Copy one immutable file by the cheapest way there is; return its name in the backup."""
    name = f"{DIRECTORY}/segments/{path.name}"
    size = path.stat().st_size
    sha256 = expected or _sha256(path)
    entry = package.reuse(name, sha256)
    if entry is not None:
        seen.meter.advance(size)
        return name
    if package.can_link(path):
        sha256 = _sha256(path)
        entry = package.link(name, path, size, sha256)
        seen.meter.advance(size if entry is not None else 0)
    if entry is None:
        sha256 = package.add(name, metered(read_blocks(path), seen.meter)).sha256
    if expected and sha256 != expected:
        seen.damaged.append(f"{path.name}: the checksum differs")
    return name


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for block in read_blocks(path):
        digest.update(block)
    return digest.hexdigest()


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's content, the file being held open from the first block on."""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block


def _undo(names: list[str], package: PackageWriter) -> None:
    for name in names:
        package.forget(name)


def _forget_others(moment: _Moment, copied: dict[tuple[str, str], list[str]], package: PackageWriter) -> None:
    """Leave out what an earlier attempt copied and the last catalogue no longer names."""
    named = {(segment.name, segment.sha256) for segment in moment.segments}
    for key in [key for key in copied if key not in named]:
        _undo(copied.pop(key), package)


def _finish(moment: _Moment, package: PackageWriter, damaged: list[str]) -> EventsCopy:
    """Add catalogue and log tail, and count what the copy holds."""
    if moment.missing:
        damaged.append(f"log: {moment.missing} events can't be read")
    store = EmbeddedStore(moment.directory, writer=False)
    try:
        sources = [
            SourceCount(row.organization_id, row.dataset, row.events)
            for row in store.statistics(SYSTEM_SCOPE)
        ]
    finally:
        store.close()
    for path in (moment.directory / "catalogue.sqlite", *sorted((moment.directory / "log").iterdir())):
        package.add(f"{DIRECTORY}/{path.relative_to(moment.directory).as_posix()}", read_blocks(path))
    head = Catalogue(moment.directory / "catalogue.sqlite").head()
    chain_head = f"{head.number} {head.algorithm}:{head.hash}" if head.number else ""
    return EventsCopy("embedded", moment.end, moment.sealed, sources, chain_head)
