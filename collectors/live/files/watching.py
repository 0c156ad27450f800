"""Tie names to contents: which files there are, which were renamed, replaced, truncated, packed or removed.

A *tail* is one file (device and inode) with a reader. A content without a file, because the file was truncated,
replaced or removed before all was read, is an *orphan* (``orphans``): its rest is looked for in files beside it for a
while. What is not found is counted as lost.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from collectors.live.base import Counters
from collectors.live.files.checkpoints import Checkpoints
from collectors.live.files.content import Content, PackedContent, head_of
from collectors.live.files.finding import Finder
from collectors.live.files.gathering import Gatherer
from collectors.live.files.generations import Former, formers, names_before, since
from collectors.live.files.handles import Handles
from collectors.live.files.lines import HELD_SECONDS, ReplacedError
from collectors.live.files.marks import LINES, WHOLE, WINDOWS, Mark
from collectors.live.files.orphans import MOST, Found, Orphan, Searcher, due
from collectors.live.files.settings import Settings
from collectors.live.files.tails import Beginner, Identity, Tail
from collectors.making import RAW_KEPT, fault_reason
from collectors.opening import compression_of
from soc_core.errors import InputError
from soc_core.model.event import BadRecord
from soc_core.system import HOLD

_RETRY_SECONDS: Final = 5.0
_MOST_UNKNOWN: Final = 1 << 16
_MOST_ROTATED: Final = 200_000
_LOGGER: Final = logging.getLogger("edusoc.collectors.files")


class Watcher:
    """Follow the files of one input."""

    def __init__(
        self,
        settings: Settings,
        store: Checkpoints,
        gatherer: Gatherer,
        counters: Counters,
        wall: Callable[[], float],
    ) -> None:
        """``wall`` gives Unix seconds; the times handed to the methods are monotonic."""
        self._settings, self._store, self._gatherer = settings, store, gatherer
        self._counters, self._wall = counters, wall
        self._finder = Finder(settings.paths, settings.exclude, most=settings.max_files)
        self._searcher = Searcher(self._finder, Finder(settings.rotated, most=_MOST_ROTATED), settings.settle)
        self._handles = Handles(settings.max_open)
        self._beginner = Beginner(settings, store, gatherer)
        self._tails: dict[Identity, Tail] = {}
        self._by_path: dict[str, Tail] = {}
        self._ready: dict[Identity, Tail] = {}
        self._restless: dict[Identity, Tail] = {}
        self._orphans: dict[int, Orphan] = {}
        self._attached: dict[int, Identity] = {}
        self._formers: dict[str, list[Former]] = formers(store.marks.values())
        self._gauges: dict[str, int] = {}
        self._scans = self._unreachable = 0

    def scan(self, now: float) -> None:
        """Look at all files once: one ``stat`` each."""
        present = self._look(now)
        for tail in [one for one in self._tails.values() if one.identity not in present]:
            self._look_after(tail, now)
        for tail in list(self._restless.values()):
            self._look_again(tail, now)
        if self._scans == 1:
            self._adopt_marks(now)
        self._search(now)
        self._scans += 1
        self._gauge("files", len(self._tails))
        self._gauge("files_open", len(self._handles))
        self._gauge("files_left_out", self._finder.left_out)
        self._tell_unreadable()

    def _tell_unreadable(self) -> None:
        troubled = sum(bool(tail.trouble) for tail in self._restless.values())
        self._gauge("files_unreadable", self._unreachable + troubled)

    def _look(self, now: float) -> set[Identity]:
        """Note new, renamed and changed files; return all that have a name."""
        present: set[Identity] = set()
        others: list[Found] = []
        self._unreachable = 0
        for path in self._finder.find(now):
            tail = self._by_path.get(path)
            try:
                status = os.stat(path)  # noqa: PTH116 - fast
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError):  # a permission is lost or a server is away: it may be there still
                self._unreachable += 1
                if tail is not None:
                    present.add(tail.identity)
                continue
            identity = (status.st_dev, status.st_ino)
            if tail is None or tail.identity != identity:
                others.append(Found(path, status))
                continue
            present.add(identity)
            if status.st_size != tail.size or status.st_mtime_ns != tail.modified:
                self._note(tail, status, now)
        for found in others:
            identity = (found.status.st_dev, found.status.st_ino)
            if identity in present or not stat.S_ISREG(found.status.st_mode):
                continue
            present.add(identity)
            known = self._tails.get(identity)
            if known is None:
                self._add(found, now)
            else:
                self._rename(known, found, now)
        return present

    def _add(self, found: Found, now: float, start: Mark | None = None) -> Tail:
        """Begin to follow a file; with ``start`` it is one without a name that is followed."""
        status = found.status
        age = self._wall() - status.st_mtime
        ignored = bool(self._settings.ignore_older) and age > self._settings.ignore_older
        first = self._scans == 0 and self._store.fresh and self._settings.from_end
        tail = Tail(
            (status.st_dev, status.st_ino), found.path, status.st_size, status.st_mtime_ns, now,
            old=first or ignored, rotated=start is not None, detached=start is not None, start=start,
        )  # fmt: skip
        before = self._by_path.get(found.path)
        self._tails[tail.identity] = tail
        if start is None:
            self._by_path[found.path] = tail
            past = self._formers.pop(found.path, [])
            if before is not None:
                past.append(Former(before.identity, before.modified, finished=True))
            self._catch_up(found.path, since(past, tail.identity), now)
        else:
            self._attached[start.key] = tail.identity
        self._wake(tail)
        return tail

    def _catch_up(self, path: str, changed: int | None, now: float) -> None:
        """Follow generations of a log that came and went unseen: unknown files that changed at ``changed`` or later."""
        if changed is None:
            return
        for found in self._searcher.generations(path, changed, now):
            identity = (found.status.st_dev, found.status.st_ino)
            if identity in self._tails or found.path in self._by_path:
                continue
            tail = self._add(found, now)
            del self._by_path[found.path]
            tail.detached = tail.rotated = True
            tail.old = False
            self._counters.add("found_late")

    def _rename(self, tail: Tail, found: Found, now: float) -> None:
        """Note that a file has another name now."""
        if self._by_path.get(tail.path) is tail:
            del self._by_path[tail.path]
        self._by_path[found.path] = tail
        tail.path, tail.detached, tail.rotated = found.path, False, True
        self._counters.add("renamed")
        self._note(tail, found.status, now)
        self._restless[tail.identity] = tail

    def _note(self, tail: Tail, status: os.stat_result, now: float) -> None:
        """Note that a file may have changed."""
        if (status.st_size, status.st_mtime_ns) != (tail.size, tail.modified):
            tail.size, tail.modified = status.st_size, status.st_mtime_ns
            tail.changed, tail.ended = now, False
            content = self._handles.opened(tail.identity)
            if content is not None and content.packed:
                self._handles.drop(tail.identity)  # it was not complete yet
            if tail.reader is None and tail.size < _MOST_UNKNOWN:
                tail.retry = now
            self._wake(tail)

    def _wake(self, tail: Tail) -> None:
        self._ready[tail.identity] = tail
        self._restless[tail.identity] = tail

    def _look_after(self, tail: Tail, now: float) -> None:
        """Look at a file that has no name that is followed: it was renamed, moved, replaced or removed."""
        if not tail.detached:
            tail.detached = tail.rotated = True
            if self._by_path.get(tail.path) is tail:
                del self._by_path[tail.path]
                self._formers[tail.path] = [Former(tail.identity, tail.modified, finished=True)]
            self._counters.add("rotated")
            self._restless[tail.identity] = tail
            found = self._searcher.by_inode(tail.identity, tail.path, now)
            tail.path = tail.path if found is None else found.path
        content = self._handles.opened(tail.identity)
        try:
            status = os.stat(tail.path) if content is None else content.status()  # noqa: PTH116 - text
        except OSError:
            status = None
        if status is not None and (status.st_dev, status.st_ino) == tail.identity:
            self._note(tail, status, now)
            return
        found = self._searcher.by_inode(tail.identity, tail.path, now)
        if found is None:
            self._lose(tail, now)
        else:
            tail.path = found.path

    def _look_again(self, tail: Tail, now: float) -> None:
        """Look at a file that did not change but may have something to be done, or is complete now."""
        quiet = now - tail.changed
        if tail.trouble:
            if now >= tail.retry:
                self._ready[tail.identity] = tail
            elif tail.detached and quiet >= self._settings.finish:
                self._lose(tail, now)
            return
        reader = tail.reader
        if reader is None or reader.waits:
            held = reader.held_since if reader is not None else None
            if held is None or now - held >= HELD_SECONDS:
                self._ready[tail.identity] = tail
        limit = self._settings.finish if tail.rotated else self._settings.idle
        if quiet >= limit and not tail.ended:
            tail.ended = True
            self._ready[tail.identity] = tail
        elif tail.ended and tail.identity not in self._ready:
            self._restless.pop(tail.identity, None)
            if tail.detached:
                self._finish(tail)

    def work(self, now: float, stopped: Callable[[], bool]) -> bool:
        """Read a part of each file that has something new; return whether there is more."""
        ready, self._ready = self._ready, {}
        for identity, tail in ready.items():
            if stopped():
                break
            if self._tails.get(identity) is tail and self._step(tail, now):
                self._ready[identity] = tail
            if not HOLD and identity not in self._ready:
                self._handles.drop(identity)
        return bool(self._ready)

    def _step(self, tail: Tail, now: float) -> bool:
        """Read a part of one file; return whether there is more."""
        if tail.trouble and now < tail.retry:
            return False
        try:
            content = self._handles.get(tail.identity, tail.path)
            if content is None:
                return False
            if tail.reader is None and not content.packed and compression_of(content.at(0, 8)) is not None:
                self._handles.drop(tail.identity)  # it was empty when it was opened
                return True
            begun = tail.reader is not None or self._beginner.begin(tail, content, now, self._is_attached)
            while self._beginner.displaced:
                self._set_free(self._beginner.displaced.pop(), now)
            tail.trouble = ""
            return begun and self._read(tail, content, now)
        except ReplacedError:
            self._replace(tail, now)
            return True
        except InputError as fault:
            self._give_up(tail, fault, now)
        except OSError as fault:
            self._handles.drop(tail.identity)
            if not tail.trouble:
                _LOGGER.warning("%s can't be read: %s", tail.path, fault.strerror or fault)
            tail.trouble, tail.retry = fault.strerror or str(fault), now + _RETRY_SECONDS
            self._restless[tail.identity] = tail
            self._tell_unreadable()
        return False

    def _read(self, tail: Tail, content: Content, now: float) -> bool:
        """Let the reader of a tail read a part, and remember how far it came."""
        reader = tail.reader
        if reader is None:
            return False
        self._attached[reader.mark.key] = tail.identity
        before = reader.mark
        busy = reader.step(content, tail.path, self._gatherer, now, final=tail.ended or content.packed)
        mark = tail.located(reader.mark, int(self._wall()), finished=content.packed and not busy)
        if mark.kind == LINES:
            self._count_backlog(tail, 0 if content.packed else max(0, tail.size - mark.raw))
        if isinstance(content, PackedContent) and content.fault is not None and not content.told:
            content.told = True
            reason = fault_reason(content.fault, tail.path)
            self._gatherer.add([], [BadRecord(tail.path, mark.raw, 0, reason)], {}, tail.path)
        self._counters.add("received_bytes", max(0, mark.raw - before.raw))
        reader.mark = mark
        self._beginner.index.put(mark)
        self._orphans.pop(mark.key, None)
        if mark.is_news(before):
            self._gatherer.reached(mark)
        if not busy:
            reader.rest()
        return busy

    def _replace(self, tail: Tail, now: float) -> None:
        """Note that a file holds another content now; what was not read of the old one may lie elsewhere."""
        reader, tail.reader = tail.reader, None
        tail.start, tail.old = None, False
        self._counters.add("truncated")
        if reader is not None:
            self._set_free(reader.mark, now)

    def _give_up(self, tail: Tail, fault: InputError, now: float) -> None:
        """Note that no collector knows a file; while it is short it is looked at again when it grew.

        A heading alone may say too little, so a short file gets some time.
        """
        if tail.size < _MOST_UNKNOWN and now - tail.changed < self._settings.finish:
            self._handles.drop(tail.identity)
            return
        if tail.trouble != fault.what:
            raw, content = b"", self._handles.opened(tail.identity)
            if content is not None:
                with suppress(OSError, InputError):
                    raw = head_of(content)[:RAW_KEPT]
            bad = BadRecord(tail.path, 0, 0, fault_reason(fault, tail.path), raw)
            self._gatherer.add([], [bad], {}, tail.path)
            self._counters.add("files_unknown")
        self._handles.drop(tail.identity)
        tail.trouble = fault.what
        tail.retry = float("inf")

    def _lose(self, tail: Tail, now: float) -> None:
        """Stop following a file that is gone; what was not read of it may lie elsewhere."""
        self._forget(tail)
        if tail.reader is not None:
            self._set_free(tail.reader.mark, now)
        elif tail.start is not None:
            self._set_free(tail.start, now)

    def _finish(self, tail: Tail) -> None:
        """Stop following a file to which nothing is added any more."""
        self._forget(tail)
        if tail.reader is not None:
            self._end(tail.reader.mark)

    def _forget(self, tail: Tail) -> None:
        """Drop a tail from all tables."""
        self._count_backlog(tail, 0)
        self._handles.drop(tail.identity)
        self._tails.pop(tail.identity, None)
        self._ready.pop(tail.identity, None)
        self._restless.pop(tail.identity, None)
        if self._by_path.get(tail.path) is tail:
            del self._by_path[tail.path]
        mark = tail.reader.mark if tail.reader is not None else tail.start
        if mark is not None and self._attached.get(mark.key) == tail.identity:
            del self._attached[mark.key]

    def _is_attached(self, key: int) -> bool:
        return key in self._attached

    def _set_free(self, mark: Mark, now: float) -> None:
        """Take a content for one whose file is to be found."""
        self._attached.pop(mark.key, None)
        if mark.kind == LINES and not mark.finished:
            folder, name = os.path.split(mark.path)
            for path in (mark.path, *(os.path.join(folder, other) for other in names_before(name))):  # noqa: PTH118
                if path in self._by_path:
                    self._catch_up(path, mark.modified, now)
        if mark.finished or mark.kind == WINDOWS or mark.key in self._orphans:
            return
        if mark.kind == WHOLE or not mark.raw:
            self._count_lost(mark)
            return
        if len(self._orphans) >= MOST:
            self._give_up_search(next(iter(self._orphans.values())))
        self._orphans[mark.key] = Orphan(mark, now + self._settings.search)

    def _adopt_marks(self, now: float) -> None:
        """Look for the files of marks that an earlier run left unfinished and whose names are gone."""
        for mark in list(self._store.marks.values()):
            identity = (mark.device, mark.inode)
            tail = self._tails.get(identity)
            if mark.finished or mark.key in self._attached:
                continue
            if tail is not None and tail.reader is None and tail.size >= mark.raw:
                continue  # it may be its file, once that can be read
            found = None if tail is not None else self._searcher.by_inode(identity, mark.path, now)
            if found is not None and mark.kind == LINES:
                self._add(found, now, mark)
            else:
                self._set_free(mark, now)

    def _search(self, now: float) -> None:
        """Look for the rest of contents without a file; give up those that were looked for long enough."""
        for orphan in due(self._orphans, now):
            found = self._searcher.by_content(orphan, now, self._wall())
            tail = None if found is None else self._tails.get((found.status.st_dev, found.status.st_ino))
            if found is not None and tail is None:
                del self._orphans[orphan.mark.key]
                self._counters.add("found_again")
                self._add(found, now, orphan.mark)
                continue
            orphan.kept = tail is not None
            farther = tail is not None and tail.reader is not None and tail.reader.mark.raw > orphan.mark.raw
            if farther or now >= orphan.until:
                self._give_up_search(orphan)

    def _give_up_search(self, orphan: Orphan) -> None:
        """Stop looking for a content."""
        del self._orphans[orphan.mark.key]
        if orphan.kept:
            self._end(orphan.mark)
        else:
            self._count_lost(orphan.mark)

    def _count_lost(self, mark: Mark) -> None:
        """Give a content up; count what is known to be lost of it."""
        lost = max(0, mark.size - mark.raw)
        if lost:
            self._counters.add("lost_files")
            self._counters.add("lost_bytes", lost)
            _LOGGER.warning("%s was removed or truncated before its last %d bytes were read", mark.path, lost)
        self._end(mark)

    def _end(self, mark: Mark) -> None:
        """Remember that nothing more is expected of a content."""
        mark = replace(mark, finished=True)
        self._beginner.index.put(mark)
        self._gatherer.reached(mark)

    def _count_backlog(self, tail: Tail, backlog: int) -> None:
        if backlog != tail.backlog:
            self._counters.add("backlog_bytes", backlog - tail.backlog)
            tail.backlog = backlog

    def _gauge(self, name: str, value: int) -> None:
        """Set a counter that says how many there are now."""
        if value != self._gauges.get(name, 0):
            self._counters.add(name, value - self._gauges.get(name, 0))
            self._gauges[name] = value

    def close(self) -> None:
        """Close all files; the counters of what there is now go back to 0."""
        self._handles.close()
        for tail in self._tails.values():
            self._count_backlog(tail, 0)
        for name in list(self._gauges):
            self._gauge(name, 0)
