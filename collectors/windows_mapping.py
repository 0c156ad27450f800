"""Map Windows events to ECS, whatever file they came in: EVTX, Winlogbeat or other exports as JSON.

Every data item stays addressable as ``winlog.event_data.<Name>``: in its own field where the dictionary has it, else
in ``edusoc.extra``. What analysts compare across sources stands in ECS fields besides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from collectors.coerce import flatten, instant_or_none, ip_text, put, put_default, unique
from collectors.making import RecordError
from collectors.network import put_transport
from collectors.windows_dns_server import PARTS, put_dns_server
from collectors.windows_tables import (
    FAILURES,
    GROUP_CODES,
    HASH_PLACES,
    ITEMS,
    ITEMS_OF_CODE,
    LEVELS,
    MEANINGS,
    STATUS_OUTCOME,
    TARGET_ACTS,
)
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

_NOTHING: Final = frozenset({"", "-", "LOCAL", "N/A"})
_SLUG: Final = re.compile(r"[^a-z0-9]+")
_HIVES: Final[Mapping[str, str]] = {
    "HKLM": "HKLM", "HKU": "HKU", "HKCR": "HKCR", "HKCU": "HKCU", "HKEY_LOCAL_MACHINE": "HKLM", "HKEY_USERS": "HKU",
}  # fmt: skip
_QUERY_TYPE: Final = re.compile(r"^type:\s*\d+\s+")
_AUDIT_FAILURE: Final = 0x0010_0000_0000_0000
_AUDIT_SUCCESS: Final = 0x0020_0000_0000_0000


@dataclass(slots=True)
class WindowsRecord:
    """Hold one Windows event, freed from the shape of its file. ``time`` is text or a number as the file has it."""

    channel: str
    provider: str
    code: str
    time: object
    computer: str = ""
    record_id: str = ""
    level: str = ""
    task: str = ""
    opcode: str = ""
    keywords: list[str] = field(default_factory=list)
    user_sid: str = ""
    message: str = ""
    data: dict[str, object] = field(default_factory=dict)
    system: dict[str, object] = field(default_factory=dict)


def dataset_of(channel: str, provider: str) -> str:
    """Return the part of the data set after ``windows.``: ``security``, ``sysmon``, ``powershell`` and so on."""
    name = (channel or provider).lower()
    if "sysmon" in name:
        return "sysmon"
    if name in (
        "windows powershell",
        "microsoft-windows-powershell/operational",
        "powershellcore/operational",
    ):
        return "powershell"
    name = name.removeprefix("microsoft-windows-").removesuffix("/operational")
    return _SLUG.sub("_", name).strip("_")[:64] or "unknown"


def map_record(record: WindowsRecord, zone: tzinfo) -> Event:
    """Return the event of one record. Raises ``RecordError`` when it has no usable time."""
    part = dataset_of(record.channel, record.provider)
    category, types, action = MEANINGS.get(part, {}).get(record.code, (["host"], ["info"], ""))
    event: Event = {
        TIMESTAMP: _time(record.time, zone),
        "event.dataset": f"windows.{part}",
        "event.category": list(category),
        "event.type": list(types),
    }
    put(event, "event.action", action)
    _put_system(event, record)
    table = {**ITEMS.get(part, {}), **ITEMS_OF_CODE.get((part, record.code), {})}
    for name, value in flatten(record.data):
        _put_item(event, name, value, table.get(name))
    _put_outcome(event, record, part)
    _put_users(event, record, part)
    if part == "sysmon":
        _put_sysmon(event, record)
    elif part in PARTS:
        put_dns_server(event, record.code, record.data)
    _put_names(event)
    return event


def _time(value: object, zone: tzinfo) -> str:
    if isinstance(value, str):
        text = value.strip().removesuffix(" UTC")
        instant = instant_or_none(text + "Z" if text != value.strip() else text, zone)
        if instant is not None:
            return format_instant(instant)
    raise RecordError(f"unreadable time {str(value)[:40]!r}" if value else "no usable time")


def _put_system(event: Event, record: WindowsRecord) -> None:
    event["event.kind"] = "event"
    put(event, "event.code", record.code)
    put(event, "event.provider", record.provider)
    put(event, "winlog.event_id", record.code)
    put(event, "winlog.channel", record.channel)
    put(event, "winlog.provider_name", record.provider)
    put(event, "winlog.record_id", record.record_id)
    put(event, "winlog.computer_name", record.computer)
    put(event, "host.name", record.computer)
    put(event, "host.hostname", record.computer.partition(".")[0])
    event["host.os.type"] = "windows"
    put(event, "winlog.task", record.task)
    put(event, "winlog.opcode", record.opcode)
    put(event, "winlog.level", record.level)
    put(event, "log.level", LEVELS.get(record.level, record.level.lower()))
    put(event, "winlog.keywords", record.keywords)
    put(event, "message", record.message)
    for name, value in flatten(record.system):
        put(event, f"winlog.{name}", value)


def _put_item(event: Event, name: str, value: object, place: str | None) -> None:
    """Write one data item under its own name and, where the tables say so, as the ECS field."""
    put(event, f"winlog.event_data.{name}", value)
    if place is None or (isinstance(value, str) and value.strip() in _NOTHING):
        return
    if place.endswith(".ip"):
        address = ip_text(str(value))
        if address is not None:
            event[place] = address
    elif not (place.endswith(".port") and str(value) == "0"):
        put(event, place, value)


def _put_outcome(event: Event, record: WindowsRecord, part: str) -> None:
    """Write the outcome of audited events: from the status, the audit keywords or the code itself."""
    if part != "security":
        return
    status = str(record.data.get("Status", "")).lower()
    if record.code in FAILURES:
        event["event.outcome"] = "failure"
    elif record.code in STATUS_OUTCOME and status:
        event["event.outcome"] = "success" if status in ("0x0", "0x00000000", "0") else "failure"
    else:
        success = _audited(record.keywords)
        if success is not None:
            event["event.outcome"] = "success" if success else "failure"


def _audited(keywords: list[str]) -> bool | None:
    """Tell whether the keywords say audit success or failure, ``None`` when they say neither."""
    for word in keywords:
        lower = word.lower()
        if lower in ("audit success", "审核成功"):
            return True
        if lower in ("audit failure", "审核失败"):
            return False
        try:
            bits = int(word, 0)
        except ValueError:
            continue
        if bits & _AUDIT_FAILURE:
            return False
        if bits & _AUDIT_SUCCESS:
            return True
    return None


def _text(record: WindowsRecord, name: str) -> str:
    value = record.data.get(name)
    return value if isinstance(value, str) and value not in _NOTHING else ""


def _put_users(event: Event, record: WindowsRecord, part: str) -> None:
    """Write who acted (``user``) and on whom (``user.target``, ``user.effective`` or ``group``)."""
    subject = [_text(record, f"Subject{name}") for name in ("UserName", "DomainName", "UserSid")]
    target = [_text(record, f"Target{name}") for name in ("UserName", "DomainName", "UserSid")]
    target[2] = target[2] or _text(record, "TargetSid")
    acting = target if part == "security" and record.code in TARGET_ACTS and target[0] else subject
    both = _text(record, "User")
    if both and not acting[0]:
        domain, _, name = both.rpartition("\\")
        acting = [name, domain, ""]
    acting[2] = acting[2] or record.user_sid * (not acting[0])
    for name, value in zip(("name", "domain", "id"), acting, strict=True):
        put_default(event, f"user.{name}", value)
    if target[0] and acting is not target:
        _put_target(event, record.code, target)
    put(event, "related.user", unique([acting[0], target[0] * (record.code not in GROUP_CODES)]))


def _put_target(event: Event, code: str, target: list[str]) -> None:
    if code in GROUP_CODES:
        for name, value in zip(("name", "domain", "id"), target, strict=True):
            put(event, f"group.{name}", value)
    elif code in ("4648", "4688"):
        put(event, "user.effective.name", target[0])
    else:
        for name, value in zip(("name", "domain", "id"), target, strict=True):
            put(event, f"user.target.{name}", value)


def _put_sysmon(event: Event, record: WindowsRecord) -> None:
    place = HASH_PLACES.get(record.code)
    hashes = _text(record, "Hashes") or _text(record, "Hash")
    if place and hashes:
        _put_hashes(event, place, hashes)
    if record.code == "3":
        put_transport(event, _text(record, "Protocol"))
        initiated = str(record.data.get("Initiated", "")).lower()
        put(event, "network.direction", {"true": "egress", "false": "ingress"}.get(initiated))
    elif record.code == "22":
        _put_dns(event, record)
    elif record.code in ("12", "13", "14"):
        _put_registry(event, record)


def _put_hashes(event: Event, place: str, hashes: str) -> None:
    """Write ``MD5=…,SHA256=…,IMPHASH=…``; all digests also go to ``related.hash``."""
    found: list[str] = []
    for part in hashes.split(","):
        name, _, digest = part.partition("=")
        if not digest or not digest.strip("0"):
            continue
        found.append(digest.lower())
        field_name = f"{place}.hash.{name.strip().lower()}"
        if field_name == "process.hash.imphash":
            put(event, "process.pe.imphash", digest.lower())
        if field_name != "file.hash.imphash":
            put(event, field_name, digest.lower())
    put(event, "related.hash", found)


def _put_dns(event: Event, record: WindowsRecord) -> None:
    """Write the answers of a DNS query: ``type:  5 name;::ffff:192.0.2.1;``."""
    event["network.protocol"] = "dns"
    event["dns.type"] = "answer"
    answers = [part.strip() for part in _text(record, "QueryResults").split(";") if part.strip()]
    addresses = unique(address for part in answers if (address := ip_text(part)))
    put(event, "dns.answers.data", [ip_text(part) or _QUERY_TYPE.sub("", part) for part in answers])
    put(event, "dns.resolved_ip", addresses)
    status = str(record.data.get("QueryStatus", ""))
    put(event, "dns.response_code", {"0": "NOERROR", "9003": "NXDOMAIN"}.get(status, status))


def _put_registry(event: Event, record: WindowsRecord) -> None:
    path = _text(record, "TargetObject")
    hive, _, rest = path.partition("\\")
    if hive.upper() in _HIVES:
        event["registry.hive"] = _HIVES[hive.upper()]
    else:
        rest = path
    key, _, value = rest.rpartition("\\")
    if record.code == "13" and key:
        put(event, "registry.key", key)
        put(event, "registry.value", value)
    else:
        put(event, "registry.key", rest)


def _put_names(event: Event) -> None:
    """Write the last part of paths as names, and user and address lists for pivoting."""
    for path, name in (
        ("process.executable", "process.name"),
        ("process.parent.executable", "process.parent.name"),
        ("file.path", "file.name"),
        ("dll.path", "dll.name"),
    ):
        value = event.get(path)
        if isinstance(value, str) and name not in event:
            put(event, name, value.replace("/", "\\").rpartition("\\")[2])
    file_name = event.get("file.name")
    if isinstance(file_name, str) and "." in file_name[1:]:
        put(event, "file.extension", file_name.rpartition(".")[2])
