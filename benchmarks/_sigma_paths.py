"""Judge the same events by the same rules on three ways: as they stream in, and asked of history in each store.

The stream is ``soc_core.store.EventStore.read_from`` and the matcher, as in the pipeline. A store is asked rule by rule
(``scan`` of the rule's query) and by ``intake.hunting``, many rules at once.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks._shared import SHARED
from collectors.base import ReadContext
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from detectors.sigma import RuleSet, SigmaDetector, SigmaRule, load_rules, to_query
from detectors.sigma.mapping import bundled_rules
from detectors.sigma.matcher import Matcher
from detectors.sigma.samples import read_cases
from intake.hunting.hunt import hunt
from intake.hunting.model import Asked, Hunted, Means
from soc_core.model.detection import Detection
from soc_core.model.event import EVENT_ID, TIMESTAMP, ZONE, Event, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, EventStore, Search

SIGMA: Final = SHARED / "sigma"
BEGIN, END = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
UNIT: Final = "o1"
CHUNK: Final = 5_000
Fired = dict[str, frozenset[str]]
"""Rule id → ids of the events on which it fired."""


@dataclass(slots=True)
class Difference:
    """Say that a way of asking gave other events for a rule than the stream."""

    way: str
    rule: SigmaRule
    missing: frozenset[str]
    more: frozenset[str]


@dataclass(slots=True)
class Compared:
    """Count what was compared and hold every difference."""

    questions: int = 0
    matches: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, way: str, rules: Iterable[SigmaRule], found: Fired, expected: Fired) -> None:
        """Compare the events of each rule."""
        for rule in rules:
            got, wanted = found.get(rule.id, frozenset()), expected.get(rule.id, frozenset())
            self.questions += 1
            self.matches += len(wanted)
            if got != wanted:
                self.differences.append(Difference(way, rule, wanted - got, got - wanted))


def unpacked(name: str, folder: Path) -> Path:
    """Unpack an archive of the shared data."""
    with tarfile.open(SIGMA / f"{name}.tar.xz") as archive:
        archive.extractall(folder / name, filter="data")
    return folder / name


def _context(_source: OpenSource) -> ReadContext:
    return ReadContext(datetime(2026, 11, 23, tzinfo=UTC), organization_id=UNIT)


def read_events(folder: Path) -> list[Event]:
    """Return the events of all files in a folder, as a collector makes them of this unit."""
    events, _ = collect(read_paths([str(folder)], _context))
    return placed(events)


def placed(events: Sequence[Event]) -> list[Event]:
    """Return the events with the unit and zone that the intake writes."""
    return [{**event, "organization.id": UNIT, ZONE: "default"} for event in events]


def sample_events(folder: Path) -> list[Event]:
    """Return the events of all samples beside rules, each with an id of its own."""
    made: list[Event] = []
    for path in sorted(folder.rglob("*.samples.yml")):
        for case in read_cases(path):
            for event in case.events:
                name = make_event_id(str(event[TIMESTAMP]), b"sample", len(made), b"")
                made.append({**event, EVENT_ID: name})
    return placed(made)


def own_rules() -> RuleSet:
    """Load the rules that come with the program."""
    return load_rules([bundled_rules()])


def fill(store: EventStore, events: Sequence[Event]) -> None:
    """Append all events; every one must be taken."""
    for at in range(0, len(events), CHUNK):
        ack = store.append(events[at : at + CHUNK])
        if ack.rejected:
            raise ValueError(f"an event is refused: {ack.rejected[0].reason}")


def stored(store: EventStore) -> Iterator[list[Event]]:
    """Yield what the store holds as the pipeline reads it."""
    offset = 0
    while True:
        events, following = store.read_from(offset, CHUNK)
        if following == offset:
            return
        offset = following
        yield events


def by_stream(store: EventStore, rules: Sequence[SigmaRule]) -> Fired:
    """Return what the matcher finds in the events as they arrive."""
    matcher = Matcher(rules)
    return _gathered(
        (rule.id, str(event[EVENT_ID]))
        for events in stored(store)
        for event in events
        for rule in matcher.match(event)
    )


def stream_detections(store: EventStore, rules: Sequence[SigmaRule]) -> dict[str, Detection]:
    """Return all detections of the stream by their ids."""
    detector = SigmaDetector(RuleSet.of(tuple(rules)))
    return {found.id: found for events in stored(store) for found in detector.detect(events)}


def by_question(reader: EventReader, rule: SigmaRule) -> frozenset[str]:
    """Return what the store finds when asked the rule's question."""
    search = Search(SYSTEM_SCOPE, BEGIN, END, to_query(rule), fields=(EVENT_ID,))
    return frozenset(str(event[EVENT_ID]) for batch in reader.scan(search) for event in batch)


def by_hunt(reader: EventReader, rules: Sequence[SigmaRule]) -> dict[str, Detection]:
    """Return all detections of a hunt by their ids; a partial one is an error."""
    kept: dict[str, Detection] = {}

    def take(found: Sequence[Detection]) -> None:
        for detection in found:
            if detection.id in kept:
                raise ValueError(f"found twice: {detection}")
            kept[detection.id] = detection

    asked = Asked(SYSTEM_SCOPE, BEGIN, END)
    done = hunt(reader, Hunted(rules), asked, OrganisationTree({}), Means(take=take))
    if done.partial is not None:
        raise ValueError(f"the hunt is partial: {done.partial}")
    return kept


def events_of(detections: Mapping[str, Detection]) -> Fired:
    """Return the events of detections on single events by rule."""
    return _gathered((found.rule_id, found.evidence[0]) for found in detections.values())


def _gathered(pairs: Iterable[tuple[str, str]]) -> Fired:
    sets: dict[str, set[str]] = {}
    for rule_id, event_id in pairs:
        sets.setdefault(rule_id, set()).add(event_id)
    return {rule_id: frozenset(ids) for rule_id, ids in sets.items()}
