"""Define the event store as everything above sees it.

Promises, held by ``tests/contract`` for every implementation:

* ``append`` is durable when it returns and idempotent by event id, whatever the batch boundaries of a retry.
* ``search`` pages with a keyset cursor that neither skips nor repeats events while others are appended.
* Scope is part of every question: there is no way to ask without saying which units may be seen.
* Partial answers say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from soc_core.model.event import BadRecord, Event, Scalar
from soc_core.query.tree import Everything, Query


@dataclass(frozen=True, slots=True)
class Scope:
    """Name the units that may be seen; ``ids`` of ``None`` means all (the system itself, never a user's default)."""

    ids: frozenset[str] | None

    def allows(self, organization_id: str) -> bool:
        """Tell whether events of the unit may be seen."""
        return self.ids is None or organization_id in self.ids

    def only(self, organization_id: str) -> Scope:
        """Return the part of this scope that is one unit; empty when the unit may not be seen."""
        return Scope(frozenset({organization_id}) if self.allows(organization_id) else frozenset())


SYSTEM_SCOPE = Scope(None)


@dataclass(frozen=True, slots=True)
class Ack:
    """Count what an append did: every event is in exactly one of the three.

    ``rejected`` are kept aside with their reason (e.g. no id or no time). ``end_offset`` is the log offset after it.
    """

    accepted: int
    duplicates: int
    rejected: tuple[BadRecord, ...]
    end_offset: int


@dataclass(frozen=True, slots=True)
class Search:
    """Ask for events: ``start`` inclusive, ``end`` exclusive (aware UTC), newest first unless ``ascending``.

    ``fields`` of ``None`` means whole events. ``cursor`` is the opaque text of the previous page. With ``superset`` a
    ``scan`` may yield more than what matches: who asks judges, and the store need not judge a second time.
    """

    scope: Scope
    start: datetime
    end: datetime
    query: Query = field(default_factory=Everything)
    limit: int = 50
    ascending: bool = False
    cursor: str = ""
    fields: tuple[str, ...] | None = None
    superset: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Hold events in order and the next page's cursor (empty at the end); ``partial`` says why some may lack."""

    events: list[Event]
    cursor: str = ""
    partial: str = ""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """Ask for counts: ``terms`` of ``field`` (top ``size``), ``histogram`` per ``interval_seconds``, ``distinct``.

    Histogram buckets are aligned to ``offset_seconds`` east of UTC (28,800 makes days of Asia/Shanghai).
    """

    kind: str
    field: str = ""
    size: int = 10
    interval_seconds: int = 3_600
    offset_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Hold one bucket: a term, a canonical bucket start, or the empty key for ``distinct``."""

    key: Scalar
    count: int


@dataclass(frozen=True, slots=True)
class Buckets:
    """Hold an aggregation's answer: terms by falling count then key, histogram by time without empty buckets."""

    buckets: list[Bucket]
    exact: bool = True
    partial: str = ""


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """Tell of one (unit, dataset) how many events there are and the first and last time (canonical text)."""

    organization_id: str
    dataset: str
    events: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class SourceDay:
    """Tell of one (unit, dataset) how many events one day holds; ``day`` (YYYYMMDD, UTC) is that of their ids."""

    organization_id: str
    dataset: str
    day: str
    events: int


@dataclass(frozen=True, slots=True)
class Grouping:
    """Ask for all combinations of the values of ``keys`` (scalar fields), with the sums of ``sums`` (number fields)."""

    keys: tuple[str, ...]
    sums: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Hold one combination of values (``None``: absent), how many events have it, and their sums (absent counts 0)."""

    keys: tuple[Scalar | None, ...]
    events: int
    sums: tuple[int | float, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """Say in words how a store is: ``reasons`` name what is wrong and what to do, empty when all is well.

    ``degraded`` still takes and finds events, ``read_only`` finds but does not take, ``down`` does neither.
    """

    state: Literal["ok", "degraded", "read_only", "down"]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """Count what ``remove`` removed, and name what had to stay although it was asked for (e.g. a month half over)."""

    events: int
    bytes: int
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Report one fault ``verify`` found: what, where, and whether events are affected."""

    what: str
    where: str


class EventReader(Protocol):
    """Read events; safe to use from a second process while another writes."""

    def bound_questions(self, seconds: float) -> None:
        """Give up each question after ``seconds`` with a ``StoreError`` that says so."""
        ...

    def search(self, request: Search) -> Page:
        """Return one page. Raises ``UsageError`` for a cursor that is not ours."""
        ...

    def scan(self, request: Search) -> Iterator[list[Event]]:
        """Yield all matching events in batches, in time order (``limit`` and ``cursor`` are ignored), one snapshot."""
        ...

    def count(self, request: Search) -> int:
        """Return how many events match."""
        ...

    def aggregate(self, request: Search, aggregation: Aggregation) -> Buckets:
        """Return counts over the matching events."""
        ...

    def get(self, event_ids: Sequence[str], scope: Scope) -> Mapping[str, Event]:
        """Return those of the events that exist inside the scope."""
        ...

    def statistics(self, scope: Scope) -> list[SourceStatistics]:
        """Return counts per unit and dataset, ordered by both."""
        ...

    def days(self, scope: Scope) -> list[SourceDay]:
        """Return counts per unit, data set and day, ordered by all three: what retention and its report go by."""
        ...

    def groups(self, request: Search, grouping: Grouping) -> Iterator[list[Group]]:
        """Yield all groups of the matching events in batches, ordered by nothing in particular, in bounded memory.

        Raises ``UsageError`` for a field that is unknown, a list, or no number where sums are asked for.
        """
        ...

    def health(self) -> Health:
        """Say how the store is; never raises."""
        ...

    def verify(self) -> list[Finding]:
        """Check everything that is stored against its checksums; return what is wrong (empty: all is well)."""
        ...


class EventStore(EventReader, Protocol):
    """Write and read events; one writer at a time."""

    def append(self, events: Sequence[Event]) -> Ack:
        """Store events durably. Raises ``StoreError`` when the disk is full; nothing is then acknowledged."""
        ...

    def read_from(self, offset: int, limit: int = 10_000) -> tuple[list[Event], int]:
        """Return acknowledged events from a log offset in append order, and the offset to go on from."""
        ...

    def end_offset(self) -> int:
        """Return the log offset after the last acknowledged event."""
        ...

    def seal(self) -> int:
        """Move what can be moved from the log into sealed segments; return how many events."""
        ...

    def remove(self, cuts: Mapping[str, str]) -> Removal:
        """Remove of each data set the events of days (YYYYMMDD, of their ids) before its cut, for good.

        Which days may go is decided by ``soc_core.store.retention`` alone. Killed and repeated, it ends the same.
        """
        ...

    def close(self) -> None:
        """Release files and locks; acknowledged events need no close to be safe."""
        ...
