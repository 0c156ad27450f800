"""Read Windows events that were exported as JSON: Winlogbeat 6 to 8 and the other shapes of ``windows_json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import flatten, put_default
from collectors.json_records import JsonObject, JsonTree, first_object
from collectors.lines import decode_text
from collectors.making import RecordError
from collectors.records import read_json_events
from collectors.windows_json import from_event, from_flat, from_winlogbeat, from_winlogbeat6, nested
from collectors.windows_mapping import WindowsRecord, map_record
from soc_core.fields import FIELDS
from soc_core.model.event import Event

_MOVED: Final = frozenset({"process", "source", "destination", "network", "dns", "file", "registry", "dll"})


class Winlogbeat:
    """Collect Windows events in JSON."""

    name: str = "winlogbeat"
    datasets: tuple[str, ...] = ("windows",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 85 for any of the known shapes."""
        first = first_object(head)
        if first is None:
            return 60 if b'"winlog"' in head or (b'"Event"' in head and b'"EventRecordID"' in head) else 0
        return 85 if windows_record(first) is not None else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_json_events(source, context, WindowsParser(context), name=self.name, module="windows")


class WindowsParser:
    """Map one JSON object to one event."""

    def __init__(self, context: ReadContext) -> None:
        """Take the context of the reading."""
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of one object. Raises ``RecordError`` when it is no Windows event."""
        windows = windows_record(record.tree)
        if windows is None:
            raise RecordError("not a Windows event")
        event = map_record(windows, self._context.zone_info)
        _put_moved(event, record.tree)
        if self._context.keep_original:
            event["event.original"] = decode_text(record.raw)
        return (event,)


def _put_moved(event: Event, tree: JsonTree) -> None:
    """Write what Winlogbeat's modules moved from the data items to ECS fields, where the items no longer say it."""
    tree = nested(tree.get("_source")) or tree
    for group, value in tree.items():
        if group.partition(".")[0] in _MOVED:
            for name, item in flatten({group: value}):
                if name in FIELDS:
                    put_default(event, name, item)


def windows_record(tree: JsonTree) -> WindowsRecord | None:
    """Return the Windows record in ``tree``, ``None`` when it has none of the known shapes."""
    source = nested(tree.get("_source"))
    if source:
        tree = source
    event = nested(tree.get("Event"))
    if "System" in event:
        return from_event(event)
    if "winlog" in tree:
        return from_winlogbeat(tree)
    if any(name.startswith("winlog.") for name in tree):
        return from_winlogbeat(unflatten(tree))
    if "log_name" in tree and "event_id" in tree:
        return from_winlogbeat6(tree)
    if "Channel" in tree and ("EventID" in tree or "EventId" in tree):
        return from_flat(tree)
    if "EventID" in tree and ("SourceName" in tree or "ProviderName" in tree or "Provider_Name" in tree):
        return from_flat(tree)
    return None


def unflatten(tree: Mapping[str, object]) -> dict[str, object]:
    """Return ``tree`` with dotted names taken apart; where a name is both value and object the object wins."""
    result: dict[str, object] = {}
    for name, value in tree.items():
        place = result
        *path, last = name.split(".")
        for part in path:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = {}
                place[part] = inner
            place = inner
        if not isinstance(place.get(last), dict):
            place[last] = value
        elif isinstance(value, Mapping):
            place[last] = {**nested(place[last]), **value}
    return result
