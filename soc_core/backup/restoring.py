"""Bring a backup back into an empty state directory.

Everything is checked first, then written into ``<state>.restoring`` beside it, opened and compared with the manifest,
and only then given the directory's name. Killed at any moment, it can be repeated.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soc_core.backup import files
from soc_core.backup.checking import check_backup
from soc_core.backup.events import DIRECTORY as EVENTS
from soc_core.backup.manifest import FileEntry, Manifest, Snapshot
from soc_core.backup.meter import Meter, metered
from soc_core.backup.package import PackageReader
from soc_core.backup.tables import Loaded, Migrate, forget_restore, load_tables
from soc_core.clock import Clock, format_instant, utc_now
from soc_core.errors import StoreError, UsageError
from soc_core.log.lock import WriterLock
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE
from soc_core.system import sync_directory

RESTORING: Final = ".restoring"
RestoreSnapshot = Callable[[Snapshot], int]
"""Let Elasticsearch bring a snapshot back and compare it; return how many documents there are."""


@dataclass(frozen=True, slots=True)
class Means:
    """Hold what a restore works with: how to open the database of a directory, to migrate it, to ask Elasticsearch."""

    open_database: Callable[[Path], Database]
    migrate: Migrate
    clock: Clock = utc_now
    restore_snapshot: RestoreSnapshot | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """Tell of a restore: where the old directory went (if one was replaced), what there is now, how long it took."""

    state: Path
    aside: Path | None
    events: int
    end_offset: int
    loaded: Loaded
    seconds: float


def restore_backup(
    package: PackageReader, state: Path, means: Means, meter: Meter, *, replace: bool = False
) -> Restored:
    """Bring everything back; an old state directory is moved aside if ``replace``, never removed.

    Raises ``UsageError`` when there is something already, ``StoreBusyError`` when a process writes there, and
    ``StoreError`` when the backup is damaged (nothing is then changed) or what came back is not what the manifest says.
    """
    started = time.monotonic()
    manifest = package.manifest
    _check_place(state, replace=replace)
    if manifest.snapshot.name and means.restore_snapshot is None:
        raise UsageError(
            "the events of this backup are a snapshot in Elasticsearch",
            where=str(package.path),
            todo="name the cluster in elasticsearch_url",
        )
    found = check_backup(package, meter)
    if found:
        raise StoreError(
            f"the backup is damaged: {found[0].what}", where=found[0].where, todo="use another backup"
        )
    work = state.with_name(state.name + RESTORING)
    _begin(work)
    meter.begin("restore", manifest.size)
    for entry in manifest.files:
        place = _place_of(entry.path)
        if place is not None:
            _write(package, entry, work / place, meter)
    database = means.open_database(work)
    try:
        loaded = load_tables(database, package, means.migrate, meter)
    finally:
        database.close()
    events, end = _bring_events(work / EVENTS, manifest, means)
    aside = _take_place(work, state, format_instant(means.clock()))
    database = means.open_database(state)
    try:
        forget_restore(database)
    finally:
        database.close()
    return Restored(state, aside, events, end, loaded, time.monotonic() - started)


def _check_place(state: Path, *, replace: bool) -> None:
    """Refuse a directory that holds something, is in use, or can't be exchanged as a whole."""
    if os.path.ismount(state):
        raise UsageError(
            "a restore can't replace the root of a disk", where=str(state), todo="choose a folder inside it"
        )
    if not state.exists() or (state.is_dir() and not any(state.iterdir())):
        return
    if not replace or not state.is_dir():
        raise UsageError(
            "there is something here already",
            where=str(state),
            todo="choose an empty directory, or move the old one aside with --replace",
        )
    with _unused(state):
        pass


@contextmanager
def _unused(state: Path) -> Iterator[None]:
    """Keep writers out of a state directory; raise ``StoreBusyError`` while one is there."""
    path = state / EVENTS / "log" / "lock"
    lock = WriterLock(path) if path.exists() else None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _begin(work: Path) -> None:
    """Make the working directory anew; what an attempt that was killed left there goes."""
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True, mode=0o700)


def _place_of(name: str) -> str | None:
    """Return where in the state directory a file of the backup belongs, ``None`` for what is read otherwise."""
    kind, _, rest = name.partition("/")
    if kind == EVENTS:
        return name
    if kind == files.DIRECTORY:
        return rest
    return f"{files.RESTORED}/{rest}" if kind == "configuration" else None


def _write(package: PackageReader, entry: FileEntry, path: Path, meter: Meter) -> None:
    """Write one file durably; only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        for block in metered(package.blocks(entry), meter):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())


def _bring_events(directory: Path, manifest: Manifest, means: Means) -> tuple[int, int]:
    """Compare the events that were written, or let Elasticsearch bring its snapshot back; return count and end."""
    if manifest.events.backend == "embedded":
        return _compare(directory, manifest)
    if manifest.snapshot.name and means.restore_snapshot is not None:
        return means.restore_snapshot(manifest.snapshot), 0
    return 0, 0


def _compare(directory: Path, manifest: Manifest) -> tuple[int, int]:
    """Open the store and compare it with the manifest; return the number of events and the end offset."""
    store = EmbeddedStore(directory, writer=True)
    try:
        counted = {(row.organization_id, row.dataset): row.events for row in store.statistics(SYSTEM_SCOPE)}
        end = store.end_offset()
    finally:
        store.close()
    expected = {(row.organization_id, row.dataset): row.events for row in manifest.events.sources}
    if counted != expected or end != manifest.events.end_offset:
        raise StoreError(
            f"{sum(counted.values())} events up to offset {end} came back, not {manifest.events.events} up to "
            f"{manifest.events.end_offset}",
            where=str(directory),
            todo="use another backup",
        )
    return sum(counted.values()), end


def _take_place(work: Path, state: Path, now: str) -> Path | None:
    """Give the restored directory its name; return where the old one went."""
    for directory, _, _ in os.walk(work, topdown=False):
        sync_directory(Path(directory))
    aside = None
    if state.exists() and any(state.iterdir()):
        aside = state.with_name(f"{state.name}.before-{now[:19].replace(':', '')}Z")
        with _unused(state):  # one may have begun to write since we looked
            state.rename(aside)
    elif state.exists():
        state.rmdir()
    work.rename(state)
    sync_directory(state.parent)
    return aside
