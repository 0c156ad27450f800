"""Count what had to be dropped for want of room, and make the events that tell the centre of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from soc_core.clock import Clock, format_instant
from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event, make_event_id, make_source_identity

GAP: Final = "edusoc.gap"
MOST_DATASETS: Final = 50


@dataclass(slots=True)
class Gap:
    """Hold what of one source was dropped: how many events of which data sets, from when to when we dropped them."""

    first: str
    last: str
    events: int = 0
    datasets: dict[str, int] = field(default_factory=dict)


class Gaps:
    """Count drops by source. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock that says when."""
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, Gap] = {}
        self._totals: dict[str, int] = {}
        self._datasets: dict[str, int] = {}

    def add(self, source: str, events: Sequence[Event]) -> None:
        """Count events of a source that were dropped."""
        now = format_instant(self._clock())
        with self._lock:
            gap = self._open.setdefault(source, Gap(now, now))
            gap.last = now
            gap.events += len(events)
            for event in events:
                dataset = str(event.get(DATASET, ""))
                if dataset not in self._datasets and len(self._datasets) >= MOST_DATASETS:
                    dataset = "*"
                gap.datasets[dataset] = gap.datasets.get(dataset, 0) + 1
                self._datasets[dataset] = self._datasets.get(dataset, 0) + 1
            self._totals[source] = self._totals.get(source, 0) + len(events)

    def totals(self) -> Mapping[str, int]:
        """Return how many events of each source were dropped since the start."""
        with self._lock:
            return dict(self._totals)

    def by_dataset(self) -> Mapping[str, int]:
        """Return how many events of each data set were dropped since the start."""
        with self._lock:
            return dict(self._datasets)

    def take(self) -> dict[str, Gap]:
        """Return what was dropped since the last time."""
        with self._lock:
            taken, self._open = self._open, {}
        return taken

    def give_back(self, taken: Mapping[str, Gap]) -> None:
        """Take back what could not be told yet."""
        with self._lock:
            for source, gap in taken.items():
                held = self._open.setdefault(source, Gap(gap.first, gap.last))
                held.first, held.last = min(held.first, gap.first), max(held.last, gap.last)
                held.events += gap.events
                for dataset, count in gap.datasets.items():
                    held.datasets[dataset] = held.datasets.get(dataset, 0) + count


def gap_events(gaps: Mapping[str, Gap], *, life: bytes, organization_id: str, zone: str) -> list[Event]:
    """Return an event for each source's gap; ``life`` names this run of the agent, so that ids never meet."""
    return [_event(source, gap, life, organization_id, zone) for source, gap in sorted(gaps.items())]


def _event(source: str, gap: Gap, life: bytes, organization_id: str, zone: str) -> Event:
    identity = make_source_identity(organization_id, zone, GAP, life + source.encode())
    event: Event = {
        TIMESTAMP: gap.last,
        EVENT_ID: make_event_id(gap.last, identity, gap.events, gap.first.encode()),
        DATASET: GAP,
        "event.kind": "metric",
        "event.category": ["host"],
        "event.type": ["info"],
        "event.module": "edusoc",
        "event.action": "events-dropped",
        "event.created": gap.last,
        "event.start": gap.first,
        "event.end": gap.last,
        "edusoc.source": source,
        "edusoc.extra": [
            f"gap.events={gap.events}",
            *(f"gap.dataset.{name}={count}" for name, count in sorted(gap.datasets.items())),
        ],
    }
    if organization_id:
        event["organization.id"] = organization_id
        event["edusoc.zone"] = zone
    return event
