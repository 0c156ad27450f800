"""Try rules on the samples beside them: ``<name>.samples.yml`` holds ``positive`` and ``negative`` cases.

A case has ``why`` and ``events``. Each positive case must make a rule or correlation of the file fire, no negative
case may. ``rule`` names the one that is meant where a file holds several (its id or name); otherwise any counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, cast

import yaml

from detectors.base import Site, Window, WindowDetector, window_start
from detectors.sigma.correlation import CorrelationDetector
from detectors.sigma.detector import SigmaDetector
from detectors.sigma.files import MAX_BYTES, SAMPLES
from detectors.sigma.model import RuleSet
from detectors.sigma.reading import check_nesting
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import InputError
from soc_core.model.detection import Detection
from soc_core.model.event import EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE, Event, Value
from soc_core.model.organisation import AddressPlan
from soc_core.query.evaluate import compile_query

START: Final = datetime(2026, 11, 20, 2, tzinfo=UTC)
UNIT: Final = "sample"
HOME: Final = AddressPlan()


@dataclass(frozen=True, slots=True)
class Case:
    """Hold one case of a samples file. ``rule`` is empty when any rule of the file may answer."""

    file: str
    number: int
    positive: bool
    why: str
    events: tuple[Event, ...]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Say what the rules of the file made of a case: the ids of those that fired."""

    case: Case
    fired: tuple[str, ...]
    passed: bool


def samples_of(rule_file: Path) -> Path:
    """Return where the samples of a rule file stand."""
    return rule_file.with_name(rule_file.stem + SAMPLES)


def read_cases(path: Path) -> list[Case]:
    """Read a samples file; raise ``InputError`` for one of another form."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        check_nesting(text)
        tree = yaml.load(text, Loader=yaml.CSafeLoader)
        if not isinstance(tree, dict) or set(tree) - {"positive", "negative"}:
            raise ValueError("it holds 'positive' and 'negative' lists")
        return [
            _case(path, number, kind == "positive", item)
            for kind in ("positive", "negative")
            for number, item in enumerate(tree.get(kind) or (), start=1)
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as fault:
        raise InputError(f"these samples can't be read: {fault}", where=str(path)) from fault


def _case(path: Path, number: int, positive: bool, item: dict[str, object]) -> Case:
    listed = cast("list[dict[str, object]]", item["events"])
    if not listed:
        raise ValueError(f"sample {number} holds no events")
    events: list[Event] = []
    for place, tree in enumerate(listed):
        repeat = int(str(tree.get("repeat", 1)))
        plain = {name: value for name, value in tree.items() if name != "repeat"}
        for again in range(repeat):
            events.append(_event(plain, f"{number}-{place}-{again}", START + timedelta(seconds=len(events))))
    return Case(
        str(path), number, positive, str(item.get("why", "")), tuple(events), str(item.get("rule", ""))
    )


def _event(tree: dict[str, object], name: str, instant: datetime) -> Event:
    """Return a whole event of a sample: nested names become dotted, what may lack is filled in."""
    event: Event = {}
    _flatten(event, "", tree)
    given = event.get(TIMESTAMP)
    event[TIMESTAMP] = format_instant(parse_instant(str(given)) if given else instant)
    event.setdefault(EVENT_ID, f"20261120-{name}")
    event.setdefault(ORGANIZATION_ID, UNIT)
    event.setdefault(ZONE, "default")
    dataset = str(event.get("event.dataset", ""))
    if dataset:
        event.setdefault("event.module", dataset.partition(".")[0])
    return event


def _flatten(event: Event, prefix: str, tree: dict[str, object]) -> None:
    for name, value in tree.items():
        if isinstance(value, dict):
            _flatten(event, f"{prefix}{name}.", value)
        elif isinstance(value, datetime | date):
            event[prefix + name] = value.isoformat()
        elif value is not None:
            event[prefix + name] = cast("Value", value)


def run_cases(rules: RuleSet, cases: Sequence[Case]) -> Iterator[Outcome]:
    """Yield what ``rules`` make of each case; a case's events are one history, judged by rules and correlations."""
    detector = SigmaDetector(rules)
    windows: list[WindowDetector] = [CorrelationDetector(rule) for rule in rules.correlations if rule.alone]
    names = {rule.head.name: rule.id for rule in rules.everything if rule.head.name}
    for case in cases:
        found = detector.detect(case.events)
        for window in windows:
            found.extend(judge_history(window, case.events))
        fired = tuple(dict.fromkeys(detection.rule_id for detection in found))
        wanted = names.get(case.rule, case.rule)
        hit = wanted in fired if wanted else bool(fired)
        yield Outcome(case, fired, hit is case.positive)


def judge_history(detector: WindowDetector, events: Sequence[Event]) -> list[Detection]:
    """Return what a window detector finds in a history, as the pipeline would ask it, unit by unit and zone by zone."""
    wants = compile_query(detector.query)
    places: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if wants(event):
            key = str(event.get(ORGANIZATION_ID, "")), str(event.get(ZONE, "default"))
            places.setdefault(key, []).append(event)
    return [found for key, chosen in places.items() for found in _judge_place(detector, key, chosen)]


def _judge_place(
    detector: WindowDetector, place: tuple[str, str], events: Sequence[Event]
) -> Iterator[Detection]:
    ordered = sorted(events, key=lambda event: (str(event[TIMESTAMP]), str(event.get(EVENT_ID, ""))))
    times = [str(event[TIMESTAMP]) for event in ordered]
    starts: set[datetime] = set()
    for time in times:
        instant = parse_instant(time)
        start = window_start(instant, detector.window)
        while start <= instant + detector.lookback:
            starts.add(start)
            start += detector.window
    for start in sorted(starts):
        low = bisect_left(times, format_instant(start - detector.lookback))
        high = bisect_left(times, format_instant(start + detector.window))
        window = Window(*place, start, start + detector.window)
        yield from detector.detect(window, [ordered[low:high]], Site(HOME))
