"""Stream, embedded store and Elasticsearch find the same by SigmaHQ's rules in other people's events: a slice.

All rules on all events: ``python -m benchmarks.sigma_paths``. Skipped without the shared data.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from benchmarks import _sigma_paths as paths
from detectors.sigma import SigmaRule, load_rules
from soc_core.model.event import Event
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import EventStore
from tests.contract.elasticsearch_places import opener
from tests.shared_data import SHARED, needs

pytestmark = [pytest.mark.slow, *needs(SHARED / "sigma")]
RULES: Final = 500
ALONE: Final = 8
DAY: Final = "2026-11-20"
"""All events happen on one day here: Elasticsearch makes an index of each month, told by the ids of events."""
STORES: Final = ("log", "sealed", "elasticsearch")


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[SigmaRule]:
    """Return those of SigmaHQ's rules that fire on the regression events, others by chance, and our own."""
    folder = paths.unpacked("sigmahq-rules", tmp_path_factory.mktemp("rules"))
    foreign = [rule for rule in load_rules([folder]).rules if rule.logsource.product == "windows"]
    return [*paths.own_rules().rules, *random.Random(6).sample(foreign, RULES)]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """Return the regression events as of one day."""
    found = paths.read_events(paths.unpacked("regression", tmp_path_factory.mktemp("regression")))
    return [
        {
            **event,
            "@timestamp": DAY + str(event["@timestamp"])[10:],
            "event.id": DAY.replace("-", "") + str(event["event.id"])[8:],
        }
        for event in found
    ]


@pytest.fixture(scope="module")
def stores(
    elasticsearch_url: str, events: list[Event], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, EventStore]]:
    """Return the events in stores of each kind."""
    place: Path = tmp_path_factory.mktemp("stores")
    embedded = {name: EmbeddedStore(place / name, writer=True) for name in STORES[:2]}
    try:
        with opener(elasticsearch_url) as opened:
            found: dict[str, EventStore] = {**embedded, STORES[2]: opened()}
            for store in found.values():
                paths.fill(store, [dict(event) for event in events])
            embedded["sealed"].seal()
            yield found
    finally:
        for store in embedded.values():
            store.close()


@pytest.mark.parametrize("name", STORES)
def test_history_and_stream_agree(stores: dict[str, EventStore], rules: list[SigmaRule], name: str) -> None:
    store = stores[name]
    stream = paths.stream_detections(store, rules)
    assert len({found.rule_id for found in stream.values()}) > 20
    hunted = paths.by_hunt(store, rules)
    assert hunted == stream
    expected = paths.events_of(stream)
    fired = [rule for rule in rules if rule.id in expected]
    for rule in [*random.Random(7).sample(fired, min(ALONE, len(fired))), *rules[:: len(rules) // ALONE]]:
        assert paths.by_question(store, rule) == expected.get(rule.id, frozenset()), rule.head.title
