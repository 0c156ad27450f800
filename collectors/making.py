"""Turn what a parser found into finished events: identity, always-present fields, batches.

Shared by all collectors of records; each adds only what its source is about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from collectors.base import BATCH_EVENTS, Batch, ReadContext, Span
from collectors.secrets import hide_passwords
from soc_core.errors import InputError
from soc_core.model.event import (
    EVENT_ID,
    ORGANIZATION_ID,
    TIMESTAMP,
    ZONE,
    BadRecord,
    Event,
    make_event_id,
    make_source_identity,
)

RAW_KEPT: Final = 4_096


class RecordError(Exception):
    """Say why a record can't be read. Collectors raise it inside; it becomes a ``BadRecord``."""


def fault_reason(fault: InputError, source_name: str) -> str:
    """Return the reason of a bad record from an error: what and what to do, the place only where it says more."""
    place = fault.where.removeprefix(source_name).removeprefix(": ")
    return str(InputError(fault.what, where=place, todo=fault.todo))


class EventMaker:
    """Finish the events of one reading of one source.

    The source's fingerprint is the first record it is shown (``seen``), so ids stay the same when the file is
    renamed, packed, copied or has grown. ``first`` says where it lay, when this reading met it.
    """

    def __init__(self, collector: str, module: str, context: ReadContext) -> None:
        """``collector`` names the id space, ``module`` is the default ``event.module``."""
        self.collector = collector
        self.module = module
        self.context = context
        self.created = context.created_text
        self.first: Span | None = None
        self._identity = b""

    def seen(self, record: bytes) -> None:
        """Take the first data record's bytes as the fingerprint of the source; later calls do nothing."""
        if not self._identity:
            context = self.context
            self._identity = make_source_identity(
                context.organization_id, context.zone, self.collector, record
            )

    def begin(self, record: bytes, position: int) -> None:
        """Take a record that starts here as the fingerprint, also if others that start later are finished before it."""
        if not self._identity:
            self.seen(record)
            self.first = (position, len(record))

    def finish(self, event: Event, record: bytes, position: int, ordinal: int = 0) -> Event:
        """Give ``event`` its id and the always-present fields; it must carry a timestamp.

        Raises ``RecordError`` when it has none, so that no event without a time gets further.
        """
        timestamp = event.get(TIMESTAMP)
        if not isinstance(timestamp, str):
            raise RecordError("no usable time")
        hide_passwords(event)
        self.begin(record, position)
        if EVENT_ID not in event:
            event[EVENT_ID] = make_event_id(timestamp, self._identity, position, record, ordinal)
        event.setdefault("event.kind", "event")
        event.setdefault("event.category", ["network"])
        event.setdefault("event.type", ["info"])
        event.setdefault("event.module", self.module)
        event.setdefault("event.created", self.created)
        if self.context.organization_id:
            event[ORGANIZATION_ID] = self.context.organization_id
            event[ZONE] = self.context.zone
        return event


class BatchMaker:
    """Collect events and bad records and cut them into batches of bounded size."""

    def __init__(self, source_name: str) -> None:
        """``source_name`` is written into bad records."""
        self._source = source_name
        self._batch = Batch()
        self._ready: deque[Batch] = deque()

    def add(self, event: Event) -> None:
        """Add one finished event."""
        self._batch.events.append(event)
        if len(self._batch.events) >= BATCH_EVENTS:
            self.cut()

    def add_all(self, events: list[Event]) -> None:
        """Add finished events."""
        while events:
            room = BATCH_EVENTS - len(self._batch.events)
            self._batch.events += events[:room]
            events = events[room:]
            if len(self._batch.events) >= BATCH_EVENTS:
                self.cut()

    def bad(self, position: int, line: int, reason: str, raw: bytes = b"") -> None:
        """Keep one record aside."""
        self._batch.bad.append(BadRecord(self._source, position, line, reason, bytes(raw[:RAW_KEPT])))
        if len(self._batch.bad) >= BATCH_EVENTS:
            self.cut()

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        self._batch.count(name, amount)

    def count_all(self, counters: Mapping[str, int]) -> None:
        """Add several counters."""
        for name, amount in counters.items():
            self._batch.count(name, amount)

    def at(self, position: int) -> None:
        """Note the decompressed offset reached."""
        self._batch.position = position

    def cut(self) -> None:
        """Close the batch being filled."""
        batch = self._batch
        if batch.events or batch.bad or batch.counters:
            self._ready.append(batch)
            self._batch = Batch(position=batch.position)

    def ready(self) -> Iterator[Batch]:
        """Yield the batches that are full."""
        while self._ready:
            yield self._ready.popleft()

    def rest(self) -> Iterator[Batch]:
        """Yield what is left, at the end."""
        self.cut()
        yield from self.ready()
