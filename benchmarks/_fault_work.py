"""Work on a store until killed, and say what was acknowledged: the processes that ``faults.py`` kills.

Event ``n`` is the same whoever makes it; its day rises with its number, so that what retention removes is old. Each
work sends over its pipe the number of events acknowledged, and before a removal the cut.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from soc_core.backup.making import Order, Source, make_backup
from soc_core.backup.meter import SilentMeter
from soc_core.clock import Clock, format_instant, utc_now
from soc_core.config import Settings
from soc_core.model.event import Event
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.interface import EventStore
from soc_core.store.migrating import Checkpoint, copy

FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
A_DAY: Final = 400
DATASETS: Final = ("packets.flow", "syslog.log", "packets.dns")
RETRIED: Final = 300
LIMITS: Final = Limits(seal_events=2_000, reserve=0)


def make_event(number: int) -> Event:
    """Return the event of a number."""
    at = FIRST + timedelta(days=number // A_DAY, seconds=number % A_DAY)
    return {
        "@timestamp": format_instant(at),
        "event.id": f"{at:%Y%m%d}-{number:026d}",
        "event.kind": "event",
        "event.dataset": DATASETS[number % 3],
        "organization.id": f"unit-{number % 7}",
        "source.ip": f"10.{number % 200}.{number // 250 % 250}.{number % 250 + 1}",
        "source.port": 1_024 + number % 60_000,
        "message": f"record {number} " + "x" * (number % 90),
    }


def number_of(event_id: str) -> int:
    """Return the number of an event by its id."""
    return int(event_id.partition("-")[2])


def day_of(number: int) -> str:
    """Return the day (YYYYMMDD) of an event."""
    return f"{FIRST + timedelta(days=number // A_DAY):%Y%m%d}"


def events_between(low: int, high: int) -> list[Event]:
    """Return the events of some numbers."""
    return [make_event(number) for number in range(low, high)]


def running_clock() -> Clock:
    """Return a clock ten minutes further at each look: what was merged away is removed at once."""
    looked = [0]

    def clock() -> datetime:
        looked[0] += 1
        return utc_now() + timedelta(minutes=10 * looked[0])

    return clock


class Work:
    """Hold what every work needs: where, from which number on, chance, the pipe to who watches."""

    def __init__(self, state: Path, start: int, chance: random.Random, told: Connection) -> None:
        """Take them."""
        self.state, self.number, self.chance, self.told = state, start, chance, told

    def open(self, clock: Clock = utc_now) -> EmbeddedStore:
        """Open the store for writing."""
        return EmbeddedStore(self.state / "events", writer=True, clock=clock, limits=LIMITS)

    def append(self, store: EventStore, most: int) -> None:
        """Append a batch, most often together with some events that were sent before in other batches."""
        high = self.number + self.chance.randrange(1, most)
        low = max(0, self.number - self.chance.choice((0, 0, 7, RETRIED)))
        store.append(events_between(low, high))
        self.number = high
        self.told.send(high)


def ingest(work: Work) -> None:
    """Append without end; the store seals by itself."""
    store = work.open()
    while True:
        work.append(store, 400)


def seal(work: Work) -> None:
    """Append little and seal, again and again: small segments are merged, merged ones removed."""
    store = work.open(running_clock())
    while True:
        for _ in range(work.chance.randrange(1, 4)):
            work.append(store, 60)
        store.seal()


def retention(work: Work) -> None:
    """Append some days and remove old ones, of one data set or of all."""
    store = work.open(running_clock())
    while True:
        for _ in range(4):
            work.append(store, 400)
        last = work.number // A_DAY - 2
        chosen = DATASETS if work.chance.random() < 0.3 else (work.chance.choice(DATASETS),)
        if last > 0:
            cuts = {
                name: day_of(work.chance.randrange(max(1, last - 2), last + 1) * A_DAY) for name in chosen
            }
            work.told.send(cuts)
            store.remove(cuts)


def backup(work: Work) -> None:
    """Make one backup after another beside whoever writes."""
    settings = Settings(state=str(work.state))
    database = Database.of(settings)
    source = Source(settings, database)
    while True:
        make_backup(source, Order(work.state.with_name("usb"), verify=False), utc_now, SilentMeter())


def migrate(work: Work) -> None:
    """Copy all events to or from Elasticsearch; tell when it is done."""
    source, target = open_both(work.state)
    try:
        checkpoint = Checkpoint(work.state / "migration.json", "one", "other")
        copy(source, target, checkpoint, cursor=0, meter=SilentMeter())
        work.told.send(source.end_offset())
    finally:
        source.close()
        target.close()


def open_both(state: Path) -> tuple[EventStore, EventStore]:
    """Open the stores of a migration; the environment says where Elasticsearch is and which way it goes."""
    from soc_core.store.elasticsearch.client import connect
    from soc_core.store.elasticsearch.place import Place
    from soc_core.store.elasticsearch.store import ElasticsearchStore
    from soc_core.store.elasticsearch.writer import Writing

    url, prefix = os.environ["FAULTS_URL"], os.environ["FAULTS_PREFIX"]
    out = os.environ["FAULTS_DIRECTION"] == "out"
    settings = Settings(elasticsearch_url=url)
    how = Writing(replicas=0, lease_seconds=1.0)
    distributed = ElasticsearchStore(Place(connect(settings), prefix, url), writer=out, how=how)
    folder = "events" if out else "returned"
    embedded = EmbeddedStore(state / folder, writer=not out, limits=LIMITS)
    return (embedded, distributed) if out else (distributed, embedded)


WORKS: Final[Mapping[str, Callable[[Work], None]]] = {
    work.__name__: work for work in (ingest, seal, retention, backup, migrate)
}


def run(
    name: str, state: str, start: int, seed: int, told: Connection, surroundings: Sequence[tuple[str, str]]
) -> None:
    """Be the process that is killed."""
    os.environ.update(surroundings)
    WORKS[name](Work(Path(state), start, random.Random(seed), told))
