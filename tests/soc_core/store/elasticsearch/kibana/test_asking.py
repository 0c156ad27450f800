"""Hold that queries and columns become what Kibana asks Elasticsearch for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from soc_core.store.elasticsearch.kibana.asking import dsl, lens_request, rows_of, within

BOUNDS = within(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC))
WEEK = 7 * 86_400.0


def one(query: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"should": [query], "minimum_should_match": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"match_all": {}}),
        ("*:*", {"match_all": {}}),
        ("user.name:*", one({"exists": {"field": "user.name"}})),
        ("user.name: root", one({"match": {"user.name": "root"}})),
        ('source.ip: "10.0.0.0/8"', one({"match_phrase": {"source.ip": "10.0.0.0/8"}})),
        ("url.path: */a?b*", one({"query_string": {"fields": ["url.path"], "query": "*\\/a\\?b*"}})),
        ("event.created: 2026", one({"range": {"event.created": {"gte": "2026", "lte": "2026"}}})),
        ("destination.port >= 5", one({"range": {"destination.port": {"gte": "5"}}})),
        ("not user.name:*", {"bool": {"must_not": [one({"exists": {"field": "user.name"}})]}}),
        ("hello", {"multi_match": {"type": "best_fields", "query": "hello", "lenient": True}}),
        ("hel*", {"query_string": {"query": "hel*"}}),
    ],
)
def test_query(text: str, expected: dict[str, Any]) -> None:
    assert dsl(text) == expected


def test_a_field_pattern_asks_each_field() -> None:
    asked = dsl("dns.resolved_*: *")["bool"]["should"]
    assert asked == [{"exists": {"field": "dns.resolved_ip"}}]


def column(kind: str, field: str = "___records___", **more: Any) -> dict[str, Any]:
    divides = kind in {"terms", "date_histogram", "filters"}
    return {"operationType": kind, "sourceField": field, "isBucketed": divides, "params": {}, **more}


def state(columns: dict[str, dict[str, Any]]) -> dict[str, Any]:
    layer = {"columnOrder": list(columns), "columns": columns}
    return {
        "query": {"query": "", "language": "kuery"},
        "datasourceStates": {"formBased": {"layers": {"L": layer}}},
    }


def terms(field: str, by: str) -> dict[str, Any]:
    order = {"type": "column", "columnId": by}
    return column("terms", field, params={"size": 3, "orderBy": order, "orderDirection": "desc"})


def test_columns_nest_in_their_order_and_outer_ones_know_what_orders_them() -> None:
    columns = {
        "a": terms("organization.id", "m"),
        "b": terms("source.ip", "n"),
        "m": column("sum", "network.bytes"),
        "n": column("count"),
    }
    asked = lens_request(state(columns), "L", BOUNDS, WEEK)["aggs"]
    assert asked["a"]["terms"] == {"field": "organization.id", "size": 3, "order": {"m": "desc"}}
    assert asked["a"]["aggs"]["m"] == {"sum": {"field": "network.bytes"}}
    assert asked["a"]["aggs"]["b"]["terms"]["order"] == {"_count": "desc"}
    assert asked["a"]["aggs"]["b"]["aggs"] == {"m": {"sum": {"field": "network.bytes"}}}


def test_a_narrowed_measure_is_a_filter_around_it() -> None:
    narrow = {"query": "user.name:*", "language": "kuery"}
    columns = {
        "a": terms("source.ip", "c"),
        "c": column("count", filter=narrow),
        "u": column("unique_count", "user.name", filter=narrow),
    }
    asked = lens_request(state(columns), "L", BOUNDS, WEEK)["aggs"]["a"]
    assert asked["terms"]["order"] == {"c": "desc"}
    assert asked["aggs"]["c"] == {"filter": dsl("user.name:*")}
    assert asked["aggs"]["u"]["aggs"] == {"value": {"cardinality": {"field": "user.name"}}}


def test_time_is_cut_into_at_most_a_hundred_bars() -> None:
    asked = lens_request(state({"t": column("date_histogram", "@timestamp")}), "L", BOUNDS, WEEK)["aggs"]
    assert asked["t"]["date_histogram"]["fixed_interval"] == "10800s"


def test_rows_are_innermost_buckets_with_records() -> None:
    hits = {"total": {"value": 4}}
    assert rows_of({"hits": hits}) == 1
    assert rows_of({"hits": {"total": {"value": 0}}}) == 0
    inner = {"b": {"buckets": [{"doc_count": 2}, {"doc_count": 0}, {"doc_count": 1}]}}
    outer = {"a": {"buckets": [{"doc_count": 3, **inner}, {"doc_count": 1, "b": {"buckets": []}}]}}
    assert rows_of({"hits": hits, "aggregations": outer}) == 2
    named = {"f": {"buckets": {"x": {"doc_count": 1}, "y": {"doc_count": 0}}}}
    assert rows_of({"hits": hits, "aggregations": named}) == 1
