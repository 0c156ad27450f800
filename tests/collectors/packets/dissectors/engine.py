"""Read a capture with the product's own pipeline, in the form that the conformance tests compare."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from collectors.base import ReadContext
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from soc_core.model.event import Event, values_of


class FromEngine:
    """Answer as ``Seen`` does, from a finished event."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.dataset = str(event["event.dataset"])
        self.source = (str(event.get("source.ip")), int(str(event.get("source.port", 0))))
        self.destination = (str(event.get("destination.ip")), int(str(event.get("destination.port", 0))))

    def get(self, name: str) -> object:
        return self.event.get(name)


def _context(_source: OpenSource) -> ReadContext:
    return ReadContext(datetime(2026, 11, 24, tzinfo=UTC), organization_id="u", keep_original=False)


def read(path: Path) -> list[FromEngine]:
    """Return the application events of a capture."""
    events, _ = collect(read_paths([str(path)], _context))
    return [FromEngine(event) for event in events if values_of(event, "event.dataset") != ("packets.flow",)]
