"""Understand Fortinet's FortiGate: ``date=… time=… devname="…" type="traffic" subtype="forward" …``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Final

from collectors.coerce import extra, long_value, put
from collectors.devices.base import Family
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    login,
    own_time,
    put_pairs,
    put_seconds,
    put_severity,
    verdict,
)
from collectors.devices.text import quoted_pairs
from collectors.dhcp_common import Lease, put_lease, put_lifetime
from collectors.network import put_url
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "date": "", "time": "", "eventtime": "", "tz": "", "devname": "observer.name", "devid": "observer.serial_number",
    "logid": "event.code", "type": "", "subtype": "", "level": "log.level", "vd": "", "eventtype": "",
    "srcip": "source.ip", "srcport": "source.port", "srcmac": "source.mac", "srcname": "source.domain",
    "srcintf": "observer.ingress.interface.name", "dstip": "destination.ip", "dstport": "destination.port",
    "dstmac": "destination.mac", "dstname": "destination.domain", "dstintf": "observer.egress.interface.name",
    "transip": "source.nat.ip", "transport": "source.nat.port", "tranip": "destination.nat.ip",
    "tranport": "destination.nat.port", "remip": "source.ip", "tunnelip": "source.nat.ip",
    "sentbyte": "source.bytes", "rcvdbyte": "destination.bytes", "sentpkt": "source.packets",
    "rcvdpkt": "destination.packets", "duration": "", "proto": "", "service": "", "app": "network.application",
    "policyid": "rule.id", "policyname": "rule.ruleset", "user": "user.name", "group": "group.name",
    "unauthuser": "user.name", "action": "", "status": "", "reason": "event.reason", "msg": "rule.description",
    "logdesc": "", "ui": "", "attack": "rule.name", "attackid": "rule.id", "virus": "rule.name", "severity": "",
    "crlevel": "", "hostname": "", "url": "", "catdesc": "rule.category", "filename": "file.name",
    "qname": "dns.question.name", "qtype": "dns.question.type", "ip": "source.ip", "mac": "source.mac",
    "cve": "vulnerability.id", "cfgpath": "event.provider",
    "interface": "observer.ingress.interface.name", "dhcp_msg": "", "lease": "", "stamac": "source.mac",
    "ssid": "network.name",
}  # fmt: skip
_THREATS: Final = frozenset({"virus", "ips", "anomaly", "waf", "dlp", "file-filter", "emailfilter"})
_STATIONS: Final = frozenset({"client-authentication", "client-disconnected-by-wtp"})
_FROM: Final = re.compile(r"\(([0-9A-Fa-f.:]{3,45})\)")


class Fortinet(Family):
    """Understand messages of FortiGate firewalls."""

    name: str = "fortinet"
    title: tuple[str, str] = ("飞塔防火墙（FortiGate）", "Fortinet FortiGate")
    datasets: tuple[str, ...] = (
        "fortinet.firewall",
        "fortinet.threat",
        "fortinet.web",
        "fortinet.access",
        "fortinet.admin",
        "fortinet.device",
        "dhcp.lease",
        "dhcp.message",
    )
    reference: tuple[str, ...] = (
        "Fortinet, FortiOS Log Message Reference"
        " https://docs.fortinet.com/document/fortigate/6.4.2/fortios-log-message-reference",
        "Field list of traffic logs https://github.com/davebdb/fnfw/blob/master/VariableNames",
        "Samples of FortiGate 40F, 80F, 90D, 200F quoted in public repositories (traffic local, DHCP Ack, DHCP"
        " statistics, wireless client authenticated, SSL VPN tunnel up, virus)",
    )
    verified: bool = True
    setup: tuple[str, str] = (
        "config log syslogd setting；set status enable；set server 本机地址；set format default；end",
        "config log syslogd setting; set status enable; set server ADDRESS; set format default; end",
    )
    opening: str = (
        r"date=\d{4}-\d\d-\d\d,? time=|timestamp=\d+ .{0,80}devname=|devname=\"?\S+ devid="
        r"|logver=\d+ .{0,200}\blogid="
    )
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a FortiOS message says."""
        found: Event = {
            "observer.vendor": "Fortinet",
            "observer.product": "FortiGate",
            "observer.type": "firewall",
        }
        values = put_pairs(found, quoted_pairs(message), _FIELDS)
        if "type" not in values or "logid" not in values:
            return None
        _put_time(found, values, zone)
        if found.get("log.level") == "information":
            found["log.level"] = "informational"
        _put_kind(found, values)
        for name in ("type", "subtype", "eventtype", "service", "action", "status", "logdesc"):
            if name in values:
                extra(found, name, values[name])
        put_seconds(found, values.get("duration", "") if values["type"] == "traffic" else "")
        if values["type"] != "utm" and "dhcp_msg" not in values:
            put(found, "source.domain", found.get("source.domain") or values.get("hostname"))
        elif values.get("hostname") or values.get("url"):
            put_url(found, host=values.get("hostname"), path=values.get("url"))
        finish_flow(found, values.get("proto", ""))
        return found


