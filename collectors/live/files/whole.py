"""Read files that only make sense as a whole (captures, JSON documents over several lines, packed event logs).

They are read once they have not changed for a while, and again when they changed later: the same records get the same
ids, so reading twice adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from collectors.live.files.content import Content
from collectors.live.files.gathering import Gatherer
from collectors.live.files.marks import Mark
from collectors.opening import Input
from collectors.reading import ReadBatch, read_paths

LONGEST_SECONDS: Final = 600.0
"""A file that never stops changing is read nevertheless, so often."""


class WholeReader:
    """Read one file from its start to its end."""

    held_since: float | None = None

    def __init__(self, mark: Mark, settle: float) -> None:
        """``settle``: seconds without change after which a file is taken for complete."""
        self.mark = mark
        self._settle = settle
        self._batches: Iterator[ReadBatch] | None = None
        self._changed: tuple[int, int] = (mark.size, mark.modified)
        self._changed_at: float | None = None
        self._waiting_since: float | None = None

    @property
    def waits(self) -> bool:
        """Tell whether the file is looked at although it does not change."""
        return self._waiting_since is not None

    def rest(self) -> None:
        """Let go of memory: there is none."""

    def step(
        self, content: Content, path: str, gatherer: Gatherer, now: float, *, final: bool = False
    ) -> bool:
        """Read one batch if it is time; return whether there is more to read at once."""
        status = content.status()
        if self._batches is None and not self._is_time(status.st_size, status.st_mtime_ns, now, final=final):
            return False
        if self._batches is None:
            context = gatherer.context(status.st_mtime)
            self._batches = read_paths([Input(path, status.st_size)], lambda _source: context)
        batch = next(self._batches, None)
        if batch is not None:
            gatherer.add(batch.events, batch.bad, batch.counters, path)
            return True
        self._batches = self._waiting_since = None
        self.mark = replace(
            self.mark, size=self._changed[0], modified=self._changed[1], raw=self._changed[0], finished=True
        )
        return False

    def _is_time(self, size: int, modified: int, now: float, *, final: bool) -> bool:
        """Tell whether the file differs from what was read and has settled."""
        if (size, modified) != self._changed or self._changed_at is None:
            self._changed, self._changed_at = (size, modified), now
        if self.mark.finished and self._changed == (self.mark.size, self.mark.modified):
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        settled = now - self._changed_at >= self._settle
        return final or settled or now - self._waiting_since >= LONGEST_SECONDS
