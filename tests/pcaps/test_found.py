"""Judge the bundled samples by their labels: collectors, bundled rules and plain detectors, without store or demo."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from collectors.base import ReadContext
from collectors.opening import find_inputs
from collectors.reading import read_paths
from detectors.anomaly.registry import default_detectors
from detectors.base import Site, Window, WindowDetector, window_start
from detectors.sigma import CorrelationDetector, RuleSet, SigmaDetector, load_rules
from pcaps.labels import Label, Seen, load_labels
from pcaps.make import ROOT
from soc_core.clock import format_instant, parse_instant
from soc_core.model.detection import Detection
from soc_core.model.event import EVENT_ID, TIMESTAMP, Event
from soc_core.model.organisation import AddressPlan
from soc_core.query.evaluate import compile_query

UNIT, ZONE = "unit-1", "default"
SITE = Site(AddressPlan(()))


@cache
def _rules() -> RuleSet:
    return load_rules([ROOT.parent / "rules"])


def _events(label: Label) -> list[Event]:
    context = ReadContext(label.end, organization_id=UNIT, zone=ZONE)
    return [
        event
        for batch in read_paths(find_inputs([str(path) for path in label.paths]), lambda source: context)
        for event in batch.events
    ]


def _judged(detector: WindowDetector, events: list[Event]) -> Iterator[Detection]:
    """Judge every epoch-aligned window that holds events, as the pipeline does."""
    matches = compile_query(detector.query)
    chosen = sorted(
        (event for event in events if matches(event)), key=lambda event: (event[TIMESTAMP], event[EVENT_ID])
    )
    starts = {window_start(parse_instant(str(event[TIMESTAMP])), detector.window) for event in chosen}
    for start in sorted(starts):
        window = Window(UNIT, ZONE, start, start + detector.window)
        begin, end = format_instant(start - detector.lookback), format_instant(window.end)
        part = [event for event in chosen if begin <= str(event[TIMESTAMP]) < end]
        yield from detector.detect(window, [part], SITE)


def _seen(label: Label) -> set[Seen]:
    events = _events(label)
    found = SigmaDetector(_rules()).detect(events)
    correlations = [CorrelationDetector(rule) for rule in _rules().correlations if rule.alone]
    for detector in (*default_detectors(), *correlations):
        found.extend(_judged(detector, events))
    return {(each.kind, each.entity.value, each.peer, str(each.severity)) for each in found}


@pytest.mark.parametrize("label", load_labels(ROOT), ids=lambda label: label.scenario)
def test_what_must_be_found_is_found_and_nothing_that_must_not(label: Label) -> None:
    seen = _seen(label)
    assert label.missing(seen) == []
    assert label.forbidden(seen) == []
