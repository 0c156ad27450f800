"""Stand where the agent's spool stands: keep what inputs deliver, slowly or not at all where a test asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from collectors.base import Batch, ReadContext
from collectors.live.base import LiveInput, Origin
from soc_core.errors import StoreError
from soc_core.model.event import BadRecord, Event

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
PATIENCE = 20.0


class Kept:
    """Keep batches in memory, in the order they came."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self.batches: list[tuple[Origin, Batch]] = []
        self.open = threading.Event()
        self.open.set()
        self.failing = 0
        self.changed = threading.Condition()

    def deliver(self, batch: Batch, origin: Origin) -> None:
        self.open.wait(PATIENCE)
        with self.changed:
            if self.failing:
                self.failing -= 1
                raise StoreError("no room")
            self.batches.append((origin, batch))
            self.changed.notify_all()

    def context(self, origin: Origin) -> ReadContext:
        return ReadContext(self.now, organization_id="unit-1", zone="teaching", created=self.now)

    @property
    def events(self) -> list[Event]:
        with self.changed:
            return [event for _, batch in self.batches for event in batch.events]

    @property
    def bad(self) -> list[BadRecord]:
        with self.changed:
            return [record for _, batch in self.batches for record in batch.bad]

    def wait_for(self, events: int, bad: int = 0) -> list[Event]:
        """Wait until so many events and bad records are here; return the events."""

        def arrived() -> bool:
            return (
                sum(len(batch.events) for _, batch in self.batches) >= events
                and sum(len(batch.bad) for _, batch in self.batches) >= bad
            )

        with self.changed:
            assert self.changed.wait_for(arrived, PATIENCE), (len(self.batches), self.batches[-1:])
        return self.events


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to hold")


@contextmanager
def running(live: LiveInput, outlet: Kept) -> Iterator[Kept]:
    """Run an input in a thread of its own; at the end stop it and see that it ends."""
    stop = threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        try:
            live.run(outlet, stop)
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield outlet
    finally:
        stop.set()
        outlet.open.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if failed:
        raise failed[0]
