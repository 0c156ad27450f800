"""Make a backup of a whole installation while it runs.

Operational state is read first and events after it: state refers to events and to offsets of the log, so what it
refers to is in the backup. What arrives meanwhile may be in the events alone; the detectors look at it after a restore.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sqlalchemy import ScalarResult, column, select, table

from soc_core.backup.checking import check_backup
from soc_core.backup.events import DIRECTORY as EVENTS
from soc_core.backup.events import copy_events, size_of
from soc_core.backup.files import Found, copy_files, copy_settings, list_files
from soc_core.backup.manifest import EventsCopy, LeftOut, Manifest, Snapshot, StateDump
from soc_core.backup.meter import Meter
from soc_core.backup.package import (
    ARCHIVE,
    PARTIAL,
    PREFIX,
    ArchiveTarget,
    FolderTarget,
    PackageReader,
    PackageWriter,
    Target,
)
from soc_core.backup.tables import dump_tables
from soc_core.clock import Clock, format_instant
from soc_core.config import Settings
from soc_core.errors import StoreError, UsageError
from soc_core.log.lock import WriterLock
from soc_core.state.database import Database
from soc_core.store.interface import Finding

SPOILED: Final = ".damaged"
LOCK: Final = ".edusoc-backup.lock"
_OURS: Final = re.compile(r"edusoc-\d{8}T\d{6}Z-[0-9a-f]{8}(\.zip)?")
_SOURCES: Final = "imported_sources"
TakeSnapshot = Callable[[str], Snapshot]
"""Let Elasticsearch take a snapshot of a name, and wait for it."""


@dataclass(frozen=True, slots=True)
class Order:
    """Say what backup is wanted: where, in one file or a folder, after which earlier one, secret or not, with keys."""

    directory: Path
    archive: bool = False
    base: PackageReader | None = None
    passphrase: bytes | None = None
    with_keys: bool = False
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Made:
    """Tell of a backup that was made: where it is, what it holds, what its check found, and how long it took."""

    path: Path
    manifest: Manifest
    found: list[Finding]
    reused: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Source:
    """Hold what is backed up; ``take_snapshot`` is there when Elasticsearch keeps the events."""

    settings: Settings
    database: Database
    take_snapshot: TakeSnapshot | None = None


def leftovers(directory: Path) -> list[Path]:
    """Return what backups that were killed left in a directory, oldest first."""
    return sorted(path for path in directory.glob(f"{PREFIX}*{PARTIAL}"))


def clean(directory: Path) -> list[Path]:
    """Remove what killed backups left; return it. Raises ``StoreBusyError`` while another backup writes there."""
    with _held(directory):
        found = leftovers(directory)
        for path in found:
            _remove(path)
    return found


def latest(directory: Path) -> Path | None:
    """Return the newest complete backup folder in a directory, if there is one."""
    found = [path for path in directory.glob(f"{PREFIX}*") if path.is_dir() and _OURS.fullmatch(path.name)]
    return max(found, key=lambda path: path.name, default=None)


def remove_old(directory: Path, keep: int) -> list[Path]:
    """Remove the oldest complete backups beyond the ``keep`` newest; return them. Each holds everything itself."""
    found = sorted(
        path
        for path in directory.glob(f"{PREFIX}*")
        if _OURS.fullmatch(path.name) and (path.is_dir() or path.name.endswith(ARCHIVE))
    )
    with _held(directory):
        for path in found[:-keep]:
            partial = path.with_name(path.name + PARTIAL)  # killed on the way it is no backup any more
            path.rename(partial)
            _remove(partial)
    return found[:-keep]


def make_backup(source: Source, order: Order, clock: Clock, meter: Meter) -> Made:
    """Make a backup, give it its name and check it; of one that can't be made nothing stays. Never changes the source.

    One that does not stand the check is renamed ``….damaged``: it may be better than none, but is not used further.
    Raises ``UsageError`` for a place inside the state directory, ``StoreBusyError`` while another backup writes there.
    """
    started = time.monotonic()
    state = source.settings.state_directory
    if not state.is_dir():
        raise UsageError("there is no state directory", where=str(state), todo="name it with --state")
    if order.directory.resolve().is_relative_to(state.resolve()):
        raise UsageError(
            "a backup can't lie inside what it backs up",
            where=str(order.directory),
            todo="choose another disk; a folder beside it at least",
        )
    order.directory.mkdir(parents=True, exist_ok=True)
    with _held(order.directory):
        instant = clock()
        now = format_instant(instant)
        # The order of names is the order of making: within one second the microsecond tells, then chance.
        last = f"{instant.microsecond:05x}{secrets.randbelow(4_096):03x}"
        name = f"{PREFIX}{now[:19].translate({45: None, 58: None})}Z-{last}"
        target: Target = (
            ArchiveTarget(order.directory, name) if order.archive else FolderTarget(order.directory, name)
        )
        try:
            package = PackageWriter(target, order.passphrase, order.base)
            manifest = _fill(source, order, _Begun(package, name, now, meter))
            path = package.finish(manifest)
        except BaseException:
            _remove(target.path)
            raise
        found = _checked(path, order, meter)
        if found:
            path = path.rename(
                path.with_name(path.name + SPOILED)
            )  # no base for later ones, and not to be relied on
    return Made(path, manifest, found, package.reused, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Begun:
    """Hold a backup that is being written."""

    package: PackageWriter
    name: str
    created: str
    meter: Meter


def _fill(source: Source, order: Order, begun: _Begun) -> Manifest:
    """Write everything but the manifest, which is returned."""
    package, meter = begun.package, begun.meter
    state, damaged = source.settings.state_directory, list[str]()
    files = list_files(state, with_keys=order.with_keys)
    size = 0 if source.take_snapshot is not None else size_of(state / EVENTS)
    _check_room(order, files, size, state)
    meter.begin("state", 0)
    dumped = dump_tables(source.database, package, meter)
    snapshot, events = Snapshot(), EventsCopy("elasticsearch")
    if source.take_snapshot is not None:
        snapshot = source.take_snapshot(begun.name)
    else:
        meter.begin("events", size)
        events = copy_events(state / EVENTS, package, meter, damaged)
    files = list_files(state, with_keys=order.with_keys)  # anew: state may name files that came meanwhile
    meter.begin("files", sum(item.size for item in files))
    copy_files(files, package, meter, damaged)
    copy_settings(source.settings, package, with_secrets=order.with_keys)
    return Manifest(
        id=begun.name,
        created=begun.created,
        program=version("edusoc"),
        with_keys=order.with_keys,
        state=dumped,
        events=events,
        snapshot=snapshot,
        files=package.entries(),
        left_out=_left_out(source, order, dumped),
        damaged=damaged,
    )


def _check_room(order: Order, files: list[Found], events: int, state: Path) -> None:
    """Refuse before the work what can't fit; where files are shared with others nobody knows the size beforehand."""
    same = order.directory.stat().st_dev == state.stat().st_dev
    if order.base is not None or (same and order.passphrase is None and not order.archive):
        return
    wanted = events + sum(item.size for item in files)
    free = shutil.disk_usage(order.directory).free
    if free < wanted:
        raise StoreError(
            f"only {free // 2**20} MB are free, the backup needs about {wanted // 2**20 + 1} MB",
            where=str(order.directory),
            todo="free room there or use a larger disk",
        )


def _left_out(source: Source, order: Order, dumped: StateDump) -> list[LeftOut]:
    """Say what must be kept in other ways: imported files stay where they were, and keys only go along if asked."""
    captures = _elsewhere(source) if dumped.rows.get(_SOURCES) else 0
    found = [LeftOut("captures", captures)] if captures else []
    if not order.with_keys:
        found += [LeftOut("keys"), LeftOut("secrets")]
    if source.take_snapshot is not None:
        found.append(LeftOut("elasticsearch"))
    return found


def _elsewhere(source: Source) -> int:
    """Return how many imported files lie outside the state directory."""
    inside = f"{source.settings.state_directory}/"
    with source.database.read() as connection:
        paths: ScalarResult[str] = connection.scalars(select(column("path")).select_from(table(_SOURCES)))
        return sum(not path.startswith(inside) for path in paths)


def _checked(path: Path, order: Order, meter: Meter) -> list[Finding]:
    if not order.verify:
        return []
    written = PackageReader(path, order.passphrase)
    try:
        return check_backup(written, meter)
    finally:
        written.close()


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Keep other backups out of a directory."""
    lock = WriterLock(directory / LOCK)
    try:
        yield
    finally:
        lock.release()


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
