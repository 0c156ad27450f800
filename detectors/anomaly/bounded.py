"""Keep tables within a size, and count what did not fit: nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def room(limit: int, *, early: bool) -> int:
    """Return how many of ``limit`` places are open to an event: half of them to ``early`` ones, of the look-back."""
    return limit // 2 if early else limit


class Room:
    """Count places taken over all accumulators of a detector, so that many full ones don't add up to too much."""

    __slots__ = ("_limit", "_taken", "left_out")

    def __init__(self, limit: int) -> None:
        """Take the greatest number of places."""
        self._limit = limit
        self._taken = 0
        self.left_out = 0

    def take(self, *, early: bool) -> bool:
        """Take a place; return ``False``, and count, when none is left."""
        if self._taken >= room(self._limit, early=early):
            self.left_out += 1
            return False
        self._taken += 1
        return True


class BoundedTable(Generic[K, V]):
    """Map keys to accumulators, at most ``limit`` of them; ``left_out`` counts the visits that found no room.

    First come, first kept. Events come in a fixed order, so the same events always keep the same keys. Those of the
    look-back may fill half of the room only, so that a busy hour never blinds the one after it.
    """

    def __init__(self, limit: int, make: Callable[[], V]) -> None:
        """Take the greatest number of keys and the maker of an empty accumulator."""
        self._limit = limit
        self._make = make
        self._rows: dict[K, V] = {}
        self.left_out = 0

    def visit(self, key: K, *, early: bool) -> V | None:
        """Return the accumulator of ``key``, made when new; ``None`` (and a count) when there is no room.

        ``early`` says that the event lies in the look-back.
        """
        row = self._rows.get(key)
        if row is not None:
            return row
        if len(self._rows) >= room(self._limit, early=early):
            self.left_out += 1
            return None
        row = self._rows[key] = self._make()
        return row

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield keys and accumulators in the order in which the keys came."""
        return iter(self._rows.items())

    def __len__(self) -> int:
        return len(self._rows)


class Evidence:
    """Keep the first event ids of something, at most ``limit``, with the first and last time and the whole count.

    Events of the look-back get half of the places, so that a detection always shows some of its own window.
    """

    __slots__ = ("_limit", "count", "first", "ids", "last")

    def __init__(self, limit: int = 100) -> None:
        """Take the greatest number of ids to keep."""
        self._limit = limit
        self.ids: list[str] = []
        self.count = 0
        self.first = ""
        self.last = ""

    def add(self, event_id: str, timestamp: str, *, early: bool, keep: bool = True) -> None:
        """Count an event in time order: ``early`` if of the look-back, ``keep`` if its id is worth a place."""
        self.count += 1
        self.first = self.first or timestamp
        self.last = timestamp
        if keep and len(self.ids) < room(self._limit, early=early):
            self.ids.append(event_id)
