"""Say how far a file was read, in a form that outlives its name: what a checkpoint holds."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from collectors.base import Span

FINGERPRINT_BYTES: Final = 1_024
TAIL_BYTES: Final = 64
SURE_BYTES: Final = 64
"""A beginning of so many bytes tells files apart; shorter ones are believed only together with the inode."""
LINES: Final = "lines"
WHOLE: Final = "whole"
WINDOWS: Final = "windows"
KINDS: Final = (LINES, WHOLE, WINDOWS)
Json: TypeAlias = str | int | list[list[int]]


def fingerprint(data: bytes) -> str:
    """Return a short hash of some bytes."""
    return hashlib.blake2b(data, digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Mark:
    """Name a content and how far it was read.

    ``device`` and ``inode`` are those of the file it lay in last; ``head`` is the hash of its first ``head_size``
    bytes (of those that were read: others may still be written), ``tail`` that of the last bytes before ``raw``, which
    counts bytes of the file (unpacked), ``position`` those of its text as UTF-8, which differ for UTF-16 only. ``size``
    is the size seen last. ``first`` and ``headers`` say where the records lie that later ones are read by
    (``collectors.base.Reached``). ``skipping``: inside a line that is too long. ``record`` is the last record number of
    a Windows event log. ``finished``: nothing more is expected.
    """

    key: int
    path: str = ""
    device: int = 0
    inode: int = 0
    kind: str = LINES
    collector: str = ""
    head_size: int = 0
    head: str = ""
    tail: str = ""
    raw: int = 0
    position: int = 0
    line: int = 1
    size: int = 0
    modified: int = 0
    record: int = 0
    seen: int = 0
    first: Span | None = None
    headers: tuple[Span, ...] = ()
    skipping: bool = False
    finished: bool = False

    def is_news(self, before: Mark) -> bool:
        """Tell whether the mark says more than ``before`` did."""
        return (self.raw, self.size, self.modified, self.record, self.finished, self.path, self.inode) != (
            before.raw, before.size, before.modified, before.record, before.finished, before.path, before.inode,
        )  # fmt: skip

    def begins(self, head: bytes) -> bool:
        """Tell whether a file that starts with ``head`` may be this content; without a fingerprint any may."""
        if not self.head_size:
            return True
        return len(head) >= self.head_size and fingerprint(head[: self.head_size]) == self.head

    def with_head(self, head: bytes) -> Mark:
        """Return the mark with a longer fingerprint where the file has grown and ``head`` allows one."""
        size = min(len(head), FINGERPRINT_BYTES)
        if size <= self.head_size:
            return self
        return replace(self, head_size=size, head=fingerprint(head[:size]))


def _path_text(path: str) -> str:
    """Return a path as JSON can hold it; a name that is not UTF-8 (GBK on an old disk) as its bytes behind a NUL."""
    return path if is_text(path) else _BYTES + os.fsencode(path).decode("latin-1")


def _path_of(text: str) -> str:
    return os.fsdecode(text[1:].encode("latin-1")) if text.startswith(_BYTES) else text


def is_text(path: str) -> bool:
    """Tell whether a path as the system gives it is text, and not bytes of another encoding."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_json(mark: Mark) -> list[Json]:
    """Return a mark as a list for a checkpoint's line."""
    first = [] if mark.first is None else [list(mark.first)]
    return [
        mark.key, _path_text(mark.path), mark.device, mark.inode, KINDS.index(mark.kind), mark.collector,
        mark.head_size, mark.head, mark.tail, mark.raw, mark.position, mark.line, mark.size, mark.modified,
        mark.record, mark.seen, first,
        [list(span) for span in mark.headers], int(mark.skipping), int(mark.finished),
    ]  # fmt: skip


_TEXTS: Final = (1, 5, 7, 8)
_SPANS: Final = (16, 17)
_LENGTH: Final = 20
_BYTES: Final = "\0"


def from_json(value: object) -> Mark:
    """Return the mark of a checkpoint's line. Raises ``ValueError`` when it is none."""
    if not isinstance(value, list) or len(value) != _LENGTH:
        raise ValueError("not a mark")
    texts = [value[place] for place in _TEXTS]
    spans = [_spans(value[place]) for place in _SPANS]
    numbers = [item for place, item in enumerate(value) if place not in (*_TEXTS, *_SPANS)]
    if not all(isinstance(item, str) for item in texts) or not all(type(item) is int for item in numbers):
        raise ValueError("not a mark")
    (
        key,
        device,
        inode,
        kind,
        head_size,
        raw,
        position,
        line,
        size,
        modified,
        record,
        seen,
        skipping,
        finished,
    ) = numbers
    if not 0 <= kind < len(KINDS):
        raise ValueError("unknown kind")
    path, collector, head, tail = texts
    return Mark(
        key=key, path=_path_of(path), device=device, inode=inode, kind=KINDS[kind], collector=collector,
        head_size=head_size, head=head, tail=tail, raw=raw, position=position, line=line, size=size,
        modified=modified, record=record, seen=seen, first=next(iter(spans[0]), None), headers=tuple(spans[1]),
        skipping=bool(skipping), finished=bool(finished),
    )  # fmt: skip


def _spans(value: object) -> list[Span]:
    if not isinstance(value, list):
        raise ValueError("not a list of places")
    found = []
    for item in value:
        if not isinstance(item, list) or len(item) != 2 or not all(type(part) is int for part in item):
            raise ValueError("not a place")
        found.append((item[0], item[1]))
    return found
