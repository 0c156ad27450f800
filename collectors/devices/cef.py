"""Understand CEF of any vendor. Severity 4 (Medium) and more makes an alert; vendor and product stand in the header."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, long_value, put
from collectors.devices.base import Family
from collectors.devices.event_formats import Record, begin_event, read_cef
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    own_time,
    put_pairs,
    put_time,
    put_web,
    verdict,
)
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "src": "source.ip", "spt": "source.port", "smac": "source.mac", "shost": "source.domain", "suser": "user.name",
    "suid": "user.id", "dst": "destination.ip", "dpt": "destination.port", "dmac": "destination.mac",
    "dhost": "destination.domain", "duser": "destination.user.name", "sourcetranslatedaddress": "source.nat.ip",
    "sourcetranslatedport": "source.nat.port", "destinationtranslatedaddress": "destination.nat.ip",
    "destinationtranslatedport": "destination.nat.port", "proto": "", "app": "network.protocol", "act": "",
    "out": "source.bytes", "in": "destination.bytes", "rt": "", "start": "", "end": "", "msg": "rule.description",
    "reason": "event.reason", "outcome": "", "cnt": "edusoc.repeated", "cat": "rule.category", "request": "",
    "requestmethod": "http.request.method", "requestclientapplication": "user_agent.original",
    "dvchost": "observer.hostname", "dvc": "observer.ip", "deviceexternalid": "observer.serial_number",
    "deviceinboundinterface": "observer.ingress.interface.name",
    "deviceoutboundinterface": "observer.egress.interface.name", "fname": "file.name", "filepath": "file.path",
    "fsize": "file.size", "filehash": "related.hash", "externalid": "", "sproc": "process.name",
    "dproc": "process.name",
}  # fmt: skip
_WORDS: Final[Mapping[str, int]] = {"unknown": 0, "low": 3, "medium": 5, "high": 8, "very-high": 10}


class Cef(Family):
    """Understand events in the Common Event Format."""

    name: str = "cef"
    title: tuple[str, str] = ("通用事件格式 CEF（任何厂商）", "Common Event Format (any vendor)")
    datasets: tuple[str, ...] = ("cef.event",)
    reference: tuple[str, ...] = (
        "ArcSight Common Event Format Implementation Standard"
        " https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-8.3/cef-implementation-standard/",
        "Samples of Check Point, FortiGate and PAN-OS in a public collection of syslog examples for Microsoft Sentinel",
    )
    verified: bool = True
    setup: tuple[str, str] = (
        "日志外发格式选 CEF，服务器填本机地址和 514 端口",
        "choose CEF as the format, this address, port 514",
    )
    opening: str = r"CEF: ?\d"
    programs: frozenset[str] = frozenset({"cef"})

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a CEF event says."""
        record = read_cef(message)
        if record is None:
            return None
        found = begin_event("cef.event", record)
        values = put_pairs(found, _labelled(record), _FIELDS)
        _put_kind(found, record, values.get("act", ""))
        put_web(found, values.get("request", ""))
        put_time(found, "event.start", values.get("start", ""), zone)
        put_time(found, "event.end", values.get("end", ""), zone)
        own_time(found, values.get("rt") or values.get("end") or values.get("start", ""), zone)
        outcome = values.get("outcome", "").lower()
        if outcome in ("success", "failure"):
            found["event.outcome"] = outcome
        finish_flow(found, values.get("proto", ""))
        return found


def _labelled(record: Record) -> list[tuple[str, str]]:
    """Return the pairs with the names that ``cs1Label`` and its kin give to ``cs1`` and its kin."""
    labels = {name[:-5]: value for name, value in record.pairs if name.endswith("Label") and value}
    return [(labels.get(name, name), value) for name, value in record.pairs if not name.endswith("Label")]


def level_of(severity: str) -> int | None:
    """Return a severity from 0 to 10 from a number or CEF's words."""
    word = severity.strip().lower()
    level = _WORDS.get(word, long_value(word))
    return level if level is not None and 0 <= level <= 10 else None


def put_level(found: Event, level: int | None) -> None:
    """Write a severity from 0 to 10 in our scale: 7 and more 1, 4 and more 2, 1 and more 3, 0 is 4."""
    if level is not None:
        found["event.severity"] = 1 if level >= 7 else 2 if level >= 4 else 3 if level >= 1 else 4


def _put_kind(found: Event, record: Record, action: str) -> None:
    level = level_of(record.severity)
    put_level(found, level)
    if record.severity:
        extra(found, "severity", record.severity)
    if level is not None and level >= 4:
        alert(found, action)
    elif "source.ip" in found and "destination.ip" in found:
        connection(found, verdict(action))
    else:
        found["event.category"], found["event.type"] = ["host"], ["info"]
    put(found, "rule.name", record.name)
    if action:
        found.setdefault("event.action", action.lower())
        extra(found, "act", action)
