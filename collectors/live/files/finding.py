"""Find the files that patterns name, cheaply: a folder is listed again only when it changed.

Times of folders can't be trusted to the last second (coarse clocks, network file systems): after a change a folder is
listed once more two seconds later, and in any case every half minute.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

_DOUBT_SECONDS: Final = 2.0
_LONGEST_SECONDS: Final = 30.0
_DEPTH: Final = 16
_MOST_FOLDERS: Final = 10_000
_WILD: Final = re.compile(r"[*?\[]")
_ANY_DEPTH: Final = "**"


class Entry(NamedTuple):
    """Name one entry of a folder."""

    name: str
    inode: int
    folder: bool
    link: bool


@dataclass(slots=True)
class _Listing:
    """Keep what a folder holds, and since when it looked like that."""

    stamp: tuple[int, int, int]
    changed: float
    listed: float
    entries: list[Entry]
    matches: dict[str, list[Entry]] = field(default_factory=dict)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(os.path.normcase(pattern)))


def matches(name: str, pattern: str) -> bool:
    """Tell whether a file name fits a pattern; hidden files only where the pattern begins with a dot."""
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return _matcher(pattern).match(os.path.normcase(name)) is not None


class Finder:
    """Find files by patterns (``*``, ``?``, ``[…]``, and ``**`` for folders at any depth)."""

    def __init__(self, patterns: Sequence[str], exclude: Sequence[str] = (), *, most: int = 10_000) -> None:
        """``exclude`` are patterns of file names; at most ``most`` files are returned."""
        self._patterns = [os.path.abspath(os.path.expanduser(one)) for one in patterns]  # noqa: PTH100, PTH111 - text
        self._exclude = tuple(exclude)
        self._most = most
        self._listings: dict[str, _Listing] = {}
        self._used: set[str] = set()
        self.left_out = 0
        """How many files the last search left out because there were too many."""

    def find(self, now: float) -> list[str]:
        """Return the paths that fit, each once, in the order of patterns and names; they may be gone already."""
        self._used.clear()
        found: dict[str, None] = {}
        self.left_out = 0
        for pattern in self._patterns:
            base, *parts = Path(pattern).parts
            for path in self._expand(base, parts, now, _DEPTH):
                if path in found or self._excluded(path):
                    continue
                if len(found) < self._most:
                    found[path] = None
                else:
                    self.left_out += 1
        for folder in self._listings.keys() - self._used:
            del self._listings[folder]
        return list(found)

    def _excluded(self, path: str) -> bool:
        name = path.rpartition(os.sep)[2]
        return any(matches(name, one) for one in self._exclude)

    def entries(self, folder: str, now: float) -> list[Entry]:
        """Return what ``folder`` holds, sorted by name; nothing if it can't be listed."""
        listing = self._listing(folder, now)
        return listing.entries if listing is not None else []

    def _expand(self, base: str, parts: list[str], now: float, depth: int) -> Iterator[str]:
        """Yield the paths below ``base`` that fit ``parts``; a last part without wildcards is not looked for."""
        part, rest = parts[0], parts[1:]
        if not _WILD.search(part):
            path = base + part if base.endswith(os.sep) else base + os.sep + part
            if rest:
                yield from self._expand(path, rest, now, depth)
            else:
                yield path
            return
        if part == _ANY_DEPTH:
            yield from self._expand(base, rest or ["*"], now, depth)
            if depth:
                for entry in self._fitting(base, "*", now):
                    if entry.folder and not entry.link:  # links may lead in circles
                        yield from self._expand(os.path.join(base, entry.name), parts, now, depth - 1)  # noqa: PTH118
            return
        for entry in self._fitting(base, part, now):
            path = os.path.join(base, entry.name)  # noqa: PTH118 - text
            if rest and entry.folder:
                yield from self._expand(path, rest, now, depth)
            elif not rest and not entry.folder:
                yield path

    def _fitting(self, folder: str, pattern: str, now: float) -> list[Entry]:
        listing = self._listing(folder, now)
        if listing is None:
            return []
        found = listing.matches.get(pattern)
        if found is None:
            found = [entry for entry in listing.entries if matches(entry.name, pattern)]
            listing.matches[pattern] = found
        return found

    def _listing(self, folder: str, now: float) -> _Listing | None:
        if len(self._used) >= _MOST_FOLDERS and folder not in self._used:
            return None
        try:
            status = os.stat(folder)  # noqa: PTH116 - text
            stamp = (status.st_mtime_ns, status.st_ino, status.st_dev)
            known = self._listings.get(folder)
            changed = known.changed if known is not None and known.stamp == stamp else now
            if known is None or changed == now or _is_old(known, now):
                known = _Listing(stamp, changed, now, _list(folder))
                self._listings[folder] = known
        except (FileNotFoundError, NotADirectoryError):
            self._listings.pop(folder, None)
            return None
        except OSError:  # a permission is lost or a server is away: what was there may be there still
            known = self._listings.get(folder)
        self._used.add(folder)
        return known


def _is_old(listing: _Listing, now: float) -> bool:
    """Tell whether a folder whose time did not change is to be listed nevertheless."""
    if now - listing.listed >= _LONGEST_SECONDS:
        return True
    return listing.listed - listing.changed < _DOUBT_SECONDS <= now - listing.changed


def _list(folder: str) -> list[Entry]:
    with os.scandir(folder) as entries:
        found = [Entry(entry.name, entry.inode(), _is_folder(entry), entry.is_symlink()) for entry in entries]
    return sorted(found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
