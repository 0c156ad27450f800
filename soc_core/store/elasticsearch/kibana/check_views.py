"""Examine data views and saved searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from soc_core.errors import InputError
from soc_core.store.elasticsearch.kibana.capabilities import aggregates, kind_of, known
from soc_core.store.elasticsearch.kibana.check_queries import check_field, check_query
from soc_core.store.elasticsearch.kibana.reading import Found, items, table, text, unpacked
from soc_core.store.elasticsearch.kibana.views import LONGEST_DESCRIPTION

_PACKED: Final = ("fieldAttrs", "fieldFormatMap", "fields", "runtimeFieldMap", "sourceFilters", "typeMeta")
_FORMATS: Final = frozenset(
    {"boolean", "bytes", "color", "currency", "date", "date_nanos", "duration", "geo_point"}
)
_FORMATS_TOO: Final = frozenset(
    {"histogram", "ip", "number", "percent", "relative_date", "static_lookup", "string", "truncate", "url"}
)


def check_view(found: Found) -> Iterator[InputError]:
    """Yield what is wrong with a data view."""
    attributes = found.attributes
    if not text(attributes.get("title")):
        yield InputError("it names no index", where="title")
    time = text(attributes.get("timeFieldName"))
    if not time:
        yield InputError("it has no time field, so no time range can be chosen", where="timeFieldName")
    elif not known(time):
        yield from check_field(time, "timeFieldName")
    elif kind_of(time) != "date":
        yield InputError(f"'{time}' is no time", where="timeFieldName")
    held = {}
    for name in _PACKED:
        if attributes.get(name) is not None:
            held[name], faults = unpacked(attributes[name], name)
            yield from faults
    runtime = table(held.get("runtimeFieldMap"))
    yield from _check_labels(table(held.get("fieldAttrs")), runtime)
    for name, shape in table(held.get("fieldFormatMap")).items():
        if name not in runtime:
            yield from check_field(name, "fieldFormatMap")
        yield from _check_format(table(shape), f"fieldFormatMap: {name}")


def _check_labels(naming: Mapping[str, Any], runtime: Mapping[str, Any]) -> Iterator[InputError]:
    owners: dict[str, str] = {}
    for name, values in naming.items():
        if name not in runtime:
            yield from check_field(name, "fieldAttrs")
        label = text(table(values).get("customLabel"))
        if label and owners.setdefault(label, name) != name:
            yield InputError(f"'{owners[label]}' and '{name}' are both called '{label}'", where="fieldAttrs")
        if len(text(table(values).get("customDescription"))) > LONGEST_DESCRIPTION:
            yield InputError(
                f"the description of '{name}' has more than {LONGEST_DESCRIPTION} characters",
                where="fieldAttrs",
            )


def _check_format(shape: Mapping[str, Any], place: str) -> Iterator[InputError]:
    kind, params = text(shape.get("id")), table(shape.get("params"))
    if not shape:
        return
    if kind not in _FORMATS | _FORMATS_TOO:
        yield InputError(f"Kibana has no way of showing values called '{kind}'", where=place)
    if kind == "url":
        template = text(params.get("urlTemplate"))
        if template and not template.startswith(("http://", "https://", "mailto:", "/", "#")):
            yield InputError(f"'{template[:60]}' is no address Kibana makes a link of", where=place)
        if "{{rawValue}}" in template:
            yield InputError(
                "values get into the address as they are, so a record can change where it leads",
                where=place,
                todo="write value in place of rawValue",
            )


def check_search(found: Found) -> Iterator[InputError]:
    """Yield what is wrong with a saved search."""
    attributes = found.attributes
    meta = table(attributes.get("kibanaSavedObjectMeta"))
    source, faults = unpacked(meta.get("searchSourceJSON"), "searchSourceJSON")
    yield from faults
    source = table(source)
    name = text(source.get("indexRefName"))
    if name not in found.references() and not isinstance(source.get("index"), str | dict):
        yield InputError("no reference says which data view it is about", where="searchSourceJSON")
    if source:
        yield from check_query(source.get("query"), "query")
    for column in items(attributes.get("columns")):
        if column != "_source":
            yield from check_field(text(column), "columns")
    for pair in items(attributes.get("sort")):
        yield from _check_sort(pair)


def _check_sort(pair: object) -> Iterator[InputError]:
    parts = items(pair)
    if len(parts) != 2 or parts[1] not in {"asc", "desc"}:
        yield InputError("a field and asc or desc are expected", where="sort")
        return
    name = text(parts[0])
    if not known(name):
        yield from check_field(name, "sort")
    elif not aggregates(name):
        yield InputError(f"'{name}' is long text: nothing can be sorted by it", where="sort")
