"""Examine Lens visualisations: queries, columns, layers, and that the chart shows columns that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from soc_core.errors import InputError
from soc_core.store.elasticsearch.kibana.capabilities import aggregates, kind_of, known
from soc_core.store.elasticsearch.kibana.check_charts import VISUALIZATIONS, check_chart
from soc_core.store.elasticsearch.kibana.check_queries import check_field, check_query
from soc_core.store.elasticsearch.kibana.lens import LAYER_REFERENCE, RECORDS
from soc_core.store.elasticsearch.kibana.reading import items, table, text

MOST_VALUES: Final = 10_000
_ANY: Final = frozenset({"string", "number", "date", "ip", "boolean"})
_NUMBER: Final = frozenset({"number"})
_BUCKETS: Final[dict[str, Set[str]]] = {
    "terms": frozenset({"string", "number", "ip", "boolean"}),
    "date_histogram": frozenset({"date"}),
    "range": _NUMBER,
}
_MEASURES: Final[dict[str, Set[str]]] = {
    "count": _ANY,
    "unique_count": _ANY,
    "sum": _NUMBER,
    "average": _NUMBER,
    "median": _NUMBER,
    "percentile": _NUMBER,
    "percentile_rank": _NUMBER,
    "standard_deviation": _NUMBER,
    "min": frozenset({"number", "date"}),
    "max": frozenset({"number", "date"}),
    "last_value": _ANY,
}
_CALCULATIONS: Final = frozenset(
    {
        "formula",
        "math",
        "static_value",
        "cumulative_sum",
        "counter_rate",
        "differences",
        "moving_average",
        "normalize_by_unit",
        "overall_sum",
        "overall_min",
        "overall_max",
        "overall_average",
        "time_range",
        "now",
        "interval",
    }
)
"""Operations over other columns or none: only that those columns are there is examined."""


def check_lens(attributes: Mapping[str, Any], references: Set[str]) -> Iterator[InputError]:
    """Yield what is wrong with a visualisation; ``references`` are the names under which it uses other objects."""
    kind = text(attributes.get("visualizationType"))
    state = table(attributes.get("state"))
    if kind not in VISUALIZATIONS:
        yield InputError(f"there is no visualisation of the type '{kind}'", where="visualizationType")
    sources = table(state.get("datasourceStates"))
    if table(table(sources.get("textBased")).get("layers")):
        return  # ES|QL is another language
    yield from check_query(state.get("query"), "query")
    source = table(sources.get("formBased") or sources.get("indexpattern"))
    layers = {id_: table(layer) for id_, layer in table(source.get("layers")).items()}
    if not layers:
        yield InputError("there is no layer of columns", where="datasourceStates")
    for id_, layer in layers.items():
        yield from _check_layer(id_, layer, references | _internal(state))
    yield from check_chart(kind, table(state.get("visualization")), layers)


def _internal(state: Mapping[str, Any]) -> frozenset[str]:
    """Return the names under which a visualisation uses data views of its own."""
    return frozenset(text(table(one).get("name")) for one in items(state.get("internalReferences")))


def _check_layer(id_: str, layer: Mapping[str, Any], references: Set[str]) -> Iterator[InputError]:
    place = f"layer {id_[:8]}"
    if LAYER_REFERENCE + id_ not in references:
        yield InputError("no reference says which data view it is about", where=place)
    columns = {name: table(column) for name, column in table(layer.get("columns")).items()}
    order = [text(one) for one in items(layer.get("columnOrder"))]
    if sorted(order) != sorted(columns):
        yield InputError("columnOrder does not name each column once", where=place)
    divided = [bool(columns[one].get("isBucketed")) for one in order if one in columns]
    if divided != sorted(divided, reverse=True):
        yield InputError("columns that divide records must come before those that measure", where=place)
    for column in columns.values():
        yield from _check_column(column, columns, f"column '{text(column.get('label'))[:60]}'")


def _check_column(
    column: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]], place: str
) -> Iterator[InputError]:
    operation = text(column.get("operationType"))
    for name in items(column.get("references")):
        if text(name) not in columns:
            yield InputError("it is calculated from a column that is not there", where=place)
    if column.get("filter") is not None:
        yield from check_query(column["filter"], f"{place}: filter")
    if operation in _CALCULATIONS:
        return
    divides = operation in _BUCKETS or operation == "filters"
    if not divides and operation not in _MEASURES:
        yield InputError(f"Lens has no operation '{operation}'", where=place)
        return
    if column.get("isBucketed") is not divides:
        yield InputError(f"isBucketed does not fit the operation '{operation}'", where=place)
    if operation == "filters":
        yield from _check_parts(column, place)
        return
    yield from _check_source(column, operation, place)
    if operation == "terms":
        yield from _check_terms(column, columns, place)
    if operation == "last_value":
        yield from check_field(text(table(column.get("params")).get("sortField")), place)


def _check_parts(column: Mapping[str, Any], place: str) -> Iterator[InputError]:
    parts = items(table(column.get("params")).get("filters"))
    if not parts:
        yield InputError("it has no parts", where=place)
    for part in parts:
        yield from check_query(table(part).get("input"), f"{place}: {text(table(part).get('label'))[:60]}")


def _check_source(column: Mapping[str, Any], operation: str, place: str) -> Iterator[InputError]:
    """Examine the field a column is about, and that its type allows the operation."""
    name = text(column.get("sourceField"))
    if operation == "count" and name == RECORDS:
        return
    if not known(name):
        yield from check_field(name, place)
        return
    kind = kind_of(name)
    if not aggregates(name):
        yield InputError(f"'{name}' is long text: it can be searched, not counted or divided by", where=place)
    elif kind not in (_BUCKETS | _MEASURES)[operation]:
        yield InputError(f"'{operation}' can't be asked of '{name}' ({kind})", where=place)
    expected = _data_type(operation, kind)
    if column.get("dataType") != expected:
        yield InputError(f"its dataType should be '{expected}'", where=place)


def _data_type(operation: str, kind: str) -> str:
    """Return what Lens expects a column to hold."""
    if operation in {"terms", "date_histogram", "min", "max", "last_value"}:
        return kind
    return "number"


def _check_terms(
    column: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]], place: str
) -> Iterator[InputError]:
    params = table(column.get("params"))
    size = params.get("size")
    if not isinstance(size, int) or not 1 <= size <= MOST_VALUES:
        yield InputError(f"size should be a number from 1 to {MOST_VALUES}", where=place)
    order = table(params.get("orderBy"))
    kind = text(order.get("type"))
    if kind == "column":
        other = columns.get(text(order.get("columnId")))
        if other is None or other.get("isBucketed"):
            yield InputError("it is ordered by a column that is not there or does not measure", where=place)
    elif kind == "rare":
        if column.get("dataType") != "string":
            yield InputError("only texts can be looked at for rare values", where=place)
    elif kind not in {"alphabetical", "significant", "custom"}:
        yield InputError(f"values can't be ordered by '{kind}'", where=place)
    if params.get("orderDirection") not in {"asc", "desc"}:
        yield InputError("orderDirection should be asc or desc", where=place)
