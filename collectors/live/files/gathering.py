"""Gather what several files give, deliver it together, and only then remember how far they were read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from collectors.base import BATCH_EVENTS, Batch, ReadContext
from collectors.lines import decode_text
from collectors.live.base import Counters, Origin, Outlet
from collectors.live.files.checkpoints import Checkpoints
from collectors.live.files.marks import Mark, is_text
from soc_core.model.event import BadRecord, Event

FILE_PATH = "log.file.path"


class Gatherer:
    """Collect events, bad records and marks; deliver at most ``BATCH_EVENTS`` events at once."""

    def __init__(
        self,
        outlet: Outlet,
        origin: Origin,
        counters: Counters,
        store: Checkpoints,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` gives monotonic seconds."""
        self._outlet, self._origin, self._counters, self._store = outlet, origin, counters, store
        self._clock = clock
        self._batch = Batch()
        self._marks: dict[int, Mark] = {}

    def context(self, modified: float) -> ReadContext:
        """Return the context for records of a file changed last at ``modified`` (Unix seconds).

        Years are guessed against that, as importing the file does, unless it lies in the future.
        """
        context = self._outlet.context(self._origin)
        reference = min(context.reference, datetime.fromtimestamp(max(modified, 0.0), UTC))
        return replace(context, reference=reference, created=context.created or context.reference)

    def add(
        self, events: list[Event], bad: Sequence[BadRecord], counters: Mapping[str, int], path: str
    ) -> None:
        """Add what a file gave."""
        if self._batch.events and len(self._batch.events) + len(events) > BATCH_EVENTS:
            self.flush()
        self._counters.add("received", len(events) + len(bad))
        shown = path if is_text(path) else decode_text(os.fsencode(path))
        for event in events:
            event.setdefault(FILE_PATH, shown)
        self._batch.events += events
        self._batch.bad += bad
        for name, amount in counters.items():
            self._batch.count(name, amount)
        if len(self._batch.bad) >= BATCH_EVENTS:
            self.flush()

    def reached(self, mark: Mark) -> None:
        """Remember ``mark`` once all that was added before is delivered."""
        self._marks[mark.key] = mark

    def flush(self) -> None:
        """Deliver what was gathered and write the marks. Raises as ``Outlet.deliver`` does; then nothing is marked."""
        batch, self._batch = self._batch, Batch()
        if batch.events or batch.bad:
            self._outlet.deliver(batch, self._origin)
            self._counters.add("delivered", len(batch.events))
            self._counters.add("bad", len(batch.bad))
        if self._marks:
            marks, self._marks = self._marks, {}
            self._store.put(marks.values(), self._clock())
