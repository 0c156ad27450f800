"""Put together what a migration of events and the set-up of Elasticsearch need of an installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edusoc.composition import cursor_name, open_database, open_events
from intake.pipeline import read_cursor, set_cursor
from soc_core.backup.meter import Meter
from soc_core.config import Settings
from soc_core.errors import UsageError
from soc_core.model.event import BadRecord
from soc_core.store.interface import EventStore, Finding
from soc_core.store.migrating import Checkpoint, Progress, compare, copy

if TYPE_CHECKING:
    from soc_core.store.elasticsearch.administration import Administration


@dataclass(frozen=True, slots=True)
class Moved:
    """Hold what a migration did, the target's detection cursor, what was not taken, and what differs."""

    progress: Progress
    cursor: int
    rejected: list[BadRecord]
    findings: list[Finding]


def move(settings: Settings, *, to_elasticsearch: bool, meter: Meter) -> Moved:
    """Copy all events to the other store, carry the detection cursor over, compare. May be killed and repeated.

    Nobody else may write meanwhile: both stores are held by their writer locks (``StoreBusyError``).
    """
    if not settings.elasticsearch_url:
        raise UsageError(
            "no address of Elasticsearch is set", todo="set elasticsearch_url (EDUSOC_ELASTICSEARCH_URL)"
        )
    embedded = replace(settings, elasticsearch_url="")
    here, there = (embedded, settings) if to_elasticsearch else (settings, embedded)
    target_kind = "elasticsearch" if to_elasticsearch else "embedded"
    path = settings.state_directory / f"migration-to-{target_kind}.json"
    checkpoint = Checkpoint(path, _name(here), _name(there))
    database = open_database(settings)
    try:
        with _opened(here) as source, _opened(there) as target:
            with database.read() as connection:
                cursor = read_cursor(connection, cursor_name(here))
            rejected = copy(source, target, checkpoint, cursor=cursor, meter=meter)
            target.seal()
            with database.write() as connection:
                set_cursor(connection, cursor_name(there), checkpoint.progress.cursor)
            findings = compare(source, target, meter)
        return Moved(checkpoint.progress, checkpoint.progress.cursor, rejected, findings)
    finally:
        database.close()


@contextmanager
def _opened(settings: Settings) -> Iterator[EventStore]:
    store = open_events(settings, writer=True)
    try:
        yield store
    finally:
        store.close()


def _name(settings: Settings) -> str:
    """Return how a migration names a store."""
    if settings.elasticsearch_url:
        return f"elasticsearch {settings.elasticsearch_prefix}"
    return f"embedded {settings.state_directory / 'events'}"


def administration_of(settings: Settings) -> Administration:
    """Return what keeps the configured Elasticsearch in order."""
    from soc_core.store.elasticsearch.administration import Administration
    from soc_core.store.elasticsearch.client import connect, place_of
    from soc_core.store.elasticsearch.place import Place

    place = Place(connect(settings), settings.elasticsearch_prefix, place_of(settings))
    return Administration(place, settings.elasticsearch_replicas)
