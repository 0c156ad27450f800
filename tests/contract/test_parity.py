"""Hold that the same question has the same answer in both stores and by the evaluator: events, order, numbers, groups.

The embedded store is asked with its events in the log, sealed, and half of each. ``EDUSOC_TEST_CASES`` asks more
questions (thousands before a release), ``EDUSOC_TEST_SEED`` makes other events.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query
from soc_core.query.language import parse_query
from soc_core.query.tree import Query
from soc_core.store.counting import Counting
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.grouping import groups_over
from soc_core.store.interface import (
    SYSTEM_SCOPE,
    Aggregation,
    EventReader,
    EventStore,
    Group,
    Grouping,
    Scope,
    Search,
)
from soc_core.store.shape import shape
from tests.contract.elasticsearch_places import opener
from tests.soc_core.query.corpus import ADDRESSES, LETTERS, POOLS, QUERIES, WORDS, make_corpus

CASES: Final = int(os.environ.get("EDUSOC_TEST_CASES", "25"))
SEED: Final = int(os.environ.get("EDUSOC_TEST_SEED", "4"))
GIVEN: Final = make_corpus(240, SEED)
EVENTS: Final = sorted(
    map(shape, GIVEN), key=lambda event: (str(event["@timestamp"]), str(event["event.id"]))
)
NAMES: Final = ("elasticsearch", "log", "sealed", "mixed")
Stores = dict[str, EventReader]
often = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def stores(elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Return the same events in both stores, embedded in three states."""
    path: Path = tmp_path_factory.mktemp("parity")
    embedded = {name: EmbeddedStore(path / name, writer=True) for name in NAMES[1:]}
    try:
        with opener(elasticsearch_url) as opened:
            opened_stores: dict[str, EventStore] = {"elasticsearch": opened(), **embedded}
            for name, store in opened_stores.items():
                _fill(name, store)
            yield dict(opened_stores)
    finally:
        for store in embedded.values():
            store.close()


def _fill(name: str, store: EventStore) -> None:
    half = len(GIVEN) // 2
    for part in (GIVEN[:half], GIVEN[half:]):
        assert store.append(part).accepted == len(part)
        if name == "sealed" or (name == "mixed" and part is not GIVEN[half:]):
            store.seal()


SEARCHES: Final = st.builds(
    Search,
    scope=st.sampled_from((SYSTEM_SCOPE, Scope(frozenset({"o1", "o2"})), Scope(frozenset()))),
    start=st.sampled_from(
        (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 20, 3, 0, 0, 1, tzinfo=UTC))
    ),
    end=st.sampled_from((datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 11, 20, 3, 0, 0, 2, tzinfo=UTC))),
    query=QUERIES,
    limit=st.sampled_from((3, 17, 500)),
    ascending=st.booleans(),
)
COUNTED: Final = st.sampled_from((*POOLS, "event.dataset", "host.name", "organization.id"))
AGGREGATIONS: Final = st.one_of(
    st.builds(Aggregation, st.sampled_from(("terms", "distinct")), COUNTED, st.sampled_from((1, 3, 200))),
    st.builds(
        Aggregation,
        st.just("histogram"),
        interval_seconds=st.sampled_from((60, 3_600, 86_400)),
        offset_seconds=st.sampled_from((0, 28_800, -1_234)),
    ),
    st.just(Aggregation("count")),
)
GROUPED: Final = (
    "user.name",
    "source.ip",
    "source.port",
    "event.risk_score",
    "tls.resumed",
    "event.start",
    "organization.id",
)
GROUPINGS: Final = st.builds(
    Grouping,
    st.lists(st.sampled_from(GROUPED), min_size=1, max_size=2, unique=True).map(tuple),
    st.sampled_from(((), ("network.bytes",), ("source.port",))),
)


def matching(asked: Search) -> list[Event]:
    """Return what the evaluator finds, in the order asked for."""
    matches = compile_query(asked.query)
    low, high = format_instant(asked.start), format_instant(asked.end)
    found = [
        event
        for event in EVENTS
        if low <= str(event["@timestamp"]) < high
        and asked.scope.allows(str(event["organization.id"]))
        and matches(event)
    ]
    return found if asked.ascending else found[::-1]


