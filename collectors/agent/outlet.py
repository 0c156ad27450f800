"""Take the batches of inputs: hide what is personal, keep bad records aside, store events in the spool."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from collectors.agent.aside import Aside
from collectors.agent.configuration import Place
from collectors.agent.protecting import Protect
from collectors.agent.spool import Spool
from collectors.base import Batch, ReadContext
from collectors.live.base import Counters, Origin
from soc_core.clock import Clock, format_instant

SOURCE: Final = "edusoc.source"


@dataclass(slots=True)
class Delivered:
    """Count what an input delivered: events stored, bad records, when the last batch came, seconds it waited."""

    counters: Counters = field(default_factory=Counters)
    last: str = ""


class CountingOutlet:
    """Remember what each source delivered, for heartbeats. Safe to use from several threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._delivered: dict[str, Delivered] = {}

    def delivered(self, source: str) -> Delivered:
        """Return what a source delivered."""
        return self._delivered.setdefault(source, Delivered())

    def counters(self, source: str) -> Mapping[str, int]:
        """Return the counters of a source."""
        return self.delivered(source).counters.snapshot()


class SpoolOutlet(CountingOutlet):
    """Store batches in the spool (``collectors.live.base.Outlet``). Safe to use from several threads."""

    def __init__(
        self, spool: Spool, aside: Aside, place: Place, clock: Clock, protect: Protect | None = None
    ) -> None:
        """Take where to store, whose events these are, and what hides personal data (``None``: nothing)."""
        super().__init__()
        self._spool, self._aside, self._place, self._clock = spool, aside, place, clock
        self._protect = protect

    def change(self, place: Place, protect: Protect | None) -> None:
        """Take other settings for what comes from now on."""
        self._place, self._protect = place, protect

    def deliver(self, batch: Batch, origin: Origin) -> None:
        """Store the batch durably; see ``Outlet.deliver``."""
        if self._protect is not None:
            self._protect(batch)  # before anything of the batch is kept, on whatever way
        told = self.delivered(origin.source)
        if batch.bad:
            told.counters.add("kept_aside", len(batch.bad))
            self._aside.keep(batch.bad, origin)
        if batch.events:
            for event in batch.events:
                event.setdefault(SOURCE, origin.source)
            began = time.monotonic()
            told.counters.add("stored", self._spool.store(batch.events, origin))
            told.counters.add("store_ms", int((time.monotonic() - began) * 1_000))
        told.last = format_instant(self._clock())

    def context(self, origin: Origin) -> ReadContext:  # noqa: ARG002 - other outlets tell by it whose it is
        """Return the context for parsing what arrives now."""
        now, place = self._clock(), self._place
        return ReadContext(
            reference=now,
            organization_id=place.organisation,
            zone=place.zone,
            zone_info=place.time_zone,
            keep_original=place.keep_original,
            created=now,
        )
