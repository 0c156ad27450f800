"""Cut batches from a lane of the spool: by number of events and by size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from collectors.agent.spool import lines_of
from soc_core.errors import StoreError
from soc_core.log import LogReader, Record
from soc_core.uplink.wire import MAX_ITEMS, MAX_PLAIN, Item

MOST_EVENTS: Final = 10_000
MOST_BYTES: Final = 4 << 20
LEAST_EVENTS: Final = 50
LEAST_BYTES: Final = 32 << 10
"""What a batch may have at least on a link that breaks again and again."""
assert MOST_EVENTS <= MAX_ITEMS  # noqa: S101 - two constants of ours
assert MOST_BYTES < MAX_PLAIN  # noqa: S101


@dataclass(slots=True)
class Size:
    """Bound a batch; ``halve`` it where the centre finds it too large."""

    events: int = MOST_EVENTS
    plain_bytes: int = MOST_BYTES

    def halve(self) -> None:
        """Allow half as much, at least one event."""
        self.events, self.plain_bytes = max(self.events // 2, 1), max(self.plain_bytes // 2, 1)

    def shrink(self) -> None:
        """Allow half as much, but not tiny batches: the link broke, perhaps because it is too thin for large ones."""
        self.events = max(self.events // 2, min(self.events, LEAST_EVENTS))
        self.plain_bytes = max(self.plain_bytes // 2, min(self.plain_bytes, LEAST_BYTES))

    def grow(self) -> None:
        """Allow a little more again."""
        self.events = min(self.events + self.events // 4 + 1, MOST_EVENTS)
        self.plain_bytes = min(self.plain_bytes + self.plain_bytes // 4 + 1, MOST_BYTES)


@dataclass(slots=True)
class Cut:
    """Hold a batch: runs of events, the offset after the last one, and whether more could not be taken along.

    ``damaged`` counts events of records that can't be read: their offsets are passed over.
    """

    end: int
    items: list[Item] = field(default_factory=list)
    events: int = 0
    plain_bytes: int = 0
    full: bool = False
    damaged: int = 0


def cut(reader: LogReader, start: int, size: Size) -> Cut:
    """Return the next batch at or after offset ``start``; it has one event at least if there is any."""
    batch = Cut(end=start)
    for record in reader.records(start):
        if batch.events >= size.events or batch.plain_bytes >= size.plain_bytes:
            batch.full = True
            break
        _take(batch, record, max(start, record.offset), size)
        if batch.full:
            break
    return batch


def _take(batch: Cut, record: Record, first: int, size: Size) -> None:
    """Take of a record the lines from offset ``first`` on that fit."""
    try:
        lines = lines_of(record)[first - record.offset : record.count]
    except StoreError:
        batch.damaged += record.end - first
        batch.end = record.end
        return
    taken: list[bytes] = []
    for line in lines:
        if batch.events and (batch.events >= size.events or batch.plain_bytes + len(line) > size.plain_bytes):
            batch.full = True
            break
        taken.append(line)
        batch.events += 1
        batch.plain_bytes += len(line) + 1
    batch.items.append(Item(first, taken))
    batch.end = first + len(taken)
