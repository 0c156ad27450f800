"""Do what keeps a store in order beside those who append: one thread, woken when there is something to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

EVERY: Final = 600.0
"""Seconds after which the work is done even if nobody asks: days that are over become one segment."""


class Upkeep:
    """Call ``work`` in a thread of its own whenever woken; ``work`` must not raise."""

    def __init__(self, work: Callable[[], None]) -> None:
        """Take the work; the thread starts when it is first needed."""
        self._work = work
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the work done soon; once, however often this is called before it begins."""
        if not self._wanted.is_set():
            self._wanted.set()
            with self._lock:
                if self._thread is None and not self._ended.is_set():
                    self._thread = threading.Thread(target=self._run, name="edusoc-upkeep", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """Let work that runs end, and do no more."""
        self._ended.set()
        self._wanted.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.wait(EVERY)
            self._wanted.clear()
            if self._ended.is_set():
                return
            self._work()
