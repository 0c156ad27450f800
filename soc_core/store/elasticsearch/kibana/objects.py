"""Write Kibana's saved objects: one JSON object a line, the same bytes for the same content.

Ids are UUIDs made from the prefix of the indices, the kind and our own name of an object. So a newer pack replaces the
older one, whatever its language, and packs for two prefixes live side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID, uuid5

import orjson

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Table: TypeAlias = Mapping[str, Json]

CORE_VERSION: Final = "8.8.0"
"""The oldest form of saved objects that names the version of a type by itself (``typeMigrationVersion``)."""
VERSIONS: Final[Mapping[str, str]] = {
    "index-pattern": "8.0.0",
    "search": "8.0.0",
    "lens": "8.9.0",
    "dashboard": "8.9.0",
}
"""The last form of each type before its form was counted anew (``10.x``). Kibana 8.14 and later bring it up to theirs.

Sources: the types' own migrations in elastic/kibana (``saved_search``, ``data_views``, ``dashboard``, ``lens``).
"""
_NAMESPACE: Final = UUID("6f1c5b0e-7f0b-5a52-9d0e-3a1de35c1c1e")


@dataclass(frozen=True, slots=True)
class Reference:
    """Say which object another one uses, under which ``name`` it does."""

    name: str
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class SavedObject:
    """Hold one saved object."""

    type: str
    id: str
    attributes: Table
    references: tuple[Reference, ...] = ()

    def line(self) -> bytes:
        """Return it as one line of an export."""
        body = {
            "attributes": self.attributes,
            "coreMigrationVersion": CORE_VERSION,
            "id": self.id,
            "managed": False,
            "references": [
                {"id": one.id, "name": one.name, "type": one.type}
                for one in sorted(self.references, key=lambda one: (one.name, one.id))
            ],
            "type": self.type,
            "typeMigrationVersion": VERSIONS[self.type],
        }
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def object_id(prefix: str, kind: str, name: str) -> str:
    """Return the id of an object: always the same for the same three."""
    return str(uuid5(_NAMESPACE, f"{prefix}/{kind}/{name}"))


def packed(value: Json) -> str:
    """Return JSON inside JSON, as Kibana keeps many attributes, with its keys in order."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def kql_query(text: str) -> Table:
    """Return a query as Kibana keeps it."""
    return {"language": "kuery", "query": text}
