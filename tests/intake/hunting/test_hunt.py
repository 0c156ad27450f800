"""A hunt over history gives the detections of the stream, within its scope, its time and its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cases.alerts.attach import AlertSink
from cases.alerts.tables import detections
from detectors.anomaly.registry import default_detectors
from detectors.sigma import CorrelationDetector, RuleSet, SigmaDetector
from detectors.sigma.samples import START
from intake.hunting import slices
from intake.hunting.hunt import STOPPED, hunt
from intake.hunting.model import Asked, Hunt, Hunted, Means, Progress
from intake.hunting.questions import TOGETHER, rule_questions
from intake.pipeline import Detectors, Pipeline
from soc_core.clock import Clock, format_instant
from soc_core.errors import StoreError
from soc_core.model.detection import Detection
from soc_core.model.event import Event, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Scope, Search
from tests.detectors.sigma.base import ID, load_text, rule_text

MANY = "22222222-2222-4333-8444-555555555555"
WORDS = "33333333-2222-4333-8444-555555555555"
DAY = timedelta(days=1)
CONDITION = "condition: {gte: 3, field: user.name}"
COUNTED = (
    f"type: value_count, rules: [{ID}], group-by: [source.ip], timespan: 1m, generate: true, {CONDITION}"
)
WHOLE = (START - 10 * DAY, START + 10 * DAY)


@dataclass
class World:
    """Hold a store with four days of two units, what the pipeline found in it, and the detectors."""

    store: EmbeddedStore
    tree: OrganisationTree
    units: tuple[str, str]
    rules: RuleSet
    hunted: Hunted
    stream: dict[str, str] = field(default_factory=dict)

    def hunt(self, start: datetime = WHOLE[0], end: datetime = WHOLE[1], **more: object) -> Hunt:
        """Hunt with everything in everything."""
        asked = Asked(SYSTEM_SCOPE, start, end)
        return hunt(self.store, self.hunted, asked, self.tree, Means(**more))  # type: ignore[arg-type]


def load(folder: Path) -> RuleSet:
    single = rule_text("s: {event.action: try}\ncondition: s")
    word = rule_text("s: [needle]\ncondition: s", identity=WORDS)
    other = rule_text("s: {event.action: try}\ncondition: s", "{product: nowhere}", WORDS[:-1] + "6")
    many = f"title: Many\nid: {MANY}\nlevel: high\ncorrelation: {{{COUNTED}}}\n"
    return load_text(folder, single, word, other, many)


def events(day: int) -> list[Event]:
    made: list[Event] = []
    for number, second in enumerate((290, 299, 301, 302, 1_000, 1_100, 1_200, 1_201, 1_202)):
        at = format_instant(START + day * DAY + timedelta(seconds=second))
        made.append(
            {
                "@timestamp": at,
                "event.id": make_event_id(at, b"test", number, b""),
                "event.dataset": "test",
                "event.action": "try" if number != 5 else "pass",
                "message": "a NEEDLE" if number in {3, 5} else "nothing",
                "user.name": f"user{number}",
                "source.ip": f"192.168.1.{day}",
            }
        )
    return made


@pytest.fixture
def world(tmp_path: Path, database: Database, tree: OrganisationTree, clock: Clock) -> Iterator[World]:
    rules = load(tmp_path)
    windows = [*map(CorrelationDetector, rules.correlations), *default_detectors()]
    units = sorted(unit.id for unit in tree.units.values() if unit.name_en in {"Unit S1", "Unit S2"})
    store = EmbeddedStore(tmp_path / "events", writer=True)
    try:
        parts = Detectors(events=[SigmaDetector(rules)], windows=windows)
        pipeline = Pipeline(store, database, parts, AlertSink(clock), clock)
        for day in range(4):
            pipeline.take(events(day), organization_id=units[day % 2], zone="default")
            if day == 1:
                store.seal()
        pipeline.advance()
        pipeline.settle()
        with database.read() as connection:
            stream = {row.id: row.rule_id for row in connection.execute(detections.select())}
        assert set(stream.values()) == {ID, WORDS, MANY}
        yield World(store, tree, (units[0], units[1]), rules, Hunted(rules.rules, windows), stream)
    finally:
        store.close()


@pytest.mark.parametrize("most", [1, slices.MAX_EVENTS])
def test_finds_what_the_stream_found(world: World, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(slices, "MAX_EVENTS", most)
    taken: list[Detection] = []
    done = world.hunt(take=taken.extend)
    assert {one.id: one.rule_id for one in taken} == world.stream
    assert len(taken) == len(world.stream)
    assert (done.partial, done.whole_since) == (None, WHOLE[0])
    assert sum(one.detections for one in done.found) == len(taken)
    assert [one.rule_id for one in done.found[:4]] == [ID, WORDS, WORDS[:-1] + "6", MANY]


def test_counts_by_unit_and_entity(world: World) -> None:
    found = {one.rule_id: one for one in world.hunt().found}
    single = found[ID]
    assert (single.detections, dict(single.by_unit)) == (32, dict.fromkeys(sorted(world.units), 16))
    assert [(about.value, count) for about, count in single.entities] == [
        (f"192.168.1.{day}", 8) for day in range(4)
    ]
    assert (single.first, single.last) == (events(0)[0]["@timestamp"], events(3)[8]["@timestamp"])
    assert [one.last_seen for one in single.samples] == [
        event["@timestamp"] for event in events(3)[:3:-1] if event["event.action"] == "try"
    ] + [events(3)[3]["@timestamp"]]
    assert found[WORDS].detections == 8
    assert found[WORDS[:-1] + "6"].examined == 0


def test_looks_no_further_than_asked(world: World) -> None:
    start, end = START + DAY, START + DAY + timedelta(seconds=1_200)
    taken: list[Detection] = []
    done = world.hunt(start, end, take=taken.extend)
    single = next(one for one in done.found if one.rule_id == ID)
    assert single.detections == 5
    assert {one.id for one in taken} <= world.stream.keys()
    inside = format_instant(start), format_instant(end)
    assert all(one.last_seen >= inside[0] and one.first_seen < inside[1] for one in taken)
    assert world.hunt(START + 5 * DAY, START + 6 * DAY).examined == 0


def test_keeps_to_its_scope(world: World) -> None:
    taken: list[Detection] = []
    asked = Asked(Scope(frozenset({world.units[0]})), *WHOLE)
    hunt(world.store, world.hunted, asked, world.tree, Means(take=taken.extend))
    assert {one.organization_id for one in taken} == {world.units[0]}
    nothing = hunt(world.store, world.hunted, Asked(Scope(frozenset()), *WHOLE), world.tree)
    assert (nothing.examined, nothing.partial) == (0, None)


def test_tells_what_is_known(world: World) -> None:
    known = sorted(name for name, rule in world.stream.items() if rule == ID)[:7]
    done = world.hunt(known=lambda found: {one.id for one in found} & set(known))
    assert {one.rule_id: one.known for one in done.found if one.known} == {ID: 7}


def test_a_stopped_hunt_says_since_when_it_is_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MAX_EVENTS", 1)
    seen: list[Progress] = []
    done = world.hunt(stop=lambda: bool(seen) and seen[-1].done > 0.4, progress=seen.append)
    assert done.partial == STOPPED
    assert START < done.whole_since < START + 4 * DAY
    whole = format_instant(done.whole_since)
    taken: list[Detection] = []
    world.hunt(done.whole_since, take=taken.extend)
    newest = {one.id for one in taken if one.rule_id == ID and one.first_seen >= whole}
    single = next(one for one in done.found if one.rule_id == ID)
    assert single.detections >= len(newest) > 0
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_a_late_hunt_ends(world: World) -> None:
    ticks = iter(range(10_000))
    done = world.hunt(seconds=3.0, clock=lambda: float(next(ticks)))
    assert done.partial is not None
    assert done.partial.key == "intake.hunting.late"
    assert done.whole_since > WHOLE[0]


class _Refusing(EmbeddedStore):
    """Be a store that gives up every scan."""

    def scan(self, request: Search) -> Iterator[list[Event]]:
        raise StoreError("the question takes too long")
        yield []


@pytest.mark.parametrize("seconds", [100.0, 1.0])
def test_a_store_that_gives_up_ends_the_hunt_only_when_it_is_late(
    world: World, tmp_path: Path, seconds: float
) -> None:
    world.store.seal()
    reader = _Refusing(tmp_path / "events", writer=False)
    ticks = iter(range(10_000))
    means = Means(seconds, clock=lambda: float(next(ticks)))
    try:
        if seconds > 10:
            with pytest.raises(StoreError):
                hunt(reader, world.hunted, Asked(SYSTEM_SCOPE, *WHOLE), world.tree, means)
        else:
            done = hunt(reader, world.hunted, Asked(SYSTEM_SCOPE, *WHOLE), world.tree, means)
            assert done.partial is not None
            assert done.whole_since == WHOLE[1]
    finally:
        reader.close()


def test_rules_of_one_source_share_questions(tmp_path: Path) -> None:
    texts = [
        rule_text(f"s: {{event.action: a{number}}}\ncondition: s", identity=f"{number:08d}{ID[8:]}")
        for number in range(TOGETHER + 1)
    ]
    rules = load_text(tmp_path, *texts).rules
    assert [len(question.rules) for question in rule_questions(rules, {"test", "other"})] == [TOGETHER, 1]
    assert rule_questions(rules, {"other"}) == []
    assert rule_questions(rules, ()) == []
