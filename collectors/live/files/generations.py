"""Tell by its name which log a rotated file belongs to, and which contents a log had before."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from collectors.live.files.marks import LINES, Mark

_PACKED: Final = re.compile(r"\.(?:gz|bz2|xz|zst|lz4|Z)$")
_LAST: Final = re.compile(r"[.\-_]\d[\d.:\-_T]*$")
_INNER: Final = re.compile(r"[.\-_]\d[\d.:\-_T]*(?=\.[A-Za-z]\w*$)")


class Former(NamedTuple):
    """Hold a content that a log had before: its file (device, inode), when that changed (ns), whether it is read."""

    identity: tuple[int, int]
    modified: int
    finished: bool


def names_before(name: str) -> set[str]:
    """Return the names a file may have had before it was rotated to ``name``.

    ``auth.log`` of ``auth.log.1``, ``auth.log-20261124.gz`` and ``auth-20261124.log``; nothing for other names.
    """
    plain = _PACKED.sub("", name)
    return {part.sub("", plain) for part in (_LAST, _INNER)} - {plain, name, ""}


def formers(marks: Iterable[Mark]) -> dict[str, list[Former]]:
    """Return by path what logs held before, as an earlier run left it."""
    found: dict[str, list[Former]] = {}
    for mark in marks:
        if mark.kind != LINES:
            continue
        former = Former((mark.device, mark.inode), mark.modified, mark.finished)
        folder, name = os.path.split(mark.path)
        for path in (mark.path, *(os.path.join(folder, other) for other in names_before(name))):  # noqa: PTH118 - text
            found.setdefault(path, []).append(former)
    return found


def since(before: Iterable[Former], identity: tuple[int, int]) -> int | None:
    """Return from which time on (ns) generations of a log may be unknown, whose file of now is ``identity``.

    What came after the oldest content that was not read to its end is looked at, else after the last; ``None`` when
    the log was never rotated.
    """
    others = [former for former in before if former.identity != identity]
    waiting = [former.modified for former in others if not former.finished]
    return min(waiting) if waiting else max((former.modified for former in others), default=None)
