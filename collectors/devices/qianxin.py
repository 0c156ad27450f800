"""Understand QiAnXin: NSG firewalls (``devid="3" dname="NSG" …``) and the SkyEye sensors and platform.

Sensors write ``skyeye_webattack serial_num="…" …``; the platform ``time|!sender|!alarm|!{json}``. SkyEye's numbers for
severity are explained nowhere we could read: they stay in ``edusoc.extra``; its words (hazard_rating) are mapped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.devices.base import Family, undocumented_setup
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    own_time,
    put_field,
    put_pairs,
    put_seconds,
    put_severity,
    put_web,
    verdict,
)
from collectors.devices.text import Pairs, json_pairs, quoted_pairs
from collectors.network import put_url
from soc_core.model.event import Event, Value

_FIREWALL: Final[Mapping[str, str]] = {
    "devid": "", "dname": "observer.name", "serial": "observer.serial_number", "module": "event.provider",
    "severity": "", "vsys": "", "type": "event.code", "time": "", "session_id": "",
    "addr_src": "source.ip", "port_src": "source.port", "nataddr_src": "source.nat.ip",
    "natport_src": "source.nat.port", "user_src": "user.name", "addr_dst": "destination.ip",
    "port_dst": "destination.port", "nataddr_dst": "destination.nat.ip", "natport_dst": "destination.nat.port",
    "user_dst": "destination.user.name", "zone_src": "observer.ingress.zone", "zone_dst": "observer.egress.zone",
    "interface_src": "observer.ingress.interface.name", "interface_dst": "observer.egress.interface.name",
    "bytes_sent": "source.bytes", "pkts_sent": "source.packets", "bytes_received": "destination.bytes",
    "pkts_received": "destination.packets", "proto": "", "action": "", "appname": "network.application",
    "rule": "", "threat_name": "", "threat_type": "rule.category", "threat_id": "", "duration": "",
    "dns_domain": "dns.question.name", "dns_type": "dns.question.type", "dns_host": "dns.resolved_ip",
    "url": "", "url_category": "rule.category", "url_user_agent": "user_agent.original", "filename": "file.name",
    "mail_from": "source.user.name", "mail_to": "destination.user.name", "im_account": "destination.user.name",
    "attacker_ip": "", "victim_ip": "",
}  # fmt: skip
_SENSOR: Final[Mapping[str, str]] = {
    "serial_num": "observer.serial_number", "device_ip": "observer.ip", "vendor_id": "observer.product",
    "sip": "source.ip", "sport": "source.port", "src_mac": "source.mac",
    "dip": "destination.ip", "dport": "destination.port", "dst_mac": "destination.mac",
    "rule_name": "rule.name", "rule_id": "rule.id", "rule_desc": "rule.name", "attack_type": "rule.category",
    "type": "rule.category", "vuln_name": "rule.description", "vuln_type": "rule.category", "threat_name": "rule.name",
    "severity": "", "hazard_rating": "", "write_date": "", "access_time": "", "method": "http.request.method",
    "host": "", "uri": "", "agent": "user_agent.original", "rsp_status": "http.response.status_code",
    "protocol_id": "", "proto": "", "tproto": "", "dns_type": "", "ioc_value": "",
    "ioc": "rule.name", "host_state": "event.reason", "attack_result": "", "attck_tactic": "threat.tactic.id",
    "attck_tech": "threat.technique.id", "file_md5": "file.hash.md5", "file_sha256": "file.hash.sha256",
    "filename": "file.name", "file_name": "file.name", "app_name": "network.application", "hit_num": "edusoc.repeated",
    "malicious_family": "rule.ruleset", "req_header": "", "rsp_header": "", "up_payload": "", "down_payload": "",
    "packet_data": "", "x_forwarded_for": "edusoc.http.forwarded_for", "nid": "",
}  # fmt: skip
_PLATFORM: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\|!?([^|]{1,64})\|!?(\w{1,32})\|!? ?(?=\{)")
_KIND: Final = re.compile(r"(skyeye_\w{2,24}) ")
_DNS_TYPES: Final = {"1": "A", "5": "CNAME", "12": "PTR", "15": "MX", "16": "TXT", "28": "AAAA"}
_RESULTS: Final = {"0": "attempted", "1": "success", "2": "success", "3": "failure"}


class Qianxin(Family):
    """Understand messages of QiAnXin's NSG firewalls and SkyEye."""

    name: str = "qianxin"
    title: tuple[str, str] = ("奇安信防火墙（NSG）、天眼", "QiAnXin NSG firewalls, SkyEye")
    datasets: tuple[str, ...] = ("qianxin.firewall", "qianxin.threat", "qianxin.web", "qianxin.dns")
    reference: tuple[str, ...] = (
        "Samples of NSG 6.1.10 (threat, dns, url, behavior, im, mail, content, traffic-start/-end) and of SkyEye"
        " sensors (skyeye_webattack, skyeye_ids, skyeye_ioc) in the parser tests of the public Java project"
        " org.datayoo.botu (testFWQianxin and others)",
        "Samples of the SkyEye platform’s SyslogClient output in the public projects wp-lang and others; field meanings"
        " (level, result, host_state) in a public integration of 天眼",
    )
    verified: bool = True
    setup: tuple[str, str] = undocumented_setup(
        "流量、威胁、行为日志（天眼：告警外发）", "traffic, threat and behaviour logs (SkyEye: send alarms)"
    )
    opening: str = (
        r'devid="|skyeye_\w{2,24} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\|!?[^|]{1,64}\|!?\w{1,32}\|!? ?\{'
    )
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a message of NSG or SkyEye says."""
        found: Event = {"observer.vendor": "QiAnXin"}
        if message.startswith('devid="'):
            return _firewall(found, message)
        kind = _KIND.match(message)
        if kind is not None:
            return _sensor(found, kind[1], quoted_pairs(message[kind.end() :]), zone)
        platform = _PLATFORM.match(message)
        if platform is None:
            return None
        own_time(found, platform[1], zone)
        return _sensor(found, platform[3], json_pairs(message[platform.end() :]), zone)


def _firewall(found: Event, message: str) -> Event | None:
    values = put_pairs(found, quoted_pairs(message), _FIREWALL)
    if "addr_src" not in values and "module" not in values:
        return None
    found["observer.product"], found["observer.type"] = "NSG", "firewall"
    own_time(found, values.get("time", ""), UTC)
    kind, action = str(found.get("event.code", "")), values.get("action", "")
    put(found, "rule.name", values.get("rule"))
    if kind == "threat":
        _threat(found, values)
    elif kind == "dns":
        found["event.dataset"] = "qianxin.dns"
        found["event.category"], found["event.type"] = ["network"], ["protocol", "info"]
        found["network.protocol"] = "dns"
        put(found, "event.action", verdict(action))
    elif kind.startswith("traffic"):
        found["event.dataset"] = "qianxin.firewall"
        connection(found, verdict(action), "start" if kind.endswith("start") else "end")
    else:
        found["event.dataset"] = "qianxin.web"
        denied = verdict(action) == "deny"
        found["event.category"], found["event.type"] = ["web", "network"], ["denied" if denied else "access"]
        found["event.action"] = values.get("im_action", kind) if kind else "access"
    put_web(found, values.get("url", ""))
    put_seconds(found, values.get("duration", "") if kind == "traffic-end" else "")
    finish_flow(found, values.get("proto", ""))
    return found


def _threat(found: Event, values: Mapping[str, str]) -> None:
    found["event.dataset"] = "qianxin.threat"
    alert(found, values.get("action", ""))
    put(found, "rule.ruleset", values.get("rule"))
    put(found, "rule.name", values.get("threat_name") or values.get("rule"))
    put(found, "rule.id", values.get("threat_id"))
    put_severity(found, values.get("severity", ""))


def _sensor(found: Event, kind: str, pairs: Pairs, zone: tzinfo) -> Event | None:
    """Map what SkyEye found; payloads in hexadecimal or Base64 are left in the message."""
    values = put_pairs(found, pairs, _SENSOR)
    if not values:
        return None
    found["event.dataset"] = "qianxin.threat"
    found["event.code"] = kind
    found["observer.type"] = "ids"
    found.setdefault("observer.product", "SkyEye")
    web = "web" in kind or "uri" in values
    alert(found, "", *(("intrusion_detection", "web") if web else ()))
    found["event.action"] = "alert"
    own_time(found, values.get("write_date") or values.get("access_time", ""), zone)
    if "host" in values or "uri" in values:
        put_url(found, host=values.get("host"), path=values.get("uri"))
    if values.get("ioc_value") and "dns_type" in values:
        put_field(found, "dns.question.name", values["ioc_value"])
        put(found, "dns.question.type", _DNS_TYPES.get(values["dns_type"], values["dns_type"]))
    _put_level(found, values)
    result = _RESULTS.get(values.get("attack_result", ""))
    if result in ("success", "failure"):
        found["event.outcome"] = result
    finish_flow(found, values.get("protocol_id") or values.get("tproto") or values.get("proto", ""))
    return found


def _put_level(found: Event, values: Mapping[str, str]) -> None:
    put_severity(found, values.get("hazard_rating", ""))
    if "severity" in values:
        extra(found, "severity", values["severity"])
