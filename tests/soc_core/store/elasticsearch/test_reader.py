"""Hold answers that need care: values an index can't hold, missing shards, many shards, questions refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from soc_core.errors import StoreAccessError, StoreError, UsageError
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query
from soc_core.query.tree import Cidr, Exists, Not, OneOf, Query, Range, Regex, Text, equal
from soc_core.store.asking import Key, encode_cursor
from soc_core.store.counting import Counting
from soc_core.store.elasticsearch.client import connect
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.templates import IGNORE_ABOVE
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation, Grouping, Search
from soc_core.store.shape import shape
from tests.contract.elasticsearch_places import clean, opener
from tests.contract.samples import make, question
from tests.contract.store_contract import ids, pages
from tests.elasticsearch_security import Secured

LONG = "x" * IGNORE_ABOVE + " needle " + "学" * 20_000
SENT: list[Event] = [
    make(1) | {"message": LONG, "user.name": LONG},
    make(2) | {"user.name": LONG, "url.path": "plain"},
    make(3) | {"source.ip": "::ffff:102:304", "host.ip": ["10.0.0.7", "::ffff:102:305"]},
    make(4) | {"source.ip": "1.2.3.4", "event.created": "1969-12-31T23:59:59.999999Z"},
    make(5) | {"source.ip": "fe80::1%eth0", "event.created": "2262-04-12T00:00:00.000001Z"},
    make(6) | {"source.ip": "fe80::1", "event.created": "2026-11-20T00:00:00.000001Z"},
    make(7) | {"event.created": "2026-11-20T00:00:00.000002Z", "url.path": ""},
    make(8) | {"event.created": "0001-01-01T00:00:00.000000Z", "url.path": "Straße İI"},
    make(9) | {"event.risk_score": 1.0, "event.duration": 2**63 - 1, "tls.resumed": False},
    make(10) | {"event.risk_score": -0.0, "event.duration": -(2**63), "tls.resumed": True},
]
ODD = [shape(event) for event in SENT]
QUERIES: list[Query] = [
    Text("message", "contains", "NEEDLE"),
    Not(Text("message", "contains", "needle")),
    equal("user.name", LONG),
    Not(equal("user.name", LONG.upper())),
    Exists("user.name"),
    Not(Exists("user.name")),
    Regex("message", "needle 学{9}"),
    Cidr("source.ip", "1.2.3.0/24"),
    Not(Cidr("source.ip", "1.2.3.0/24")),
    Cidr("source.ip", "::/0"),
    Cidr("host.ip", "::ffff:0:0/96"),
    equal("source.ip", "fe80::1"),
    Not(equal("source.ip", "fe80::1")),
    Range("event.created", lt="1970"),
    Range("event.created", gt="2026-11-20T00:00:00.000001Z", lt="2026-11-20T00:00:00.000003Z"),
    Range("event.created", gte="2262"),
    equal("url.path", ""),
    equal("url.path", "strasse ii"),
    OneOf("url.path", ("STRAßE iI",)),
    equal("event.duration", 2**63 - 1),
    Range("event.duration", gt=2**62 + 1, lte=2**63 - 1),
    equal("tls.resumed", False),
    Text("", "contains", "needle"),
]


@pytest.fixture(scope="module")
def store(elasticsearch_url: str) -> Iterator[ElasticsearchStore]:
    with opener(elasticsearch_url) as opened:
        filled = opened()
        assert filled.append(SENT).accepted == len(ODD)
        yield filled


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_finds_what_an_index_can_not_hold(store: ElasticsearchStore, query: Query) -> None:
    matches = compile_query(query)
    expected = sorted(ids([event for event in ODD if matches(event)]))
    assert sorted(pages(store, query=query, limit=3)) == expected
    assert store.count(question(query=query)) == len(expected)
    assert sorted(name for batch in store.scan(question(query=query)) for name in ids(batch)) == expected


@pytest.mark.parametrize("field", ["user.name", "source.ip", "event.created", "message", "tls.resumed"])
@pytest.mark.parametrize("kind", ["terms", "distinct"])
def test_counts_what_an_index_can_not_hold(store: ElasticsearchStore, kind: str, field: str) -> None:
    asked = Aggregation(kind, field, size=3)
    found = store.aggregate(question(), asked)
    assert found == Counting(asked).over(ODD)
    assert found.exact


def test_groups_by_what_an_index_can_not_hold(store: ElasticsearchStore) -> None:
    grouping = Grouping(("user.name", "source.ip"), ("event.duration",))
    groups = [group for batch in store.groups(question(), grouping) for group in batch]
    expected: Counter[tuple[object, object]] = Counter(
        (event.get("user.name"), event.get("source.ip")) for event in ODD
    )
    assert {group.keys: group.events for group in groups} == expected
    assert len(groups) == len(expected)
    assert sum(group.sums[0] for group in groups) == -1


def test_returns_only_fields_asked_for_of_long_texts(store: ElasticsearchStore) -> None:
    query = Text("message", "contains", "needle")
    (event,) = store.search(question(query=query, fields=("source.port", "url.path"))).events
    assert event == {"source.port": 1025}


def test_keeps_the_order_of_microseconds_in_every_year(elasticsearch_url: str) -> None:
    times = [
        "0001-01-01T00:00:00.000001Z",
        "1969-12-31T23:59:59.999998Z",
        "1969-12-31T23:59:59.999999Z",
        "2300-01-01T00:00:00.000001Z",
        "2300-01-01T00:00:00.000002Z",
        "9999-12-31T23:59:59.999998Z",
    ]
    events = [make(n) | {"@timestamp": moment} for n, moment in enumerate(times)]
    everything = Search(
        SYSTEM_SCOPE, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), ascending=True
    )
    with opener(elasticsearch_url) as opened:
        store = opened()
        store.append(events[::-1])
        assert [event["@timestamp"] for event in store.search(everything).events] == times
        assert store.count(replace(everything, start=datetime(2300, 1, 1, 0, 0, 0, 2, tzinfo=UTC))) == 2
        rows = store.statistics(SYSTEM_SCOPE)
        assert min(row.first for row in rows) == times[0]
        assert max(row.last for row in rows) == times[-1]
        for interval in (86_400 * 5, 86_400 * 800):
            asked = Aggregation("histogram", interval_seconds=interval, offset_seconds=28_800)
            assert store.aggregate(everything, asked) == Counting(asked).over(events)


def test_says_when_shards_are_missing(elasticsearch_url: str) -> None:
    with opener(elasticsearch_url) as opened:
        store = opened()
        store.append([make(n) for n in range(20)])
        assert store.search(question()).partial == ""
        store.place.client.indices.create(
            index=f"{store.place.prefix}-events-lost-2026.10",
            settings={"index.routing.allocation.require._name": "nobody"},
            wait_for_active_shards="0",
        )
        page = store.search(question())
        assert len(page.events) == 20
        assert page.partial == "1 of 3 parts of the index did not answer"
        assert store.aggregate(question(), Aggregation("histogram")).partial == page.partial
        for ask in (
            lambda: store.count(question()),
            lambda: list(store.scan(question())),
            lambda: store.read_from(0),
            lambda: store.statistics(SYSTEM_SCOPE),
            lambda: store.get([str(make(1)["event.id"])], SYSTEM_SCOPE) and store.days(SYSTEM_SCOPE),
            lambda: list(store.groups(question(), Grouping(("event.dataset",)))),
        ):
            with pytest.raises(StoreError):
                ask()
        assert store.append([make(20)]).accepted == 1


def test_tops_are_exact_over_many_shards(elasticsearch_url: str) -> None:
    """One value is never first in any shard, but first in all together."""
    with opener(elasticsearch_url) as opened:
        store = opened()
        events = [
            make(n) | {"event.dataset": f"part{n % 5}", "user.name": name}
            for n, name in enumerate([*("common",) * 50, *(f"u{n % 5}-{n // 10}" for n in range(3_000))])
        ]
        store.append(events)
        asked = Aggregation("terms", "user.name", size=2)
        found = store.aggregate(question(), asked)
        assert found == Counting(asked).over(events)
        distinct = store.aggregate(question(), Aggregation("distinct", "user.name"))
        assert (distinct.buckets[0].count, distinct.exact) == (len({e["user.name"] for e in events}), True)


def test_gives_up_in_time(store: ElasticsearchStore) -> None:
    store.bound_questions(0.0)
    try:
        with pytest.raises(StoreError, match="takes too long"):
            store.count(question())
    finally:
        store.bound_questions(60.0)


@pytest.mark.parametrize("moment", ["2026-99-99T99:99:99.000000Z", "0000-01-01T00:00:00.000000Z"])
def test_refuses_cursors_of_no_time(store: ElasticsearchStore, moment: str) -> None:
    with pytest.raises(UsageError):
        store.search(question(cursor=encode_cursor(Key(moment, "x"), ascending=False)))


def test_answers_what_elasticsearch_finds_too_hard(store: ElasticsearchStore) -> None:
    hard = Regex("message", "(r|re|rec|e|ec|eco|o|or|ord){2,40}.{100,900}(a|b).{40,90}x")
    matches = compile_query(hard)
    assert store.count(question(query=hard)) == sum(map(matches, ODD))
    many = OneOf("message", tuple(f"Record {n}" for n in range(20_000)))
    assert store.count(question(query=many)) == sum(map(compile_query(many), ODD))


def test_who_may_only_read_sees_what_was_refreshed(secured_elasticsearch: Secured) -> None:
    writing = secured_elasticsearch.settings("writer")
    store = ElasticsearchStore.at(writing, writer=True)
    reader = ElasticsearchStore.at(secured_elasticsearch.settings("reader"), writer=False)
    try:
        store.append([make(n) for n in range(20)])
        assert store.count(question()) == 20
        assert reader.count(question()) == 20
        assert reader.end_offset() == 20
        assert len(reader.read_from(0)[0]) == 20
        with pytest.raises(StoreAccessError, match="lacks"):
            ElasticsearchStore.at(secured_elasticsearch.settings("reader"), writer=True)
    finally:
        reader.close()
        store.close()
        client = connect(writing)
        clean(client, writing.elasticsearch_prefix)
        client.close()
