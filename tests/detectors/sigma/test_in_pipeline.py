"""Rules in the pipeline: what the store gives a correlation is enough, and late or repeated batches change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from cases.alerts.attach import AlertSink
from cases.alerts.tables import detections
from detectors.sigma import CorrelationDetector, RuleSet, SigmaDetector
from detectors.sigma.samples import START, judge_history
from intake.pipeline import Detectors, Pipeline
from soc_core.clock import Clock, format_instant
from soc_core.model.event import Event, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from tests.detectors.sigma.base import ID, load_text, rule_text, say

MANY = "22222222-2222-4333-8444-555555555555"
CONDITION = "condition: {gte: 3, field: user.name}"
COUNTED = f"type: value_count, rules: [{ID}], group-by: [No Such], timespan: 1m, {CONDITION}"


def load(folder: Path) -> RuleSet:
    base = rule_text("s: {event.action: try}\nk: [needle]\ncondition: s and k")
    alone = rule_text("s: {user.name: root, event.action: try}\ncondition: s", identity=MANY[:-1] + "6")
    many = f"title: Many\nid: {MANY}\nlevel: high\ncorrelation: {{{COUNTED}}}\n"
    rules = load_text(folder, base, alone, many)
    assert [say(item.reason.key, **item.reason.values) for item in rules.problems] == []
    return rules


def events() -> list[Event]:
    made: list[Event] = []
    for number, second in enumerate((290, 299, 301, 302, 1_000, 1_100, 1_200, 1_201, 1_202)):
        at = format_instant(START + timedelta(seconds=second))
        made.append(
            {
                "@timestamp": at,
                "event.id": make_event_id(at, b"test", number, b""),
                "event.dataset": "test",
                "event.action": "try",
                "message": "a needle" if number != 3 else "nothing",
                "user.name": "root" if number == 4 else f"user{number}",
                "edusoc.extra": ["Other=1", "No Such=x"],
                "source.ip": "192.168.1.7",
            }
        )
    return made


@pytest.mark.parametrize("cut", [1, 4, 9])
@pytest.mark.parametrize("backwards", [False, True])
def test_pipeline_finds_what_history_holds(
    tmp_path: Path, database: Database, tree: OrganisationTree, clock: Clock, cut: int, backwards: bool
) -> None:
    unit = next(unit.id for unit in tree.units.values() if unit.name_en == "Unit S1")
    rules = load(tmp_path)
    correlation = CorrelationDetector(rules.correlations[0])
    store = EmbeddedStore(tmp_path / "events", writer=True)
    try:
        parts = Detectors(events=[SigmaDetector(rules)], windows=[correlation])
        pipeline = Pipeline(store, database, parts, AlertSink(clock), clock)
        given = events()[::-1] if backwards else events()
        for start in range(0, len(given), cut):
            batch = given[start : start + cut]
            for _ in range(2):  # each batch comes twice
                pipeline.take([dict(event) for event in batch], organization_id=unit, zone="default")
                pipeline.advance()
                pipeline.settle()
        with database.read() as connection:
            rows = connection.execute(detections.select()).all()
        found = {row.id for row in rows}
        assert found == expected(rules, correlation, unit)
        assert sorted(row.rule_id for row in rows) == sorted([MANY, MANY, MANY[:-1] + "6"])
    finally:
        store.close()


def expected(rules: RuleSet, correlation: CorrelationDetector, unit: str) -> set[str]:
    whole: Sequence[Event] = [
        event | {"organization.id": unit, "edusoc.zone": "default"} for event in events()
    ]
    found = [*SigmaDetector(rules).detect(whole), *judge_history(correlation, whole)]
    return {detection.id for detection in found}
