"""Events for the contract: small, of many types, deterministic."""

from __future__ import annotations

from datetime import UTC, datetime

from soc_core.model.event import Event
from soc_core.store.interface import SYSTEM_SCOPE, EventStore, Scope, Search

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)


def make(number: int, *, day: int = 20, month: int = 11, organization: str = "o1") -> Event:
    """Return the event of a number: equal numbers give equal ids."""
    seconds = number % 86_400
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return {
        "@timestamp": f"2026-{month:02d}-{day:02d}T{clock}.{number:06d}Z",
        "event.id": f"2026{month:02d}{day:02d}-{number:026d}",
        "event.kind": "event",
        "event.category": ["network"],
        "event.dataset": "packets.flow" if number % 2 else "packets.dns",
        "organization.id": organization,
        "source.ip": f"10.0.{number // 250 % 250}.{number % 250 + 1}",
        "source.port": 1024 + number,
        "message": f"record {number}",
    }


def question(scope: Scope = SYSTEM_SCOPE, **parts: object) -> Search:
    """Return a search over all of the month."""
    return Search(scope=scope, start=START, end=END, **parts)  # type: ignore[arg-type] # tests pass right types


def all_of(store: EventStore) -> list[Event]:
    """Return all events of the log, in its order."""
    found: list[Event] = []
    offset = 0
    while True:
        batch, following = store.read_from(offset)
        if following == offset:
            return found
        found.extend(batch)
        offset = following
