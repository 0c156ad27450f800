"""Write what pySigma's own tools need of our mappings: the data of the plugin ``packaging/pysigma``.

The plugin runs where edusoc isn't installed, beside whatever pySigma ``sigma-cli`` wants. So it holds no knowledge of
its own: routes, fields and the names of the dictionary come from here, as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from detectors.sigma.mapping import Entry, Mappings
from soc_core.fields import FIELDS
from soc_core.query.tree import And, OneOf, Or, Query, Text


def plugin_data(mappings: Mappings) -> str:
    """Return the JSON of all log sources and known fields; the same mappings always give the same text."""
    content = {"logsources": [_entry(entry) for entry in mappings.entries], "fields": sorted(FIELDS)}
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode() + "\n"


def _entry(entry: Entry) -> dict[str, Any]:
    fields: dict[str, list[str]] = {}
    for table in entry.tables:
        for name, places in table.fields.items():
            fields.setdefault(name, list(places))
    default = next((table.default for table in entry.tables if table.default), "")
    return {
        "match": dict(entry.match),
        "events": kinds_of(entry.events),
        "fields": fields,
        "default": default,
    }


def kinds_of(events: Query) -> list[Mapping[str, list[str]]]:
    """Return the kinds of events that a route's query takes, each as its fields and their values."""
    if isinstance(events, Or):
        return [kind for part in events.children for kind in kinds_of(part)]
    return [_kind(events)]


def _kind(kind: Query) -> Mapping[str, list[str]]:
    """Return the fields that one kind of events has, each with its values (with wildcards as Sigma has them)."""
    parts = kind.children if isinstance(kind, And) else (kind,)
    found: dict[str, list[str]] = {}
    for part in parts:
        for leaf in part.children if isinstance(part, Or) else (part,):
            match leaf:
                case OneOf(field, values):
                    found.setdefault(field, []).extend(map(str, values))
                case Text(field, "wildcard", value):
                    found.setdefault(field, []).append(value)
                case _:
                    raise TypeError(f"mappings don't make {type(leaf).__name__}")
    return found
