"""Be the embedded event store: the log acknowledges, sealed Parquet segments keep, DuckDB answers (DESIGN §10)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, NoReturn

import pyarrow as pa

from soc_core.clock import Clock, utc_now
from soc_core.errors import StoreError, UsageError
from soc_core.log import LogReader, LogWriter, Record
from soc_core.log.writer import RESERVE
from soc_core.model.event import EVENT_ID, BadRecord, Event, partition_of
from soc_core.store.embedded.batches import decode_ids, encode, to_table
from soc_core.store.embedded.compaction import compact, due
from soc_core.store.embedded.condition import health_of
from soc_core.store.embedded.orphans import orphans
from soc_core.store.embedded.reader import Reader
from soc_core.store.embedded.removing import remove_days
from soc_core.store.embedded.salvage import condition_of
from soc_core.store.embedded.sealing import Sealed, by_day, write_segment
from soc_core.store.embedded.segments import Change
from soc_core.store.embedded.sidecars import unlink_segment
from soc_core.store.embedded.tail import grouped
from soc_core.store.embedded.upkeep import Upkeep
from soc_core.store.embedded.verifying import verify_store
from soc_core.store.interface import Ack, Finding, Health, Removal
from soc_core.store.shape import encode_line, fault_of, shape
from soc_core.system import sync_directory

SEAL_EVENTS: Final = 32_768
MOST_WAITING: Final = 4
"""How many times ``seal_events`` the log may hold before appends wait for sealing."""
GRACE: Final = timedelta(minutes=2)
_PATIENCE: Final = 60.0
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

    ``memory_limit_mb`` bounds questions; a third as much more holds what was read last. A reader may be opened before
    the first writer ever was.
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
        self._changing = threading.RLock()
        """Held by whoever changes segments; who needs both takes it before ``_lock``."""
        self._room = threading.Condition()
        self._upkeep = Upkeep(self._seal_quietly)
        self._sealed_log = LogReader(directory / "log")
        self._writer: LogWriter | None = None
        self._tail_ids: set[str] = set()
        self._left_alone: set[str] = set()
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
            waiting, end = len(self._tail_ids), writer.end_offset
        self._make_room(waiting)
        return Ack(len(fresh), sound - len(fresh), tuple(rejected), end)

    def _make_room(self, waiting: int) -> None:
        """Have the log sealed beside us; whoever writes faster than that must wait for it."""
        if waiting < self.limits.seal_events:
            return
        self._upkeep.wake()
        most = self.limits.seal_events * MOST_WAITING
        if waiting >= most:
            with self._room:
                self._room.wait_for(lambda: len(self._tail_ids) < most or self.sealing_fault, _PATIENCE)

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
        """Seal what is safe already: a fault is kept to be shown, and sealing is tried again later."""
        fault = ""
        try:
            self.seal()
        except StoreError as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001 the thread must not end: events go on coming
            fault = f"{type(error).__name__}: {error}"
        with self._room:
            self.sealing_fault = fault
            self._room.notify_all()

    def seal(self) -> int:
        """Move what is in the log into sealed segments; return how many events.

        Appends go on meanwhile. Ids leave the tail's set only after the catalogue knows their segment, so that a retry
        finds them at any moment.
        """
        self._need_writer()
        with self._changing:
            try:
                moved = self._seal_log()
                self._compact_due()
            finally:  # on a disk that is full, most of all
                self._remove_retired()
        pa.default_memory_pool().release_unused()  # sealing takes 150 MB, which Arrow would keep for the next time
        return moved

    def _seal_log(self) -> int:
        """Seal all that the log holds now."""
        writer = self._need_writer()
        moved, first = 0, self.catalogue.snapshot().sealed
        for group in grouped(self._sealed_log.records(first, writer.end_offset), _SEAL_BYTES):
            moved += self._seal_group(group)
        writer.drop_below(first)  # what was sealed the time before: readers are past it
        return moved

    def _seal_between(self) -> None:
        """Seal what came while something long is done, so that nobody who appends has to wait for that."""
        if len(self._tail_ids) >= self.limits.seal_events:
            self._seal_log()

    def _seal_group(self, group: Sequence[Record]) -> int:
        """Seal some records; their table ends with this call, so that its memory can be given back."""
        table = to_table(group)
        added: list[Sealed] = []
        try:
            for day, rows in by_day(table):
                added.append(write_segment(self.segments_directory, day, [rows]))
            self._enter(added, (), group[-1].end)
        except (OSError, StoreError, pa.ArrowException) as error:
            self._give_up(added, error)
        with self._room, self._lock:
            self._tail_ids.difference_update(table[EVENT_ID].to_pylist())
            self._room.notify_all()
        return table.num_rows

    def _enter(self, added: Sequence[Sealed], retired: Sequence[str], sealed: int, kind: str = "") -> None:
        """Make new segments durable and part of the store, instead of others."""
        sync_directory(self.segments_directory)
        change = Change([(item.segment, item.statistics) for item in added], retired, sealed, kind)
        self.catalogue.apply(change, self._clock().timestamp())

    def _give_up(self, added: Sequence[Sealed], error: Exception) -> NoReturn:
        for item in added:
            unlink_segment(self.segments_directory / item.segment.name)
        if isinstance(error, StoreError):
            raise error
        raise StoreError(
            f"sealing failed: {error}",
            where=str(self.segments_directory),
            todo="free room on the disk; the events are safe in the log",
        ) from error

    def compact(self, *, at_once: bool = False) -> int:
        """Make few large segments of many small ones, as is due; return how many were made.

        ``at_once`` does not wait for what may come late, for who has loaded all there is. Killed and repeated, it ends
        the same.
        """
        self._need_writer()
        with self._changing:
            made = self._compact_due(at_once=at_once)
            self._remove_retired()
        pa.default_memory_pool().release_unused()
        return made

    def _compact_due(self, *, at_once: bool = False) -> int:
        made = 0
        sound = [s for s in self.catalogue.snapshot().segments if s.name not in self._left_alone]
        for group in due(sound, self._clock(), at_once=at_once):
            added: list[Sealed] = []
            try:
                added.append(compact(self.segments_directory, group, self._seal_between))
                retired = [segment.name for segment in group]
                self._enter(added, retired, self.catalogue.snapshot().sealed, "compacted")
            except (OSError, StoreError, pa.ArrowException) as error:
                damaged = {s.name for s in group if condition_of(self.segments_directory, s).parquet}
                if not damaged:
                    self._give_up(added, error)
                self._left_alone |= damaged  # for a repair
            made += len(added)
        return made

    def _remove_retired(self) -> None:
        """Remove segments that were merged away long enough ago that no running question needs them."""
        names = self.catalogue.retired_before((self._clock() - GRACE).timestamp())
        for name in names:
            unlink_segment(self.segments_directory / name)
        if names:
            self.catalogue.forget(names)

    def remove(self, cuts: Mapping[str, str]) -> Removal:
        """Remove of each data set the events of days before its cut; killed and repeated, it ends the same."""
        self._need_writer()
        with self._changing:
            with self._lock:
                waiting = any(partition_of(name) < max(cuts.values(), default="") for name in self._tail_ids)
            if waiting:
                self._seal_log()
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
        with self._changing:
            return verify_store(self.segments_directory, self.catalogue, self.log)

    def close(self) -> None:
        """Release files and locks; acknowledged events need no close to be safe."""
        self._upkeep.stop()
        super().close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _rejected(event: Event, index: int, fault: str) -> BadRecord:
    return BadRecord("append", index, 0, fault, encode_line(event)[:4096])


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
