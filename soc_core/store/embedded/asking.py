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
_MOST: Final = 32


def span_of(request: Search, after: Key | None) -> Span:
    """Return the time that answers of a question can have: behind ``after`` in its order."""
    start, end = epoch_us(request.start), epoch_us(request.end)
    if after is not None and request.ascending:
        start = max(start, instant(after.timestamp))
    elif after is not None:
        end = min(end, instant(after.timestamp) + 1)
    return Span(start, end, request.ascending)


def grown(blocks: Iterator[Block]) -> Iterator[tuple[tuple[Block, ...], Block | None]]:
    """Yield blocks to ask together, each time more, with the one that follows (``None``: these are the last).

    There is at least one group, which may be empty: the log's tail is asked with it.
    """
    size = _FIRST
    following = next(blocks, None)
    while True:
        group = (() if following is None else (following,)) + tuple(islice(blocks, size - 1))
        following = next(blocks, None)
        yield group, following
        if following is None:
            return
        size = min(_MOST, size * 2)
