"""Understand Hillstone's StoneOS: ``<serial>(vsys) <id> [HillstoneNetworks#]Type@MODULE: text``.

The serial number stands where others have the host name. Sessions and translations tell their times in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.devices.base import Family
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    login,
    own_time,
    put_field,
    put_pairs,
    put_severity,
    put_time,
    split_address,
)
from collectors.devices.text import Pairs
from soc_core.model.event import Event, Value

_LAYOUT: Final = re.compile(
    r"(?:(\d{10,20})\((\S{1,64})\) +)?([0-9a-f]{8}) (?:HillstoneNetworks#)?([A-Za-z]{3,20})@([A-Z0-9_\-]{2,20}): ?"
)
_OLD: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d), ([A-Z]{3,12})@([A-Z0-9_\-]{2,20}): ?")
_SERIAL: Final = re.compile(r"(\w{10,24})\(([^)]{1,64})\)")
_ENDS: Final = re.compile(
    r"(?:\w{1,8}: )?(?:From )?([0-9A-Fa-f.:\[\]]{3,47}):(\d{1,5})(?:\(([^)]{0,64})\))? ?(?:->| to )"
    r" ?([0-9A-Fa-f.:\[\]]{3,47}):(\d{1,5})(?:\(([^)]{0,64})\))?"
)
_NAT: Final = re.compile(r"\b(snat|dnat) to ([0-9A-Fa-f.:\[\]]{3,47})(?::(\d{1,5}))?")
_USER: Final = re.compile(r"user (\S{0,128}?)@(\S{0,64}),")
_KNOWN: Final = re.compile(
    r"(?:^|[,.] ?)(application|interface|vr|policy id|policy|rule|ruleid|policyid|user|host|mac|send packets|send bytes"
    r"|receive packets|receive bytes|start time|close time|Protocol|protocol|srcip|srcport|dstip|dstport|nattype"
    r"|transip|transport|threat name|threat type|threat subtype|App/Protocol|action:?|defender|severity"
    r"|threat severity|signature ID|profile|category|URL|url|zone from|hit-count)[: ] ?"
)
_FIELDS: Final[Mapping[str, str]] = {
    "application": "network.application", "interface": "observer.ingress.interface.name", "vr": "",
    "policy": "", "policy id": "", "user": "", "policyid": "rule.id", "rule": "rule.id", "ruleid": "rule.id",
    "host": "source.domain", "mac": "source.mac",
    "send packets": "source.packets", "send bytes": "source.bytes",
    "receive packets": "destination.packets", "receive bytes": "destination.bytes",
    "start time": "", "close time": "", "protocol": "", "srcip": "source.ip", "srcport": "source.port",
    "dstip": "destination.ip", "dstport": "destination.port", "nattype": "", "transip": "", "transport": "",
    "threat name": "rule.name", "threat type": "rule.category", "app/protocol": "", "action": "", "action:": "",
    "severity": "", "threat severity": "", "signature id": "rule.id", "profile": "rule.ruleset", "zone from": "",
    "url": "url.original",
}  # fmt: skip
_ADMIN: Final = re.compile(
    r'[Aa]dmin user "?([^"]{1,128}?)"? (?:attempted to )?'
    r"(logined|logged in|login|logged out|logout)\b(?: through (\w+))?( failed)?"
)
_FROM: Final = re.compile(r"(?:from |IP is |The IP )([0-9A-Fa-f.:]{3,53})")
_END: Final = re.compile(r",|\.(?=\s|$)")
_REASON: Final = re.compile(r"(?:session end, ?|session end\. ?)([\w \-]{1,40})")


class Hillstone(Family):
    """Understand messages of Hillstone's firewalls."""

    name: str = "hillstone"
    title: tuple[str, str] = ("山石网科防火墙（StoneOS）", "Hillstone StoneOS firewalls")
    datasets: tuple[str, ...] = (
        "hillstone.firewall",
        "hillstone.threat",
        "hillstone.admin",
        "hillstone.device",
    )
    reference: tuple[str, ...] = (
        "Hillstone StoneOS WebUI 用户手册，日志信息格式、logging syslog 4digit-year-timestamp",
        "Hillstone, Introduction to Log https://www.hillstonenet.com/support/T-series/2.0/en/diag_log_intro.html",
        "Logmanager, Hillstone NGFW https://doc.logmanager.com/latest/log-source-devices/hillstone-ngfw/",
        "Samples quoted in public repositories and blogs: Traffic@FLOW SESSION and NAT, Threat@FLOW, Threat@IPS,"
        " Event@MGMT (SG-6000, T-series)",
    )
    verified: bool = True
    setup: tuple[str, str] = (
        "监控 > 日志 > 日志管理：定义 syslog 服务器（本机地址、514 端口），打开威胁、会话、NAT、事件、"
        "配置日志的 syslog 输出；策略里开会话日志，NAT 规则里开日志",
        "Monitor > Log > Log Management: define the syslog server (this address, port 514), send threat, session, NAT,"
        " event and configuration logs to it; session logs in the rules, logs in the NAT rules",
    )
    opening: str = (
        r"(?:\d{10,20}\(\S{1,64}\) +)?[0-9a-f]{8} (?:HillstoneNetworks#)?[A-Za-z]{3,20}@[A-Z0-9_\-]{2,20}:"
        r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, [A-Z]{3,12}@[A-Z]"
    )
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a StoneOS message says."""
        found: Event = {
            "observer.vendor": "Hillstone",
            "observer.product": "StoneOS",
            "observer.type": "firewall",
        }
        match = _LAYOUT.match(message)
        if match is not None:
            serial, _, code, kind, module = match.groups()
            found["event.code"] = code
        else:
            match = _OLD.match(message)
            if match is None:
                return None
            serial, kind, module = None, match[2], match[3]
            own_time(found, match[1], zone)
        name = _SERIAL.fullmatch(str(head.get("log.syslog.hostname", "")))
        put(found, "observer.serial_number", serial or (name[1] if name else None))
        found["event.provider"] = f"{kind}@{module}"
        text = message[match.end() :].replace("\\n", " ").strip("\0 \r\n")
        _put_kind(found, kind, text, zone)
        return found


def _put_kind(found: Event, kind: str, text: str, zone: tzinfo) -> None:
    if kind == "Traffic":
        _traffic(found, text, zone)
    elif kind == "Threat" or "threat name:" in text:
        _threat(found, text)
    else:
        _event(found, text)


def _pairs(text: str) -> Pairs:
    pieces: Pairs = []
    name, start = "", -1
    for match in _KNOWN.finditer(text):
        if start >= 0:
            pieces.append((name, text[start : match.start()].strip(" ,.")))
        name, start = match[1].rstrip(":"), match.end()
    if start >= 0:
        rest = _END.split(text[start:], maxsplit=1)[0]
        pieces.append((name, rest.strip(" ,.")))
    return pieces


def _put_ends(found: Event, text: str) -> str:
    """Write both ends; return the protocol, which stands in brackets behind the second."""
    match = _ENDS.search(text)
    if match is None:
        return ""
    for side, address, port in (("source", match[1], match[2]), ("destination", match[4], match[5])):
        put_field(found, f"{side}.ip", split_address(address)[0])
        put(found, f"{side}.port", port)
    inside, outside = match[3], match[6] or ""
    if inside:
        put(found, "observer.ingress.interface.name", inside)
        put(found, "observer.egress.interface.name", outside.strip("-"))
        return ""
    return outside


def _traffic(found: Event, text: str, zone: tzinfo) -> None:
    """Map sessions, translations and what policies refused."""
    found["event.dataset"] = "hillstone.firewall"
    protocol = _put_ends(found, text)
    values = put_pairs(found, _pairs(text), _FIELDS)
    if "-" in values.get("policy", "") or not values.get("policy", "0").isdigit():
        values.pop("policy", None)
    put(found, "rule.id", found.get("rule.id") or values.get("policy"))
    denied = "deny" in text or "session drop" in text
    started, ended = "session start" in text, "session end" in text
    connection(found, "deny" if denied else "", *(["start"] if started else ["end"] if ended else []))
    found.setdefault("event.action", "nat" if "NAT:" in text or "transip" in values else "session")
    _put_translation(found, text, values)
    user = _USER.search(text)
    if user is not None and user[1] not in ("", "-"):
        put(found, "user.name", user[1])
        put(found, "user.domain", user[2] if user[2] not in ("-", "UNKNOWN") else None)
    reason = _REASON.search(text)
    put(found, "edusoc.flow.end_reason", reason[1].strip() if reason else None)
    put_time(found, "event.start", values.get("start time", ""), zone)
    put_time(found, "event.end", values.get("close time", ""), zone)
    own_time(found, values.get("close time", ""), zone)
    finish_flow(found, protocol or values.get("protocol", ""))


def _put_translation(found: Event, text: str, values: Mapping[str, str]) -> None:
    match = _NAT.search(text)
    kind, address, port = match.groups() if match is not None else (
        values.get("nattype", ""), values.get("transip", ""), values.get("transport")
    )  # fmt: skip
    if not address:
        return
    side = "destination" if kind == "dnat" else "source"
    put_field(found, f"{side}.nat.ip", f"{address}:{port}" if port else address)


def _threat(found: Event, text: str) -> None:
    found["event.dataset"] = "hillstone.threat"
    _put_ends(found, text)
    values = put_pairs(found, _pairs(text), _FIELDS)
    action = values.get("action", "")
    alert(found, action, *(("malware", "network") if "alware" in values.get("threat type", "") else ()))
    if action:
        extra(found, "action", action)
    put_severity(found, values.get("severity") or values.get("threat severity", ""))
    protocol = values.get("app/protocol", "")
    put(found, "network.application", protocol)
    finish_flow(found, protocol.rpartition("/")[2].rpartition("-")[2])


def _event(found: Event, text: str) -> None:
    """Map what happened on the device: administrators, and everything else by its module."""
    admin = _ADMIN.search(text)
    blocked = "failed" in text and "locked" in text
    if admin is not None or blocked:
        found["event.dataset"] = "hillstone.admin"
        failed = blocked or bool(admin and admin[4])
        out = admin is not None and "out" in admin[2]
        login(found, "admin_logout" if out else "admin_login", "failure" if failed else "success",
              "end" if out else "start")  # fmt: skip
        if blocked:
            found["event.action"] = "address_blocked"
        if admin is not None:
            put(found, "user.name", admin[1])
            put(found, "network.protocol", admin[3].lower() if admin[3] else None)
        address = _FROM.search(text)
        if address is not None:
            put_field(found, "source.ip", address[1].rstrip(".:"))
    else:
        found["event.dataset"] = "hillstone.device"
        found["event.category"], found["event.type"] = ["host"], ["info"]
    finish_flow(found)
