"""Bring the JSON shapes in which Windows events are exported to one ``WindowsRecord``.

``{"Event": {"System": …, "EventData": …}}`` (evtx tools), Winlogbeat 7/8 nested or dotted, Winlogbeat 6, EvtxECmd,
and flat objects with ``EventID`` and ``Channel`` (NXLog, Hayabusa-like exports, rule test data).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import orjson

from collectors.windows_mapping import WindowsRecord

Tree = Mapping[str, object]
_FLAT_SYSTEM: Final = frozenset(
    {
        "EventID", "EventId", "Channel", "SourceName", "ProviderName", "Provider_Name", "Provider", "Computer",
        "Hostname", "ProviderGuid", "Version",
        "EventTime", "TimeCreated", "UtcTime", "SystemTime", "@timestamp", "Timestamp", "RecordNumber", "EventRecordID",
        "RecordId", "EventRecordId", "Level", "Task", "Opcode", "Keywords", "Message", "UserId",
    }
)  # fmt: skip


def nested(value: object) -> dict[str, object]:
    """Return ``value`` when it is a mapping, else an empty one."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def plain(value: object) -> str:
    """Return the text of an element: itself, or its ``#text``."""
    if isinstance(value, dict):
        value = value.get("#text", value.get("Value", ""))
    return "" if value is None else str(value)


def attribute(value: object, name: str) -> str:
    """Return an XML attribute in either of the two spellings exports use."""
    tree = nested(value)
    return plain(nested(tree.get("#attributes")).get(name, tree.get(f"@{name}", tree.get(name))))


def from_event(event: Tree) -> WindowsRecord:
    """Return the record of ``{"System": …, "EventData" or "UserData": …}``."""
    system = nested(event.get("System"))
    execution = system.get("Execution")
    extra = {
        "version": plain(system.get("Version")),
        "process.pid": attribute(execution, "ProcessID"),
        "process.thread.id": attribute(execution, "ThreadID"),
        "activity_id": attribute(system.get("Correlation"), "ActivityID"),
        "provider_guid": attribute(system.get("Provider"), "Guid"),
    }
    return WindowsRecord(
        channel=plain(system.get("Channel")),
        provider=attribute(system.get("Provider"), "Name"),
        code=plain(system.get("EventID")),
        time=attribute(system.get("TimeCreated"), "SystemTime") or plain(system.get("TimeCreated")),
        computer=plain(system.get("Computer")),
        record_id=plain(system.get("EventRecordID")),
        level=plain(system.get("Level")),
        task=plain(system.get("Task")),
        opcode=plain(system.get("Opcode")),
        keywords=[word for word in [plain(system.get("Keywords"))] if word],
        user_sid=attribute(system.get("Security"), "UserID"),
        message=plain(nested(event.get("RenderingInfo")).get("Message")),
        data=event_data(event),
        system={name: value for name, value in extra.items() if value},
    )


def event_data(event: Tree) -> dict[str, object]:
    """Return the data items of an event by name; unnamed ones become ``param1``, ``param2`` and so on."""
    items: dict[str, object] = {}
    for name, value in nested(event.get("EventData")).items():
        if name == "Data":
            _add_unnamed(items, value)
        elif not name.startswith(("#", "@")):
            items[name] = plain(value) if isinstance(value, dict) and "#text" in value else value
    for name, value in nested(event.get("UserData")).items():
        if isinstance(value, dict):
            items.update({key: item for key, item in value.items() if not key.startswith(("#", "@"))})
        elif not name.startswith(("#", "@")):
            items[name] = value
    return {name: value for name, value in items.items() if value is not None}


def _add_unnamed(items: dict[str, object], value: object) -> None:
    """Add ``Data`` elements: texts, or objects with a ``Name``."""
    tree = nested(value)
    values = tree.get("#text", value) if tree and "@Name" not in tree and "Name" not in tree else value
    number = 0
    for item in values if isinstance(values, list) else [values]:
        part = nested(item)
        name = attribute(part, "Name") if part else ""
        if name:
            items[name] = plain(part)
        elif item is not None:
            number += 1
            items[f"param{number}"] = plain(item) if part else item


