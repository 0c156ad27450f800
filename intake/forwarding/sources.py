"""Give what is to be forwarded, piece by piece, from a position that is remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

from soc_core.clock import Clock, format_instant
from soc_core.model.event import DATASET, ORGANIZATION_ID, Event, make_event_id, make_source_identity
from soc_core.store.interface import SYSTEM_SCOPE, EventStore

UNIT_CODE: Final = "edusoc.unit_code"
"""Names a unit to another installation, where ids are others."""
STATISTICS_DATASET: Final = "edusoc.statistics"
SETTLED: Final = timedelta(hours=12)
"""A day's counts are told so long after it ended: what came late is in."""
MOST_DAYS: Final = 3_660


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold events to send and the position after them; without events and with the old position nothing is new."""

    events: Sequence[Event]
    position: int


class ForwardSource(Protocol):
    """Give what follows a position."""

    name: str

    def following(self, position: int, limit: int) -> Piece:
        """Return at most about ``limit`` events after ``position``."""
        ...

    def waiting(self, position: int) -> int:
        """Return how many items lie after ``position``, roughly."""
        ...


def outward(event: Event, codes: Mapping[str, str]) -> Event:
    """Return an event as the parent understands it: its unit by code, without what only means something here."""
    unit = str(event.get(ORGANIZATION_ID, ""))
    sent = {name: value for name, value in event.items() if name not in {ORGANIZATION_ID, "event.ingested"}}
    sent[UNIT_CODE] = codes.get(unit, unit)
    return sent


class EventSource:
    """Give events of the store in the order they were taken."""

    name = "events"

    def __init__(
        self, store: EventStore, wants: Callable[[str], bool], codes: Callable[[], Mapping[str, str]]
    ) -> None:
        """Take the store, which data sets go, and what tells units' codes."""
        self._store, self._wants, self._codes = store, wants, codes

    def following(self, position: int, limit: int) -> Piece:
        """Return the wanted ones among the next ``limit`` events."""
        if position > self._store.end_offset():
            position = 0  # the store was made anew
        events, end = self._store.read_from(position, limit)
        codes = self._codes()
        chosen = [outward(event, codes) for event in events if self._wants(str(event.get(DATASET, "")))]
        return Piece(chosen, end)

    def waiting(self, position: int) -> int:
        """Return how many events lie after ``position``, wanted or not."""
        return max(0, self._store.end_offset() - position)


class StatisticsSource:
    """Give counts per unit, data set and day, once a day is over. The position is the last day told, as a number."""

    name = "statistics"

    def __init__(self, store: EventStore, codes: Callable[[], Mapping[str, str]], clock: Clock) -> None:
        """Take the store, what tells units' codes, and the clock."""
        self._store, self._codes, self._clock = store, codes, clock

    def following(self, position: int, limit: int) -> Piece:
        """Return the counts of the next day that is over and has any; ``limit`` is that of the days' own."""
        del limit  # a day's counts belong together, and are one line a unit and data set
        newest = self._newest()
        first = max(position + 1, newest - MOST_DAYS)
        if first > newest:
            return Piece((), position)
        per_day: dict[int, list[Event]] = {}
        codes = self._codes()
        for item in self._store.days(SYSTEM_SCOPE):
            number = _number(item.day)
            if first <= number <= newest:
                code = codes.get(item.organization_id, item.organization_id)
                per_day.setdefault(number, []).append(_counted(code, item.dataset, item.day, item.events))
        if not per_day:
            return Piece((), newest)
        number = min(per_day)
        return Piece(per_day[number], number)

    def waiting(self, position: int) -> int:
        """Return how many days are not told yet."""
        return max(0, self._newest() - max(position, self._newest() - MOST_DAYS))

    def _newest(self) -> int:
        return (self._clock() - SETTLED).astimezone(UTC).date().toordinal() - 1


def _number(day: str) -> int:
    return date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal()


def _counted(code: str, dataset: str, day: str, events: int) -> Event:
    start = datetime(int(day[:4]), int(day[4:6]), int(day[6:8]), tzinfo=UTC)
    at = format_instant(start)
    identity = make_source_identity(code, "", STATISTICS_DATASET, dataset.encode())
    return {
        "@timestamp": at,
        "event.id": make_event_id(at, identity, 0, b""),
        "event.created": at,
        "event.kind": "metric",
        "event.category": ["host"],
        "event.type": ["info"],
        DATASET: STATISTICS_DATASET,
        "event.module": "edusoc",
        "event.start": at,
        "event.end": format_instant(start + timedelta(days=1)),
        "edusoc.statistics.dataset": dataset,
        "edusoc.statistics.events": events,
        UNIT_CODE: code,
    }
