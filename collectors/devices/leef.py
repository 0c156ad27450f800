"""Understand LEEF 1.0 and 2.0 of any vendor. Severity (``sev``, 1 to 10) 4 and more makes an alert."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.devices.base import Family
from collectors.devices.cef import level_of, put_level
from collectors.devices.event_formats import begin_event, read_leef
from collectors.devices.mapping import alert, connection, finish_flow, own_time, put_pairs, put_web, verdict
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "src": "source.ip", "srcport": "source.port", "srcmac": "source.mac", "dst": "destination.ip",
    "dstport": "destination.port", "dstmac": "destination.mac", "srcpostnat": "source.nat.ip",
    "srcpostnatport": "source.nat.port", "dstpostnat": "destination.nat.ip", "dstpostnatport": "destination.nat.port",
    "srcprenat": "", "dstprenat": "", "srcprenatport": "", "dstprenatport": "",
    "usrname": "user.name", "accountname": "user.target.name", "groupid": "group.id", "role": "user.roles",
    "domain": "user.domain", "identsrc": "source.ip", "identmac": "source.mac", "identhostname": "host.name",
    "srcbytes": "source.bytes", "dstbytes": "destination.bytes", "srcpackets": "source.packets",
    "dstpackets": "destination.packets", "proto": "", "cat": "rule.category", "sev": "", "devtime": "",
    "devtimeformat": "", "policy": "rule.name", "resource": "file.name", "url": "", "action": "", "act": "",
    "msg": "rule.description", "reason": "event.reason",
}  # fmt: skip


class Leef(Family):
    """Understand events in the Log Event Extended Format."""

    name: str = "leef"
    title: tuple[str, str] = ("日志事件扩展格式 LEEF（任何厂商）", "Log Event Extended Format (any vendor)")
    datasets: tuple[str, ...] = ("leef.event",)
    reference: tuple[str, ...] = (
        "IBM, LEEF event components, Predefined LEEF event attributes"
        " https://www.ibm.com/support/knowledgecenter/SS42VS_DSM/com.ibm.dsm.doc/c_LEEF_Format_Guide_LEEFeventcomps.html",
    )
    verified: bool = False
    setup: tuple[str, str] = (
        "日志外发格式选 LEEF，服务器填本机地址和 514 端口",
        "choose LEEF as the format, this address, port 514",
    )
    opening: str = r"LEEF: ?[12]"
    programs: frozenset[str] = frozenset({"leef"})

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a LEEF event says."""
        record = read_leef(message)
        if record is None:
            return None
        found = begin_event("leef.event", record)
        values = put_pairs(found, record.pairs, _FIELDS)
        action = values.get("action") or values.get("act", "")
        level = level_of(values.get("sev", ""))
        put_level(found, level)
        if level is not None and level >= 4:
            alert(found, action)
        elif "source.ip" in found and "destination.ip" in found:
            connection(found, verdict(action))
        else:
            found["event.category"], found["event.type"] = ["host"], ["info"]
        put(found, "rule.name", found.get("rule.name") or record.code)
        for name, value in (("action", action), ("sev", values.get("sev", ""))):
            if value:
                extra(found, name, value)
        if action:
            found.setdefault("event.action", action.lower())
        put_web(found, values.get("url", ""))
        own_time(found, values.get("devtime", ""), zone)
        finish_flow(found, values.get("proto", ""))
        return found
