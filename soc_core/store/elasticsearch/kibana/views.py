"""Make data views: what a field is called, how its values are shown, and where a click on one leads."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Final

from soc_core.fields import FIELDS, Field
from soc_core.store.elasticsearch.kibana.content import ViewSpec
from soc_core.store.elasticsearch.kibana.objects import SavedObject, Table, object_id, packed
from soc_core.store.elasticsearch.kibana.options import PackOptions

TIME_FIELD: Final = "@timestamp"
UNIT: Final = "organization.id"
HIDDEN: Final = "edusoc.log.*"
"""What the store keeps beside an event is nobody's business (``templates``)."""
LONGEST_DESCRIPTION: Final = 300
"""Kibana refuses longer descriptions of fields, in characters."""
KIBANA_TYPES: Final = {
    "keyword": "string",
    "text": "string",
    "long": "number",
    "double": "number",
    "boolean": "boolean",
    "date": "date",
    "ip": "ip",
}
ADDRESSES: Final = (
    "source.ip",
    "destination.ip",
    "client.ip",
    "server.ip",
    "host.ip",
    "dns.resolved_ip",
    "related.ip",
)
_LONG: Final = "&hours=4320"
"""Half a year: rooms of the console look back a month unless told."""
_LINKS: Final[dict[str, str]] = {
    "event.id": "/events/{{value}}",
    "network.community_id": "/events?q=network.community_id:%22{{value}}%22" + _LONG,
    UNIT: "/overview?organisation={{value}}",
    **dict.fromkeys(ADDRESSES, "/alerts?q={{value}}" + _LONG),
}
"""Paths of the console (``soc_api/pages``): a record, the records of a session, a unit, the alerts of an address."""
_DURATIONS: Final = {"event.duration": "nanoseconds", "edusoc.http.request_seconds": "seconds"}


def data_view(spec: ViewSpec, options: PackOptions) -> SavedObject:
    """Return the data view."""
    names = spec.field_names()
    formats = {name: shape for name in names if (shape := _format(FIELDS[name], options)) is not None}
    attributes: Table = {
        "allowHidden": False,
        "allowNoIndex": True,  # data sets that nobody delivers yet have no index
        "fieldAttrs": packed({name: _naming(FIELDS[name], options.language) for name in names}),
        "fieldFormatMap": packed(formats),
        "fields": "[]",
        "name": _name(spec, options),
        "runtimeFieldMap": "{}",
        "sourceFilters": packed([{"value": HIDDEN}]),
        "timeFieldName": TIME_FIELD,
        "title": options.index_pattern(spec.datasets),
        "typeMeta": "{}",
    }
    return SavedObject("index-pattern", view_id(spec.id, options), attributes)


def view_id(name: str, options: PackOptions) -> str:
    """Return the id of a data view."""
    return object_id(options.prefix, "index-pattern", name)


def _name(spec: ViewSpec, options: PackOptions) -> str:
    """Return what the view is called: Kibana wants names to differ, so other prefixes are named."""
    title = spec.title.of(options.language)
    return title if options.prefix == "edusoc" else f"{title} ({options.prefix})"


def _naming(field: Field, language: str) -> Table:
    """Return label and description. English readers know the names as they are; Chinese ones get words."""
    if language == "en":
        return {"customDescription": field.en[:LONGEST_DESCRIPTION]}
    description = f"{field.name}：{field.zh}（{field.en}）"
    return {
        "customDescription": description[:LONGEST_DESCRIPTION],
        "customLabel": label_of(field.name, language),
    }


def label_of(name: str, language: str) -> str:
    """Return what a field is called; two fields of the same words are told apart by their names."""
    field = FIELDS[name]
    if language == "en":
        return name
    return field.zh if _chinese()[field.zh] == 1 else f"{field.zh} {field.name}"


@cache
def _chinese() -> Counter[str]:
    return Counter(field.zh for field in FIELDS.values())


def _format(field: Field, options: PackOptions) -> Table | None:
    """Return how values are shown, ``None`` where Kibana's own way is right."""
    if field.name == UNIT and options.unit_names:
        entries = [{"key": id_, "value": name} for id_, name in sorted(options.unit_names.items())]
        return {"id": "static_lookup", "params": {"lookupEntries": entries, "unknownKeyValue": None}}
    if field.name in _LINKS:
        address = options.console.rstrip("/") + _LINKS[field.name]
        return {
            "id": "url",
            "params": {"labelTemplate": "{{value}}", "type": "a", "urlTemplate": address},
        }
    if field.name in _DURATIONS:
        return {"id": "duration", "params": {**_DURATION, "inputFormat": _DURATIONS[field.name]}}
    if field.type != "long":
        return None
    if field.name.endswith((".bytes", "missed_bytes", "file.size")):
        return {"id": "bytes", "params": {"pattern": "0,0.[0] b"}}
    return None if _is_amount(field.name) else {"id": "number", "params": {"pattern": "0"}}


_DURATION: Final[Table] = {
    "includeSpaceWithSuffix": True,
    "outputFormat": "humanizePrecise",
    "outputPrecision": 1,
    "useShortSuffix": True,
}
_AMOUNTS: Final = ("packets", "files_", "fragments", "attempts", "repeated", "public_key_size")


def _is_amount(name: str) -> bool:
    """Tell a number that counts something from one that names something (a port, a process), shown without commas."""
    return any(word in name for word in _AMOUNTS)
