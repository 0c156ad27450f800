"""Define what a detector is.

Stateless detectors judge single events. Stateful ones are pure functions of the events inside an epoch-aligned
window of event time plus a look-back before it. Since they depend on nothing else, running them again — after a
crash, for late events, over history — gives the same detections with the same ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from soc_core.clock import EPOCH, format_instant
from soc_core.model.detection import Detection
from soc_core.model.event import Event
from soc_core.model.organisation import AddressPlan
from soc_core.query.tree import Query


@dataclass(frozen=True, slots=True)
class Window:
    """Name one epoch-aligned window of one unit and network zone: ``start`` inclusive, ``end`` exclusive, aware UTC."""

    organization_id: str
    zone: str
    start: datetime
    end: datetime

    @property
    def anchor(self) -> str:
        """Return the canonical start, the part of detection ids that stands for the window."""
        return format_instant(self.start)


def window_start(instant: datetime, length: timedelta) -> datetime:
    """Return the start of the epoch-aligned window of ``length`` that holds ``instant``."""
    return EPOCH + ((instant - EPOCH) // length) * length


@dataclass(frozen=True, slots=True)
class Site:
    """Say what a detector may know of the place: which addresses are inside."""

    plan: AddressPlan


class EventDetector(Protocol):
    """Judge events one by one, in batches."""

    id: str

    def detect(self, events: Sequence[Event]) -> list[Detection]:
        """Return detections of this batch in event order; the id's anchor is the event id."""
        ...


class WindowDetector(Protocol):
    """Judge what happened in a window.

    ``window`` is the length of the tumbling windows, ``lookback`` how far before the start events are supplied too;
    a detection is emitted by the one window in which it becomes true. ``query`` selects the events it needs and
    ``fields`` the fields of them.
    """

    id: str
    window: timedelta
    lookback: timedelta
    query: Query
    fields: tuple[str, ...]

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return the detections of ``window``. ``batches`` come in event-time order and may be iterated once.

        Memory is bounded by the detector's own caps on the number of entities; what is left out is counted.
        """
        ...
