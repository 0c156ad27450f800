"""Run rules and detectors over history and tell what they would have found.

A rule becomes a query tree; the store returns what may match, and the same matcher that judges the stream decides.
Correlations and anomaly detectors judge the same windows as in the pipeline. So a detection of a hunt has the id that
the stream would have given it (``soc_core.model.detection``), and taking it twice changes nothing.

Time is asked about in slices, the newest first: a hunt that is stopped or has had its time says since when it has
looked at everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from intake.hunting.model import Asked, Hunt, Hunted, Means, Progress
from intake.hunting.questions import RuleQuestion, rule_questions
from intake.hunting.slices import Slice, bounded, slices_of
from intake.hunting.tally import Tallies
from intake.hunting.windowed import WindowHunter
from soc_core.clock import format_instant
from soc_core.errors import StoreError
from soc_core.model.detection import Detection, Reason
from soc_core.model.event import Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.query.tree import Query
from soc_core.store.interface import EventReader, Search

STOPPED = Reason("intake.hunting.stopped")


def hunt(
    reader: EventReader, hunted: Hunted, asked: Asked, tree: OrganisationTree, means: Means | None = None
) -> Hunt:
    """Return what the rules and detectors would have found inside the scope and time asked about.

    Raises ``StoreError`` when the store does not answer; a question that is given up because the hunt's time is over
    makes the answer partial instead.
    """
    return _Hunting(reader, hunted, asked, means or Means()).run(tree)


class _EndedError(Exception):
    """End a hunt before its end."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.key)
        self.reason = reason


@dataclass(slots=True)
class _Watch:
    """Know how far a hunt is and when it must end."""

    means: Means
    begun: float
    whole: int = 1
    done: float = 0.0
    examined: int = 0

    def seconds(self) -> float:
        """Return how long it has taken."""
        return self.means.clock() - self.begun

    @property
    def is_late(self) -> bool:
        """Tell whether its time is over."""
        return self.seconds() >= self.means.seconds

    def look(self, detections: int) -> None:
        """Tell how far it is; raise ``_EndedError`` when it must end."""
        self.means.progress(Progress(min(1.0, self.done / self.whole), self.examined, detections))
        if self.means.stop():
            raise _EndedError(STOPPED)
        if self.is_late:
            raise self.too_late()

    def too_late(self) -> _EndedError:
        """Return how to end when the time is over."""
        return _EndedError(Reason("intake.hunting.late", {"seconds": round(self.means.seconds, 1)}))


class _Hunting:
    """Be one hunt."""

    def __init__(self, reader: EventReader, hunted: Hunted, asked: Asked, means: Means) -> None:
        self._reader, self._hunted, self._asked = reader, hunted, asked
        ids = [rule.id for rule in hunted.rules] + [detector.id for detector in hunted.windows]
        self._tallies = Tallies(ids, means.known, means.take)
        self._watch = _Watch(means, means.clock())
        self._first, self._end = format_instant(asked.start), format_instant(asked.end)

    def run(self, tree: OrganisationTree) -> Hunt:
        """Hunt through all slices, or until something ends it."""
        statistics = self._reader.statistics(self._asked.scope)
        slices = slices_of(*bounded(self._asked, statistics), self._reader.days(self._asked.scope))
        questions = rule_questions(self._hunted.rules, {source.dataset for source in statistics})
        windows = WindowHunter(self._reader, self._hunted.windows, tree) if self._hunted.windows else None
        self._watch.whole = max(1, sum(part.events + 1 for part in slices) * (len(questions) + bool(windows)))
        whole_since, partial = self._asked.end, None
        try:
            for part in slices:
                self._look_through(part, questions, windows)
                whole_since = part.start
            whole_since = self._asked.start
        except _EndedError as ended:
            partial = ended.reason
        return Hunt(
            asked=self._asked,
            found=self._tallies.found(),
            examined=self._watch.examined,
            stored=sum(part.events for part in slices),
            seconds=self._watch.seconds(),
            whole_since=whole_since,
            partial=partial,
        )

    def _look_through(
        self, part: Slice, questions: Sequence[RuleQuestion], windows: WindowHunter | None
    ) -> None:
        for question in questions:
            ids = [rule.id for rule in question.rules]
            for events in self._scan(part, question.query, question.fields):
                self._tallies.examined(ids, len(events))
                self._tallies.add(question.judge(events))
                self._watch.look(self._tallies.detections)
            self._step(part)
        if windows is not None:
            self._judge_windows(part, windows)
            self._step(part)

    def _judge_windows(self, part: Slice, windows: WindowHunter) -> None:
        ids = [detector.id for detector in self._hunted.windows]
        for events in self._scan(part, windows.query, windows.fields):
            self._tallies.examined(ids, len(events))
            self._add_windows(windows.mark(events))
            self._watch.look(self._tallies.detections)
        self._add_windows(windows.settle(part.start))

    def _add_windows(self, batches: Iterator[list[Detection]]) -> None:
        """Count detections of windows as far as they reach into the time asked about."""
        while True:
            with _Late(self._watch):
                found = next(batches, None)
            if found is None:
                return
            self._tallies.add(
                [one for one in found if one.last_seen >= self._first and one.first_seen < self._end]
            )
            self._watch.look(self._tallies.detections)

    def _scan(self, part: Slice, query: Query, fields: tuple[str, ...] | None) -> Iterator[list[Event]]:
        """Yield the events of a slice that may match, in the order of time."""
        search = Search(self._asked.scope, part.start, part.end, query, fields=fields, superset=True)
        batches = self._reader.scan(search)
        while True:
            with _Late(self._watch):
                events = next(batches, None)
            if events is None:
                return
            self._watch.examined += len(events)
            yield events

    def _step(self, part: Slice) -> None:
        """Note that a question about a slice is answered."""
        self._watch.done += part.events + 1
        self._watch.look(self._tallies.detections)


class _Late:
    """Take a store that gives up a question after the hunt's time is over for the end of the hunt."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, StoreError) and self._watch.is_late:
            raise self._watch.too_late() from error
