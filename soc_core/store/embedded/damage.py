"""Remember which segments are damaged, so that the others go on answering and answers say what they lack."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from soc_core.clock import format_instant
from soc_core.store.embedded.salvage import condition_of
from soc_core.store.embedded.segments import Damaged, Segment, Snapshot
from soc_core.store.interface import Search

_MOST_NAMED: Final = 3


class KnownDamage:
    """Hold what this process found damaged; what a repair recorded is in the catalogue. Safe for threads."""

    def __init__(self, directory: Path) -> None:
        """Take the directory of the segments."""
        self._directory = directory
        self._lock = threading.Lock()
        self._found: dict[str, Damaged] = {}

    def look(self, snapshot: Snapshot) -> bool:
        """Check every segment against its checksum; return whether any damage is new. Takes seconds a gigabyte."""
        with self._lock:
            fresh = [segment for segment in snapshot.segments if segment.name not in self._found]
            wrong = {
                s.name: _damaged(s, what) for s in fresh if (what := condition_of(self._directory, s).parquet)
            }
            there = {segment.name for segment in snapshot.segments}
            self._found = {name: item for name, item in {**self._found, **wrong}.items() if name in there}
            return bool(wrong)

    def without(self, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """Return the segments that are not known to be damaged."""
        found = self._found
        return tuple(s for s in segments if s.name not in found) if found else segments

    def partial(self, snapshot: Snapshot, request: Search, missing: int) -> str:
        """Say what an answer lacks: damaged segments of its time, and ``missing`` events of the log."""
        there = {segment.name for segment in snapshot.segments}
        found = [item for name, item in self._found.items() if name in there]
        low, high = format_instant(request.start), format_instant(request.end)
        lacking = [item for item in (*snapshot.damaged, *found) if item.last >= low and item.first < high]
        parts = [said_of(lacking)] if lacking else []
        parts += [f"{missing} events of the log can't be read"] if missing else []
        return "; ".join(parts)


def said_of(items: Iterable[Damaged]) -> str:
    """Return in words which segments are damaged and how many events that are."""
    items = sorted(items, key=lambda item: item.name)
    names = ", ".join(item.name for item in items[:_MOST_NAMED])
    more = f" and {len(items) - _MOST_NAMED} more" if len(items) > _MOST_NAMED else ""
    return f"{sum(item.events for item in items)} events of damaged segments are left out: {names}{more}"


def _damaged(segment: Segment, what: str) -> Damaged:
    return Damaged(segment.name, segment.day, segment.events, segment.first, segment.last, what)
