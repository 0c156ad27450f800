"""Import files: read them with the collectors, store them through the pipeline, detect.

The reference time against which years are guessed is kept at the first import of a source and used again for every
later one, so the same file gives the same ids whenever and under whatever name it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from sqlalchemy import Connection, insert, select, update

from collectors.base import ReadContext
from collectors.opening import OpenSource
from collectors.reading import ReadBatch, Statistics, read_paths
from intake.keeping_aside import keep_aside, storable
from intake.pipeline import Pipeline
from intake.tables import sources
from soc_core.clock import LOCAL_ZONE, Clock, format_instant, parse_instant
from soc_core.state.database import Database

MAX_QUARANTINED_PER_FILE: Final = 1_000
ADVANCE_EVERY: Final = 20_000
Report = Callable[[ReadBatch], None]


@dataclass(slots=True)
class ImportReport:
    """Add up an import: what was read, what of it was new, what was kept aside."""

    read: Statistics = field(default_factory=Statistics)
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Say whose data is imported."""

    organization_id: str
    zone: str = "default"
    zone_info: tzinfo = LOCAL_ZONE
    demo: bool = False


class Importer:
    """Import files into one pipeline."""

    def __init__(self, pipeline: Pipeline, database: Database, clock: Clock) -> None:
        """Take the pipeline (the one writer) and the database that remembers sources."""
        self._pipeline = pipeline
        self._database = database
        self._clock = clock
        self._identity = ""

    def import_paths(self, paths: Sequence[str], place: Place, report: Report) -> ImportReport:
        """Read, store and detect; ``report`` is called for each batch (progress). Repeating it adds nothing."""
        total = ImportReport()
        since_advance = 0
        kept = 0
        for batch in read_paths(paths, lambda source: self._context(source, place)):
            total.read.add(batch)
            self._store(batch, place, total)
            kept = self._keep_aside(batch, place, kept)
            since_advance += len(batch.events)
            if since_advance >= ADVANCE_EVERY:
                self._pipeline.advance()
                since_advance = 0
            report(batch)
        self._pipeline.advance()
        return total

    def _store(self, batch: ReadBatch, place: Place, total: ImportReport) -> None:
        if not batch.events:
            return
        for event in batch.events:
            event["edusoc.source"] = self._identity
            if place.demo:
                event["edusoc.demo"] = True
        ack = self._pipeline.take(batch.events, organization_id=place.organization_id, zone=place.zone)
        total.accepted += ack.accepted
        total.duplicates += ack.duplicates
        total.rejected += len(ack.rejected)

    def _context(self, source: OpenSource, place: Place) -> ReadContext:
        identity = source_identity(source, place)
        now = format_instant(self._clock())
        with self._database.write() as connection:
            row = connection.execute(
                select(sources.c.reference).where(sources.c.identity == identity)
            ).first()
            reference = row.reference if row is not None else format_instant(source.modified)
            if row is None:
                _remember(connection, identity, storable(source.name), place, (reference, now))
            else:
                moved = update(sources).where(sources.c.identity == identity)
                connection.execute(moved.values(path=storable(source.name), last_at=now))
        self._identity = identity
        return ReadContext(
            reference=parse_instant(reference),
            organization_id=place.organization_id,
            zone=place.zone,
            zone_info=place.zone_info,
        )

    def _keep_aside(self, batch: ReadBatch, place: Place, kept: int) -> int:
        """Keep bad records of a file, up to a limit; they are counted in any case."""
        room = MAX_QUARANTINED_PER_FILE - kept
        if batch.bad and room > 0:
            with self._database.write() as connection:
                keep_aside(connection, batch.bad[:room], place.organization_id, format_instant(self._clock()))
        return 0 if batch.last else kept + len(batch.bad)


def source_identity(source: OpenSource, place: Place) -> str:
    """Return 32 hex digits that name a source: its place and how it begins, which stays when the file grows.

    That is the first line (at most 4 KiB) of text that isn't a comment, since all Zeek logs begin alike, or the first
    160 bytes of a binary file: a capture's header and its first packet.
    """
    binary = b"\0" in source.head[:64]
    first = source.head[:160] if binary else _first_record(source.head[:4_096])
    digest = hashlib.blake2b(digest_size=16)
    for part in (place.organization_id.encode(), place.zone.encode(), first):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.hexdigest()


def _first_record(head: bytes) -> bytes:
    lines = head.split(b"\n")
    return next((line for line in lines if line and not line.startswith(b"#")), lines[0])


def _remember(connection: Connection, identity: str, path: str, place: Place, times: tuple[str, str]) -> None:
    connection.execute(
        insert(sources).values(
            identity=identity,
            path=path,
            collector="",
            organization_id=place.organization_id,
            zone=place.zone,
            reference=times[0],
            first_at=times[1],
            last_at=times[1],
        )
    )
