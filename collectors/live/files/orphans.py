"""Look for the rest of contents whose file was truncated, replaced or removed before all was read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from collectors.live.files.content import head_of, open_content
from collectors.live.files.finding import Finder
from collectors.live.files.generations import names_before
from collectors.live.files.marks import Mark
from collectors.live.files.starting import holds
from soc_core.errors import InputError

MOST: Final = 1_000
_AT_ONCE: Final = 64
_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 30.0
_STEM: Final = re.compile(r"[^\W\d_]*")


@dataclass(slots=True)
class Orphan:
    """Hold a content without a file, until when it is looked for, and the files that were looked at.

    ``kept`` says that a file that is followed holds it too.
    """

    mark: Mark
    until: float
    again: float = 0.0
    pause: float = _PAUSE
    kept: bool = False
    tried: set[tuple[int, int, int]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Found:
    """Name a file: where it is and its state."""

    path: str
    status: os.stat_result


class Searcher:
    """Search the folder of a file, and the places where rotated files go, for another name of it or a copy."""

    def __init__(self, finder: Finder, rotated: Finder, settle: float) -> None:
        """``rotated`` finds files that were moved elsewhere; ``settle``: how long a packed file must be unchanged."""
        self._finder, self._rotated, self._settle = finder, rotated, settle
        self._listed: list[str] = []
        self._listed_at = -1.0

    def by_inode(self, identity: tuple[int, int], path: str, now: float) -> Found | None:
        """Return where a file is now that was at ``path``."""
        folder = os.path.dirname(path)  # noqa: PTH120 - text
        beside = (
            os.path.join(folder, entry.name)  # noqa: PTH118 - text
            for entry in self._finder.entries(folder, now)
            if entry.inode == identity[1] and not entry.folder
        )
        for candidate in chain(beside, self._moved(path, now)):
            with suppress(OSError):
                status = os.stat(candidate)  # noqa: PTH116 - text
                if (status.st_dev, status.st_ino) == identity:
                    return Found(candidate, status)
        return None

    def by_content(self, orphan: Orphan, now: float, wall: float) -> Found | None:
        """Return a file that holds the content."""
        path = orphan.mark.path
        folder, stem = os.path.dirname(path), _stem(path)  # noqa: PTH120 - text
        beside = (
            os.path.join(folder, entry.name)  # noqa: PTH118 - text
            for entry in self._finder.entries(folder, now)
            if _stem(entry.name) == stem and not entry.folder
        )
        for candidate in chain(beside, self._moved(path, now)):
            with suppress(OSError):
                status = os.lstat(candidate)
                key = (status.st_ino, status.st_size, status.st_mtime_ns)
                if key in orphan.tried or not stat.S_ISREG(status.st_mode):
                    continue
                held = self._is_held(orphan.mark, candidate, recent=wall - status.st_mtime < self._settle)
                if held:
                    return Found(candidate, status)
                if held is not None and len(orphan.tried) < MOST:
                    orphan.tried.add(key)
        return None

    def generations(self, path: str, changed: int, now: float) -> list[Found]:
        """Return files that a log was rotated to, which changed at ``changed`` (ns) or later, the oldest first."""
        folder, name = os.path.split(path)
        beside = (
            os.path.join(folder, entry.name)  # noqa: PTH118 - text
            for entry in self._finder.entries(folder, now)
            if not entry.folder and name in names_before(entry.name)
        )
        found: dict[str, Found] = {}
        for candidate in chain(beside, self._moved(path, now)):
            with suppress(OSError):
                status = os.lstat(candidate)
                wanted = stat.S_ISREG(status.st_mode) and name in names_before(os.path.basename(candidate))  # noqa: PTH119
                if wanted and status.st_mtime_ns >= changed:
                    found[candidate] = Found(candidate, status)
        return sorted(found.values(), key=lambda one: one.status.st_mtime_ns)

    def _moved(self, path: str, now: float) -> Iterator[str]:
        """Yield the files where rotated ones go whose names begin like that of ``path``, the last names first."""
        if self._listed_at != now:
            self._listed, self._listed_at = self._rotated.find(now), now
        stem = _stem(path)
        return (other for other in reversed(self._listed) if _stem(other) == stem)

    @staticmethod
    def _is_held(mark: Mark, path: str, *, recent: bool) -> bool | None:
        """Tell whether a file holds the content; ``None`` when it is too early to tell (it is just being packed)."""
        try:
            content = open_content(path)
        except InputError:
            return None if recent else False
        try:
            if content.packed and recent:
                return None
            return mark.begins(head_of(content)) and holds(content, mark)
        finally:
            content.close()


def due(orphans: dict[int, Orphan], now: float) -> list[Orphan]:
    """Return the orphans to look for now, a bounded number, and set when to look again."""
    found = [orphan for orphan in orphans.values() if now >= orphan.again][:_AT_ONCE]
    for orphan in found:
        orphan.again, orphan.pause = now + orphan.pause, min(2 * orphan.pause, _LONGEST_PAUSE)
    return found


def _stem(path: str) -> str:
    """Return what names of one log have in common, ``access`` of ``access.log.1`` and ``access-2026.log.gz``."""
    match = _STEM.match(os.path.basename(path))  # noqa: PTH119 - text
    return match[0] if match else ""
