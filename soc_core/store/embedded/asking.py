"""Ask segments in the order of time, and no more of them than needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from soc_core.clock import format_instant
from soc_core.store.asking import Key
from soc_core.store.embedded.catalogue import Segment
from soc_core.store.interface import Search

_FIRST: Final = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Hold segments to ask together, and the time beyond which no later group has anything (empty: the last group)."""

    segments: tuple[Segment, ...]
    rest: str


def groups_of(segments: tuple[Segment, ...], request: Search, after: Key | None) -> Iterator[Group]:
    """Yield groups of segments that may hold answers, in the order of the question, growing in size."""
    low, high = format_instant(request.start), format_instant(request.end)
    if after is not None and request.ascending:
        low = max(low, after.timestamp)
    elif after is not None:
        high = min(high, after.timestamp + "~")
    usable = [segment for segment in segments if segment.last >= low and segment.first < high]
    usable.sort(
        key=(lambda s: s.first) if request.ascending else (lambda s: s.last), reverse=not request.ascending
    )
    size, at = _FIRST, 0
    while at < len(usable):
        following = usable[at + size : at + size + 1]
        rest = (following[0].first if request.ascending else following[0].last) if following else ""
        yield Group(tuple(usable[at : at + size]), rest)
        at += size
        size *= 2
    if not usable:
        yield Group((), "")
