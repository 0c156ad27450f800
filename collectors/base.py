"""Define what a collector is: it recognises its files by content and turns them into batches of events.

A collector never raises for bad content: the good part comes out as events, the rest as ``BadRecord``. It reads
forward only and holds a bounded amount of memory, whatever the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Protocol, TypeAlias

from soc_core.clock import LOCAL_ZONE, format_instant
from soc_core.model.event import BadRecord, Event

BATCH_EVENTS = 1_000
MAX_RECORD_BYTES = 1 << 20
HEAD_BYTES = 1 << 16
Span: TypeAlias = tuple[int, int]
"""Decompressed offset and length of a record."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Say where a reading goes on that an earlier one began: the same file, tailed.

    The source then gives the bytes from ``position`` on, with the head of the whole file; offsets and line numbers
    count on. ``first_record`` is what names the source (``EventMaker.seen``), ``header`` the lines that later ones are
    read by (column names), given to the parser again. ``more`` says that what was begun may still be finished: groups
    of lines that aren't complete are then left for the next reading.
    """

    position: int = 0
    line: int = 1
    first_record: bytes = b""
    header: tuple[bytes, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """Say how far a resumed reading came: where the next one starts, never inside a group of lines that isn't finished.

    ``first`` is the record that names the source, ``headers`` the lines that gave no events, the last of each kind
    (first word); both as far as this reading met them.
    """

    position: int
    first: Span | None = None
    headers: Mapping[bytes, Span] = field(default_factory=dict)


class ByteSource(Protocol):
    """Give the decompressed bytes of one input, forward only.

    ``head`` is the first at most ``HEAD_BYTES`` bytes, available without consuming them. ``name`` is the path as the
    user gave it. ``local_path`` is set when the bytes lie uncompressed in a regular file and may be memory-mapped.
    ``resume`` is set when the bytes are not those from the start; collectors of lines and JSON heed it (``records``).
    """

    name: str
    head: bytes
    local_path: str | None
    modified: datetime
    resume: Resume | None

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, ``b""`` at the end. Raises ``InputError`` when decompression fails."""
        ...

    @property
    def offset(self) -> int:
        """Return how many decompressed bytes were read so far."""
        ...


@dataclass(frozen=True, slots=True)
class ReadContext:
    """Carry what a parser may need besides the bytes.

    ``reference`` is the instant a record without a year is dated against (the file's age, kept by the importer so
    that a second reading guesses the same); ``zone_info`` is the time zone of sources that do not say theirs.
    ``organization_id`` is empty for ``edusoc read``. ``options`` are the collector's own settings as text.
    ``created`` is when the records were collected (for live sources); for files it is left out and ``reference``
    stands for it, so that reading the same file twice gives the same events to the last byte.
    """

    reference: datetime
    organization_id: str = ""
    zone: str = "default"
    zone_info: tzinfo = LOCAL_ZONE
    keep_original: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None

    @property
    def created_text(self) -> str:
        """Return the canonical collection time, ``event.created`` of every event of this reading."""
        return format_instant(self.created or self.reference)


@dataclass(slots=True)
class Batch:
    """Hold some events in source order, the records that could not be read, and counters to add up.

    Counter names are snake_case and additive over batches, e.g. ``packets``, ``packets_in_flows``,
    ``packets_non_ip``, ``packets_malformed``, ``lines``. ``position`` is the decompressed offset reached: reading again
    from there misses nothing. The last batch of a resumed reading (``Resume``) carries ``reached`` and nothing else.
    """

    events: list[Event] = field(default_factory=list)
    bad: list[BadRecord] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    position: int = 0
    reached: Reached | None = None

    def count(self, name: str, amount: int = 1) -> None:
        """Add ``amount`` to the counter ``name``."""
        self.counters[name] = self.counters.get(name, 0) + amount


class Collector(Protocol):
    """Read one kind of file. Stateless itself: all state of a reading lives in the iterator that ``read`` returns."""

    name: str
    datasets: tuple[str, ...]

    def recognise(self, head: bytes, name: str, /) -> int:
        """Return how sure we are, 0 (no) to 100 (magic number), from the first bytes; the name only breaks ties."""
        ...

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of at most ``BATCH_EVENTS`` events, each with its id and the always-present fields."""
        ...
