"""Say what Kibana would ask Elasticsearch for: queries in KQL, saved searches and Lens layers as search requests.

Queries become what Kibana's own translation makes of them (``packages/kbn-es-query``): exact on keywords, by ranges on
dates, by ``query_string`` for wildcards. Columns become aggregations as Lens means them; a saved object that does not
hold together raises ``KeyError`` or ``TypeError``, so run ``checking`` before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from soc_core.clock import format_instant
from soc_core.store.elasticsearch.kibana.capabilities import kind_of, known, matching
from soc_core.store.elasticsearch.kibana.kql import Is, Join, Nested, Node, Not, Range, Term, parse_kql

Body = dict[str, Any]
_RESERVED: Final = re.compile(r'[+\-=&|><!(){}\[\]^"~*?:\\/]')
_METRICS: Final = {
    "unique_count": "cardinality",
    "sum": "sum",
    "average": "avg",
    "min": "min",
    "max": "max",
    "standard_deviation": "extended_stats",
}
_INTERVALS: Final = (60, 300, 600, 1_800, 3_600, 10_800, 43_200, 86_400, 604_800, 2_592_000)
"""Seconds of a bar that Kibana rounds to."""
_BARS: Final = 100


def dsl(query: str) -> Body:
    """Return a KQL query as a query of Elasticsearch; raise ``UsageError`` where it does not parse."""
    node = parse_kql(query)
    return {"match_all": {}} if node is None else _of(node)


def _of(node: Node) -> Body:
    if isinstance(node, Not):
        return {"bool": {"must_not": [_of(node.child)]}}
    if isinstance(node, Join):
        children = [_of(child) for child in node.children]
        if node.how == "and":
            return {"bool": {"filter": children}}
        return {"bool": {"should": children, "minimum_should_match": 1}}
    if isinstance(node, Nested):
        return {"nested": {"path": node.field.text, "query": _of(node.child), "score_mode": "none"}}
    if isinstance(node, Range):
        return _any([{"range": {name: {node.how: node.value.text}}} for name in _names(node.field)])
    return _is(node)


def _names(field: Term) -> list[str]:
    return matching(field.text) if field.wildcard else [field.text]


def _any(queries: list[Body]) -> Body:
    return {"bool": {"should": queries, "minimum_should_match": 1}}


def _is(node: Is) -> Body:
    value = node.value
    if node.field is None:
        if value.wildcard:
            return {"query_string": {"query": _query_string(value)}}
        kind = "phrase" if value.quoted else "best_fields"
        return {"multi_match": {"type": kind, "query": value.text, "lenient": True}}
    if value.parts == ("", "") and node.field.parts == ("", ""):
        return {"match_all": {}}
    return _any([_one_field(name, value) for name in _names(node.field)])


def _one_field(name: str, value: Term) -> Body:
    """Return the condition on one field."""
    if value.parts == ("", ""):
        return {"exists": {"field": name}}
    if value.wildcard:
        return {"query_string": {"fields": [name], "query": _query_string(value)}}
    if known(name) and kind_of(name) == "date":
        return {"range": {name: {"gte": value.text, "lte": value.text}}}
    return {"match_phrase" if value.quoted else "match": {name: value.text}}


def _query_string(value: Term) -> str:
    return "*".join(_RESERVED.sub(r"\\\g<0>", part) for part in value.parts)


def within(start: datetime, end: datetime) -> Body:
    """Return the condition that Kibana's time range adds."""
    bounds = {
        "gte": format_instant(start),
        "lte": format_instant(end),
        "format": "strict_date_optional_time",
    }
    return {"range": {"@timestamp": bounds}}


def search_request(query: str, columns: list[str], bounds: Body) -> Body:
    """Return what Discover asks for a saved search: the newest 500 records."""
    return {
        "query": {"bool": {"filter": [dsl(query), bounds]}},
        "sort": [{"@timestamp": {"order": "desc"}}],
        "fields": list(columns),
        "size": 500,
        "track_total_hits": True,
        "_source": False,
    }


