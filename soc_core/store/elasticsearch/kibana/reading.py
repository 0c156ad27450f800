"""Read an export of Kibana: one saved object a line. Whatever stands there, reading goes on with the next line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from soc_core.errors import InputError

MOST_BYTES: Final = 26_214_400
"""Kibana takes no larger file (``savedObjects.maxImportPayloadBytes``, unless it is set otherwise)."""
MOST_OBJECTS: Final = 10_000
"""Kibana takes no more objects at once (``savedObjects.maxImportExportSize``, unless it is set otherwise)."""


@dataclass(frozen=True, slots=True)
class Found:
    """Hold one object of an export and where it stands (``file:line``)."""

    where: str
    body: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Return its type."""
        return text(self.body.get("type"))

    @property
    def id(self) -> str:
        """Return its id."""
        return text(self.body.get("id"))

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Return what it is made of."""
        return table(self.body.get("attributes"))

    @property
    def title(self) -> str:
        """Return what it is called, or its id."""
        return text(self.attributes.get("title")) or self.id

    def references(self) -> dict[str, tuple[str, str]]:
        """Return type and id of what it uses by the name under which it does."""
        found = [table(one) for one in items(self.body.get("references"))]
        return {text(one.get("name")): (text(one.get("type")), text(one.get("id"))) for one in found}


def read_export(data: bytes, file: str) -> Iterator[Found | InputError]:
    """Yield the objects of an export, and an error in place of each line that holds none."""
    if len(data) > MOST_BYTES:
        yield InputError(f"Kibana takes files of at most {MOST_BYTES >> 20} MB", where=file)
        return
    count = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        count += 1
        if count > MOST_OBJECTS:
            yield InputError(f"Kibana takes at most {MOST_OBJECTS} objects at once", where=where)
            return
        try:
            body = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield InputError(f"no JSON: {error}", where=where)
            continue
        if not isinstance(body, dict):
            yield InputError("no saved object: a table in braces is expected", where=where)
        elif "exportedCount" not in body:  # the last line of Kibana's own exports counts what went before
            yield Found(where, body)


def table(value: object) -> Mapping[str, Any]:
    """Return a JSON object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return a JSON list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a JSON text, an empty one for anything else."""
    return value if isinstance(value, str) else ""


def unpacked(value: object, place: str) -> tuple[Any, list[InputError]]:
    """Return what JSON inside JSON holds, with an error at ``place`` when it holds none."""
    if not isinstance(value, str):
        return None, [InputError("JSON kept as text is expected here", where=place)]
    try:
        return orjson.loads(value), []
    except orjson.JSONDecodeError as error:
        return None, [InputError(f"no JSON: {error}", where=place)]
