"""Count the distinct targets (ports of a host, or hosts on a port) that a source tried, and which of them answered."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

from detectors.anomaly.bounded import Evidence, Room, room
from detectors.anomaly.flows import FlowRecord
from detectors.base import Window
from soc_core.clock import epoch_us

T = TypeVar("T")
MAX_TARGETS_IN_ALL = 250_000
"""Targets of all sources together: about 50 MB."""


class Period(IntEnum):
    """Name the part of a detector's time in which something happened, as bits: the look-back, the window, or both."""

    BEFORE = 1
    NOW = 2
    BOTH = 3


class Calendar:
    """Tell whether an instant lies in the window or in the look-back before it."""

    def __init__(self, window: Window) -> None:
        """Take the window; its start is the first instant of ``NOW``."""
        self._start_us = epoch_us(window.start)

    def period(self, time_us: int) -> Period:
        """Return ``NOW`` from the window's start on, else ``BEFORE``."""
        return Period.NOW if time_us >= self._start_us else Period.BEFORE


def when_it_becomes_true(holds: Callable[[Period], T | None]) -> T | None:
    """Return the verdict if this is the window in which it becomes true, else ``None``.

    That is: it holds within the window alone (so what goes on is said again), or it holds only once the window is
    added to the look-back (so what straddles a boundary is not missed). What was true before the window began and
    went on in it too little to hold by itself was said by the window before: that is exact because every detector
    looks back by just one window.
    """
    whole = holds(Period.BOTH)
    alone = holds(Period.NOW)
    if alone is not None:
        return whole if whole is not None else alone
    return whole if whole is not None and holds(Period.BEFORE) is None else None


class _Row:
    """Hold when one target was tried and answered, and the first try in look-back and window."""

    __slots__ = ("answered", "first_before_us", "first_now_us", "tried")

    def __init__(self) -> None:
        self.tried = 0
        self.answered = 0
        self.first_before_us = 0
        self.first_now_us = 0

    def note(self, period: Period, time_us: int, *, failed: bool) -> None:
        """Note a try; tries come in time order."""
        if not self.tried & period:
            if period is Period.BEFORE:
                self.first_before_us = time_us
            else:
                self.first_now_us = time_us
        self.tried |= period
        if not failed:
            self.answered |= period

    def failed(self, period: Period) -> bool:
        """Tell whether it was tried in ``period`` and never answered in it."""
        return bool(self.tried & period) and not self.answered & period

    def start_us(self, period: Period) -> int:
        """Return the first try in ``period``, in which it was tried."""
        return self.first_before_us if self.tried & period & Period.BEFORE else self.first_now_us


class Targets:
    """Hold for one source the targets it tried, at most ``limit``, and when each was tried and answered."""

    __slots__ = ("_limit", "_places", "_rows", "evidence", "left_out")

    def __init__(self, limit: int, places: Room) -> None:
        """Take the greatest number of targets to tell apart, and the places all sources share."""
        self._limit = limit
        self._places = places
        self._rows: dict[str | int, _Row] = {}
        self.evidence = Evidence()
        self.left_out = 0

    def add(self, target: str | int, flow: FlowRecord, period: Period) -> None:
        """Note that ``target`` was tried by ``flow``; the first flow to each target is evidence."""
        early = period is Period.BEFORE
        row = self._rows.get(target)
        fresh = row is None
        if row is None:
            full = len(self._rows) >= room(self._limit, early=early)
            if full or not self._places.take(early=early):
                self.left_out += 1
                return
            row = self._rows[target] = _Row()
        row.note(period, flow.time_us, failed=flow.failed)
        self.evidence.add(flow.event_id, flow.timestamp, early=early, keep=fresh)

    def tried(self, period: Period) -> int:
        """Return how many targets were tried in ``period``."""
        return sum(1 for row in self._rows.values() if row.tried & period)

    def failed(self, period: Period) -> list[str | int]:
        """Return the targets tried in ``period`` that never answered in it."""
        return [target for target, row in self._rows.items() if row.failed(period)]

    def answered(self, period: Period) -> list[str | int]:
        """Return the targets that answered in ``period``."""
        return [target for target, row in self._rows.items() if row.answered & period]

    def fastest(self, period: Period, seconds: int) -> int:
        """Return the greatest number of failed targets first tried in ``period`` within any ``seconds``."""
        starts = sorted(row.start_us(period) for row in self._rows.values() if row.failed(period))
        best = low = 0
        for high, start in enumerate(starts):
            while start - starts[low] > seconds * 1_000_000:
                low += 1
            best = max(best, high - low + 1)
        return best