def lens_request(state: Mapping[str, Any], layer_id: str, bounds: Body, seconds: float) -> Body:
    """Return what a layer asks; ``seconds`` is the length of the time range, which decides how wide bars are."""
    layer = state["datasourceStates"]["formBased"]["layers"][layer_id]
    columns: Mapping[str, Mapping[str, Any]] = layer["columns"]
    order = [id_ for id_ in layer["columnOrder"] if id_ in columns]
    buckets = [id_ for id_ in order if columns[id_]["isBucketed"]]
    metrics = {id_: _metric(columns[id_]) for id_ in order if not columns[id_]["isBucketed"]}
    aggregations: Body = {id_: body for id_, body in metrics.items() if body}
    for id_ in reversed(buckets):
        column = columns[id_]
        ordered = {} if id_ == buckets[-1] else _order_metric(column, metrics)
        body = _bucket(column, columns, seconds)
        inner = {**aggregations, **ordered}
        aggregations = {id_: {**body, **({"aggs": inner} if inner else {})}}
    return {
        "query": {"bool": {"filter": [dsl(state["query"]["query"]), bounds]}},
        "aggs": aggregations,
        "size": 0,
        "track_total_hits": True,
    }


def _order_metric(column: Mapping[str, Any], metrics: Mapping[str, Body]) -> Body:
    """Return the metric that an outer division is ordered by, to stand beside the inner one."""
    by = column.get("params", {}).get("orderBy", {})
    id_ = by.get("columnId", "")
    return {id_: metrics[id_]} if metrics.get(id_) else {}


def _metric(column: Mapping[str, Any]) -> Body:
    """Return the aggregation of one measure; counting records needs none unless it is narrowed."""
    inner = _measure(column)
    narrow = column.get("filter")
    if not narrow:
        return inner
    return {"filter": dsl(narrow["query"]), **({"aggs": {"value": inner}} if inner else {})}


def _measure(column: Mapping[str, Any]) -> Body:
    kind, field = column["operationType"], column["sourceField"]
    params = column.get("params", {})
    if kind == "count":
        return {} if field == "___records___" else {"value_count": {"field": field}}
    if kind in {"percentile", "median"}:
        return {"percentiles": {"field": field, "percents": [params.get("percentile", 50)]}}
    if kind == "last_value":
        return {
            "top_metrics": {
                "metrics": {"field": field},
                "size": 1,
                "sort": {params["sortField"]: "desc"},
            }
        }
    return {_METRICS[kind]: {"field": field}}


def _bucket(column: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]], seconds: float) -> Body:
    params = column["params"]
    if column["operationType"] == "filters":
        parts = {
            part["label"] or part["input"]["query"]: dsl(part["input"]["query"]) for part in params["filters"]
        }
        return {"filters": {"filters": parts}}
    field = column["sourceField"]
    if column["operationType"] == "date_histogram":
        return {
            "date_histogram": {"field": field, "fixed_interval": f"{_interval(seconds)}s", "min_doc_count": 1}
        }
    order = params["orderBy"]
    if order["type"] == "rare":
        return {"rare_terms": {"field": field, "max_doc_count": order["maxDocCount"]}}
    direction = params["orderDirection"]
    return {"terms": {"field": field, "size": params["size"], "order": _order(order, columns, direction)}}


def _order(order: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]], direction: str) -> Body:
    if order["type"] == "alphabetical":
        return {"_key": direction}
    id_ = order["columnId"]
    column = columns[id_]
    inner = _measure(column)
    if column.get("filter"):
        return {f"{id_}>value" if inner else id_: direction}
    if not inner:
        return {"_count": direction}
    if "percentiles" in inner:
        return {f"{id_}.{inner['percentiles']['percents'][0]}": direction}
    return {id_: direction}


def _interval(seconds: float) -> int:
    return next((width for width in _INTERVALS if seconds / width <= _BARS), _INTERVALS[-1])


def rows_of(answer: Mapping[str, Any]) -> int:
    """Return how many rows an answer gives a panel: its innermost buckets with records, or 1 for records measured."""
    found = _filled(answer.get("aggregations", {}))
    if found is None:
        return 1 if answer["hits"]["total"]["value"] else 0
    return found


def _filled(aggregations: Mapping[str, Any]) -> int | None:
    """Count the innermost buckets that hold records; ``None`` when nothing divides."""
    for aggregation in aggregations.values():
        if not isinstance(aggregation, dict) or "buckets" not in aggregation:
            continue
        buckets = aggregation["buckets"]
        parts = [
            part for part in (buckets.values() if isinstance(buckets, dict) else buckets) if part["doc_count"]
        ]
        if not parts:
            return 0
        inner = [_filled(part) for part in parts]
        return sum(1 if count is None else count for count in inner)
    return None
