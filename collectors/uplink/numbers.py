"""Give the numbers of requests: they rise for ever, also across crashes, and none is given twice.

They are written ahead in steps: after a crash those of the rest of a step are passed over.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from soc_core.errors import StoreError
from soc_core.system import replace, sync_directory

STEP: Final = 1_000
_DIGITS: Final = 18


class RequestNumbers:
    """Give rising numbers. For one thread."""

    def __init__(self, path: Path) -> None:
        """Take the file that keeps how far numbers may have been given out; raise ``StoreError`` when it is damaged."""
        self._path = path
        self.last = self._reserved = _read(path)

    def following(self) -> int:
        """Return the next number. Raises ``StoreError`` when it can't be kept."""
        if self.last >= self._reserved:
            self._reserve(self.last + STEP)
        self.last += 1
        return self.last

    def raise_to(self, number: int) -> bool:
        """Go on above a number the centre knows; tell whether we never gave it out, so that our state is an old one."""
        unknown = number > self._reserved
        if number > self.last:
            self._reserve(number + STEP)
            self.last = number
        return unknown

    def _reserve(self, number: int) -> None:
        line = f"{number:0{_DIGITS}d}\n"
        new = self._path.with_name(self._path.name + ".new")
        try:
            try:
                _write(new, "w", line)
                replace(new, self._path)
                sync_directory(self._path.parent)
            except OSError as error:
                if error.errno != errno.ENOSPC or not self._path.exists():
                    raise
                # What is sent makes room: that must go on where the disk is full, and writing over takes no room.
                _write(self._path, "r+", line)
        except OSError as error:
            raise StoreError(
                error.strerror or "can't write",
                where=str(self._path),
                todo="free room on the disk; nothing was lost",
            ) from error
        self._reserved = number


def _write(path: Path, mode: str, line: str) -> None:
    with path.open(mode, encoding="ascii", newline="\n") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        # The centre tells its last number with the first refusal: the file can be made anew.
        return 0
    return int(text)
