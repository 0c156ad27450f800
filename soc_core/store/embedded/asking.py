"""Say which times a question looks at, and ask blocks some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from soc_core.clock import epoch_us
from soc_core.store.asking import Key
from soc_core.store.embedded.blocks import Block, Span, instant
from soc_core.store.interface import Search

ALWAYS: Final = Span(-(2**62), 2**62)
_FIRST: Final = 2
_FIRST_FILTERED: Final = 8
_MOST: Final = 64


def span_of(request: Search, after: Key | None) -> Span:
    """Return the time that answers of a question can have: behind ``after`` in its order."""
    start, end = epoch_us(request.start), epoch_us(request.end)
    if after is not None and request.ascending:
        start = max(start, instant(after.timestamp))
    elif after is not None:
        end = min(end, instant(after.timestamp) + 1)
    return Span(start, end, request.ascending)


class Grown:
    """Give out blocks to ask together: the first few, then as many as what was found so far lets expect to be enough.

    There is at least one group, which may be empty: the log's tail is asked with it.
    """

    def __init__(self, blocks: Iterator[Block], wanted: int, *, filtered: bool) -> None:
        """Take how many rows are wanted; of blocks that were ``filtered`` each holds few."""
        self._blocks, self._wanted = blocks, wanted
        self._size = _FIRST_FILTERED if filtered else _FIRST
        self._asked = 0
        self.found = 0
        """Rows found so far, kept up by whoever asks."""

    def __iter__(self) -> Iterator[tuple[tuple[Block, ...], Block | None]]:
        """Yield blocks with the one that follows them (``None``: these are the last)."""
        following = next(self._blocks, None)
        while True:
            group = (() if following is None else (following,)) + tuple(islice(self._blocks, self._size - 1))
            following = next(self._blocks, None)
            self._asked += len(group)
            yield group, following
            if following is None:
                return
            self._size = self._next()

    def _next(self) -> int:
        likely = self._size * 2
        if self.found:
            likely = min(likely * 4, (self._wanted - self.found) * self._asked * 5 // (self.found * 4) + 2)
        return min(_MOST, max(_FIRST, likely))
