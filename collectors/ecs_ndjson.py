"""Read events that are in ECS already: one JSON object a line or an array, nested or dotted names.

Values are brought to the types of the dictionary; fields it doesn't know go to ``edusoc.extra``. Our own exports come
back unchanged, ids included, so importing one twice, or importing what is stored already, adds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import date_text, extra, instant_or_none, put
from collectors.json_records import JsonObject, JsonTree, first_object
from collectors.making import RecordError
from collectors.nesting import value_at
from collectors.records import read_json_events
from soc_core.clock import format_instant
from soc_core.fields import FIELDS
from soc_core.model.event import (
    EVENT_ID,
    EXTRA,
    ORGANIZATION_ID,
    TIMESTAMP,
    ZONE,
    Event,
    make_event_id,
    make_source_identity,
)

_OUR_ID: Final = re.compile(r"\d{8}-[0-9a-v]{26}")
_DEFAULTS: Final[Mapping[str, str]] = {
    "event.dataset": "ecs.event",
    "event.module": "ecs",
    "event.kind": "event",
}


class EcsNdjson:
    """Collect ECS events."""

    name: str = "ecs_ndjson"
    datasets: tuple[str, ...] = ("ecs.event",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 95 for events that carry an id of ours, 50 for others with ``@timestamp``."""
        first = first_object(head)
        if first is None:
            return 30 if b'"@timestamp"' in head else 0
        tree = _document(first)
        if _OUR_ID.fullmatch(str(value_at(tree, EVENT_ID))) and value_at(tree, "event.dataset"):
            return 95
        return 50 if "@timestamp" in tree else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_json_events(source, context, EcsParser(context), name=self.name, module="ecs")


def _document(tree: JsonTree) -> JsonTree:
    """Return the event itself where a search engine's export wraps it in ``_source``."""
    source = tree.get("_source")
    return source if isinstance(source, dict) else tree


class EcsParser:
    """Map one object to one event."""

    def __init__(self, context: ReadContext) -> None:
        """Take the context of the reading."""
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event. Raises ``RecordError`` when it has no usable ``@timestamp``."""
        event: Event = {}
        for name, value in _leaves(_document(record.tree)):
            if name == EXTRA:
                _add_extra(event, value)
            elif name == TIMESTAMP:
                self._time(event, value)
            elif name in FIELDS or not isinstance(value, list):
                put(event, name, value)
            else:
                extra(event, name, value)
        if TIMESTAMP not in event:
            raise RecordError("no usable @timestamp")
        self._identify(event)
        for name, text in _DEFAULTS.items():
            event.setdefault(name, text)
        event.setdefault("event.category", ["host"])
        return (event,)

    def _time(self, event: Event, value: object) -> None:
        instant = instant_or_none(value, self._context.zone_info) if isinstance(value, str) else None
        text = format_instant(instant) if instant is not None else date_text(value)
        if text is not None:
            event[TIMESTAMP] = text

    def _identify(self, event: Event) -> None:
        """Keep an id of ours where the event stays in its unit; give it another where it moves to a different one.

        Ids of other systems are kept in ``edusoc.extra``.
        """
        given = event.pop(EVENT_ID, None)
        if given is None:
            return
        unit, zone = self._context.organization_id, self._context.zone
        ours = _OUR_ID.fullmatch(str(given)) is not None
        if not ours:
            extra(event, EVENT_ID, given)
        elif not unit or (event.get(ORGANIZATION_ID) == unit and event.get(ZONE, zone) == zone):
            event[EVENT_ID] = given
        else:
            identity = make_source_identity(unit, zone, "ecs_ndjson", b"")
            event[EVENT_ID] = make_event_id(str(event[TIMESTAMP]), identity, 0, str(given).encode())


def _leaves(tree: Mapping[str, object], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Yield dotted name and value; lists of objects become parallel lists."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < 16:
            yield from _leaves(value, f"{name}.", depth + 1)
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield from _columns(name, value)
        else:
            yield name, value


def _columns(name: str, rows: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, object]]:
    """Yield each member of a list of objects as one list; missing members are left out."""
    for key in dict.fromkeys(key for row in rows for key in row):
        yield f"{name}.{key}", [row[key] for row in rows if row.get(key) is not None]


def _add_extra(event: Event, value: object) -> None:
    """Take over ``edusoc.extra`` of an event of ours as it is."""
    items = value if isinstance(value, list) else [value]
    put(event, EXTRA, [item for item in items if isinstance(item, str)])