def from_winlogbeat(tree: Tree) -> WindowsRecord:
    """Return the record of a Winlogbeat 7/8 document that was brought to nested form."""
    winlog, event, host = nested(tree.get("winlog")), nested(tree.get("event")), nested(tree.get("host"))
    data = {**nested(winlog.get("user_data")), **nested(winlog.get("event_data"))}
    data.pop("xml_name", None)
    process = nested(winlog.get("process"))
    system = {"process.pid": process.get("pid"), "process.thread.id": nested(process.get("thread")).get("id")}
    return WindowsRecord(
        channel=plain(winlog.get("channel")),
        provider=plain(winlog.get("provider_name") or event.get("provider")),
        code=plain(winlog.get("event_id") or event.get("code")),
        time=tree.get("@timestamp"),
        computer=plain(winlog.get("computer_name") or host.get("name")),
        record_id=plain(winlog.get("record_id")),
        level=plain(nested(tree.get("log")).get("level")),
        task=plain(winlog.get("task")),
        opcode=plain(winlog.get("opcode")),
        keywords=_words(winlog.get("keywords")),
        user_sid=plain(nested(winlog.get("user")).get("identifier")),
        message=plain(tree.get("message")),
        data=data,
        system={name: value for name, value in system.items() if value is not None},
    )


def _words(value: object) -> list[str]:
    """Return the texts of a list or of one value."""
    return [text for item in (value if isinstance(value, list) else [value]) if (text := plain(item))]


def from_winlogbeat6(tree: Tree) -> WindowsRecord:
    """Return the record of a Winlogbeat 6 document (``log_name``, ``event_id`` at the top)."""
    return WindowsRecord(
        channel=plain(tree.get("log_name")),
        provider=plain(tree.get("source_name")),
        code=plain(tree.get("event_id")),
        time=tree.get("@timestamp"),
        computer=plain(tree.get("computer_name")),
        record_id=plain(tree.get("record_number")),
        level=plain(tree.get("level")),
        task=plain(tree.get("task")),
        opcode=plain(tree.get("opcode")),
        keywords=_words(tree.get("keywords")),
        user_sid=plain(nested(tree.get("user")).get("identifier")),
        message=plain(tree.get("message")),
        data={**nested(tree.get("user_data")), **nested(tree.get("event_data"))},
    )


def from_flat(tree: Tree) -> WindowsRecord:
    """Return the record of a flat export: system items and data items side by side, or data under ``EventData``."""
    data: dict[str, object] = {}
    for name, value in tree.items():
        if name in ("EventData", "UserData") and isinstance(value, dict):
            data.update(event_data({name: value}))
        elif name not in _FLAT_SYSTEM and value is not None:
            data[name] = value
    payload = data.get("Payload")
    if isinstance(payload, str) and payload.startswith("{") and "MapDescription" in tree:
        data.pop("Payload")
        data.update(_evtxecmd_payload(payload))
    return WindowsRecord(
        channel=_first(tree, "Channel"),
        provider=_first(tree, "SourceName", "ProviderName", "Provider_Name", "Provider"),
        code=_first(tree, "EventID", "EventId"),
        time=_first(tree, "EventTime", "TimeCreated", "SystemTime", "@timestamp", "Timestamp", "UtcTime")
        or None,
        computer=_first(tree, "Computer", "Hostname"),
        record_id=_first(tree, "EventRecordID", "EventRecordId", "RecordNumber", "RecordId"),
        level=_first(tree, "Level"),
        task=_first(tree, "Task"),
        opcode=_first(tree, "Opcode"),
        keywords=[word for word in [_first(tree, "Keywords")] if word],
        user_sid=_first(tree, "UserId"),
        message=_first(tree, "Message"),
        data=data,
    )


def _first(tree: Tree, *names: str) -> str:
    """Return the text of the first of ``names`` that is there."""
    return next((text for name in names if (text := plain(tree.get(name)))), "")


def _evtxecmd_payload(payload: str) -> dict[str, object]:
    """Return the data items EvtxECmd packs as JSON text into ``Payload``."""
    try:
        tree = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {"Payload": payload}
    return event_data(nested(tree)) or {"Payload": payload}
