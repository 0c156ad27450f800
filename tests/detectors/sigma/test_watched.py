"""Hold that an event notices every way of reading it, and says the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detectors.sigma.watched import Watched
from soc_core.model.event import Event

READS: list[Callable[[Event], object]] = [
    lambda event: event["message"],
    lambda event: event.get("message"),
    lambda event: event.get("no such", "x"),
    lambda event: "message" in event,
    list,
    lambda event: list(event.keys()),
    lambda event: list(event.values()),
    lambda event: list(event.items()),
]


@pytest.mark.parametrize("read", READS)
def test_reading_is_noticed_once(read: Callable[[Event], object]) -> None:
    event: Event = {"message": "a", "process.pid": 3}
    watched = Watched(event)
    assert not watched.read()
    assert read(watched) == read(event)
    assert watched.read()
    assert not watched.read()
