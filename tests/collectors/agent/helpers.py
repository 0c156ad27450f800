"""What tests of the agent share: events, waiting with a bound, an input that delivers what it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from collectors.base import Batch
from collectors.live.base import Counters, Origin, Outlet
from soc_core.model.event import Event, make_event_id

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
STAMP = "2026-11-24T04:00:00.000000Z"
TCP = Origin("tcp", "192.0.2.9")
UDP = Origin("udp", "192.0.2.9", waits=False)


def wait_for(condition: Callable[[], bool], what: str = "it", seconds: float = 20.0) -> None:
    """Wait until a condition holds, at most so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        threading.Event().wait(0.01)


def event(number: int, dataset: str = "syslog.log", category: str = "host", text: str = "") -> Event:
    """Return an event of its own."""
    return {
        "@timestamp": STAMP,
        "event.id": make_event_id(STAMP, b"test", number, dataset.encode()),
        "event.dataset": dataset,
        "event.category": [category],
        "event.sequence": number,
        "message": text or f"message {number}",
    }


def events(count: int, first: int = 0, dataset: str = "syslog.log", category: str = "host") -> list[Event]:
    return [event(number, dataset, category) for number in range(first, first + count)]


class Scripted:
    """An input that delivers batches until stopped; it fails first as often as told."""

    kind = "scripted"

    def __init__(self, name: str, batches: Sequence[Batch] = (), fault: Exception | None = None) -> None:
        self.name, self.counters = name, Counters()
        self.fault = fault
        self._batches = batches

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        if self.fault is not None:
            raise self.fault
        for batch in self._batches:
            outlet.deliver(batch, Origin(self.name))
            self.counters.add("delivered", len(batch.events))
        stop.wait()
