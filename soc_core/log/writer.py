"""Write a log durably: an append returns when its record would survive the power going out."""

from __future__ import annotations

import os
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Final

from soc_core.errors import StoreError
from soc_core.log.files import (
    COMMITTED,
    DAMAGED,
    file_name,
    list_files,
    publish,
    read_committed,
)
from soc_core.log.frames import (
    FILE_HEADER,
    MAX_PAYLOAD,
    Damage,
    Record,
    encode,
    file_header,
    find_frame,
    read_base,
    scan,
)
from soc_core.log.lock import WriterLock
from soc_core.system import free_bytes, open_file, replace, sync_data, sync_directory, write_at

MAX_FILE: Final = 16 * 1024 * 1024
RESERVE: Final = 64 * 1024 * 1024


class LogWriter:
    """Append records; threads that append at the same time share one fsync (group commit).

    ``reserve`` is the free space in bytes below which appends are refused, so that whoever must clean up still can.
    ``at_least`` keeps new offsets above what is known from elsewhere, should files have been lost.
    """

    def __init__(
        self, directory: Path, *, max_file: int = MAX_FILE, reserve: int = RESERVE, at_least: int = 0
    ) -> None:
        """Take the writer lock and mend the tail; raise ``StoreBusyError`` when another process writes."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._max_file, self.reserve = directory, max_file, reserve
        self._lock = WriterLock(directory / "lock")
        self._write_lock = threading.Lock()
        self._synced, self._syncing = threading.Condition(self._write_lock), False
        self._descriptor, self._failures, self._older = -1, 0, 0
        self.damage: list[Damage] = []
        self._mark = open_file(directory / COMMITTED, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._recover(at_least)
        except BaseException:
            self.close()
            raise

    @property
    def end_offset(self) -> int:
        """Return the offset after the last committed item."""
        return self._committed

    @property
    def size(self) -> int:
        """Return the bytes of all log files; those of records that are just being written may count already."""
        return self._older + self._size

    def _recover(self, at_least: int) -> None:
        """Find the end, cut a torn tail off, and never give an offset out twice."""
        promised = read_committed(self._directory)
        end, size = 0, 0
        files = list_files(self._directory)
        while files and not self._holds_something(files[-1][1]):
            self._put_aside(files.pop()[1])
        if files:
            end, size = self._mend(files[-1][0], files[-1][1], promised)
            self._descriptor = open_file(files[-1][1], os.O_RDWR)
            os.fsync(self._descriptor)
        self._size = self._committed_size = size
        self._measure()
        self._next = self._committed = max(end, promised, at_least)
        publish(self._mark, self._committed)
        sync_directory(self._directory)

    @staticmethod
    def _holds_something(path: Path) -> bool:
        """Tell whether a file has a sound header or, where that is hurt, a sound record."""
        with path.open("rb") as stream:
            return read_base(stream, path) is not None or find_frame(stream, FILE_HEADER) is not None

    def _mend(self, base: int, path: Path, promised: int) -> tuple[int, int]:
        """Return the offset and size after the last sound record, bytes behind it being cut off.

        A tail that was never acknowledged is simply torn; anything else is damage, whose bytes are kept aside.
        """
        end, size = base, FILE_HEADER
        with path.open("rb") as stream:
            hurt = read_base(stream, path) is None
            self.damage.extend([Damage(path, 0, FILE_HEADER)] if hurt else [])
            for item in scan(stream, path):
                if not isinstance(item, Damage):
                    end, size = item[0].offset + item[0].count, item[0].end_position
                elif item.position + item.length < path.stat().st_size or end < promised:
                    self.damage.append(item)
        if self.damage:
            self._put_aside(path, copy=True)
        os.truncate(path, size)
        if hurt:
            with path.open("r+b") as stream:
                stream.write(file_header(base))
        return end, size

    def _put_aside(self, path: Path, *, copy: bool = False) -> None:
        target = self._directory / DAMAGED
        target.mkdir(exist_ok=True)
        if copy:
            shutil.copy2(path, target / path.name)
        else:
            replace(path, target / path.name)

    def append(self, payload: bytes, count: int = 1) -> int:
        """Store a record of ``count`` items durably and return the offset of its first item.

        Raises ``StoreError`` when it can't be stored; then nothing was, and later appends may work again.
        """
        if not 0 < len(payload) <= MAX_PAYLOAD or count < 1:
            raise StoreError(f"a record of {len(payload)} bytes and {count} items can't be stored")
        with self._write_lock:
            offset, failures = self._write(payload, count)
        self._commit(offset + count, failures)
        return offset

    def skip(self, count: int) -> int:
        """Pass over ``count`` offsets, those of items that could not be kept; return the first.

        Readers see a jump once a record follows. Should the power go out before, the offsets are given out again.
        """
        with self._write_lock:
            offset, self._next = self._next, self._next + count
        return offset

    def _write(self, payload: bytes, count: int) -> tuple[int, int]:
        self._check_room(len(payload))
        try:
            if self._descriptor < 0 or self._size >= self._max_file:
                self._rotate()
            frame = memoryview(encode(Record(self._next, count, payload)))
            done = 0
            while done < len(frame):
                done += write_at(self._descriptor, frame[done:], self._size + done)
        except OSError as error:
            self._cut(self._size)
            raise self._error(error) from error
        self._size += len(frame)
        offset, self._next = self._next, self._next + count
        return offset, self._failures

    def _check_room(self, wanted: int) -> None:
        free = free_bytes(self._directory)
        if free < wanted + self.reserve:
            raise StoreError(
                f"only {free // 2**20} MB are free on the disk",
                where=str(self._directory),
                todo=f"free at least {(wanted + self.reserve) // 2**20 + 1} MB; nothing was lost",
            )

    def _rotate(self) -> None:
        """Start a new file; everything in the old one is committed before anything lies in the new one."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
        path = self._directory / file_name(self._next)
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_at(descriptor, file_header(self._next), 0)
            os.fsync(descriptor)
            sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._committed = self._next
        publish(self._mark, self._committed)
        self._descriptor, self._size, self._committed_size = descriptor, FILE_HEADER, FILE_HEADER
        self._measure()

    def _measure(self) -> None:
        """Add up the files before the newest, whose size is known anyway."""
        self._older = sum(path.stat().st_size for _, path in list_files(self._directory)[:-1])

    def _commit(self, ticket: int, failures: int) -> None:
        """Return when everything below ``ticket`` is on the disk: one fsync serves all who wait.

        One thread syncs, those that come meanwhile wait; the next one to sync does it for all of them.
        """
        with self._write_lock:
            while self._syncing and failures == self._failures and self._committed < ticket:
                self._synced.wait()
            if failures != self._failures:
                raise self._refused()
            if self._committed >= ticket:
                return
            target, size = self._next, self._size
            descriptor = os.dup(self._descriptor)  # a rotation may close ours while we wait for the disk
            self._syncing = True
        sound = False
        try:
            sound = self._sync_apart(descriptor)
        finally:
            with self._write_lock:
                self._syncing = False
                self._synced.notify_all()
                self._settle(target, size) if sound else self._forget()
        if not sound:
            raise self._refused()

    def _settle(self, target: int, size: int) -> None:
        """Note that everything below ``target`` is on the disk; a rotation may have done so already."""
        if target > self._committed:
            self._committed, self._committed_size = target, size
            publish(self._mark, target)

    @staticmethod
    def _sync_apart(descriptor: int) -> bool:
        try:
            sync_data(descriptor)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _forget(self) -> None:
        """Forget what was written since the last commit: after a failed fsync nobody knows what the disk has."""
        self._failures += 1
        self._next, self._size = self._committed, self._committed_size
        self._cut(self._size)

    def _refused(self) -> StoreError:
        return StoreError(
            "the disk refused the record",
            where=str(self._directory),
            todo="see the system's log, then try again",
        )

    def _cut(self, size: int) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, size)

    def _error(self, error: OSError) -> StoreError:
        return StoreError(
            error.strerror or "can't write",
            where=str(self._directory),
            todo="free room on the disk; nothing was lost",
        )

    def drop_below(self, offset: int) -> int:
        """Remove files all of whose items lie below ``offset`` (never the newest file); return how many.

        Files with damage are kept aside instead. What can't be removed now is left to a later call.
        """
        hurt = {item.path for item in self.damage}
        dropped = 0
        with self._write_lock:
            for (_, path), (following, _) in pairwise(list_files(self._directory)):
                if following > offset:
                    break
                try:
                    self._put_aside(path) if path in hurt else path.unlink()
                except PermissionError:  # Windows: somebody has it open; it goes with a later call
                    break
                dropped += 1
            if dropped:
                self._measure()
        return dropped

    def close(self) -> None:
        """Close files and release the lock; a second call does nothing."""
        for descriptor in (self._descriptor, self._mark):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._mark = -1
        self._lock.release()
