"""Remember where events went that no search can find yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST_RECENT: Final = 50_000
"""Ids kept; beyond, a refresh makes them findable."""


class Recent:
    """Hold ids and their indices from being stored to the end of a refresh that began afterwards."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._now: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def add(self, places: Iterable[tuple[str, str]]) -> None:
        """Remember ids and their indices."""
        self._now.update(places)

    def index_of(self, name: str, otherwise: str) -> str:
        """Return the index of an id, or ``otherwise`` when it is not remembered."""
        found = self._now.get(name)
        return found if found is not None else self._before.get(name, otherwise)

    @property
    def is_full(self) -> bool:
        """Tell whether it is time for a refresh."""
        return len(self._now) > MOST_RECENT

    def refresh_begins(self) -> None:
        """Tell apart what the refresh that begins will surely reach from what may come too late for it."""
        before, self._now = self._now, {}
        self._before = {**self._before, **before}

    def refresh_is_done(self) -> None:
        """Forget what can be found now."""
        self._before = {}
