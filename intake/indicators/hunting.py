"""Search history for the new entries of a list: day by day, newest first, through the query tree.

Each step is a question about a day. How far a search is stands in its row, moved on in the transaction that stores
the step's detections, so it may be killed anywhere and goes on where it was. The detector decides, with all lists that
hold now, as in the stream: what it finds has the ids the stream would have given, and what the stream found already
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from detectors.indicators import seen
from detectors.indicators.asking import questions
from detectors.indicators.detector import IndicatorDetector
from detectors.indicators.table import Table
from intake.indicators import repository
from intake.indicators.importing import JOB
from intake.indicators.model import Hunt
from intake.indicators.shelf import Shelf
from intake.rules.model import DetectionSink
from intake.rules.policy import Policy
from soc_core.clock import Clock, format_instant, parse_instant
from soc_core.errors import EdusocError, StoreError
from soc_core.jobs import jobs
from soc_core.jobs.jobs import Job
from soc_core.model.detection import Detection
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE
from soc_core.query.tree import Query
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, Search

LEASE: Final = timedelta(hours=1)
AT_ONCE: Final = 1_000
"""Detections stored by one transaction."""
AHEAD: Final = timedelta(days=2)
"""Clocks run ahead: so far after the beginning of the last day events are looked for."""
MOST_DAYS: Final = 4_000
MOST_TRIES: Final = 5
FIELDS: Final = tuple(
    dict.fromkeys(
        (TIMESTAMP, EVENT_ID, ORGANIZATION_ID, ZONE, DATASET, "destination.port", *seen.FIELDS_ASKED)
    )
)
_ONE_DAY: Final = timedelta(days=1)


def _never() -> bool:
    return False


class Open(Protocol):
    """Open the detector of the indicators that hold now, for searching history."""

    def __call__(self) -> IndicatorDetector:
        """Return it; raise ``StoreError`` when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold what a search works with."""

    shelf: Shelf
    database: Database
    reader: EventReader
    policy: Policy
    sink: DetectionSink


class Hunter:
    """Carry out searches that wait, step by step."""

    def __init__(self, parts: Parts, open_detector: Open, clock: Clock) -> None:
        """Take the parts; nothing is searched before ``run_some``."""
        self._parts, self._open, self._clock = parts, open_detector, clock

    def release(self) -> None:
        """Give back what a dead predecessor held."""
        with self._parts.database.write() as connection:
            jobs.release(connection, JOB)

    def run_some(
        self, stop: Callable[[], bool] = _never, report: Callable[[Hunt], None] = lambda _hunt: None
    ) -> int:
        """Carry out the searches that nobody works on, until ``stop`` says so; return how many were finished.

        ``report`` is told after each step. A search that fails is tried again later, and given up after some times.
        """
        finished = 0
        while not stop():
            with self._parts.database.write() as connection:
                taken = jobs.lease(connection, JOB, now=self._clock(), length=LEASE, limit=1)
            if not taken:
                break
            finished += self._work(taken[0], stop, report)
        return finished

    def _work(self, job: Job, stop: Callable[[], bool], report: Callable[[Hunt], None]) -> bool:
        list_id, _, version = job.key.rpartition("@")
        with self._parts.database.read() as connection:
            hunt = repository.get_hunt(connection, list_id, int(version))
        done = True
        if hunt is not None and hunt.state in {"waiting", "running"}:
            try:
                done = self._search(hunt, stop, report)
            except EdusocError as error:
                return self._failed(hunt, job, error)
        with self._parts.database.write() as connection:
            if not done:
                jobs.add(connection, JOB, [job.key], self._clock())  # so that it is released, not removed
            jobs.finish(connection, [job])
        return done

    def _failed(self, hunt: Hunt, job: Job, error: EdusocError) -> bool:
        """Say why a search could not go on; leave its lease, which runs out, unless it was tried often enough."""
        with self._parts.database.write() as connection:
            given_up = job.attempts >= MOST_TRIES or not isinstance(error, StoreError)
            state = "failed" if given_up else hunt.state
            repository.update_hunt(connection, hunt, fault=str(error)[:500], state=state)
            if given_up:
                jobs.finish(connection, [job])
        return given_up

    def _search(self, hunt: Hunt, stop: Callable[[], bool], report: Callable[[Hunt], None]) -> bool:
        """Do the steps that are left; return whether all are done."""
        table = Table(self._parts.shelf.hunt_path(hunt.list_id, hunt.version))
        asked = questions(table.entry(number) for number in range(len(table)))
        detector = self._open()
        hunt = self._begun(hunt, len(asked))
        for number in range(hunt.done, hunt.steps):
            if stop():
                return False
            bounds = _bounds(hunt, number // len(asked))
            hunt = self._step(hunt, detector, asked[number % len(asked)], bounds)
            report(hunt)
        with self._parts.database.write() as connection:
            at = format_instant(self._clock())
            repository.update_hunt(connection, hunt, state="done", finished_at=at, fault="")
        return True

    def _begun(self, hunt: Hunt, asked: int) -> Hunt:
        """Settle, at the first step, how far back the search goes, and return it as it is."""
        if hunt.from_at:
            return hunt
        first = min((day.day for day in self._parts.reader.days(SYSTEM_SCOPE)), default="")
        last = _day(parse_instant(hunt.until_at)) + _ONE_DAY
        start = datetime.strptime(first, "%Y%m%d").replace(tzinfo=UTC) if first else last
        start = max(min(start, last), last - timedelta(days=MOST_DAYS))
        days = (last - start).days + 1 if first else 0
        with self._parts.database.write() as connection:
            repository.update_hunt(
                connection,
                hunt,
                state="running",
                from_at=format_instant(start),
                steps=days * asked,
                started_at=format_instant(self._clock()),
            )
            return repository.get_hunt(connection, hunt.list_id, hunt.version) or hunt

    def _step(
        self, hunt: Hunt, detector: IndicatorDetector, query: Query, bounds: tuple[datetime, datetime]
    ) -> Hunt:
        """Ask one question and store what is found, then that it was asked."""
        search = Search(SYSTEM_SCOPE, *bounds, query=query, fields=FIELDS)
        examined = hits = 0
        waiting: list[Detection] = []
        for batch in self._parts.reader.scan(search):
            examined += len(batch)
            waiting += detector.detect(batch)
            while len(waiting) > AT_ONCE:
                hits += self._store(waiting[:AT_ONCE])
                del waiting[:AT_ONCE]
        rulings = self._parts.policy.decide(waiting)
        with self._parts.database.write() as connection:
            stored = self._parts.policy.take(connection, rulings, self._parts.sink, once=False)
            repository.update_hunt(
                connection,
                hunt,
                done=hunt.done + 1,
                events=hunt.events + examined,
                hits=hunt.hits + hits + len(stored),
            )
            return repository.get_hunt(connection, hunt.list_id, hunt.version) or hunt

    def _store(self, found: Sequence[Detection]) -> int:
        rulings = self._parts.policy.decide(found)
        with self._parts.database.write() as connection:
            return len(self._parts.policy.take(connection, rulings, self._parts.sink, once=False))


def _day(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _bounds(hunt: Hunt, number: int) -> tuple[datetime, datetime]:
    """Return the day of a step, counted back from the day after the search was begun."""
    start = _day(parse_instant(hunt.until_at)) + _ONE_DAY - number * _ONE_DAY
    return start, start + (AHEAD if number == 0 else _ONE_DAY)
