"""Find devices whose connections are unlike what a model learned as usual at the place.

A model knows no attacks, only rarity, so a detection is a hint and never more than medium. Per unit's zone and day at
most ``budget`` devices are named, each once per episode: an episode ends when an hour passes without unusual flows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from detectors.anomaly.bounded import BoundedTable, Evidence
from detectors.anomaly.flows import FLOW_FIELDS, FLOW_QUERY, read_flows
from detectors.anomaly.making import (
    Verdict,
    in_stable_order,
    make_detection,
    overflow_reasons,
    reason,
)
from detectors.anomaly.model.features import direction_of
from detectors.anomaly.model.files import Model, load
from detectors.anomaly.model.samples import Sample, rows_of
from detectors.anomaly.model.words import explain
from detectors.anomaly.targets import Calendar, Period
from detectors.base import Site, Window
from soc_core.errors import InputError
from soc_core.model.detection import Detection, Severity
from soc_core.model.event import Event
from soc_core.query.tree import Query

QUIET_US: Final = 3_600_000_000
"""An episode is over after this much time without an unusual flow; the look-back is as long."""
MEDIUM_STEP: Final = 2.0
"""A hundred times rarer than the threshold is medium, anything else low."""
CHUNK: Final = 4_096
MAX_DEVICES: Final = 5_000
LOG: Final = logging.getLogger("edusoc.models")


@dataclass(slots=True)
class Episode:
    """Collect a device's unusual flows of the window; ``begun_us`` is when an episode began in it, 0 if none did."""

    last_us: int = 0
    begun_us: int = 0
    worst: Sample | None = None
    score: float = 0.0
    evidence: Evidence = field(default_factory=Evidence)

    def add(self, sample: Sample, score: float, period: Period) -> None:
        """Note an unusual flow; flows come in time order, those of the look-back only tell whether one goes on."""
        flow = sample.flow
        goes_on = self.last_us and flow.time_us - self.last_us <= QUIET_US
        self.last_us = flow.time_us
        if period is Period.BEFORE:
            return
        if not goes_on and not self.begun_us:
            self.begun_us = flow.time_us
        self.evidence.add(flow.event_id, flow.timestamp, early=False)
        if score > self.score:
            self.worst, self.score = sample, score


class UnusualFlow:
    """Judge the flows of a day by a model, which is read when the first window is judged."""

    id = "unusual_flow"
    window = timedelta(hours=24)
    lookback = timedelta(hours=1)
    query: Query = FLOW_QUERY
    fields: tuple[str, ...] = FLOW_FIELDS

    def __init__(self, folder: Path) -> None:
        """Take the folder of a model whose card was checked."""
        self._folder = folder
        self._model: Model | None = None
        self._refused = False

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return one detection per device with an episode that begins in ``window``, the first ``budget`` of them."""
        model = self._loaded()
        if model is None or not _applies(model, window):
            return []
        calendar = Calendar(window)
        table: BoundedTable[str, Episode] = BoundedTable(MAX_DEVICES, Episode)
        for samples in _chunks(batches, window, site):
            scores = model.ensemble.score(rows_of(samples, model.usual)).tolist()
            for sample, score in zip(samples, scores, strict=True):
                if score > model.card.threshold:
                    period = calendar.period(sample.flow.time_us)
                    row = table.visit(sample.device, early=period is Period.BEFORE)
                    if row is not None:
                        row.add(sample, score, period)
        return in_stable_order(self._named(model, window, table))

    def _loaded(self) -> Model | None:
        """Return the model, read once; a refused one is said once and finds nothing."""
        if self._model is None and not self._refused:
            try:
                self._model = load(self._folder)
            except InputError as error:
                self._refused = True
                LOG.warning("unusual_flow is off: %s", error)
        return self._model

    def _named(self, model: Model, window: Window, table: BoundedTable[str, Episode]) -> list[Detection]:
        """Return those whose episode began first: who comes later can't change who was named."""
        begun = [
            (episode.begun_us, device, episode.worst, episode)
            for device, episode in table.items()
            if episode.begun_us and episode.worst is not None
        ]
        begun.sort(key=lambda row: row[:2])
        budget = max(1, round(model.card.budget))
        return [
            make_detection(self.id, window, _verdict(model, worst, episode, table.left_out), episode.evidence)
            for _, _, worst, episode in begun[:budget]
        ]


def _applies(model: Model, window: Window) -> bool:
    return not model.card.organizations or window.organization_id in model.card.organizations


def _chunks(batches: Iterable[Sequence[Event]], window: Window, site: Site) -> Iterator[list[Sample]]:
    """Yield the flows with a side inside, some thousand at a time."""
    samples = (
        Sample(window.organization_id, window.zone, direction_of(flow, site.plan), flow)
        for flow in read_flows(batches)
        if flow.part == 1
    )
    ours = (sample for sample in samples if sample.direction)
    while chunk := list(islice(ours, CHUNK)):
        yield chunk


def _verdict(model: Model, worst: Sample, episode: Episode, left_out: int) -> Verdict:
    peer = worst.flow.source if worst.direction == "inbound" else worst.flow.destination
    threshold = model.card.threshold
    summary = reason(
        "unusual_flow",
        "summary",
        device=worst.device,
        count=episode.evidence.count,
        peer=peer,
        flows=model.card.fitted,
        score=round(episode.score, 1),
        threshold=round(threshold, 1),
    )
    return Verdict(
        kind="unusual_flow",
        address=worst.device,
        peer=peer,
        severity=Severity.MEDIUM if episode.score >= threshold + MEDIUM_STEP else Severity.LOW,
        reasons=(summary, *explain(model, worst), *overflow_reasons(left_out)),
        techniques=(),
        score=min(1.0, episode.score / (2 * threshold)),
        confidence=0.5,
        model_version=model.card.version,
    )
