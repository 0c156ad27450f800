"""Run one input that follows files."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from collectors.live.base import Counters, Origin, Outlet
from collectors.live.files.checkpoints import Checkpoints
from collectors.live.files.gathering import Gatherer
from collectors.live.files.settings import Settings, read_settings
from collectors.live.files.watching import Watcher
from collectors.live.options import Options
from soc_core.errors import UsageError

KIND: Final = "files"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


class FilesInput:
    """Follow the files that patterns name."""

    kind = KIND

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``clock`` gives monotonic, ``wall`` Unix seconds."""
        self.name = name
        self.counters = Counters()
        self._settings = settings
        self._clock, self._wall = clock, wall

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Read what is there and what is added until ``stop`` is set.

        Where each file was left is remembered only after its events are delivered. Raises what ``Outlet.deliver``
        raises, and ``UsageError`` when the memory can't be opened; a later run goes on from what was delivered.
        """
        path = checkpoint_path(self._settings, self.name)
        try:
            store = Checkpoints(path)
        except OSError as fault:
            raise UsageError(
                f"the folder for checkpoints can't be used: {fault.strerror or fault}",
                where=str(path.parent),
                todo="make it ours to read and write",
            ) from fault
        gatherer = Gatherer(outlet, Origin(self.name), self.counters, store, self._clock)
        watcher = Watcher(self._settings, store, gatherer, self.counters, self._wall)
        try:
            self._follow(watcher, gatherer, stop)
        finally:
            watcher.close()
            store.close(self._clock())

    def _follow(self, watcher: Watcher, gatherer: Gatherer, stop: threading.Event) -> None:
        due = self._clock()
        while not stop.is_set():
            now = self._clock()
            if now >= due:
                watcher.scan(now)
                due = now + self._settings.poll
            busy = watcher.work(now, stop.is_set)
            gatherer.flush()
            if not busy:
                stop.wait(max(0.0, due - self._clock()))


def checkpoint_path(settings: Settings, name: str) -> Path:
    """Return the file that remembers how far the files of the input ``name`` were read."""
    short = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return settings.memory / "files" / f"{_UNFIT.sub('_', name)[:60]}-{short}.marks"


def build(name: str, options: Options) -> FilesInput:
    """Return the input called ``name``. Raises ``UsageError`` for a wrong setting."""
    return FilesInput(name, read_settings(options))
