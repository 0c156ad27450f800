"""Find marks by the file they lie in and by the first bytes of their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from collectors.live.files.marks import LINES, SURE_BYTES, Mark, fingerprint

_Key = TypeVar("_Key")


class MarkIndex:
    """Keep marks by key, device and inode, path, and fingerprint."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        """Take the marks that are known."""
        self._marks: dict[int, Mark] = {}
        self._files: dict[tuple[int, int], set[int]] = {}
        self._paths: dict[str, int] = {}
        self._heads: dict[str, set[int]] = {}
        self._sizes: Counter[int] = Counter()
        for mark in sorted(marks, key=lambda one: one.seen):
            self.put(mark)

    def put(self, mark: Mark) -> None:
        """Add a mark or its newer state."""
        known = self._marks.get(mark.key)
        if known is not None and _place(known) == _place(mark):
            self._marks[mark.key] = mark
            return
        self.remove(mark.key)
        self._marks[mark.key] = mark
        self._files.setdefault((mark.device, mark.inode), set()).add(mark.key)
        self._paths[mark.path] = mark.key
        if mark.kind == LINES and mark.head_size >= SURE_BYTES:
            self._heads.setdefault(mark.head, set()).add(mark.key)
            self._sizes[mark.head_size] += 1

    def remove(self, key: int) -> None:
        """Forget a mark."""
        mark = self._marks.pop(key, None)
        if mark is None:
            return
        _drop(self._files, (mark.device, mark.inode), key)
        if self._paths.get(mark.path) == key:
            del self._paths[mark.path]
        if key in self._heads.get(mark.head, ()):
            self._sizes[mark.head_size] -= 1
            _drop(self._heads, mark.head, key)

    def of_file(self, identity: tuple[int, int]) -> list[Mark]:
        """Return the marks of contents that lay in a file, the last one first."""
        return [self._marks[key] for key in sorted(self._files.get(identity, ()), reverse=True)]

    def of_path(self, path: str) -> Mark | None:
        """Return the mark that had a name last."""
        return self._marks.get(self._paths.get(path, 0))

    def beginning(self, head: bytes) -> list[Mark]:
        """Return the marks of lines whose content begins like ``head``."""
        found: list[Mark] = []
        for size, amount in self._sizes.items():
            if amount and size <= len(head):
                found += [self._marks[key] for key in self._heads.get(fingerprint(head[:size]), ())]
        return found


def _place(mark: Mark) -> tuple[int, int, str, str]:
    return mark.device, mark.inode, mark.path, mark.head


def _drop(table: dict[_Key, set[int]], name: _Key, key: int) -> None:
    """Take a key out of one of the sets of a table."""
    keys = table.get(name, set())
    keys.discard(key)
    if not keys:
        table.pop(name, None)
