"""Hold that both stores find of each bundled rule's question what the matcher says of its samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Final

import pytest

from detectors.sigma.matcher import Matcher
from detectors.sigma.model import SigmaRule, to_query
from detectors.sigma.samples import read_cases, samples_of
from soc_core.model.event import Event
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, EventStore, Search
from soc_core.store.shape import shape
from tests.contract.elasticsearch_places import opener
from tests.rules.corpus import rule_files, rule_set
from tests.rules.test_class_day import BASE, NAMES, PROGRAMS

pytestmark = pytest.mark.slow
RULES: Final = list(rule_set().rules)


def _sampled() -> Iterator[Event]:
    """Yield the events of all samples, and some of an ordinary school day."""
    files = sorted({samples_of(file.path) for file in rule_files()})
    for case in chain.from_iterable(map(read_cases, files)):
        yield from case.events
    for name in NAMES:
        yield BASE | {
            "event.dataset": "packets.dns",
            "event.category": ["network"],
            "dns.question.name": name,
        }
    for program, line, parent in PROGRAMS:
        yield BASE | {
            "event.dataset": "windows.sysmon",
            "event.category": ["process"],
            "process.executable": program,
            "process.command_line": line,
            "process.parent.executable": parent,
        }


EVENTS: Final = [
    shape(event | {"event.id": re.sub(r"\D", "", str(event["@timestamp"])[:10]) + f"-{number:026d}"})
    for number, event in enumerate(_sampled())
]


@pytest.fixture(scope="module")
def readers(
    elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, EventReader]]:
    embedded = EmbeddedStore(tmp_path_factory.mktemp("rules"), writer=True)
    with opener(elasticsearch_url) as opened:
        stores: dict[str, EventStore] = {"embedded": embedded, "elasticsearch": opened()}
        for store in stores.values():
            assert store.append(EVENTS).accepted == len(EVENTS)
        embedded.seal()
        yield dict(stores)
    embedded.close()


@pytest.fixture(scope="module")
def matched() -> dict[str, set[str]]:
    """Return by rule id the events that the matcher, which judges the stream, finds."""
    matcher = Matcher(RULES)
    found: dict[str, set[str]] = {rule.head.id: set() for rule in RULES}
    for event in EVENTS:
        for rule in matcher.match(event):
            found[rule.head.id].add(str(event["event.id"]))
    return found


def test_the_samples_are_many(matched: dict[str, set[str]]) -> None:
    assert len(RULES) >= 60
    assert sum(map(bool, matched.values())) > len(RULES) * 0.9


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.head.id)
def test_history_says_what_the_stream_says(
    readers: dict[str, EventReader], matched: dict[str, set[str]], rule: SigmaRule
) -> None:
    asked = Search(
        SYSTEM_SCOPE,
        datetime(1971, 1, 1, tzinfo=UTC),
        datetime(2200, 1, 1, tzinfo=UTC),
        to_query(rule),
        limit=len(EVENTS) + 1,
        fields=("event.id",),
    )
    for name, reader in readers.items():
        assert {event["event.id"] for event in reader.search(asked).events} == matched[rule.head.id], name
    # Elasticsearch builds the automata of patterns anew in each shard: some rules take it seconds. That it counts what
    # it finds is held by the contract's test_parity.
    assert readers["embedded"].count(asked) == len(matched[rule.head.id])
