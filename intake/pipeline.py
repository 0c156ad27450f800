"""Move events from collectors into the store and detections out of it.

``take`` makes events durable (that is the acknowledgement). ``advance`` reads the log from a committed cursor, runs the
stateless detectors and marks dirty windows; the cursor, the detections, the jobs and the outgoing changes are
committed in one transaction. ``settle`` judges dirty windows. Each step may be killed and repeated: ids make it
harmless, so replaying gives what one uninterrupted run gives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, insert, select, update

from detectors.base import EventDetector, WindowDetector
from intake.enrich.base import Enricher, enrich_all
from intake.rules.model import DetectionSink
from intake.rules.policy import Openly, Policy
from intake.tables import cursors
from intake.windows import JOB, DirtyWindow, WindowJudge, WindowMarker
from soc_core.clock import Clock, format_instant
from soc_core.jobs import jobs
from soc_core.model.detection import Detection
from soc_core.model.event import ORGANIZATION_ID, ZONE, Event
from soc_core.organisations.repository import load_tree, today
from soc_core.state.database import Database
from soc_core.store.interface import Ack, EventStore

CURSOR: Final = "detect"
CHUNK: Final = 5_000
LEASE: Final = timedelta(minutes=10)
JOBS_AT_ONCE: Final = 400


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Detectors:
    """Hold all detectors that run, on single events and on windows, and the name of how far they have read."""

    events: Sequence[EventDetector] = ()
    windows: Sequence[WindowDetector] = ()
    cursor: str = CURSOR


@dataclass(slots=True)
class Progress:
    """Count what the pipeline did since it was opened."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    examined: int = 0
    detections: int = 0
    windows: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)

    def add(self, found: Sequence[Detection]) -> None:
        """Count detections, whether new or known."""
        self.detections += len(found)
        for detection in found:
            self.by_rule[detection.rule_id] = self.by_rule.get(detection.rule_id, 0) + 1


@dataclass(frozen=True, slots=True)
class Running:
    """Hold the detectors that run and what is made of them; replaced as a whole."""

    detectors: Detectors
    marker: WindowMarker
    judge: WindowJudge

    @classmethod
    def of(cls, detectors: Detectors, store: EventStore) -> Running:
        """Compile what detectors ask."""
        return cls(detectors, WindowMarker(detectors.windows), WindowJudge(store, detectors.windows))


class Pipeline:
    """Be the one writer of events of a state directory, and run its detectors.

    Any number of threads may take events; one at a time advances and settles.
    """

    def __init__(
        self, store: EventStore, database: Database, detectors: Detectors, sink: DetectionSink, clock: Clock
    ) -> None:
        """Take the opened parts; nothing runs yet."""
        self._store = store
        self._database = database
        self._sink = sink
        self._clock = clock
        self._running = Running.of(detectors, store)
        self._counting = threading.Lock()
        self.enrichers: Sequence[Enricher] = ()
        self.policy: Policy = Openly()
        self.progress = Progress()

    @property
    def cursor(self) -> str:
        """Return the name of how far the detectors have read."""
        return self._running.detectors.cursor

    @property
    def detectors(self) -> Detectors:
        """Return the detectors that run."""
        return self._running.detectors

    def replace(self, detectors: Detectors) -> None:
        """Let other detectors run from the next chunk on, whoever else advances: what was read stays read.

        Windows that are due are judged by the detector of that id that runs then; those of detectors that are gone
        give nothing. Raises ``ValueError`` when the detectors would read from another cursor.
        """
        if detectors.cursor != self._running.detectors.cursor:
            raise ValueError("detectors of a running pipeline can't change its cursor")
        self._running = Running.of(detectors, self._store)

    def take(self, events: Sequence[Event], *, organization_id: str, zone: str) -> Ack:
        """Say whose events these are, when they arrived, and store them durably; return the acknowledgement."""
        for event in events:
            event[ORGANIZATION_ID] = organization_id
            event[ZONE] = zone
        return self.take_placed(events)

    def take_placed(self, events: Sequence[Event]) -> Ack:
        """Store durably events that already say whose they are; several threads may do so at once."""
        arrived = format_instant(self._clock())
        for event in events:
            event["event.ingested"] = arrived
        enrich_all(events, self.enrichers)
        ack = self._store.append(events)
        with self._counting:
            self.progress.accepted += ack.accepted
            self.progress.duplicates += ack.duplicates
            self.progress.rejected += len(ack.rejected)
        return ack

    def advance(self, stop: Callable[[], bool] = _never) -> int:
        """Run stateless detectors over what was appended since the last time; return how many events were examined.

        ``stop`` is asked between chunks, for a process that is to end.
        """
        examined = 0
        while not stop():
            running = self._running
            with self._database.read() as connection:
                offset = read_cursor(connection, running.detectors.cursor)
            events, following = self._store.read_from(offset, CHUNK)
            if following == offset:
                return examined
            self._examine(running, events, following)
            examined += len(events)
        return examined

    def _examine(self, running: Running, events: Sequence[Event], following: int) -> None:
        found = [detection for detector in running.detectors.events for detection in detector.detect(events)]
        dirty = running.marker.dirty(events)
        rulings = self.policy.decide(found, events)
        now = self._clock()
        with self._database.write() as connection:
            self.policy.take(connection, rulings, self._sink, once=True)
            jobs.add(connection, JOB, (window.key for window in sorted(dirty)), now)
            set_cursor(connection, running.detectors.cursor, following)
        self.progress.examined += len(events)
        self.progress.add(found)

    def take_found(self, found: Sequence[Detection]) -> Sequence[Detection]:
        """Take detections that a hunt found in history, as if they came now in the stream; return what was passed on.

        Those that were taken before, in whatever way, change nothing.
        """
        rulings = self.policy.decide(found)
        with self._database.write() as connection:
            return self.policy.take(connection, rulings, self._sink, once=False)

    def settle(self, stop: Callable[[], bool] = _never) -> int:
        """Judge all dirty windows that are due, or until ``stop`` says so; return how many windows were judged."""
        judged = 0
        while not stop():
            done = self._settle_some(self._clock())
            judged += done
            self.progress.windows += done
            if not done:
                break
        return judged

    def _settle_some(self, now: datetime) -> int:
        with self._database.write() as connection:
            taken = jobs.lease(connection, JOB, now=now, length=LEASE, limit=JOBS_AT_ONCE)
            tree = load_tree(connection, today(now))
        if not taken:
            return 0
        found = self._running.judge.judge((DirtyWindow.parse(job.key) for job in taken), tree)
        rulings = self.policy.decide(found)
        with self._database.write() as connection:
            self.policy.take(connection, rulings, self._sink, once=False)
            jobs.finish(connection, taken)
        self.progress.add(found)
        return len(taken)

    def release_leases(self) -> None:
        """Give back leases a dead predecessor held: the store's writer lock proves that there is no other pipeline."""
        with self._database.write() as connection:
            jobs.release(connection, JOB)


def read_cursor(connection: Connection, name: str) -> int:
    """Return the log offset up to which the detectors have read; 0 when they never ran."""
    return connection.scalar(select(cursors.c.log_offset).where(cursors.c.name == name)) or 0


def set_cursor(connection: Connection, name: str, offset: int) -> None:
    """Remember the log offset up to which the detectors have read."""
    moved = connection.execute(update(cursors).where(cursors.c.name == name).values(log_offset=offset))
    if not moved.rowcount:
        connection.execute(insert(cursors).values(name=name, log_offset=offset))
