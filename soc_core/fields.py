"""Hold the one dictionary of event fields.

``fields.tsv`` beside this file has a line per field: name, type, origin, personal-data class, Chinese and English
description. It is the single source of the embedded schema, the Elasticsearch templates, the Sigma mappings, the
privacy classes and the reference page ``docs/reference/fields.md``.

Types: ``keyword`` (exact text), ``text`` (long text, searched by substring), ``long`` (64-bit), ``double``,
``boolean``, ``date`` (canonical UTC text, see ``soc_core.clock``), ``ip`` (canonical address text). A type that ends
in ``[]`` is always a list; any other field holds one value.
Origins: ``ecs`` (Elastic Common Schema), ``winlog`` and ``zeek`` (names those tools' users know), ``edusoc`` (ours).
Personal-data classes: ``none``, ``account`` (names a person or an account), ``device`` (can be tied to a person's
device), ``content`` (may contain anything a person wrote).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from soc_core.errors import StoreError

TYPES: Final = frozenset({"keyword", "text", "long", "double", "boolean", "date", "ip"})
ORIGINS: Final = frozenset({"ecs", "winlog", "zeek", "edusoc"})
PERSONAL: Final = frozenset({"none", "account", "device", "content"})


@dataclass(frozen=True, slots=True)
class Field:
    """Describe one field. ``multi`` fields are always lists, the others always scalars."""

    name: str
    type: str
    multi: bool
    origin: str
    personal: str
    zh: str
    en: str


def parse_fields(table: str) -> dict[str, Field]:
    """Return the fields of a tab-separated ``table`` in order; raise ``StoreError`` naming the line that is wrong."""
    fields: dict[str, Field] = {}
    for number, line in enumerate(table.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 6 or not all(cells):
            raise StoreError("a field line needs six cells", where=f"soc_core/fields.tsv:{number}")
        name, kind, origin, personal, zh, en = cells
        known = kind.removesuffix("[]") in TYPES and origin in ORIGINS and personal in PERSONAL
        if not known or name in fields:
            raise StoreError(
                f"field '{name}' is doubled or has an unknown class", where=f"soc_core/fields.tsv:{number}"
            )
        fields[name] = Field(name, kind.removesuffix("[]"), kind.endswith("[]"), origin, personal, zh, en)
    return fields


@cache
def all_fields() -> Mapping[str, Field]:
    """Return the dictionary, read once, in the order of the table."""
    table = resources.files("soc_core").joinpath("fields.tsv").read_text(encoding="utf-8")
    return MappingProxyType(parse_fields(table))


FIELDS: Final[Mapping[str, Field]] = all_fields()
