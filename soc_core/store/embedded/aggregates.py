"""Keep what was counted in sealed segments: they never change, so each is counted once.

Held in memory only and by the checksums of the segments: there is nothing on disk that a crash could leave wrong, and
a merged, retired or replaced segment is simply counted anew. The log's tail is never kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from soc_core.clock import format_instant
from soc_core.model.event import Scalar
from soc_core.query.tree import Everything
from soc_core.store.embedded.segments import Segment
from soc_core.store.interface import Aggregation, Bucket, Buckets, Search, SourceStatistics

MOST_KEPT: Final = 64
"""Questions whose counts are kept; each is a few hundred numbers and the names of its units."""

CountSegments = Callable[[tuple[Segment, ...]], Buckets]
_Key = tuple[frozenset[str] | None, str, int, int]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Hold the counts of some segments, by bucket."""

    checksums: frozenset[str]
    counts: dict[Scalar, int]


class SegmentCounts:
    """Keep histograms and numbers of all events of a scope over whole segments; safe for threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def over(
        self, segments: tuple[Segment, ...], request: Search, asked: Aggregation, count: CountSegments
    ) -> Buckets:
        """Return the counts of segments that lie wholly in the time asked for; ``count`` counts those not yet kept."""
        key = (request.scope.ids, asked.kind, asked.interval_seconds, asked.offset_seconds)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        there = frozenset(segment.sha256 for segment in segments)
        if kept is None or not kept.checksums <= there:
            kept = _Kept(frozenset(), {})
        fresh = tuple(segment for segment in segments if segment.sha256 not in kept.checksums)
        if fresh:
            kept = _Kept(there, _sum(kept.counts, count(fresh)))
            self._keep(key, kept)
        return Buckets([Bucket(name, number) for name, number in kept.counts.items()])

    def _keep(self, key: _Key, kept: _Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)


class SealedStatistics:
    """Keep the counts per unit and data set of one state of the segments; safe for threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._kept: tuple[tuple[str, ...], list[SourceStatistics]] | None = None

    def of(
        self, segments: tuple[Segment, ...], read: Callable[[], list[SourceStatistics] | None]
    ) -> list[SourceStatistics] | None:
        """Return the counts of these segments, by ``read`` where they are not kept; ``None`` if that is too late."""
        checksums = tuple(segment.sha256 for segment in segments)
        kept = self._kept  # one reference, replaced as a whole
        if kept is not None and kept[0] == checksums:
            return kept[1]
        rows = read()
        if rows is not None:
            self._kept = (checksums, rows)
        return rows


def can_be_kept(request: Search, asked: Aggregation) -> bool:
    """Tell whether a question asks of time and scope only, and for counts that add up over segments."""
    return asked.kind in {"histogram", "count"} and isinstance(request.query, Everything)


def split(segments: tuple[Segment, ...], request: Search) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Return the segments that lie wholly in the time asked for, and those that lie there in part."""
    low, high = format_instant(request.start), format_instant(request.end)
    usable = [segment for segment in segments if segment.last >= low and segment.first < high]
    whole = tuple(segment for segment in usable if low <= segment.first and segment.last < high)
    return whole, tuple(segment for segment in usable if not (low <= segment.first and segment.last < high))


def add_up(first: Buckets, second: Buckets) -> Buckets:
    """Return the counts of two parts together, ordered by key."""
    counts = _sum({bucket.key: bucket.count for bucket in first.buckets}, second)
    return Buckets([Bucket(name, counts[name]) for name in sorted(counts, key=str)])


def _sum(counts: dict[Scalar, int], more: Buckets) -> dict[Scalar, int]:
    total = dict(counts)
    for bucket in more.buckets:
        total[bucket.key] = total.get(bucket.key, 0) + bucket.count
    return total
