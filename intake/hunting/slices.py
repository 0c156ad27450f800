"""Cut the time asked about into slices, so that a hunt can tell how far it is, stop, and say what it has looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from intake.hunting.model import Asked
from soc_core.clock import parse_instant
from soc_core.store.interface import SourceDay, SourceStatistics

MAX_EVENTS: Final = 250_000
"""Events of a slice, unless a day has more: a question about them takes seconds."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """Hold a part of the time asked about, and how many events it has as far as is known."""

    start: datetime
    end: datetime
    events: int


def bounded(asked: Asked, statistics: Sequence[SourceStatistics]) -> tuple[datetime, datetime]:
    """Return the part of the time asked about in which the store has events; empty where it has none."""
    if not statistics:
        return asked.start, asked.start
    first = parse_instant(min(source.first for source in statistics))
    last = parse_instant(max(source.last for source in statistics))
    start = max(asked.start, first)
    return start, max(start, min(asked.end, last + timedelta(microseconds=1)))


def slices_of(start: datetime, end: datetime, days: Iterable[SourceDay]) -> list[Slice]:
    """Return slices, the newest first, that together are all of the time; they are cut at midnight in UTC.

    The days are those of event ids, which may differ from those of the events: they only say where to cut.
    """
    counts: Counter[datetime] = Counter()
    for day in days:
        midnight = _midnight(day.day)
        if midnight is not None:
            counts[midnight] += day.events
    return list(_cut(start, end, counts))


def _cut(start: datetime, end: datetime, counts: Counter[datetime]) -> Iterator[Slice]:
    held, upper = 0, end
    for midnight in sorted(counts, reverse=True):
        if midnight >= upper or midnight + _DAY <= start:
            held += counts[midnight] if midnight < end and midnight + _DAY > start else 0
            continue
        if held and held + counts[midnight] > MAX_EVENTS and midnight + _DAY < upper:
            yield Slice(midnight + _DAY, upper, held)
            held, upper = 0, midnight + _DAY
        held += counts[midnight]
    if start < upper:
        yield Slice(start, upper, held)


def _midnight(day: str) -> datetime | None:
    try:
        return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
