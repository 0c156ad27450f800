"""Understand Huawei's VRP: USG firewalls, S switches, AR routers, wireless controllers.

Layout ``%%01MODULE/level/BRIEF(flag)[count]:text (Name=value, …)``; traps sent as logs have no ``%%01``. Times in the
header are UTC unless ``info-center loghost … local-time`` is set, so the message's own time is taken where it has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
    put_time,
    verdict,
)
from collectors.devices.text import COMMA_EQUALS, SEMICOLON_COLON, Pairs, bracketed, marked_pairs
from collectors.devices.vrp import Message, put_message, read_message
from collectors.network import put_url
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "sourceip": "source.ip", "srcip": "source.ip", "source-ip": "source.ip",
    "sourceport": "source.port", "srcport": "source.port", "source-port": "source.port",
    "destinationip": "destination.ip", "dstip": "destination.ip", "destination-ip": "destination.ip",
    "destinationport": "destination.port", "dstport": "destination.port", "destination-port": "destination.port",
    "sourcenatip": "source.nat.ip", "sourcenatport": "source.nat.port",
    "destinationnatip": "destination.nat.ip", "destinationnatport": "destination.nat.port",
    "sendbytes": "source.bytes", "sendpkts": "source.packets",
    "rcvbytes": "destination.bytes", "rcvpkts": "destination.packets",
    "sourcezone": "observer.ingress.zone", "srczone": "observer.ingress.zone", "source-zone": "observer.ingress.zone",
    "destinationzone": "observer.egress.zone", "dstzone": "observer.egress.zone",
    "destination-zone": "observer.egress.zone",
    "policyname": "rule.name", "rule-name": "rule.name", "policy": "rule.ruleset",
    "username": "user.name", "user": "user.name",
    "application": "network.application", "applicationname": "network.application",
    "application-name": "network.application",
    "closereason": "edusoc.flow.end_reason",
    "page": "", "host": "", "url": "",
    "protocol": "", "begintime": "", "endtime": "", "time": "", "severity": "", "action": "", "ipver": "",
    "signname": "rule.name", "signid": "rule.id", "category": "rule.category", "reference": "vulnerability.id",
    "filename": "file.name", "event": "rule.name",
    "urlcategory": "rule.category", "detecttime": "",
    "ip": "source.ip", "ipaddress": "source.ip", "userip": "source.ip", "terminalip": "source.ip",
    "usermac": "source.mac", "mac": "source.mac", "sourcemac": "source.mac", "usermacaddress": "source.mac",
    "command": "process.command_line", "authenticationmethod": "edusoc.authentication.method",
    "access type": "edusoc.authentication.method", "accesstype": "network.protocol",
    "failedreason": "event.reason", "interface": "observer.ingress.interface.name",
    "sourceinterface": "observer.ingress.interface.name", "sourceattackinterface": "observer.ingress.interface.name",
    "usergroup": "group.name", "uclgroupname": "group.name", "result": "", "errcode": "", "msg": "event.reason",
    "zone": "", "daylight": "", "devicename": "observer.name", "acname": "observer.name",
}  # fmt: skip
_LINK: Final = re.compile(r"[Ii]nterface (\S+) has (?:entered the|turned into) (\w+) state")
_SHELL_USER: Final = re.compile(r"User (\S+?)(?:\(IP:([\d.:a-fA-F]+)[^)]*\))? login failed")
_DUPLICATE: Final = re.compile(r"ip address (\S+?),? from (\S+), source MAC is ([0-9a-fA-F-]{14})", re.ASCII)


class Huawei(Family):
    """Understand messages of Huawei's firewalls, switches, routers and wireless controllers."""

    name: str = "huawei"
    title: tuple[str, str] = ("华为防火墙、交换机、路由器、无线控制器（VRP）", "Huawei VRP: USG, S, AR, AC")
    datasets: tuple[str, ...] = (
        "huawei.firewall",
        "huawei.threat",
        "huawei.access",
        "huawei.admin",
        "huawei.device",
    )
    reference: tuple[str, ...] = (
        "Huawei HiSecEngine USG6000E Product Documentation, “Log Fields”, “Configuring the Log Header and Timestamp”"
        " https://usg.zrnko.cz/resources/admin/sec_admin_log_0089.html",
        "Huawei, Log Message Format Description http://a10.tagan.ru/huawei/dc/dc_cbb_log_format_s.html",
        "Huawei, IPS/4/EXCEPTION https://support.huawei.com/enterprise/en/doc/EDOC1000097209/81372bf5/ips-4-exception",
        "Huawei S 系列交换机日志参考 CM/5/USER_OFFLINERESULT"
        " https://support.huawei.com/enterprise/zh/doc/EDOC1000141458/6fa3aa94",
        "Samples of USG6000, USG6585E, S5731 quoted by operators in public repositories"
        " (POLICYPERMIT, SESSION_TEARDOWN, SESSION_URL, IPS/4/DETECT, USER_ACCESSRESULT, CMDRECORD, LINK_STATE)",
    )
    verified: bool = True
    setup: tuple[str, str] = (
        "info-center enable；info-center loghost 本机地址 local-time（不写 local-time 时报文头用 UTC 时间）；"
        "防火墙另开 firewall log session log-type syslog、安全策略里 session logging、policy logging，"
        "并 firewall log charset utf-8",
        "info-center enable; info-center loghost ADDRESS local-time (without it headers carry UTC);"
        " on firewalls also: firewall log session log-type syslog, session logging and policy logging in the rules,"
        " firewall log charset utf-8",
    )
    opening: str = (
        r"(?:\S{1,64} )?(?:%%: ?)?%%01[A-Z]"
        r"|[A-Z][\w\-]{1,30}/[0-7]/\w{2,40}(?:\(\w\))?:OID 1\.3\.6\.1\.4\.1\.2011\."
    )
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a VRP message says."""
        read = read_message(message, "01")
        if read is None:
            return None
        found: Event = {"observer.vendor": "Huawei", "observer.product": "VRP"}
        put_message(found, read)
        special = _KINDS.get(read.module, _device)
        special(found, read, zone)
        return found


def _pairs(text: str) -> Pairs:
    inner = bracketed(text)
    return marked_pairs(inner, COMMA_EQUALS) if inner else []


def _session(found: Event, read: Message, _zone: tzinfo) -> None:
    """Map SECLOG: sessions built, aged out, and the web addresses asked for in them; times in seconds since 1970."""
    values = put_pairs(found, marked_pairs(read.text.rstrip("."), COMMA_EQUALS), _FIELDS)
    found["event.dataset"] = "huawei.firewall"
    found["observer.type"] = "firewall"
    kinds = {"SESSION_BUILT": "start", "SESSION_TEARDOWN": "end"}
    denied = "deny" if "deny" in values.get("closereason", "") else ""
    connection(found, denied, *([kinds[read.brief]] if read.brief in kinds else ()))
    if "page" in values or "host" in values:
        put_url(found, host=values.get("host"), path=values.get("page"))
    put_time(found, "event.start", values.get("begintime", ""), UTC)
    put_time(found, "event.end", values.get("endtime", ""), UTC)
    own_time(found, values.get("endtime") or values.get("begintime", ""), UTC)
    _put_duration(found, values)
    finish_flow(found, values.get("protocol", ""))


def _put_duration(found: Event, values: Mapping[str, str]) -> None:
    begin, end = long_value(values.get("begintime")), long_value(values.get("endtime"))
    if begin and end:
        put_seconds(found, str(end - begin))


def _policy(found: Event, read: Message, zone: tzinfo) -> None:
    """Map POLICY: a security policy permitted or denied; ``time`` is local."""
    values = put_pairs(found, marked_pairs(read.text.rstrip("."), COMMA_EQUALS), _FIELDS)
    found["event.dataset"] = "huawei.firewall"
    found["observer.type"] = "firewall"
    connection(found, "deny" if "DENY" in read.brief else "accept" if "PERMIT" in read.brief else "")
    own_time(found, values.get("time", ""), zone)
    finish_flow(found, values.get("protocol", ""))


def _threat(found: Event, read: Message, zone: tzinfo) -> None:
    """Map what the content inspection found: intrusions and filtered addresses."""
    values = put_pairs(found, _pairs(read.text), _FIELDS)
    found["event.dataset"] = "huawei.threat"
    found["observer.type"] = "firewall"
    if read.module == "URL":
        action = verdict(values.get("action", ""))
        found["event.category"], found["event.type"] = (
            ["web", "network"],
            ["denied" if action == "deny" else "access"],
        )
        put(found, "event.action", action)
        put_url(found, host=values.get("host"), path=values.get("url"))
    else:
        alert(found, values.get("action", ""))
    if "action" in values:
        extra(found, "Action", values["action"])
    put_severity(found, values.get("severity", ""))
    own_time(found, values.get("detecttime", ""), zone)
    finish_flow(found, values.get("protocol", ""))


def _access(found: Event, read: Message, _zone: tzinfo) -> None:
    """Map users that come and go at a port, a wireless network or a portal; TIME is seconds since 1970."""
    pairs = marked_pairs(read.text, SEMICOLON_COLON) if read.module == "CM" else _pairs(read.text)
    values = put_pairs(found, pairs, _FIELDS)
    found["event.dataset"] = "huawei.access"
    offline = "OFFLINE" in read.brief
    result = values.get("result", "").lower()
    outcome = "success" if offline or "success" in result or result == "succeeded" else "failure"
    login(found, "network_logout" if offline else "network_login", outcome, "end" if offline else "start")
    found["event.category"] = ["authentication", "session"]
    if offline or outcome == "failure":
        put(found, "event.reason", values.get("result") or values.get("errcode"))
    if read.module == "CM":
        own_time(found, values.get("time", ""), UTC)
    finish_flow(found)


_ADMIN: Final[Mapping[str, tuple[str, str, str]]] = {
    # brief → action, outcome, event type
    "LOGIN": ("admin_login", "success", "start"),
    "LOGOUT": ("admin_logout", "success", "end"),
    "LOGINFAILED": ("admin_login", "failure", "start"),
    "LOGINFAIL": ("admin_login", "failure", "start"),
    "LOGIN_FAIL_FOR_INPUT_TIMEOUT": ("admin_login", "failure", "start"),
    "LOGIN_OK": ("admin_login", "success", "start"),
    "SSH_FAIL": ("admin_login", "failure", "start"),
    "SNMP_FAIL": ("snmp_login", "failure", "start"),
    "FAIL": ("admin_login", "failure", "start"),
    "PASS": ("admin_login", "success", "start"),
    "SSHS_IP_BLOCK_CLIENT": ("address_blocked", "failure", "info"),
    "SNMP_IPLOCK": ("address_blocked", "failure", "info"),
    "CHANGE_PASSWORD_FAIL": ("password_changed", "failure", "change"),
}
_COMMANDS: Final = frozenset({"CMDRECORD", "DISPLAY_CMDRECORD", "CMDRECORDFAILED"})


def _admin(found: Event, read: Message, _zone: tzinfo) -> None:
    """Map administrators: log-ins and the commands they gave."""
    put_pairs(found, _pairs(read.text), _FIELDS)
    found["event.dataset"] = "huawei.admin"
    known = _ADMIN.get(read.brief)
    if known is not None:
        login(found, known[0], known[1], known[2])
        who = _SHELL_USER.search(read.text)
        if who is not None:
            put(found, "user.name", who[1])
            put(found, "source.ip", who[2])
    elif read.brief in _COMMANDS:
        shown = read.brief.startswith("DISPLAY")
        found["event.category"], found["event.type"] = ["configuration"], ["access" if shown else "change"]
        found["event.action"] = "command"
        found["event.outcome"] = "failure" if read.brief.endswith("FAILED") else "success"
    else:
        found["event.category"], found["event.type"] = ["configuration"], ["change"]
    finish_flow(found)


def _attack(found: Event, read: Message, _zone: tzinfo) -> None:
    """Map attacks that switches saw at their ports."""
    put_pairs(found, _pairs(read.text), _FIELDS)
    found["event.dataset"] = "huawei.threat"
    alert(found, "")
    found["event.action"] = read.brief.lower()
    put(found, "rule.name", read.brief)
    finish_flow(found)


def _device(found: Event, read: Message, _zone: tzinfo) -> None:
    """Map the state of the device: interfaces, doubled addresses, and everything else by its code."""
    put_pairs(found, _pairs(read.text), _FIELDS)
    found["event.dataset"] = "huawei.device"
    link = _LINK.search(read.text)
    if link is not None:
        put(found, "observer.ingress.interface.name", link[1])
        found["event.category"] = ["network"]
        found["event.action"] = f"interface_{link[2].lower()}"
    double = _DUPLICATE.search(read.text) if read.brief == "DUP_IPADDR" else None
    if double is not None:
        found["event.action"] = "address_conflict"
        put_pairs(
            found,
            [("sourceip", double[1]), ("interface", double[2]), ("sourcemac", double[3])],
            _FIELDS,
        )
    finish_flow(found)


_KINDS: Final[Mapping[str, Callable[[Event, Message, tzinfo], None]]] = {
    "SECLOG": _session, "POLICY": _policy,
    "IPS": _threat, "URL": _threat, "IPSTRAP": _threat,
    "CM": _access, "WEB": _access,
    "SHELL": _admin, "SSH": _admin, "FTPS": _admin, "AAA": _admin, "CFM": _admin, "CONFIG": _admin, "HTTPD": _admin,
    "SNMP": _admin, "SECE": _attack,
}  # fmt: skip
