"""Be the embedded event store: the log acknowledges, sealed Parquet segments keep, DuckDB answers (DESIGN §10)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from soc_core.clock import Clock, utc_now
from soc_core.errors import StoreError, UsageError
from soc_core.log import LogWriter, Record
from soc_core.log.files import sync_directory
from soc_core.log.writer import RESERVE
from soc_core.model.event import EVENT_ID, BadRecord, Event, partition_of
from soc_core.store.embedded.batches import decode_ids, encode, to_table
from soc_core.store.embedded.catalogue import Change, Segment
from soc_core.store.embedded.condition import health_of
from soc_core.store.embedded.ids import sidecar
from soc_core.store.embedded.orphans import orphans
from soc_core.store.embedded.reader import Reader
from soc_core.store.embedded.removing import remove_days
from soc_core.store.embedded.sealing import Sealed, by_day, write_segment
from soc_core.store.embedded.tail import grouped
from soc_core.store.embedded.verifying import verify_store
from soc_core.store.interface import Ack, Finding, Health, Removal
from soc_core.store.shape import encode_line, fault_of, shape

SEAL_EVENTS: Final = 32_768
MERGE_COUNT: Final = 8
MERGE_EVENTS: Final = 65_536
GRACE: Final = timedelta(minutes=2)
MAX_LINES: Final = 10_000
MAX_BYTES: Final = 32 * 1024 * 1024
_SEAL_BYTES: Final = 24 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound the writer: events the log holds before they are sealed, free bytes below which appends are refused."""

    seal_events: int = SEAL_EVENTS
    reserve: int = RESERVE


DEFAULT_LIMITS: Final = Limits()


