"""Count over events: what every store falls back to where it can't count by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from soc_core.clock import epoch_us, format_epoch_us, parse_instant
from soc_core.errors import StoreError, UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import TIMESTAMP, Event, Scalar, values_of
from soc_core.store.interface import Aggregation, Bucket, Buckets, Search, SourceDay, SourceStatistics

SECOND: Final = 1_000_000  # microseconds
_CALENDAR: Final = epoch_us(datetime.min.replace(tzinfo=UTC))
MOST_TERMS: Final = 10_000
"""The longest list of the most frequent values."""
MOST_BARS: Final = 1_000_000
"""Bars a histogram may have in the time asked about."""
MOST_KEYS: Final = 1_000_000
"""Different values held while counting in Python: some 100 MB."""
_KINDS: Final = frozenset({"count", "terms", "histogram", "distinct"})


class Counting:
    """Count one aggregation; raises ``UsageError`` for one that makes no sense."""

    def __init__(self, asked: Aggregation) -> None:
        """Check what is asked."""
        self.asked = asked
        self.field = asked.field if asked.kind in {"terms", "distinct"} else TIMESTAMP
        if asked.kind not in _KINDS or asked.size < 1 or asked.interval_seconds < 1:
            raise UsageError(f"aggregation '{asked.kind}' is not known, or its size or interval is below 1")
        if self.field not in FIELDS:
            raise UsageError(f"there is no field '{self.field}'")
        if asked.size > MOST_TERMS:
            raise UsageError(f"at most {MOST_TERMS} values are listed")

    def check_range(self, request: Search) -> None:
        """Raise ``UsageError`` when a histogram over the time asked about has too many bars."""
        bars = (request.end - request.start).total_seconds() / self.asked.interval_seconds
        if self.asked.kind == "histogram" and bars > MOST_BARS:
            raise UsageError(f"the range has more than {MOST_BARS} intervals", todo="take longer intervals")

    def start(self, bucket: int) -> str:
        """Return the canonical start of a histogram bucket by its number; none starts before the calendar."""
        seconds = bucket * self.asked.interval_seconds - self.asked.offset_seconds
        return format_epoch_us(max(seconds * SECOND, _CALENDAR))

    def nothing(self) -> Buckets:
        """Return the answer when no event has the field."""
        return Buckets([Bucket("", 0)] if self.asked.kind in {"count", "distinct"} else [])

    def over(self, events: Iterable[Event]) -> Buckets:
        """Return the answer over events; raise ``StoreError`` when there are too many different values to hold."""
        counted = Counter[Scalar]()
        for event in events:
            counted.update(self._keys(event))
            if len(counted) > MOST_KEYS:
                raise StoreError(
                    "the question needs more memory than the store may use", todo="ask about a shorter time"
                )
        match self.asked.kind:
            case "count":
                return Buckets([Bucket("", counted.total())])
            case "distinct":
                return Buckets([Bucket("", len(counted))])
            case "histogram":
                rows = sorted((int(key), count) for key, count in counted.items())
                return Buckets([Bucket(self.start(key), count) for key, count in rows])
        # Keys of one field are of one type, so they can be ordered.
        ordered = sorted(counted.items(), key=lambda item: item[0])
        ordered.sort(key=lambda item: -item[1])
        return Buckets([Bucket(key, count) for key, count in ordered[: self.asked.size]])

    def _keys(self, event: Event) -> Iterable[Scalar]:
        if self.asked.kind in {"terms", "distinct"}:
            return set(values_of(event, self.field))
        if self.asked.kind == "count":
            return (True,)
        shifted = epoch_us(parse_instant(str(event[TIMESTAMP]))) + self.asked.offset_seconds * SECOND
        return (shifted // (self.asked.interval_seconds * SECOND),)


def merge_days(rows: Iterable[SourceDay]) -> list[SourceDay]:
    """Return one row per unit, data set and day, ordered by all three."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        counts[row.organization_id, row.dataset, row.day] += row.events
    return [SourceDay(*key, counts[key]) for key in sorted(counts)]


def merge_statistics(rows: Iterable[SourceStatistics]) -> list[SourceStatistics]:
    """Return one row per unit and data set, ordered by both."""
    merged: dict[tuple[str, str], SourceStatistics] = {}
    for row in rows:
        key = (row.organization_id, row.dataset)
        known = merged.get(key, row)
        events = row.events if known is row else known.events + row.events
        merged[key] = SourceStatistics(*key, events, min(known.first, row.first), max(known.last, row.last))
    return [merged[key] for key in sorted(merged)]
