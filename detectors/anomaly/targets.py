"""Count the distinct targets (ports of a host, or hosts on a port) that a source tried, and which of them answered."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import TypeVar

from detectors.anomaly.bounded import Evidence
from detectors.anomaly.flows import FlowRecord
from detectors.base import Window
from soc_core.clock import epoch_us

T = TypeVar("T")


class Period(IntFlag):
    """Name the part of a detector's time in which something happened: the look-back, the window, or both."""

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
    went on in it too little to hold by itself was said by the window before.
    """
    whole = holds(Period.BOTH)
    alone = holds(Period.NOW)
    if alone is not None:
        return whole if whole is not None else alone
    return whole if whole is not None and holds(Period.BEFORE) is None else None


class Targets:
    """Hold for one source the targets it tried, at most ``limit``, and when each was tried and answered."""

    __slots__ = ("_limit", "_rows", "evidence", "left_out")

    def __init__(self, limit: int) -> None:
        """Take the greatest number of targets to tell apart."""
        self._limit = limit
        self._rows: dict[str | int, list[int]] = {}
        self.evidence = Evidence()
        self.left_out = 0

    def add(self, target: str | int, flow: FlowRecord, period: Period) -> None:
        """Note that ``target`` was tried by ``flow``; the first flow to each target is evidence."""
        row = self._rows.get(target)
        fresh = row is None
        if row is None:
            if len(self._rows) >= self._limit:
                self.left_out += 1
                return
            row = self._rows[target] = [0, 0, flow.time_us]
        row[0] |= period
        if not flow.failed:
            row[1] |= period
        self.evidence.add(flow.event_id, flow.timestamp, keep=fresh)

    def tried(self, period: Period) -> int:
        """Return how many targets were tried in ``period``."""
        return sum(1 for row in self._rows.values() if row[0] & period)

    def failed(self, period: Period) -> list[str | int]:
        """Return the targets tried in ``period`` that never answered in it."""
        return [target for target, row in self._rows.items() if row[0] & period and not row[1] & period]

    def answered(self, period: Period) -> list[str | int]:
        """Return the targets that answered in ``period``."""
        return [target for target, row in self._rows.items() if row[1] & period]

    def fastest(self, period: Period, seconds: int) -> int:
        """Return the greatest number of failed targets first tried within any ``seconds``."""
        starts = sorted(row[2] for row in self._rows.values() if row[0] & period and not row[1] & period)
        best = low = 0
        for high, start in enumerate(starts):
            while start - starts[low] > seconds * 1_000_000:
                low += 1
            best = max(best, high - low + 1)
        return best