class EmbeddedStore(Reader):
    """Store and read events in a directory; one process writes, any number read.

    ``memory_limit_mb`` bounds questions. A reader may be opened before the first writer ever was.
    """

    def __init__(
        self,
        directory: Path,
        *,
        writer: bool,
        clock: Clock = utc_now,
        memory_limit_mb: int = 300,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Open; raise ``StoreBusyError`` when another process writes and ``StoreError`` when the store is damaged."""
        super().__init__(directory, memory_limit_mb)
        self._clock, self.limits = clock, limits
        self._lock = threading.RLock()
        self._writer: LogWriter | None = None
        self._tail_ids: set[str] = set()
        self.sealing_fault = ""
        if writer:
            try:
                self._open_writer()
            except OSError as error:
                self.close()
                raise StoreError(error.strerror or "can't be written to", where=str(directory)) from error
            except BaseException:
                self.close()
                raise

    def _open_writer(self) -> None:
        snapshot = self.catalogue.snapshot()
        self._writer = LogWriter(
            self.directory / "log", reserve=self.limits.reserve, at_least=snapshot.sealed
        )
        self._writer.damage.extend(
            self.log.damage()
        )  # so that their files are kept aside when they are dropped
        self._remove_orphans()
        self.catalogue.begin_chain(self._clock().timestamp())
        for record in self.log.records(snapshot.sealed):
            self._tail_ids.update(decode_ids(record))

    def _remove_orphans(self) -> None:
        """Remove what a crash while sealing left: files that the catalogue does not know.

        What holds events that are nowhere else is set aside instead, and when the catalogue knows nothing at all,
        opening is refused: then it is the catalogue that was lost.
        """
        for path in orphans(self.segments_directory, self.catalogue, self.log):
            path.unlink()

    def _need_writer(self) -> LogWriter:
        if self._writer is None:
            raise UsageError("this store was opened for reading", where=str(self.directory))
        return self._writer

    def append(self, events: Sequence[Event]) -> Ack:
        """Store events durably; each id once, whatever the batches.

        Raises ``StoreError`` when the disk is full; nothing is then acknowledged, and a retry is harmless.
        """
        writer = self._need_writer()
        with self._lock:
            rejected: list[BadRecord] = []
            fresh: dict[str, Event] = {}
            sound = 0
            for index, event in enumerate(events):
                fault = fault_of(event)
                if fault:
                    rejected.append(_rejected(event, index, fault))
                    continue
                sound += 1
                fresh.setdefault(str(event[EVENT_ID]), event)
            for known in self._known(list(fresh)):
                del fresh[known]
            for lines, names, ids in _batches(fresh):
                writer.append(encode(lines, names), len(lines))
                self._tail_ids.update(ids)
            if len(self._tail_ids) >= self.limits.seal_events:
                self._seal_quietly()
            return Ack(len(fresh), sound - len(fresh), tuple(rejected), writer.end_offset)

    def _known(self, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are stored: in the log's tail or in a segment of their day."""
        known = self._tail_ids.intersection(ids)
        days: dict[str, list[str]] = {}
        for name in ids:
            if name not in known:
                days.setdefault(partition_of(name), []).append(name)
        for segment in self.catalogue.snapshot().segments if days else ():
            if segment.day in days:
                known |= self.ids.confirmed(segment, days[segment.day])
        return known

    def _seal_quietly(self) -> None:
        """Seal after an append that is safe already: a fault is kept to be shown, and sealing is tried again later."""
        try:
            self.seal()
            self.sealing_fault = ""
        except StoreError as error:
            self.sealing_fault = str(error)

    def seal(self) -> int:
        """Move what is in the log into sealed segments; return how many events."""
        writer = self._need_writer()
        moved = 0
        with self._lock:
            start = self.catalogue.snapshot().sealed
            first = start
            for group in grouped(self.log.records(start), _SEAL_BYTES):
                moved += self._seal_group(group)
            if moved:
                writer.drop_below(first)  # what was sealed the time before: readers are past it
                self._tail_ids.clear()
            self._remove_retired()
        pa.default_memory_pool().release_unused()  # sealing takes 150 MB, which Arrow would keep for the next time
        return moved

    def _seal_group(self, group: Sequence[Record]) -> int:
        """Seal some records; their table ends with this call, so that its memory can be given back."""
        table = to_table(group)
        self._seal_table(table, group[-1].end)
        return table.num_rows

    def _seal_table(self, table: pa.Table, sealed: int) -> None:
        segments = self.catalogue.snapshot().segments
        added: list[Sealed] = []
        retired: list[str] = []
        try:
            for day, rows in by_day(table):
                small = _to_merge([segment for segment in segments if segment.day == day])
                readable = [(s, old) for s in small if (old := self._read_whole(s)) is not None]
                tables = [rows, *(old for _, old in readable)]
                added.append(write_segment(self.segments_directory, day, tables))
                retired.extend(segment.name for segment, _ in readable)
            sync_directory(self.segments_directory)
            change = Change([(item.segment, item.statistics) for item in added], retired, sealed)
            self.catalogue.apply(change, self._clock().timestamp())
        except (OSError, StoreError, pa.ArrowException) as error:
            for item in added:
                self._unlink(item.segment.name)
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"sealing failed: {error}",
                where=str(self.segments_directory),
                todo="free room on the disk; the events are safe in the log",
            ) from error

    def _read_whole(self, segment: Segment) -> pa.Table | None:
        """Return a segment's events; ``None`` for a damaged one, which is left to a repair."""
        try:
            with pq.ParquetFile(
                self.segments_directory / segment.name, page_checksum_verification=True
            ) as file:
                return file.read()
        except (OSError, pa.ArrowException):
            return None

    def _remove_retired(self) -> None:
        """Remove segments that were merged away long enough ago that no running question needs them."""
        names = self.catalogue.retired_before((self._clock() - GRACE).timestamp())
        for name in names:
            self._unlink(name)
        if names:
            self.catalogue.forget(names)

    def _unlink(self, name: str) -> None:
        path = self.segments_directory / name
        path.unlink(missing_ok=True)
        sidecar(path).unlink(missing_ok=True)

    def remove(self, cuts: Mapping[str, str]) -> Removal:
        """Remove of each data set the events of days before its cut; killed and repeated, it ends the same."""
        self._need_writer()
        with self._lock:
            if any(partition_of(name) < max(cuts.values(), default="") for name in self._tail_ids):
                self.seal()
            removed = remove_days(self.segments_directory, self.catalogue, cuts, self._clock)
            self._remove_retired()
            return removed

    @contextmanager
    def using_reserve(self, left: int) -> Iterator[None]:
        """Let appends use the room kept in reserve down to ``left`` bytes: for what makes room, and nothing else."""
        writer = self._need_writer()
        writer.reserve = left
        try:
            yield
        finally:
            writer.reserve = self.limits.reserve

    def health(self) -> Health:
        """Say how the store is; never raises."""
        return health_of(
            self.directory, self.catalogue, reserve=self.limits.reserve, sealing_fault=self.sealing_fault
        )

    def verify(self) -> list[Finding]:
        """Check segments, catalogue and log against their checksums; return what is wrong (empty: all is well)."""
        with self._lock:
            return verify_store(self.segments_directory, self.catalogue, self.log)

    def close(self) -> None:
        """Release files and locks; acknowledged events need no close to be safe."""
        super().close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _rejected(event: Event, index: int, fault: str) -> BadRecord:
    return BadRecord("append", index, 0, fault, encode_line(event)[:4096])


def _to_merge(segments: Sequence[Segment]) -> list[Segment]:
    """Return the small segments of a day that should become one, when they have become many."""
    small = [segment for segment in segments if segment.events < MERGE_EVENTS // 2]
    chosen: list[Segment] = []
    total = 0
    for segment in small if len(small) >= MERGE_COUNT else ():
        total += segment.events
        if total > MERGE_EVENTS:
            break
        chosen.append(segment)
    return chosen


def _batches(events: dict[str, Event]) -> Iterator[tuple[list[bytes], set[str], list[str]]]:
    """Yield lines, fields and ids for log records of bounded size."""
    lines: list[bytes] = []
    names: set[str] = set()
    ids: list[str] = []
    size = 0
    for name, event in events.items():
        shaped = shape(event)
        lines.append(encode_line(shaped))
        names.update(shaped)
        ids.append(name)
        size += len(lines[-1])
        if len(lines) >= MAX_LINES or size >= MAX_BYTES:
            yield lines, names, ids
            lines, names, ids, size = [], set(), [], 0
    if lines:
        yield lines, names, ids
