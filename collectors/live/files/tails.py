"""Hold what is known of one file that is followed, and begin to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from collectors.live.files.checkpoints import Checkpoints
from collectors.live.files.content import Content, head_of
from collectors.live.files.gathering import Gatherer
from collectors.live.files.index import MarkIndex
from collectors.live.files.marks import LINES, WHOLE, WINDOWS, Mark
from collectors.live.files.settings import Settings
from collectors.live.files.starting import (
    Reader,
    can_begin,
    choose,
    holds,
    known_content,
    make_reader,
    mark_end,
)
from collectors.live.files.windows import WindowsReader

Identity: TypeAlias = tuple[int, int]
"""Device and inode."""
NANOSECONDS: Final = 1_000_000_000


@dataclass(slots=True)
class Tail:
    """Hold one file: where it is, how it looked last, and its reader once it was recognised.

    ``changed`` is when it changed last as we saw it (monotonic seconds). ``old``: it is not to be read from its start.
    ``rotated``: it lost the name it was written under; ``detached``: it has no name that is followed. ``start`` is the
    mark of a content that goes on in it. ``trouble`` says why it can't be read now, ``retry`` when to try again.
    """

    identity: Identity
    path: str
    size: int
    modified: int
    changed: float
    old: bool = False
    rotated: bool = False
    detached: bool = False
    ended: bool = False
    reader: Reader | None = None
    start: Mark | None = None
    trouble: str = ""
    retry: float = 0.0
    backlog: int = 0

    def located(self, mark: Mark, seen: int, *, finished: bool = False) -> Mark:
        """Return ``mark`` as one that lies in this file; ``seen`` are Unix seconds."""
        device, inode = self.identity
        if mark.kind != LINES:
            return replace(mark, path=self.path, device=device, inode=inode, seen=seen)
        return replace(
            mark, path=self.path, device=device, inode=inode, seen=seen,
            size=self.size, modified=self.modified, finished=finished,
        )  # fmt: skip


class Beginner:
    """Begin to read files: go on where their content was left, else recognise them."""

    def __init__(self, settings: Settings, store: Checkpoints, gatherer: Gatherer) -> None:
        """Take what was read before from ``store``."""
        self._settings, self._store, self._gatherer = settings, store, gatherer
        self.index = MarkIndex(store.marks.values())
        self.displaced: list[Mark] = []
        """Marks whose file turned out to hold something else; to be taken by whoever looks for their content."""

    def begin(self, tail: Tail, content: Content, now: float, attached: Callable[[int], bool]) -> bool:
        """Give the tail its reader; return ``False`` when it is too early to tell what it is.

        ``attached`` tells whether a mark, by key, belongs to another file that is followed. Raises ``InputError`` when
        no collector knows the file.
        """
        if content.packed and not self._settled(tail, now):
            return False
        head = head_of(content)
        mark = self._started(tail, content, head) or self._known(tail, content, head, attached)
        if mark is None:
            quiet = now - tail.changed >= self._settings.finish
            if not can_begin(head, complete=content.packed or (tail.rotated and quiet)):
                return False
            mark = self._new(tail, content, head)
        tail.start = None
        tail.reader = make_reader(mark, self._settings.settle)
        if tail.old and isinstance(tail.reader, WindowsReader):
            tail.reader.skip_all(content)
        return True

    def _settled(self, tail: Tail, now: float) -> bool:
        """Tell whether nothing was added to a file for a while."""
        return now - tail.changed >= self._settings.settle

    def _started(self, tail: Tail, content: Content, head: bytes) -> Mark | None:
        """Return the mark that the tail was made for, if its content is in the file."""
        if tail.start is not None and not (tail.start.begins(head) and holds(content, tail.start)):
            self.displaced.append(tail.start)
            tail.start = None
        return tail.start

    def _known(
        self, tail: Tail, content: Content, head: bytes, attached: Callable[[int], bool]
    ) -> Mark | None:
        """Return the mark of the content in this file, if it was read before; a copy's gets a key of its own.

        What else lay in this file and was not read to its end is ``displaced``.
        """
        mark = None
        for one in self.index.of_file(tail.identity):
            if mark is None and one.begins(head) and (one.kind != LINES or holds(content, one)):
                mark = one
            elif one.kind == LINES and not one.finished and not attached(one.key):
                self.displaced.append(one)
        if mark is None:
            named = self.index.of_path(tail.path)
            mark = named if named is not None and named.kind == WINDOWS else None
        if mark is None and head:
            mark = known_content(content, self.index.beginning(head))
        if mark is not None and attached(mark.key):
            return replace(mark, key=self._store.new_key())
        return mark

    def _new(self, tail: Tail, content: Content, head: bytes) -> Mark:
        """Return the mark of a content that is met for the first time."""
        modified = tail.modified / NANOSECONDS
        choice = choose(tail.path, head, modified, self._settings.wanted, packed=content.packed)
        mark = Mark(self._store.new_key(), path=tail.path, kind=choice.kind, collector=choice.collector.name)
        if choice.kind == WHOLE:
            mark = mark.with_head(head)
        if not tail.old:
            return mark
        if choice.kind == LINES and not content.packed:
            return mark_end(content, head, mark, choice.collector, self._gatherer.context(modified))
        return replace(mark, size=tail.size, modified=tail.modified, finished=True)
