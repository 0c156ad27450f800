"""Fit the management of memory to reading: millions of objects come and go, batch after batch, and few make cycles."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from types import TracebackType
from typing import Final

LOOK_EVERY: Final = 200
# glibc's mallopt(3). Its defaults give a batch's memory back to the system only to ask for it again: a page fault for
# every 4 KB, a sixth of the work. What is kept is what the largest batch needed.
_OPTIONS: Final = (
    (-1, 64 << 20),  # M_TRIM_THRESHOLD: free bytes at the end of the heap that are kept
    (-2, 4 << 20),  # M_TOP_PAD: bytes asked for at a time
    (-3, 4 << 20),  # M_MMAP_THRESHOLD: pieces from this size on are mapped on their own
)
_TRIM_THRESHOLD: Final = (-1, 128 << 10)  # as it is by default


class BulkMemory:
    """Keep freed memory, and inside a ``with`` look for cycles of objects only at times.

    Looking after every few hundred new objects, as Python does, is a sixth of the work for nothing. What cycles there
    are (errors and their tracebacks, say) goes after every ``LOOK_EVERY`` batches.
    """

    def __init__(self) -> None:
        """Begin with no batch counted."""
        self._batches = 0
        self._was_enabled = False

    def __enter__(self) -> BulkMemory:
        """Leave what exists by now out of the searches to come."""
        with suppress(OSError, AttributeError):  # another C library has no mallopt
            keep = ctypes.CDLL(None).mallopt
            for option, size in _OPTIONS:
                keep(option, size)
        self._was_enabled = gc.isenabled()
        gc.freeze()
        gc.disable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Search as usual again, and give back what the batches left: what comes next needs its own."""
        gc.unfreeze()
        if self._was_enabled:
            gc.enable()
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(*_TRIM_THRESHOLD)
            library.malloc_trim(0)

    def count(self) -> None:
        """Count one batch, and search when it is time."""
        self._batches += 1
        if self._batches % LOOK_EVERY == 0:
            gc.collect()
