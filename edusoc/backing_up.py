"""Put together what a backup and a restore need of an installation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edusoc.migrating import upgrade
from soc_core.backup.making import Source
from soc_core.backup.manifest import Snapshot
from soc_core.backup.meter import Meter
from soc_core.backup.restoring import Means
from soc_core.config import Settings
from soc_core.errors import UsageError
from soc_core.state.database import Database

if TYPE_CHECKING:
    from soc_core.store.elasticsearch.snapshots import Snapshots

VARIABLE: Final = "EDUSOC_BACKUP_PASSPHRASE"


def read_passphrase(path: Path | None) -> bytes | None:
    """Return the passphrase: the first line of a file, else of the environment; ``None`` when there is none."""
    if path is None:
        given = os.environ.get(VARIABLE, "")
        return given.encode() or None
    try:
        first = path.read_bytes().partition(b"\n")[0].rstrip(b"\r")
    except OSError as error:
        raise UsageError(error.strerror or "can't be read", where=str(path)) from error
    if not first:
        raise UsageError("the passphrase file is empty", where=str(path))
    return first


@contextmanager
def open_source(settings: Settings, repository: str, meter: Meter) -> Iterator[Source]:
    """Open what is backed up; its tables stay as they are. ``repository`` is where Elasticsearch keeps snapshots."""
    if not settings.state_directory.is_dir():
        raise UsageError(
            "there is no state directory", where=str(settings.state_directory), todo="name it with --state"
        )
    database = Database.of(settings)
    try:
        if not settings.elasticsearch_url:
            yield Source(settings, database)
            return
        if not repository:
            raise UsageError(
                "the events lie in Elasticsearch, which keeps its own snapshots",
                todo="name a repository or a folder of its nodes with --snapshot-repository",
            )
        with open_snapshots(settings, meter) as snapshots:
            place = snapshots.repository(repository)
            yield Source(settings, database, lambda name: snapshots.take(place, name))
    finally:
        database.close()


@contextmanager
def open_snapshots(settings: Settings, meter: Meter) -> Iterator[Snapshots]:
    """Connect to the configured Elasticsearch."""
    from soc_core.store.elasticsearch.client import connect, place_of
    from soc_core.store.elasticsearch.snapshots import Snapshots

    client = connect(settings)
    try:
        yield Snapshots(client, settings.elasticsearch_prefix, place_of(settings), meter)
    finally:
        client.close()


@contextmanager
def open_means(settings: Settings, meter: Meter) -> Iterator[Means]:
    """Return what a restore works with: the database that the settings name, and Elasticsearch if they name one."""

    def open_database(directory: Path) -> Database:
        return Database.of(replace(settings, state=str(directory)))

    if not settings.elasticsearch_url:
        yield Means(open_database, upgrade)
        return
    with open_snapshots(settings, meter) as snapshots:
        yield Means(open_database, upgrade, restore_snapshot=snapshots.restore)


def snapshot_fault(settings: Settings, snapshot: Snapshot, meter: Meter) -> str:
    """Return what is wrong with the snapshot a backup names; empty when all is well or nobody can be asked."""
    if not snapshot.name or not settings.elasticsearch_url:
        return ""
    with open_snapshots(settings, meter) as snapshots:
        return snapshots.check(snapshot)
