"""Say what can be asked of a field as our templates index it."""

from __future__ import annotations

from typing import Final

from soc_core.store.elasticsearch.kibana.views import KIBANA_TYPES
from soc_core.store.elasticsearch.templates import mappings

LONGEST: Final = 100
"""Longer patterns, in characters, stand for no field."""
_PROPERTIES: Final[dict[str, dict[str, object]]] = mappings()["properties"]
_KINDS: Final = {**KIBANA_TYPES, "date_nanos": "date", "integer": "number", "keyword": "string"}


def known(name: str) -> bool:
    """Tell whether our templates index the field."""
    return name in _PROPERTIES


def matching(pattern: str) -> list[str]:
    """Return the fields whose names a pattern with ``*`` stands for; none for one longer than names are."""
    if len(pattern) > LONGEST:
        return []
    parts = pattern.split("*")
    return [name for name in _PROPERTIES if _fits(name, parts)]


def kind_of(name: str) -> str:
    """Return what Kibana takes the field for: string, number, date, ip or boolean."""
    return _KINDS[str(_PROPERTIES[name]["type"])]


def aggregates(name: str) -> bool:
    """Tell whether records can be divided, sorted or measured by it; long texts can only be searched."""
    return bool(_PROPERTIES[name].get("doc_values", True))


def _fits(name: str, parts: list[str]) -> bool:
    if len(parts) == 1:
        return name == parts[0]
    if not name.startswith(parts[0]) or not name.endswith(parts[-1]):
        return False
    at, end = len(parts[0]), len(name) - len(parts[-1])
    for part in parts[1:-1]:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
