"""Look for the rest of contents whose file was truncated, replaced or removed before all was read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from collectors.live.files.content import head_of, open_content
from collectors.live.files.finding import Finder
from collectors.live.files.marks import Mark
from collectors.live.files.starting import holds
from soc_core.errors import InputError

MOST: Final = 1_000
_AT_ONCE: Final = 64
_PAUSE: Final = 2.0
_STEM: Final = re.compile(r"[^\W\d_]*")


@dataclass(slots=True)
class Orphan:
    """Hold a content without a file, until when it is looked for, and the files that were looked at.

    ``kept`` says that a file that is followed holds it too.
    """

    mark: Mark
    until: float
    again: float = 0.0
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

    def by_inode(self, identity: tuple[int, int], path: str, now: float) -> Found | None:
        """Return where a file is now that was at ``path``."""
        device, inode = identity
        for candidate, number in self._beside(path, now):
            if number != inode:
                continue
            with suppress(OSError):
                status = os.stat(candidate)  # noqa: PTH116 - text
                if (status.st_dev, status.st_ino) == (device, inode):
                    return Found(candidate, status)
        return None

    def by_content(self, orphan: Orphan, now: float, wall: float) -> Found | None:
        """Return a file that holds the content."""
        stem = _stem(orphan.mark.path)
        for path, inode in self._beside(orphan.mark.path, now):
            if _stem(path) != stem:
                continue
            with suppress(OSError):
                status = os.lstat(path)
                key = (inode, status.st_size, status.st_mtime_ns)
                if key in orphan.tried or not stat.S_ISREG(status.st_mode):
                    continue
                held = self._is_held(orphan.mark, path, recent=wall - status.st_mtime < self._settle)
                if held:
                    return Found(path, status)
                if held is not None and len(orphan.tried) < MOST:
                    orphan.tried.add(key)
        return None

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

    def _beside(self, path: str, now: float) -> Iterator[tuple[str, int]]:
        """Yield path and inode of the files in the folder of ``path`` and where rotated files go."""
        folder = os.path.dirname(path)  # noqa: PTH120 - text
        for entry in self._finder.entries(folder, now):
            if not entry.folder:
                yield os.path.join(folder, entry.name), entry.inode  # noqa: PTH118 - text
        for other in self._rotated.find(now):
            with suppress(OSError):
                yield other, os.stat(other).st_ino  # noqa: PTH116 - text


def due(orphans: dict[int, Orphan], now: float) -> list[Orphan]:
    """Return the orphans to look for now, a bounded number, and set when to look again."""
    found = [orphan for orphan in orphans.values() if now >= orphan.again][:_AT_ONCE]
    for orphan in found:
        orphan.again = now + _PAUSE
    return found


def _stem(path: str) -> str:
    """Return what names of one log have in common, ``access`` of ``access.log.1`` and ``access-2026.log.gz``."""
    match = _STEM.match(os.path.basename(path))  # noqa: PTH119 - text
    return match[0] if match else ""