def pages(reader: EventReader, asked: Search) -> list[Event]:
    found: list[Event] = []
    cursor = ""
    while True:
        page = reader.search(replace(asked, cursor=cursor))
        assert not page.partial
        assert len(page.events) <= asked.limit
        found.extend(page.events)
        cursor = page.cursor
        if not cursor:
            return found


@often
@given(asked=SEARCHES)
def test_the_same_events_in_the_same_order(stores: Stores, asked: Search) -> None:
    expected = matching(asked)
    for name, reader in stores.items():
        page = reader.search(replace(asked, limit=500))
        assert page.events == expected, name
        assert reader.count(asked) == len(expected), name


@often
@given(asked=SEARCHES, wanted=st.sets(COUNTED, max_size=3))
def test_the_same_pages_and_scans(stores: Stores, asked: Search, wanted: set[str]) -> None:
    names = ("event.id", *sorted(wanted))
    asked = replace(asked, fields=names)
    expected = [{name: event[name] for name in event if name in names} for event in matching(asked)]
    ascending = expected if asked.ascending else expected[::-1]
    for name, reader in stores.items():
        if len(expected) < 20 * asked.limit:
            assert pages(reader, asked) == expected, name
        assert [event for batch in reader.scan(asked) for event in batch] == ascending, name


@often
@given(asked=SEARCHES, aggregation=AGGREGATIONS)
def test_the_same_counts(stores: Stores, asked: Search, aggregation: Aggregation) -> None:
    expected = Counting(aggregation).over(matching(asked))
    for name, reader in stores.items():
        found = reader.aggregate(asked, aggregation)
        assert (found.buckets, found.exact, found.partial) == (expected.buckets, True, ""), name


@often
@given(asked=SEARCHES, grouping=GROUPINGS)
def test_the_same_groups(stores: Stores, asked: Search, grouping: Grouping) -> None:
    def counted(batches: Iterator[list[Group]]) -> Counter[Group]:
        return Counter(group for batch in batches for group in batch)

    expected = counted(groups_over(grouping, lambda: matching(asked)))
    for name, reader in stores.items():
        assert counted(reader.groups(asked, grouping)) == expected, name


VALUES: Final = st.one_of(
    st.sampled_from([word for word in WORDS if word and not word[0].isspace()]).map(lambda word: f'"{word}"'),
    st.sampled_from(
        [*ADDRESSES, "10.0.0.0/8", "10.*", "[10.0.0.1 TO 10.1.0.0]", "::/0", "kilo", "a*", "*b", "?", "22"]
    ),
    st.sampled_from(
        [">0", "<=22", "[0 TO 404}", "{* TO 22]", "2*", "true", "false", ">=2026-11-20", "2026-11-20", "*"]
    ),
    st.sampled_from(
        ["now-3d", ">now-1y", "/a/", "/^a|b$/", "/(?i)kilo/", "(a b)", "(a OR -b)", "(22 443 -1)", '""']
    ),
    LETTERS,
)
TERMS: Final = st.one_of(
    st.builds("{}:{}".format, st.sampled_from((*POOLS, "_exists_", "*.ip", "Message", "user.name ")), VALUES),
    st.builds("_exists_:{}".format, st.sampled_from(tuple(POOLS))),
    VALUES,
)
TEXTS: Final = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds("{}{} {}".format, st.sampled_from(("", "-", "NOT ", "!")), inner, inner),
        st.builds("{} OR {}".format, inner, inner),
        st.builds("({})".format, inner),
        st.builds("（{}） AND {}".format, inner, inner),
    ),
    max_leaves=4,
)


@settings(parent=often, max_examples=2 * CASES)
@given(text=TEXTS, ascending=st.booleans())
def test_the_same_answer_to_what_is_typed(stores: Stores, text: str, ascending: bool) -> None:
    try:
        query: Query = parse_query(text, now=datetime(2026, 11, 22, 12, tzinfo=UTC))
    except UsageError:
        return
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    asked = Search(SYSTEM_SCOPE, start, end, query, limit=500, ascending=ascending)
    expected = matching(asked)
    for name, reader in stores.items():
        assert reader.search(asked).events == expected, name
        assert reader.count(asked) == len(expected), name