def _put_time(found: Event, values: Mapping[str, str], zone: tzinfo) -> None:
    """Take the time in nanoseconds or seconds since 1970, else date and time with the zone they say."""
    offset = values.get("tz", "")
    own_time(found, f"{values.get('date', '')} {values.get('time', '')}{offset}", zone)
    own_time(found, values.get("eventtime", "")[:16], UTC)


def _put_kind(found: Event, values: Mapping[str, str]) -> None:
    kind, sub, action = values["type"], values.get("subtype", ""), values.get("action", "")
    if kind == "traffic":
        found["event.dataset"] = "fortinet.firewall"
        connection(found, _DONE.get(action, ""), *(["start"] if action == "start" else ["end"]))
        if "event.action" not in found:
            put(found, "event.action", action)
    elif kind == "utm" and sub in _THREATS:
        found["event.dataset"] = "fortinet.threat"
        alert(found, action, *(("malware", "network") if sub == "virus" else ()))
        put(found, "rule.name", found.get("rule.name") or sub)
        put_severity(found, values.get("severity") or values.get("crlevel", ""))
    elif kind == "utm":
        found["event.dataset"] = "fortinet.web"
        found["event.category"] = ["web", "network"]
        found["event.type"] = ["denied" if verdict(action) == "deny" else "access"]
        put(found, "event.action", action)
    elif "dhcp_msg" in values:
        _dhcp(found, values)
    elif sub in ("user", "vpn") or (sub == "wireless" and action in _STATIONS):
        _access(found, values, action)
    else:
        _event(found, values, action)


_DONE: Final[Mapping[str, str]] = {
    "accept": "accept", "close": "accept", "timeout": "accept", "client-rst": "accept", "server-rst": "accept",
    "deny": "deny", "blocked": "deny", "ip-conn": "",
}  # fmt: skip


def _access(found: Event, values: Mapping[str, str], action: str) -> None:
    """Map users of VPN and portal."""
    found["event.dataset"] = "fortinet.access"
    failed = "fail" in action or values.get("status", "") in ("failure", "failed")
    gone = "down" in action or "logout" in action or "logoff" in action or "disconnect" in action
    known = "success" in values.get("status", "") or action in (
        "tunnel-up",
        "auth-logon",
        "client-authentication",
    )
    outcome = "failure" if failed else "success" if known or gone else ""
    login(found, "network_logout" if gone else "network_login", outcome, "end" if gone else "start")
    found["event.category"] = ["authentication", "session"]


def _dhcp(found: Event, values: Mapping[str, str]) -> None:
    """Map what the device did as a DHCP server, as with other servers."""
    for field in ("source.ip", "source.mac", "source.domain"):
        found.pop(field, None)
    lease = Lease(values.get("ip", ""), values.get("mac", ""), values.get("hostname", ""))
    put_lease(found, values["dhcp_msg"].lower(), "fortinet", lease)
    seconds = long_value(values.get("lease"))
    if seconds is not None and 0 < seconds < 1 << 32 and found["event.action"] == "dhcp_ack":
        put_lifetime(found, seconds)


def _event(found: Event, values: Mapping[str, str], action: str) -> None:
    """Map administrators and the state of the device."""
    found["event.dataset"] = "fortinet.device"
    found["event.category"], found["event.type"] = ["host"], ["info"]
    put(found, "event.action", action)
    address = _FROM.search(values.get("ui", ""))
    if action in ("login", "logout"):
        found["event.dataset"] = "fortinet.admin"
        outcome = "failure" if values.get("status", "") == "failed" else "success"
        login(found, f"admin_{action}", outcome, "start" if action == "login" else "end")
    elif action in ("Add", "Edit", "Delete") or "cfgpath" in values:
        found["event.dataset"] = "fortinet.admin"
        found["event.category"], found["event.type"] = ["configuration"], ["change"]
    if address is not None:
        put(found, "source.ip", address[1])
