"""Bound what one question may take: time from its beginning to its end, and events judged in Python.

Statements of a database are given the time that is left. Where a store can only offer candidates and the evaluator
decides, the budget is looked at between batches: a page then ends early and says so, and its cursor goes on behind
the last event looked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from soc_core.errors import StoreError
from soc_core.model.event import Event

MOST_EXAMINED: Final = 1_000_000
"""Events judged for one question where people wait for the answer: some 20 s of one processor."""
UNBOUNDED: Final = threading.TIMEOUT_MAX
Clock = Callable[[], float]


def too_long() -> StoreError:
    """Return the error of a question that was given up."""
    return StoreError("the question takes too long", todo="ask about a shorter time")


class Budget:
    """Count what a question takes; ``seconds`` of ``UNBOUNDED`` bounds nothing, events neither."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        """Begin now."""
        self.bounded = seconds < UNBOUNDED
        self.examined = 0
        self._clock = clock
        self._end = clock() + seconds if self.bounded else 0.0

    def left(self) -> float:
        """Return the seconds that are left; raise ``StoreError`` when none are."""
        if not self.bounded:
            return UNBOUNDED
        left = self._end - self._clock()
        if left <= 0:
            raise too_long()
        return left

    def spend(self, events: int) -> None:
        """Note that so many candidates are about to be judged."""
        self.examined += events

    @property
    def is_spent(self) -> bool:
        """Tell whether it is time to stop."""
        return self.bounded and (self.examined >= MOST_EXAMINED or self._clock() >= self._end)

    @property
    def partial(self) -> str:
        """Return in words why an answer ends early: empty unless something was judged and the budget is spent."""
        return f"only {self.examined} events were examined in the time there is" if self.is_spent else ""

    def until_spent(self, batches: Iterable[list[Event]]) -> Iterator[Event]:
        """Yield the events of batches as long as there is something left."""
        for batch in batches:
            yield from batch
            if self.is_spent:
                return
