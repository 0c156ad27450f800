"""Follow files in tests step by step, with a clock that only tests move."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from collectors.base import Batch, ReadContext
from collectors.live.base import Counters, Origin
from collectors.live.files.checkpoints import Checkpoints
from collectors.live.files.gathering import Gatherer
from collectors.live.files.settings import Settings
from collectors.live.files.watching import Watcher
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from soc_core.errors import StoreError
from soc_core.model.event import BadRecord, Event

CONTEXT = ReadContext(datetime(2026, 11, 24, tzinfo=UTC), organization_id="unit-1", zone="teaching")


@dataclass
class Store:
    """Keep what is delivered; refuses the next ``refuse`` deliveries."""

    events: list[Event] = field(default_factory=list)
    bad: list[BadRecord] = field(default_factory=list)
    refuse: int = 0

    def deliver(self, batch: Batch, origin: Origin) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreError("the store is full")
        assert len(batch.events) <= 1_000
        self.events += batch.events
        self.bad += batch.bad

    def context(self, origin: Origin) -> ReadContext:
        return CONTEXT

    def ids(self) -> list[str]:
        return [str(event["event.id"]) for event in self.events]

    def of(self, name: str) -> list[object]:
        return [event.get(name) for event in self.events]


class Follower:
    """Run the parts of an input without a thread."""

    def __init__(self, store: Store, folder: Path, *patterns: str, **changes: object) -> None:
        settings = Settings(tuple(patterns), folder / "memory", settle=3.0, finish=6.0, search=30.0)
        self.settings = replace(settings, **changes)  # type: ignore[arg-type]  # names of settings
        self.store, self.now = store, 1_000.0
        self.counters = Counters()
        self.running = False
        self.start()

    def start(self) -> None:
        """Start, or start again as after ``kill -9``: what was not written yet never will be."""
        if self.running:
            self.kill()
        self.running = True
        self.checkpoints = Checkpoints(self.settings.memory / "files" / "marks")
        self.gatherer = Gatherer(self.store, Origin("test"), self.counters, self.checkpoints, self.clock)
        self.watcher = Watcher(self.settings, self.checkpoints, self.gatherer, self.counters, self.wall)

    def kill(self) -> None:
        self.watcher.close()
        self.checkpoints._close()
        self.running = False

    def stop(self) -> None:
        self.running = False
        self.watcher.close()
        self.checkpoints.close(self.now)

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return time.time() + self.now - 1_000.0

    def turn(self, times: int = 1) -> None:
        """Let a second pass and read what there is, so often."""
        for _ in range(times):
            self.now += 1.0
            self.watcher.scan(self.now)
            while self.watcher.work(self.now, lambda: False):
                pass
            self.gatherer.flush()

    def count(self, name: str) -> int:
        return self.counters.snapshot().get(name, 0)


def imported(*paths: Path) -> tuple[list[Event], list[BadRecord]]:
    """Return what importing files gives."""

    def context(source: OpenSource) -> ReadContext:
        return CONTEXT

    events, statistics = collect(read_paths([str(path) for path in paths], context))
    return events, statistics.bad_samples


def line(number: int, text: str = "") -> bytes:
    """Return a syslog line whose process id is ``number``."""
    return f"2026-11-23T10:00:00+08:00 host app[{number}]: message {number} {text}".encode()


def lines(*numbers: int) -> bytes:
    return b"".join(line(number) + b"\n" for number in numbers)


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def numbers(store: Store) -> list[int]:
    """Return the numbers of the lines that came, in their order."""
    return [int(str(event["process.pid"])) for event in store.events]
