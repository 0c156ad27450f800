"""Find marks by the file they lie in and by the first bytes of their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from collectors.live.files.marks import LINES, SURE_BYTES, Mark, fingerprint


class MarkIndex:
    """Keep marks by key, device and inode, path, and fingerprint."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        """Take the marks that are known."""
        self._marks: dict[int, Mark] = {}
        self._files: dict[tuple[int, int], int] = {}
        self._paths: dict[str, int] = {}
        self._heads: dict[str, set[int]] = {}
        self._sizes: Counter[int] = Counter()
        for mark in sorted(marks, key=lambda one: one.seen):
            self.put(mark)

    def put(self, mark: Mark) -> None:
        """Add a mark or its newer state."""
        known = self._marks.get(mark.key)
        if known is not None and (known.head, known.path) == (mark.head, mark.path):
            self._marks[mark.key] = mark
            self._files[mark.device, mark.inode] = mark.key
            return
        self.remove(mark.key)
        self._marks[mark.key] = mark
        self._files[mark.device, mark.inode] = mark.key
        self._paths[mark.path] = mark.key
        if mark.kind == LINES and mark.head_size >= SURE_BYTES:
            self._heads.setdefault(mark.head, set()).add(mark.key)
            self._sizes[mark.head_size] += 1

    def remove(self, key: int) -> None:
        """Forget a mark."""
        mark = self._marks.pop(key, None)
        if mark is None:
            return
        if self._files.get((mark.device, mark.inode)) == key:
            del self._files[mark.device, mark.inode]
        if self._paths.get(mark.path) == key:
            del self._paths[mark.path]
        keys = self._heads.get(mark.head)
        if keys is not None and key in keys:
            keys.discard(key)
            self._sizes[mark.head_size] -= 1
            if not keys:
                del self._heads[mark.head]

    def of_file(self, identity: tuple[int, int]) -> Mark | None:
        """Return the mark that lay last in a file."""
        mark = self._marks.get(self._files.get(identity, 0))
        return mark if mark is not None and (mark.device, mark.inode) == identity else None

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
