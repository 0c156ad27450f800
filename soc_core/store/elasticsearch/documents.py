"""Turn events into the documents that are stored, and documents back into events.

A document is the event's JSON as it is, and after it what the log knows of it (``templates.LOG_FIELDS``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from soc_core.clock import epoch_us
from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event, partition_of
from soc_core.store.elasticsearch.templates import DAY, EPOCH, LOG_FIELDS, OFFSET, TIME
from soc_core.store.shape import encode_line, shape

_TAIL: Final = b',"%b":%%d,"%b":%%b' % (TIME.encode(), DAY.encode())
_STAMP: Final = b'%%b,"%b":%%d,"%b":%%d}' % (OFFSET.encode(), EPOCH.encode())


@dataclass(slots=True)
class Document:
    """Hold one event on its way: its id, its index, its JSON without offset, and where it stands in the batch."""

    id: str
    index: str
    open_line: bytes
    place: int
    offset: int = -1

    def line(self, epoch: int) -> bytes:
        """Return the whole JSON."""
        return _STAMP % (self.open_line, self.offset, epoch)


def open_line(event: Event) -> tuple[bytes, str]:
    """Return an event's JSON in the shape of the dictionary, still without offset and closing brace, and its data set.

    The event must be sound (``soc_core.store.shape.fault_of``).
    """
    shaped = shape(event)
    line = encode_line(shaped)
    day = partition_of(str(shaped[EVENT_ID])).lstrip("0")
    tail = _TAIL % (micros_of(str(shaped[TIMESTAMP])), day.encode())
    return line[:-1] + tail, str(shaped.get(DATASET, ""))


def micros_of(timestamp: str) -> int:
    """Return the microseconds since 1970 of canonical text."""
    of_day = int(timestamp[11:13]) * 3_600 + int(timestamp[14:16]) * 60 + int(timestamp[17:19])
    return _day_start(timestamp[:10]) + of_day * 1_000_000 + int(timestamp[20:26])


@lru_cache(maxsize=4_096)
def _day_start(day: str) -> int:
    return epoch_us(datetime.fromisoformat(day).replace(tzinfo=UTC))


def event_of(source: dict[str, Any]) -> Event:
    """Return the event of a stored document; it is the same object without what the log knows of it."""
    for name in LOG_FIELDS:
        source.pop(name, None)
    return source


def events_of(answer: Any) -> list[Event]:
    """Return the events of a search's answer, in its order."""
    return [event_of(hit["_source"]) for hit in answer["hits"]["hits"]]


def chunked(documents: list[Document], most_bytes: int, most: int) -> Iterator[list[Document]]:
    """Yield runs of documents that are within both bounds; one that is larger alone is a run of its own."""
    run: list[Document] = []
    size = 0
    for document in documents:
        weight = len(document.open_line) + 200
        if run and (size + weight > most_bytes or len(run) >= most):
            yield run
            run, size = [], 0
        run.append(document)
        size += weight
    if run:
        yield run
