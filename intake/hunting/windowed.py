"""Judge windows of history: marked and judged as the pipeline does it, so that their detections have the same ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from detectors.base import WindowDetector
from intake.hunting.questions import ALWAYS
from intake.windows import DirtyWindow, WindowJudge, WindowMarker
from soc_core.clock import epoch_us, parse_instant
from soc_core.model.detection import Detection
from soc_core.model.event import TIMESTAMP, Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.query.fields import fields_of, searches_anywhere
from soc_core.query.tree import Or, Query
from soc_core.store.interface import EventReader

MAX_WAITING: Final = 20_000
"""Windows that wait to be judged: beyond, those that no further event can touch are judged at once."""
AT_ONCE: Final = 200


class WindowHunter:
    """Mark the windows that events of history touch, and judge each once."""

    def __init__(
        self, reader: EventReader, detectors: Sequence[WindowDetector], tree: OrganisationTree
    ) -> None:
        """Take the store, the detectors and what is known of places."""
        queries = tuple(dict.fromkeys(detector.query for detector in detectors))
        self.query: Query = queries[0] if len(queries) == 1 else Or(queries)
        self.fields = None if searches_anywhere(self.query) else (*ALWAYS, *sorted(fields_of(self.query)))
        self._lengths = {
            detector.id: (_us(detector.window), _us(detector.lookback)) for detector in detectors
        }
        self._marker = WindowMarker(detectors)
        self._judge = WindowJudge(reader, detectors)
        self._tree = tree
        self._waiting: set[DirtyWindow] = set()
        self._judged: set[DirtyWindow] = set()

    def mark(self, events: Sequence[Event]) -> Iterator[list[Detection]]:
        """Note which windows events touch, which come in the order of time; yield what had to be judged by now."""
        self._waiting |= self._marker.dirty(events) - self._judged
        if events and len(self._waiting) > MAX_WAITING:
            now = epoch_us(parse_instant(str(events[-1][TIMESTAMP])))
            done = {window for window in self._waiting if self._end(window) <= now}
            self._waiting -= done
            yield from self._judged_now(done)

    def settle(self, before: datetime) -> Iterator[list[Detection]]:
        """Judge all that wait; events of a time ``before`` come next and may touch some again, which are remembered."""
        done, self._waiting = self._waiting, set()
        yield from self._judged_now(done)
        edge = epoch_us(before)
        self._judged = {window for window in self._judged if self._begin(window) < edge}

    def _judged_now(self, windows: set[DirtyWindow]) -> Iterator[list[Detection]]:
        ordered = sorted(windows)
        for at in range(0, len(ordered), AT_ONCE):
            part = ordered[at : at + AT_ONCE]
            yield self._judge.judge(part, self._tree)
            self._judged.update(part)

    def _begin(self, window: DirtyWindow) -> int:
        """Return from when on events touch a window."""
        return window.start_us - self._lengths[window.detector_id][1]

    def _end(self, window: DirtyWindow) -> int:
        return window.start_us + self._lengths[window.detector_id][0]


def _us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
