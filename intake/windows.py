"""Decide which windows of which detectors must be judged (again), and judge them.

New events make windows *dirty*; dirty windows are jobs. Judging a window reads its events from the store, so it does
not matter in which order or how often events came, or whether the process died in between: the detections and their
ids come out the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from detectors.anomaly.flows import FlowRecord, SharedEvents
from detectors.base import Site, Window, WindowDetector
from detectors.sigma.matcher import Matcher
from soc_core.clock import EPOCH, epoch_us, format_instant, parse_instant
from soc_core.model.detection import Detection
from soc_core.model.event import ORGANIZATION_ID, TIMESTAMP, ZONE, Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.query.evaluate import compile_query
from soc_core.query.fields import fields_of
from soc_core.query.tree import And, Everything, Or, Query, equal
from soc_core.store.interface import EventReader, Scope, Search

JOB: Final = "detect.window"
SPAN: Final = timedelta(days=2)
MAX_SPAN_EVENTS: Final = 100_000
ALWAYS: Final = (TIMESTAMP, "event.id", ORGANIZATION_ID, ZONE)


@dataclass(frozen=True, slots=True, order=True)
class DirtyWindow:
    """Name one window of one detector to be judged; orders by place, then time, so that neighbours come together."""

    organization_id: str
    zone: str
    start_us: int
    detector_id: str

    @property
    def key(self) -> str:
        """Return the text that names the job; ``parse`` reads it back."""
        return f"{self.organization_id}\t{self.zone}\t{self.start_us:020d}\t{self.detector_id}"

    @classmethod
    def parse(cls, key: str) -> DirtyWindow:
        """Read a job's key back."""
        organization_id, zone, start, detector_id = key.split("\t")
        return cls(organization_id, zone, int(start), detector_id)


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """Hold a detector's window and look-back in µs, so that marking is arithmetic on whole numbers."""

    detector_id: str
    window: int
    lookback: int


