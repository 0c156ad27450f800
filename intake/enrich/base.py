"""Define what an enricher is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from soc_core.model.event import Event


class Enricher(Protocol):
    """Add fields to events."""

    name: str

    def enrich(self, event: Event) -> None:
        """Add what is known about ``event`` in place. Overwrites nothing and never raises for what an event holds."""
        ...


def enrich_all(events: Sequence[Event], enrichers: Sequence[Enricher]) -> None:
    """Let each enricher see each event, in order."""
    for enricher in enrichers:
        enrich = enricher.enrich
        for event in events:
            enrich(event)
