"""Run SigmaHQ's rules: all load or are named, their regression events fire them, stream and store agree.

Skipped where the data is not there.
"""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collectors.base import ReadContext
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from detectors.sigma import RuleSet, SigmaDetector, load_rules, to_query
from detectors.sigma.matcher import Matcher
from detectors.sigma.model import SigmaRule
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Search
from tests.shared_data import SHARED, needs

_SHARED = SHARED / "sigma"
pytestmark = [pytest.mark.slow, *needs(_SHARED)]
BEGIN, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Regression(NamedTuple):
    """Hold a rule's id and its event files."""

    rule_id: str
    evtx: Path
    json: Path


def context(_source: OpenSource) -> ReadContext:
    return ReadContext(datetime(2026, 11, 23, tzinfo=UTC), organization_id="u")


def read(path: Path) -> list[Event]:
    events, statistics = collect(read_paths([str(path)], context))
    assert statistics.bad == 0 or path.is_dir()
    return events


def unpack(name: str, folder: Path) -> Path:
    with tarfile.open(_SHARED / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    return load_rules([unpack("sigmahq-rules", tmp_path_factory.mktemp("rules"))])


@pytest.fixture(scope="module")
def main(whole: RuleSet) -> list[SigmaRule]:
    """Return the rules of the main folder."""
    return [rule for rule in whole.rules if "rules" in Path(rule.head.file).parts]


@pytest.fixture(scope="module")
def everything(whole: RuleSet) -> dict[str, SigmaRule]:
    return {rule.id: rule for rule in whole.rules}


@pytest.fixture(scope="module")
def regressions(tmp_path_factory: pytest.TempPathFactory) -> list[Regression]:
    place = unpack("regression", tmp_path_factory.mktemp("regression"))
    manifest = next(place.rglob("*.jsonl"))
    found: list[Regression] = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        evtx = manifest.parent / row["sample"]
        found.append(Regression(row["rule_id"], evtx, evtx.with_suffix(".json")))
    return found


def test_every_rule_loads(whole: RuleSet, main: list[SigmaRule]) -> None:
    assert len(main) == 3_141
    assert len(whole.rules) == len({rule.id for rule in whole.rules}) == 3_755


def test_only_rules_with_placeholders_are_lost_and_all_are_named(whole: RuleSet) -> None:
    assert len(whole.problems) == 25
    assert all("placeholder" in str(item.reason.values["detail"]) for item in whole.problems)
    assert all(item.line > 0 and item.file and item.rule_id for item in whole.problems)


def test_blind_rules_are_those_of_sources_nobody_collects(main: list[SigmaRule]) -> None:
    blind = [rule for rule in main if rule.blind is not None]
    assert len(main) - len(blind) >= 2_500
    collected = {rule.logsource.category for rule in blind if rule.logsource.product == "windows"}
    assert collected <= {"file_access", "file_rename"}


def test_regression_events_fire_their_rules(
    everything: dict[str, SigmaRule], regressions: list[Regression]
) -> None:
    assert len(regressions) == 115
    silent: list[str] = []
    for one in regressions:
        rule = everything[one.rule_id]
        matcher = Matcher([rule])
        fired = [sum(bool(matcher.match(event)) for event in read(path)) for path in (one.evtx, one.json)]
        if not fired[0] or fired[0] != fired[1]:
            silent.append(f"{one.rule_id} {rule.title}: {fired}")
    assert silent == []


def test_regression_events_fire_when_winlogbeat_sends_them(
    everything: dict[str, SigmaRule], regressions: list[Regression], tmp_path: Path
) -> None:
    silent: list[str] = []
    for one in regressions:
        documents = [as_winlogbeat(json.loads(str(event["event.original"]))) for event in read(one.json)]
        path = tmp_path / "winlogbeat.json"
        path.write_text("\n".join(json.dumps(document) for document in documents), encoding="utf-8")
        matcher = Matcher([everything[one.rule_id]])
        if not any(matcher.match(event) for event in read(path)):
            silent.append(f"{one.rule_id} {everything[one.rule_id].title}")
    assert silent == []


def as_winlogbeat(document: dict[str, Any]) -> dict[str, Any]:
    """Return an event as Winlogbeat 8 writes it without its modules."""
    event = document["Event"]
    system = event["System"]
    code = system["EventID"]
    user_data = next(iter(event.get("UserData", {}).values()), {})
    winlog = {
        "channel": system["Channel"],
        "provider_name": system["Provider"]["#attributes"]["Name"],
        "event_id": str(code["#text"] if isinstance(code, dict) else code),
        "computer_name": system["Computer"],
        "record_id": system["EventRecordID"],
        "event_data": {
            name: str(value)
            for name, value in (event.get("EventData") or user_data).items()
            if value is not None
        },
    }
    return {"@timestamp": system["TimeCreated"]["#attributes"]["SystemTime"], "winlog": winlog}


def test_all_rules_at_once_find_what_each_finds_alone(
    everything: dict[str, SigmaRule], regressions: list[Regression]
) -> None:
    rules = list(everything.values())
    matcher = Matcher(rules)
    slow = [(rule.id, compile_query(to_query(rule))) for rule in rules]
    events = [event for one in regressions[::8] for event in read(one.evtx)[:1]]
    for event in events:
        assert [rule.id for rule in matcher.match(event)] == [
            name for name, matches in slow if matches(event)
        ]


def test_store_and_stream_agree(
    everything: dict[str, SigmaRule], regressions: list[Regression], tmp_path: Path
) -> None:
    events = [event for one in regressions for event in read(one.evtx)]
    for event in events:
        event.setdefault("edusoc.zone", "default")
    rules = [everything[one.rule_id] for one in regressions]
    store = EmbeddedStore(tmp_path / "events", writer=True)
    try:
        assert store.append(events).accepted == len(events)
        matcher = Matcher(rules)
        expected: dict[str, set[str]] = {rule.id: set() for rule in rules}
        for event in events:
            for rule in matcher.match(event):
                expected[rule.id].add(str(event["event.id"]))
        for rule in rules[::2]:
            search = Search(SYSTEM_SCOPE, BEGIN, END, to_query(rule), fields=("event.id",))
            found = {str(event["event.id"]) for batch in store.scan(search) for event in batch}
            assert found == expected[rule.id], rule.title
    finally:
        store.close()


def test_attack_samples_run_and_give_whole_detections(whole: RuleSet, tmp_path: Path) -> None:
    detector = SigmaDetector(whole)
    events = read(unpack("evtx-attack-samples", tmp_path))
    assert len(events) > 2_000
    found = detector.detect(events)
    assert len({detection.rule_id for detection in found}) > 100
    assert len({detection.id for detection in found}) == len(found)
    assert all(detection.reasons and detection.entity.value != "?" for detection in found)
