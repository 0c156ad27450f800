"""Keep beside a log how far its reader came, and in which life (epoch) of the log.

An epoch is a random name. It begins anew when the log lost what was given out already: then its offsets begin again,
and whoever remembers offsets of the log must not take new items for old ones.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from soc_core.log.files import publish, read_mark
from soc_core.system import open_file, replace, sync_directory

EPOCH: Final = "epoch"
ACKNOWLEDGED: Final = "acknowledged"
_LETTERS: Final = 26


class Cursor:
    """Hold the epoch and the offset below which everything is acknowledged. For one thread at a time."""

    def __init__(self, directory: Path, start: int, end: int) -> None:
        """Take a log's directory and the offsets it holds, from ``start`` to ``end``."""
        self._directory = directory
        known = read_mark(directory, ACKNOWLEDGED)
        self._mark = open_file(directory / ACKNOWLEDGED, os.O_RDWR | os.O_CREAT)
        self.epoch = _read_epoch(directory / EPOCH)
        self.acknowledged = max(start, known or 0)
        if not self.epoch or self.acknowledged > end:
            self.begin(start)

    def begin(self, start: int) -> None:
        """Begin a new epoch, in which nothing is acknowledged from ``start`` on."""
        self.epoch = secrets.token_hex(_LETTERS // 2)
        new = self._directory / f"{EPOCH}.new"
        with new.open("w", encoding="ascii", newline="\n") as file:
            file.write(self.epoch + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.move(start)
        replace(new, self._directory / EPOCH)
        sync_directory(self._directory)

    def move(self, offset: int) -> None:
        """Note what is acknowledged. Not synced: after a power cut some is sent again, which does no harm."""
        self.acknowledged = offset
        publish(self._mark, offset)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._mark >= 0:
            os.close(self._mark)
            self._mark = -1


def _read_epoch(path: Path) -> str:
    """Return the epoch's name, an empty one when there is none or it is damaged."""
    try:
        name = path.read_bytes().strip()
    except FileNotFoundError:
        return ""
    return name.decode("ascii") if len(name) == _LETTERS and name.isalnum() else ""
