"""Understand NSFOCUS: WAF (``tag:waf_log_… name:value  name:value``), IDS and IPS (``time:…;danger_degree:…``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.devices.base import undocumented_setup
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    login,
    own_time,
    put_pairs,
    put_severity,
    verdict,
)
from collectors.devices.text import SEMICOLON_EQUALS, SPACE_COLON, Pairs, marked_pairs
from collectors.network import put_url
from soc_core.model.event import Event, Value

_WAF: Final[Mapping[str, str]] = {
    "site_id": "", "protect_id": "", "policy_id": "rule.ruleset", "rule_id": "rule.id", "event_type": "rule.category",
    "dst_ip": "destination.ip", "dst_port": "destination.port", "src_ip": "source.ip", "src_port": "source.port",
    "method": "http.request.method", "domain": "", "wa_host": "", "uri": "", "url": "", "alertlevel": "",
    "action": "", "block": "", "stat_time": "", "agent": "user_agent.original", "wa_referer": "http.request.referrer",
    "http_protocol": "", "protocol_type": "network.protocol", "res_content_type": "http.response.mime_type",
    "res_content_len": "http.response.body.bytes", "req_content_len": "http.request.body.bytes",
    "ser_status_code": "http.response.status_code", "count_num": "edusoc.repeated", "user": "user.name",
    "http": "", "alertinfo": "", "characters": "", "wci": "", "wsi": "", "info": "event.reason", "type": "",
    "source": "",
    "tag": "", "site_name": "service.name",
}  # fmt: skip
_SENSOR: Final[Mapping[str, str]] = {
    "time": "", "device_type": "", "manufacturers": "", "product": "", "log_type": "", "security_name": "",
    "danger_degree": "", "threat_level": "", "breaking_sighn": "", "event": "", "ruleid": "rule.id",
    "src_addr": "source.ip", "sip": "source.ip", "src_port": "source.port", "sport": "source.port",
    "src_mac": "source.mac", "smac": "source.mac", "dst_addr": "destination.ip", "dip": "destination.ip",
    "dst_port": "destination.port", "dport": "destination.port", "dst_mac": "destination.mac",
    "dmac": "destination.mac", "proto": "", "protocol": "", "user": "user.name", "user_name": "user.name",
    "smt_user": "", "src_addr_nat": "source.nat.ip", "src_port_nat": "source.nat.port",
    "dst_addr_nat": "destination.nat.ip", "dst_port_nat": "destination.nat.port", "app_name": "network.application",
    "rule_id": "rule.id", "action": "", "acted": "", "module": "event.provider",
    "src_intf": "observer.ingress.interface.name",
    "dst_intf": "observer.egress.interface.name", "threat_type": "rule.category", "cve_id": "vulnerability.id",
    "szonename": "observer.ingress.zone", "dzonename": "observer.egress.zone",
    "card": "observer.ingress.interface.name",
    "vid": "", "count": "edusoc.repeated", "last_count": "edusoc.repeated", "loginip": "source.ip",
    "msg": "event.reason", "rawinfo": "", "digest": "", "hash": "",
}  # fmt: skip
_TAG: Final = re.compile(r"tag:(waf_log_\w{2,40}) ")
_EVENT: Final = re.compile(r"\[(\d{1,10})\](.+)")
_SPACES: Final = re.compile(r" {2,}")
_COLONS: Final = re.compile(
    r"(?:^|;)(time|danger_degree|breaking_sighn|event|src_addr|src_port|dst_addr|dst_port|proto|user|loginip|type):"
)
_SIGNS: Final = (";danger_degree", ";manufacturers=nsfocus", "manufacturers=nsfocus;", ";loginip:")


class Nsfocus:
    """Understand messages of NSFOCUS WAF, IDS and IPS."""

    name: str = "nsfocus"
    title: tuple[str, str] = ("绿盟 WAF、IPS/IDS", "NSFOCUS WAF, IPS and IDS")
    datasets: tuple[str, ...] = (
        "nsfocus.waf",
        "nsfocus.threat",
        "nsfocus.firewall",
        "nsfocus.admin",
        "nsfocus.device",
    )
    reference: tuple[str, ...] = (
        "Samples of WAF V6.0.6 (waf_log_websec, waf_log_webaccess, waf_log_wafstat, waf_log_system_run) and of NIDS 5.6"
        " R10 and R11 (ips_log, fw_log, operation) in the parser tests of the public Java project org.datayoo.botu"
        " (testWafNsfocus, testIdsNsfocus, testIdsNsfocus11f)",
    )
    verified: bool = True
    setup: tuple[str, str] = undocumented_setup("Web 安全日志、系统日志", "web security and system logs")
    opening: str = (
        r"tag:waf_log_|(?:time[=:])?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d;|time=\d{10};"
        r"|manufacturers=nsfocus|device_type=|user:[^;]{1,64};loginip:"
    )
    programs: frozenset[str] = frozenset({"time"})

    def recognise(self, message: str, _head: Mapping[str, Value], /) -> bool:
        """Return true for the WAF's tag and for the names that only the sensors use."""
        start = message[:400]
        return start.startswith("tag:waf_log_") or any(sign in start for sign in _SIGNS)

    def interpret(self, message: str, head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a message of WAF, IDS or IPS says."""
        found: Event = {"observer.vendor": "NSFOCUS"}
        tag = _TAG.match(message)
        if tag is not None:
            _waf(found, tag[1], _waf_pairs(message[tag.end() :]), zone)
            return found
        if (
            head.get("log.syslog.appname") == "time"
        ):  # the header's reader took ``time:`` for a program's name
            message = "time:" + message
        if "=" in message.partition(";")[0]:
            pairs = marked_pairs(message, SEMICOLON_EQUALS)
        else:
            pairs = marked_pairs(message, _COLONS)
        values = put_pairs(found, pairs, _SENSOR)
        if len(values) < 2:
            return None
        _sensor(found, values, zone)
        return found


def _waf_pairs(text: str) -> Pairs:
    """Return the pairs of WAF: two blanks stand between them, one within values."""
    if "  " not in text:
        return marked_pairs(text, SPACE_COLON)
    found: Pairs = []
    for piece in _SPACES.split(text.strip(), maxsplit=200):
        name, colon, value = piece.partition(":")
        if colon:
            found.append((name, value.strip()))
    return found


def _waf(found: Event, tag: str, pairs: Pairs, zone: tzinfo) -> None:
    values = put_pairs(found, pairs, _WAF)
    found["observer.product"], found["observer.type"] = "WAF", "waf"
    found["event.code"] = tag
    own_time(found, values.get("stat_time", ""), zone)
    if "src_ip" not in values:
        found["event.dataset"] = "nsfocus.device"
        found["event.category"], found["event.type"] = ["host"], ["info"]
        found["event.action"] = values.get("type", tag).lower()
        return
    found["event.dataset"] = "nsfocus.waf"
    action = values.get("action", "")
    if tag == "waf_log_webaccess":
        found["event.category"], found["event.type"] = ["web", "network"], ["access"]
        found["event.action"] = "access"
    else:
        blocked = values.get("block", "").lower() in ("yes", "1", "true")
        alert(found, "deny" if blocked else action, "intrusion_detection", "web")
        put(found, "rule.name", values.get("event_type"))
        put_severity(found, values.get("alertlevel", "").lower())
    if action:
        extra(found, "action", action)
    put_url(
        found, host=values.get("domain") or values.get("wa_host"), path=values.get("uri") or values.get("url")
    )
    put(found, "http.version", values.get("http_protocol", "").rpartition("/")[2])
    put(found, "network.protocol", str(found.pop("network.protocol", "")).lower())
    finish_flow(found, "tcp")


def _sensor(found: Event, values: Mapping[str, str], zone: tzinfo) -> None:
    found["observer.product"] = values.get("device_type", "IDS").upper()
    found["observer.type"] = "ids"
    own_time(found, values.get("time", ""), zone)
    kind = values.get("security_name") or values.get("log_type", "")
    put(found, "event.code", kind)
    put(found, "network.vlan.id", values.get("vid", "").strip("0") and values["vid"])
    event = values.get("event", "")
    if kind == "fw_log":
        found["event.dataset"] = "nsfocus.firewall"
        connection(found, verdict(values.get("action", "")))
    elif event:
        found["event.dataset"] = "nsfocus.threat"
        alert(found, "", *(("malware", "network") if kind == "av" else ()))
        numbered = _EVENT.match(event)
        put(found, "rule.name", numbered[2] if numbered else event)
        put(found, "rule.id", numbered[1] if numbered else found.get("rule.id"))
        found["event.action"] = "alert"
        # What the numbers of danger_degree mean stands in no document at hand, so they are kept and not mapped.
        for name in ("danger_degree", "threat_level", "action", "acted"):
            if name in values:
                extra(found, name, values[name])
    elif "loginip" in values or "user" in values:
        found["event.dataset"] = "nsfocus.admin"
        login(found, "admin_operation", "", "info")
        found["event.category"] = ["configuration"]
    else:
        found["event.dataset"] = "nsfocus.device"
        found["event.category"], found["event.type"] = ["host"], ["info"]
    finish_flow(found, values.get("proto") or values.get("protocol", ""))
