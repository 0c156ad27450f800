"""On real Windows events all of SigmaHQ's rules say what the plain reference says of the raw records.

The reference knows neither our collectors nor our mappings: it reads the records as other tools do, so what holds here
holds for names of fields and log sources too. ``python -m benchmarks.sigma`` asks of more events. Skipped without the
data.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks._sigma_windows import Judge, flat, source_of
from collectors.reading import collect, read_paths
from detectors.sigma import RuleSet, load_rules
from detectors.sigma.matcher import Matcher
from detectors.sigma.model import SigmaRule
from soc_core.model.event import Event
from tests.conformance.test_sigma_sigmahq import unpack
from tests.shared_data import SHARED, needs

pytestmark = [pytest.mark.slow, *needs(SHARED / "sigma")]
SAMPLES, REGRESSIONS = 40, 25
"""Events of which the reference is asked about every rule: each takes some 50 ms."""


@dataclass(frozen=True)
class World:
    """Hold rules, the reference, and events: recorded attacks, and those that must fire a rule."""

    rules: RuleSet
    judge: Judge
    attacks: list[Event]
    regressions: list[tuple[str, Event]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = unpack("sigmahq-rules", tmp_path_factory.mktemp("rules"))
    attacks = read(unpack("evtx-attack-samples", tmp_path_factory.mktemp("evtx")))
    manifest = next(unpack("regression", tmp_path_factory.mktemp("regression")).rglob("*.jsonl"))
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    regressions = [(row["rule_id"], event) for row in rows for event in read(manifest.parent / row["sample"])]
    return World(load_rules([folder]), Judge.read([folder]), attacks, regressions)


def read(path: Path) -> list[Event]:
    events, _ = collect(read_paths([str(path)]))
    return [event for event in events if str(event.get("event.original", "")).startswith('{"Event"')]


def windows_rules(world: World) -> list[SigmaRule]:
    return [rule for rule in world.rules.rules if rule.logsource.product in ("windows", "")]


def test_all_recorded_attacks_run_through_all_rules(world: World) -> None:
    matcher = Matcher(world.rules.rules)
    fired = [matcher.match(event) for event in world.attacks]
    assert len(fired) > 2_000
    assert fired == [matcher.match(dict(event)) for event in world.attacks]


def test_engine_and_reference_agree_on_real_events(world: World) -> None:
    rules = windows_rules(world)
    matcher, known = Matcher(rules), {rule.id for rule in rules}
    pick = random.Random(11)
    events = pick.sample(world.attacks, SAMPLES)
    events += [event for _, event in pick.sample(world.regressions, REGRESSIONS)]
    cases, matches, wrong = 0, 0, list[tuple[str, bool, str]]()
    for event in events:
        record = flat(str(event["event.original"]))
        fired = {rule.id for rule in matcher.match(event)}
        for rule_id in known & set(world.judge.about(source_of(record))):
            said = world.judge.matches(rule_id, record)
            cases, matches = cases + 1, matches + said
            if said is not (rule_id in fired):
                wrong.append((rule_id, said, str(record)[:300]))
    assert wrong == []
    assert cases > 12_000
    assert matches > 20


def test_regression_events_without_their_data_do_not_fire(world: World) -> None:
    by_id = {rule.id: rule for rule in world.rules.rules}
    silent = 0
    for rule_id, event in world.regressions:
        document = json.loads(str(event["event.original"]))
        for part in ("EventData", "UserData"):
            document["Event"].pop(part, None)
        record = flat(json.dumps(document))
        kept = {name: value for name, value in event.items() if not holds_data(name)}
        fired = bool(Matcher([by_id[rule_id]]).match(kept))
        assert fired is world.judge.matches(rule_id, record), rule_id
        silent += not fired
    assert silent > 0.9 * len(world.regressions)


def holds_data(name: str) -> bool:
    """Tell whether a field may hold what stood in the data of a Windows event."""
    head = ("event.code", "event.dataset", "event.module", "event.kind", "event.provider", "winlog.")
    return not name.startswith(head) or name.startswith("winlog.event_data.")


def test_an_event_of_another_log_source_fires_none_of_these_rules(world: World) -> None:
    by_id = {rule.id: rule for rule in world.rules.rules}
    for rule_id, event in world.regressions:
        other = event | {"event.dataset": "other.product", "event.code": "0", "event.module": "other"}
        other |= {"winlog.channel": "Other", "winlog.provider_name": "Other"}
        assert not Matcher([by_id[rule_id]]).match(other), rule_id
