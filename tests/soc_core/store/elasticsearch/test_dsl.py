"""Hold that Elasticsearch and the evaluator agree on any event and query, as far as a clause says it is exact."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator

import orjson
import pytest
from elasticsearch import ApiError, Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query
from soc_core.query.tree import And, Cidr, Not, OneOf, Or, Query, Range, Regex, Text
from soc_core.store.elasticsearch.documents import open_line
from soc_core.store.elasticsearch.dsl import Clause, Expressions, compile_clause
from soc_core.store.elasticsearch.templates import mappings, unlike_itself
from soc_core.store.shape import shape
from tests.soc_core.query.corpus import QUERIES, WORDS, make_corpus

EVENTS: list[Event] = [shape(event) for event in make_corpus(250, seed=8)]
CASES = int(os.environ.get("EDUSOC_TEST_CASES", "100"))


class Index:
    """Ask one index that holds the events."""

    def __init__(self, client: Elasticsearch, name: str) -> None:
        self._client = client
        self._name = name

    def fill(self) -> None:
        lines: list[object] = []
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        self._client.indices.create(index=self._name, mappings=mappings(), settings=settings)
        for event in EVENTS:
            lines += [{"index": {"_id": event["event.id"]}}, open_line(event)[0] + b"}"]
        answer = self._client.bulk(index=self._name, operations=lines, refresh=True)  # type: ignore[arg-type] # some are JSON already
        assert not answer["errors"], [item for item in answer["items"] if "error" in item["index"]][:1]

    def found(self, body: object) -> set[str]:
        answer = self._client.search(index=self._name, query=body, size=len(EVENTS), source=False)  # type: ignore[arg-type] # a query
        return {hit["_id"] for hit in answer["hits"]["hits"]}


@pytest.fixture(scope="module")
def index(elasticsearch_url: str) -> Iterator[Index]:
    with Elasticsearch(elasticsearch_url, request_timeout=120) as client:
        name = f"query-dsl-{os.getpid()}"
        opened = Index(client, name)
        try:
            opened.fill()
            yield opened
        finally:
            client.indices.delete(index=name, ignore_unavailable=True)


def expected(query: Query) -> set[str]:
    matches = compile_query(query)
    return {str(event["event.id"]) for event in EVENTS if matches(event)}


def check(index: Index, query: Query, expressions: Expressions = "all") -> Clause:
    clause = compile_clause(query, expressions=expressions)
    try:
        found = index.found(clause.body)
    except ApiError as error:
        if expressions != "all" or "Determinizing" not in str(error):
            raise
        return check(index, query, "plain")
    doubted = index.found(unlike_itself(clause.doubted)) if clause.doubted else set()
    wanted = expected(query)
    assert wanted - found <= doubted, (query, clause)
    if clause.exact:
        assert found - wanted <= doubted, (query, clause)
    return clause


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(query=QUERIES, expressions=st.sampled_from(("all", "all", "all", "plain", "none")))
def test_evaluator_and_elasticsearch_agree(index: Index, query: Query, expressions: Expressions) -> None:
    check(index, query, expressions)


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    pattern=st.text(alphabet='abk1.*+?|()[]^$\\dwsS-{}, @#<&~"/ä学', max_size=9),
    field=st.sampled_from(("message", "tags", "no.such")),
    flags=st.sampled_from(("", "i", "s")),
)
def test_a_translated_regular_expression_finds_the_same(
    index: Index, pattern: str, field: str, flags: str
) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, FutureWarning, DeprecationWarning):
        return
    check(index, Regex(field, pattern, flags))


@pytest.mark.parametrize(
    ("query", "exact"),
    [
        (OneOf("user.name", tuple(f"user{n}" for n in range(3_000))), True),
        (OneOf("user.name", (*(f"{n}" for n in range(60_000)), "kilo"), cased=True), True),
        (OneOf("source.ip", tuple(f"10.0.{n // 256}.{n % 256}" for n in range(10_000))), True),
        (OneOf("tags", WORDS[:40]), True),
        (OneOf("tags", ("b" * 1_200, "a" * 300)), False),
        (OneOf("no.such", WORDS), False),
        (Or(tuple(Text("message", "contains", f"k{n}") for n in range(300))), True),
        (Or(tuple(Text("", "contains", f"k{n}") for n in range(5))), True),
        (Or(tuple(Text("", "contains", f"k{n}") for n in range(30))), False),
        (Text("message", "wildcard", "*a" + "?" * 40 + "b*"), False),
        (Regex("message", "a.{40}b"), False),
        (Regex("message", r"[\]\\^-]"), True),
        (Regex("message", r"[!-/]"), True),
        (Regex("message", r"[^Z-^]"), True),
        (Regex("message", "a.{9}.{9}.{9}b"), True),  # refused by Elasticsearch and asked for again without
        (Cidr("", "10.0.0.0/8"), True),
        (OneOf("event.risk_score", (0,)), True),
        (Range("event.risk_score", gt=0), True),
        (Range("event.risk_score", gte=0, lte=0), True),
        (Cidr("related.ip", "::/0"), True),
        (Range("no.such", gte="a", lt="b"), True),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_large_questions_stay_within_bounds(index: Index, query: Query, exact: bool) -> None:
    for asked in (query, Not(query)):
        clause = compile_clause(asked)
        assert clause.exact is exact
        assert len(orjson.dumps(clause.body)) < 2_000_000
        check(index, asked)


@pytest.mark.parametrize("depth", [5, 18, 60, 200])
def test_deep_questions_stay_within_bounds(index: Index, depth: int) -> None:
    query: Query = Text("message", "contains", "k")
    for level in range(depth):
        query = (And if level % 2 else Or)((Not(query), Text("user.name", "contains", WORDS[level % 20])))
    clause = check(index, query)
    assert clause.exact == (depth < 10)
