"""Remember marks across restarts: a small journal, one line a change, written anew when it has grown.

A line is the CRC32 of what follows, a space, and a mark as a JSON list (or a key alone: forgotten). Torn and damaged
lines are passed over: then older marks count, a part is read again, and its events get the ids they had. Nothing is
lost when the disk is full: the marks stay in memory and are written once there is room.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from collectors.live.files.marks import Mark, from_json, to_json
from soc_core.system import open_file, replace, sync_directory

MOST_MARKS: Final = 20_000
SYNC_SECONDS: Final = 5.0
_SPARE_LINES: Final = 2_000
_KEPT_SECONDS: Final = 90 * 86_400
_LOGGER: Final = logging.getLogger("edusoc.collectors.files")


class Checkpoints:
    """Keep the marks of one input in a file. Not to be shared between threads."""

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises ``OSError`` when it can't be read or its folder not be made."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.fresh = not path.exists()
        """Whether there was nothing yet: the input runs for the first time."""
        self.marks: dict[int, Mark] = {}
        self.failures = 0
        self._lines = 0
        self._descriptor = -1
        self._torn = False
        self._unwritten: dict[int, Mark | None] = {}
        self._unsynced_since: float | None = None
        self._load()
        self._next_key = max(self.marks, default=0) + 1

    def _load(self) -> None:
        if self.fresh:
            return
        data = self._path.read_bytes()
        self._torn = bool(data) and not data.endswith(b"\n")
        for line in data.split(b"\n"):
            self._lines += 1
            try:
                self._take(line)
            except ValueError:
                if line:
                    _LOGGER.debug("a line of %s is damaged", self._path)

    def _take(self, line: bytes) -> None:
        crc, _, body = line.partition(b" ")
        if not body or int(crc, 16) != zlib.crc32(body):
            raise ValueError("damaged")
        value = orjson.loads(body)
        if isinstance(value, int):
            self.marks.pop(value, None)
        else:
            mark = from_json(value)
            self.marks[mark.key] = mark

    def new_key(self) -> int:
        """Return a key for a new mark."""
        self._next_key += 1
        return self._next_key - 1

    def put(self, marks: Iterable[Mark], now: float) -> None:
        """Write marks; ``now`` (monotonic seconds) spaces the fsyncs. What can't be written is tried again later."""
        for mark in marks:
            self.marks[mark.key] = mark
            self._unwritten[mark.key] = mark
        self._write(now)

    def forget(self, key: int) -> None:
        """Forget a mark."""
        if self.marks.pop(key, None) is not None:
            self._unwritten[key] = None

    def _write(self, now: float) -> None:
        if not self._unwritten:
            return
        try:
            if self._descriptor < 0 or self._lines > 2 * len(self.marks) + _SPARE_LINES:
                self._rewrite()
            else:
                self._append(now)
            self._unwritten.clear()
        except OSError as fault:
            self.failures += 1
            if self.failures == 1:
                _LOGGER.warning("checkpoints can't be written to %s: %s", self._path, fault)

    def _append(self, now: float) -> None:
        lines = [_line(mark if mark is not None else key) for key, mark in self._unwritten.items()]
        body = (b"\n" if self._torn else b"") + b"".join(lines)
        self._torn = True
        written = os.write(self._descriptor, body)
        if written < len(body):
            raise OSError(f"{written} of {len(body)} bytes written")
        self._torn = False
        self._lines += len(lines)
        if self._unsynced_since is None:
            self._unsynced_since = now
        elif now - self._unsynced_since >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Make what was written durable. Raises ``OSError``."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
        self._unsynced_since = None

    def _rewrite(self) -> None:
        """Write all marks anew beside the old file and put it in its place."""
        self._prune()
        other = self._path.with_name(self._path.name + ".new")
        try:
            with other.open("wb") as stream:
                stream.writelines(_line(mark) for mark in self.marks.values())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            with suppress(OSError):
                other.unlink()
            raise
        self._close()
        replace(other, self._path)
        sync_directory(self._path.parent)
        self._descriptor = open_file(self._path, os.O_WRONLY | os.O_APPEND)
        self._lines, self._torn = len(self.marks), False

    def _prune(self) -> None:
        """Forget what was finished long ago, and the oldest where there are too many."""
        newest = max((mark.seen for mark in self.marks.values()), default=0)
        done = sorted((mark.seen, key) for key, mark in self.marks.items() if mark.finished)
        spare = len(self.marks) - MOST_MARKS
        for number, (seen, key) in enumerate(done):
            if number < spare or newest - seen > _KEPT_SECONDS:
                del self.marks[key]

    def close(self, now: float) -> None:
        """Write what is left, make it durable and close the file; what fails is only read again next time."""
        self._write(now)
        try:
            self.sync()
        except OSError:
            self.failures += 1
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _line(value: Mark | int) -> bytes:
    body = orjson.dumps(value if isinstance(value, int) else to_json(value))
    return b"%08x %s\n" % (zlib.crc32(body), body)
