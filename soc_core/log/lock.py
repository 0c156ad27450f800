"""Hold the right to write: one process per directory."""

from __future__ import annotations

import os
from pathlib import Path

from soc_core import system
from soc_core.errors import StoreBusyError


class WriterLock:
    """Hold an exclusive lock on a file that names the holder's process id; the system frees it when we die."""

    def __init__(self, path: Path) -> None:
        """Take the lock; raise ``StoreBusyError`` naming the process that holds it."""
        self._descriptor = system.open_file(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            system.lock(self._descriptor, wait=False)
        except OSError as error:
            holder = system.read_at(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreBusyError(
                f"process {holder} writes here already",
                where=str(path.parent),
                todo="wait for it to end, or stop it",
            ) from error
        os.ftruncate(self._descriptor, 0)
        system.write_at(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