class WindowMarker:
    """Tell for a batch of events which windows they make dirty."""

    def __init__(self, detectors: Sequence[WindowDetector]) -> None:
        """Compile the detectors' queries; what several of them ask is asked once an event."""
        rhythms: dict[Query, list[_Rhythm]] = {}
        for detector in detectors:
            rhythm = _Rhythm(detector.id, _us(detector.window), _us(detector.lookback))
            rhythms.setdefault(detector.query, []).append(rhythm)
        self._matcher = Matcher([_Asked(Everything(), query, wanted) for query, wanted in rhythms.items()])

    def dirty(self, events: Iterable[Event]) -> set[DirtyWindow]:
        """Return the windows touched: the one an event lies in and those whose look-back reaches it."""
        found: set[tuple[str, str, int, str]] = set()
        for event in events:
            at = -1
            for asked in self._matcher.match(event):
                if at < 0:
                    at = epoch_us(parse_instant(str(event[TIMESTAMP])))
                    place = str(event[ORGANIZATION_ID]), str(event[ZONE])
                for rhythm in asked.rhythms:
                    length = rhythm.window
                    last = (at + rhythm.lookback) // length * length
                    for start in range(at // length * length, last + 1, length):
                        found.add((*place, start, rhythm.detector_id))
        return {DirtyWindow(*key) for key in found}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Be a question for the matcher, with the detectors that ask it."""

    source: Query
    detection: Query
    rhythms: list[_Rhythm]


def _us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


class WindowJudge:
    """Judge dirty windows against the store."""

    def __init__(self, reader: EventReader, detectors: Sequence[WindowDetector]) -> None:
        """Take the store to read and all detectors."""
        self._reader = reader
        self._detectors = {detector.id: detector for detector in detectors}
        self._wants: dict[str, Callable[[Event], bool]] = {
            detector.id: compile_query(detector.query) for detector in detectors
        }

    def judge(self, dirty: Iterable[DirtyWindow], tree: OrganisationTree) -> list[Detection]:
        """Return the detections of all these windows; windows of detectors that no longer exist give none.

        Neighbouring windows of one place share a reading of the store, up to ``SPAN`` and ``MAX_SPAN_EVENTS``; a span
        with more events is read once a window, so memory stays bounded.
        """
        found: list[Detection] = []
        for group in _groups(window for window in sorted(dirty) if window.detector_id in self._detectors):
            site = Site(tree.plan(group[0].organization_id, group[0].zone))
            found.extend(self._judge_group(group, site))
        return found

    def _judge_group(self, group: Sequence[DirtyWindow], site: Site) -> list[Detection]:
        loaded = self._load(group)
        found: list[Detection] = []
        for dirty in group:
            detector = self._detectors[dirty.detector_id]
            window = _window(dirty, detector)
            if loaded is None:
                found.extend(detector.detect(window, self._stream(window, detector), site))
            else:
                chosen = loaded.slice(window, detector, self._wants[detector.id])
                found.extend(detector.detect(window, chosen, site))
        return found

    def _load(self, group: Sequence[DirtyWindow]) -> _Span | None:
        used = {dirty.detector_id for dirty in group}
        chosen = [self._detectors[name] for name in sorted(used)]
        windows = [_window(dirty, self._detectors[dirty.detector_id]) for dirty in group]
        start = min(
            window.start - self._detectors[d.detector_id].lookback
            for window, d in zip(windows, group, strict=True)
        )
        end = max(window.end for window in windows)
        fields = tuple(
            dict.fromkeys(
                (*ALWAYS, *(name for detector in chosen for name in detector.fields), *_asked(chosen))
            )
        )
        search = self._search(
            windows[0], Or(tuple(detector.query for detector in chosen)), (start, end), fields
        )
        events: list[Event] = []
        for batch in self._reader.scan(search):
            events.extend(batch)
            if len(events) > MAX_SPAN_EVENTS:
                return None
        return _Span(events)

    def _stream(self, window: Window, detector: WindowDetector) -> Iterator[list[Event]]:
        fields = tuple(dict.fromkeys((*ALWAYS, *detector.fields, *_asked([detector]))))
        bounds = (window.start - detector.lookback, window.end)
        return self._reader.scan(self._search(window, detector.query, bounds, fields))

    def _search(
        self, window: Window, query: Query, bounds: tuple[datetime, datetime], fields: tuple[str, ...]
    ) -> Search:
        return Search(
            scope=Scope(frozenset({window.organization_id})),
            start=bounds[0],
            end=bounds[1],
            query=And((equal(ZONE, window.zone), query)),
            fields=fields,
        )


class _Span:
    """Hold the events of a group of windows, in order of time."""

    def __init__(self, events: list[Event]) -> None:
        """Take all events that any of the group's detectors asks for."""
        self._events = events
        self._wanted: dict[Query, tuple[list[str], list[Event]]] = {}
        self._records: dict[int, FlowRecord | None] = {}

    def slice(
        self, window: Window, detector: WindowDetector, wants: Callable[[Event], bool]
    ) -> Iterable[Sequence[Event]]:
        """Return the events of one window that its detector asks for.

        Windows overlap and detectors ask alike, so each event is asked about, and read as a flow, once.
        """
        if detector.query not in self._wanted:
            chosen = [event for event in self._events if wants(event)]
            self._wanted[detector.query] = ([str(event[TIMESTAMP]) for event in chosen], chosen)
        times, events = self._wanted[detector.query]
        low = bisect_left(times, format_instant(window.start - detector.lookback))
        high = bisect_left(times, format_instant(window.end))
        return SharedEvents([events[low:high]] if low < high else [], self._records)


def _groups(ordered: Iterable[DirtyWindow]) -> Iterator[list[DirtyWindow]]:
    group: list[DirtyWindow] = []
    for dirty in ordered:
        near = group and (dirty.organization_id, dirty.zone) == (group[0].organization_id, group[0].zone)
        if near and dirty.start_us - group[0].start_us < SPAN / timedelta(microseconds=1):
            group.append(dirty)
            continue
        if group:
            yield group
        group = [dirty]
    if group:
        yield group


def _window(dirty: DirtyWindow, detector: WindowDetector) -> Window:
    start = EPOCH + timedelta(microseconds=dirty.start_us)
    return Window(dirty.organization_id, dirty.zone, start, start + detector.window)


def _asked(detectors: Iterable[WindowDetector]) -> list[str]:
    """Return the fields the queries themselves ask about: they are judged again on the projected events."""
    return sorted(set[str]().union(*(fields_of(detector.query) for detector in detectors)))
