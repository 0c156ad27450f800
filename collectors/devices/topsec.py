"""Understand Topsec: TOS firewalls (``id=tos time="…" …``) and NGTOS (``id="ngtos" … recorder="…"``).

What a record is about stands in ``recorder`` and ``type``; ``result`` is 0 for success on TOS.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.devices.base import Family, undocumented_setup
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    login,
    own_time,
    put_field,
    put_pairs,
    put_seconds,
    put_severity,
    put_web,
    verdict,
)
from collectors.devices.text import quoted_pairs
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "id": "", "time": "", "type": "", "recorder": "event.provider", "pri": "", "fw": "observer.name",
    "dev": "observer.name", "version": "observer.version", "vsid": "", "vsys_name": "", "index": "event.code",
    "src": "source.ip", "sport": "source.port", "srcport": "source.port", "smac": "source.mac", "mac": "source.mac",
    "dst": "destination.ip", "dport": "destination.port", "dstport": "destination.port", "dmac": "destination.mac",
    "ip": "source.ip", "interface": "observer.ingress.interface.name",
    "trans_sip": "source.nat.ip", "trans_sport": "source.nat.port",
    "trans_dip": "destination.nat.ip", "trans_dport": "destination.nat.port",
    "sent": "source.bytes", "send_bytes": "source.bytes", "inpkt": "source.packets", "send_pkt": "source.packets",
    "rcvd": "destination.bytes", "rcv_bytes": "destination.bytes", "outpkt": "destination.packets",
    "rcv_pkt": "destination.packets", "duration": "",
    "indev": "observer.ingress.interface.name", "sdev": "observer.ingress.interface.name",
    "outdev": "observer.egress.interface.name",
    "proto": "", "protoname": "", "protoid": "", "appname": "network.application", "application": "network.application",
    "user": "user.name", "vip": "source.nat.ip", "op": "", "rule": "", "action": "", "result": "", "virus_deal": "",
    "policyid": "rule.id", "policyname": "rule.name", "rid": "rule.id", "virus_name": "rule.name",
    "attack_type": "rule.category", "cat_name": "rule.category", "risk_name": "", "cve": "vulnerability.id",
    "bad_domain": "dns.question.name", "url": "", "method": "", "filename": "file.name", "filetype": "file.type",
    "sender": "source.user.name", "receiver": "destination.user.name", "description": "event.reason", "msg": "",
    "command": "",
}  # fmt: skip
_TRAFFIC: Final = frozenset({"ac", "pf", "fw-nat", "tos_fw_nat", "session", "conn", "pf_rule"})
_THREATS: Final = frozenset(
    {
        "ipsevent",
        "tvd",
        "streamav",
        "avse",
        "apt",
        "dpi",
        "abnormal_threat",
        "ddos_atk",
        "ads_attack_flow_log",
    }
)
_FILTERS: Final = frozenset({"url_filter", "datafilter", "file_block"})
_ADMINS: Final = frozenset(
    {"admin", "admin_login", "admin_pwd", "admin_config", "auth", "config", "manager_so", "user_auth"}
)
_MALWARE: Final = frozenset({"tvd", "streamav", "avse", "apt"})
_CHANNELS: Final = frozenset({"sv_netacc"})


class Topsec(Family):
    """Understand messages of Topsec's TOS and NGTOS devices."""

    name: str = "topsec"
    title: tuple[str, str] = ("天融信防火墙及其他 TOS、NGTOS 设备", "Topsec TOS and NGTOS firewalls and kin")
    datasets: tuple[str, ...] = (
        "topsec.firewall",
        "topsec.threat",
        "topsec.web",
        "topsec.access",
        "topsec.admin",
        "topsec.device",
    )
    reference: tuple[str, ...] = (
        "Samples of TopsecOS (ac, conn, mgmt, avse, dpi) and NGTOS V3.2294 (ac, IPSEVENT, TVD, streamav, url_filter,"
        " admin, ipmac, neighbour, session) in the parser tests of the public Java project org.datayoo.botu"
        " (testFWTopsec, testAntiVirusTopsec and others)",
        "Samples of TOS firewalls in public Scala and Node projects (type=conn, recorder=FW-NAT, sv_netacc, op=logout)",
    )
    verified: bool = True
    setup: tuple[str, str] = undocumented_setup(
        "全部日志类型，格式 syslog，不加密", "all kinds of logs, format syslog, no encryption"
    )
    opening: str = r'[iI][dD]="?(?:tos|ngtos|TOS|NGTOS)\b'
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a record of TOS or NGTOS says."""
        found: Event = {"observer.vendor": "Topsec", "observer.product": "TOS", "observer.type": "firewall"}
        values = put_pairs(found, quoted_pairs(message), _FIELDS)
        if "id" not in values or "type" not in values:
            return None
        if values["id"].lower() == "ngtos":
            found["observer.product"] = "NGTOS"
        own_time(found, values.get("time", ""), zone)
        _put_kind(found, values)
        put(found, "event.reason", found.get("event.reason") or values.get("msg"))
        put_seconds(found, values.get("duration", ""))
        put_web(found, values.get("url", ""))
        for name in ("type", "pri", "method"):
            if name in values:
                extra(found, name, values[name])
        finish_flow(found, values.get("proto") or values.get("protoname") or values.get("protoid", ""))
        return found


def _put_kind(found: Event, values: Mapping[str, str]) -> None:
    recorder = values.get("recorder", "").lower()
    kind = values["type"].lower()
    if recorder in _THREATS or kind in _THREATS:
        _threat(found, values, recorder if recorder in _THREATS else kind)
    elif recorder in _FILTERS:
        _filtered(found, values)
    elif recorder in _ADMINS or kind in ("mgmt", "admin", "system"):
        _admin(found, values)
    elif kind in _CHANNELS:
        _access(found, values)
    elif recorder in _TRAFFIC or kind in _TRAFFIC:
        _traffic(found, values, kind)
    else:
        found["event.dataset"] = "topsec.device"
        found["event.category"], found["event.type"] = ["host"], ["info"]
        found["event.action"] = recorder or kind
        if recorder in ("ipmac", "neighbour"):
            found["event.action"] = "address_conflict"


def _traffic(found: Event, values: Mapping[str, str], kind: str) -> None:
    found["event.dataset"] = "topsec.firewall"
    rule = values.get("rule") or values.get("action") or values.get("op", "")
    ended = kind == "conn" or "sent" in values
    action = verdict(rule)
    connection(found, action, *(["end"] if ended and not action else []))
    if not action:
        found["event.action"] = "connection"
        if rule:
            extra(found, "rule", rule)


def _threat(found: Event, values: Mapping[str, str], kind: str) -> None:
    found["event.dataset"] = "topsec.threat"
    words = values.get("action") or values.get("virus_deal", "")
    alert(found, words, *(("malware", "network") if kind in _MALWARE else ()))
    if words:
        extra(found, "action", words)
    put(found, "rule.name", found.get("rule.name") or values.get("msg", "").strip() or kind)
    if "policyname" in values and "virus_name" in values:
        put(found, "rule.name", values["virus_name"])
    put_severity(found, values.get("risk_name", ""))


def _filtered(found: Event, values: Mapping[str, str]) -> None:
    found["event.dataset"] = "topsec.web"
    action = verdict(values.get("action", ""))
    found["event.category"], found["event.type"] = (
        ["web", "network"],
        ["denied" if action == "deny" else "access"],
    )
    put(found, "event.action", action)


def _access(found: Event, values: Mapping[str, str]) -> None:
    """Map users of the VPN; ``vip`` is the address they got."""
    found["event.dataset"] = "topsec.access"
    gone = values.get("op", "") in ("disconnect", "logout")
    login(found, "network_logout" if gone else "network_login", "success", "end" if gone else "start")
    found["event.category"] = ["authentication", "session"]


def _admin(found: Event, values: Mapping[str, str]) -> None:
    """Map administrators: log-ins and what they configured."""
    found["event.dataset"] = "topsec.admin"
    what = values.get("op", "").lower()
    outcome = _outcome(values)
    if "login" in what or "认证" in what or "登录" in what:
        login(found, "admin_login", outcome)
    elif "logout" in what or "退出" in what:
        login(found, "admin_logout", outcome, "end")
    else:
        found["event.category"], found["event.type"] = ["configuration"], ["change"]
        found["event.action"] = "command"
        put(found, "event.outcome", outcome)
        put_field(
            found, "process.command_line", values.get("command") or values.get("op") or values.get("msg", "")
        )
        return
    if what:
        extra(found, "op", values["op"])


def _outcome(values: Mapping[str, str]) -> str:
    """Return the outcome: words first, for numbers differ by product (0 or 1000 success, negative failure)."""
    result = values.get("result", "").lower()
    text = f"{result} {values.get('description', '')} {values.get('msg', '')}".lower()
    if "fail" in text or "失败" in text or "incorrect" in text or "error" in text or result.startswith("-"):
        return "failure"
    if "success" in text or "成功" in text or result in ("0", "1000"):
        return "success"
    return ""
