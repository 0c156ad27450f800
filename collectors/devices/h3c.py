"""Understand H3C's Comware: SecPath firewalls, switches, routers, wireless controllers; and its ACG access gateways.

Layout ``%%10MODULE/level/BRIEF: -Location; -Name=value-Name=value; text``; firewalls write fields numbered as
``Name(1003)=value;``. ``BeginTime_e`` is UTC (seen so in samples), ``BeginTime_c`` is the device's local time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.devices.base import Family
from collectors.devices.h3c_acg import interpret_acg
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    login,
    mac_text,
    own_time,
    put_pairs,
    put_severity,
    put_time,
    verdict,
)
from collectors.devices.text import HYPHEN_EQUALS, SEMICOLON_EQUALS, Pairs, marked_pairs, without_number
from collectors.devices.vrp import Message, put_message, read_message
from collectors.dhcp_common import Lease, put_lease, put_lifetime
from collectors.network import put_url
from soc_core.model.event import Event, Value

_FIELDS: Final[Mapping[str, str]] = {
    "srcipaddr": "source.ip", "srcipv6addr": "source.ip", "srcport": "source.port", "srcmacaddr": "source.mac",
    "dstipaddr": "destination.ip", "dstipv6addr": "destination.ip", "dstport": "destination.port",
    "natsrcipaddr": "source.nat.ip", "natsrcport": "source.nat.port",
    "natdstipaddr": "destination.nat.ip", "natdstport": "destination.nat.port",
    "initpktcount": "source.packets", "initbytecount": "source.bytes",
    "rplypktcount": "destination.packets", "rplybytecount": "destination.bytes",
    "srczonename": "observer.ingress.zone", "dstzonename": "observer.egress.zone",
    "securitypolicy": "rule.name", "objectpolicy": "rule.name", "rulename": "rule.name", "ruleid": "rule.id",
    "policyname": "rule.ruleset", "attackname": "rule.name", "attackid": "rule.id", "category": "rule.category",
    "virusname": "rule.name", "cve": "vulnerability.id", "application": "network.application",
    "username": "user.name", "user": "user.name", "httphost": "", "url": "", "uri": "",
    "protocol": "", "severity": "", "action": "", "event": "",
    "begintime_e": "", "endtime_e": "", "begintime_c": "", "endtime_c": "",
    "ipaddr": "source.ip", "srcip": "source.ip", "userip": "source.ip", "macaddr": "source.mac",
    "usermac": "source.mac", "ifname": "observer.ingress.interface.name", "vlanid": "network.vlan.id",
    "accessvlanid": "network.vlan.id", "ssid": "network.name", "devip": "observer.ip", "sn": "observer.serial_number",
    "line": "", "reason": "event.reason",
}  # fmt: skip
_PREFIX: Final = re.compile(r"-([A-Za-z][^;]{0,512}?)(?:; ?|:(?=[A-Za-z ])|$)")
_ADDRESS: Final = r"([0-9A-Fa-f.:]{3,45})"
_LOGGED: Final = re.compile(
    rf"(\S{{1,128}}) logged (in|out) from {_ADDRESS}\.*$|(\S{{1,128}}) logged (in|out) from (\S+)"
)
_FAILED: Final = re.compile(rf"(\S{{1,128}}) failed to log in from {_ADDRESS}")
_SSH: Final = re.compile(
    rf"(Accepted|Authentication failed|Failed) ?\w* for (?:user )?(\S{{1,128}}) from {_ADDRESS} port (\d{{1,5}})"
)
_RADIUS: Final = re.compile(rf"User (\S{{1,128}}) (?:at|from) {_ADDRESS} (failed|passed)")
_COMMAND: Final = re.compile(r"Command(?: is)? (.{1,1024}?)(?: is permission denied\.| in view .*)?$")
_LINK: Final = re.compile(
    r"(?:state on the interface (\S+) changed to|^(\S+) link status is) (\w+)", re.IGNORECASE
)
_LEASE: Final = re.compile(
    rf"(?:Server IP = {_ADDRESS}, )?DHCP client IP = {_ADDRESS}, "
    r"DHCP client hardware address = ([0-9A-Fa-f.\-]{12,17})"
    r"(?:, DHCP client lease = (\d{1,9}))?"
)
_LEASES: Final[Mapping[str, str]] = {
    "DHCPS_ALLOCATE_IP": "ack", "DHCPS_EXTEND_IP": "renew", "DHCPS_RECLAIM_IP": "expire",
}  # fmt: skip
_FIREWALL: Final = ("SESSION", "NAT", "FILTER", "ASPF")
_STARTS: Final = ("(8)",)


class H3c(Family):
    """Understand messages of H3C's firewalls, switches, routers, wireless controllers and ACG gateways."""

    name: str = "h3c"
    title: tuple[str, str] = (
        "新华三防火墙、交换机、无线控制器（Comware），ACG 上网行为管理",
        "H3C Comware: SecPath, switches, AC; ACG",
    )
    datasets: tuple[str, ...] = (
        "h3c.firewall",
        "h3c.threat",
        "h3c.access",
        "h3c.admin",
        "h3c.web",
        "h3c.device",
        "dhcp.lease",
    )
    reference: tuple[str, ...] = (
        "H3C S7500X 日志信息参考 R7568 http://www.h3c.com/cn/d_201804/1077467_30005_0.htm",
        "H3C Comware 7 Information center configuration https://www.h3c.com/en/d_202407/2220483_294551_0.htm",
        "H3C Security Products Comware 7 System Log Messages Reference 6W700",
        "H3C Portal 调试信息 PORTAL_USER_LOGON_SUCCESS, 攻击检测与防范命令 BLS_ENTRY_ADD",
        "Samples of F1050, F1070, T9008, S10506, ACG1000 quoted in public repositories (SESSION_IPV4_FLOW,"
        " FILTER_ZONE_IPV4_EXECUTION, IPS_IPV4_INTERZONE, ATK_*, SHELL_LOGIN, SHELL_CMD, PHY_UPDOWN, web_access)",
        "A sample of DHCPS_ALLOCATE_IP in a public collection of H3C configurations (voice VLAN)",
    )
    verified: bool = True
    setup: tuple[str, str] = (
        "info-center enable；info-center loghost 本机地址；"
        "会话日志：session log flow-begin、session log flow-end，userlog flow syslog",
        "info-center enable; info-center loghost ADDRESS; for sessions: session log flow-begin, session log flow-end,"
        " userlog flow syslog",
    )
    opening: str = r"(?:\S{1,64} )?%%10 ?[A-Za-z]"
    programs: frozenset[str] = frozenset(
        {"web_access", "statistic_traffic", "other_app", "im", "relax_stock", "file_transfer", "social_log"}
    )

    def interpret(self, message: str, head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a Comware or ACG message says."""
        if head.get("log.syslog.appname") in self.programs:
            return interpret_acg(message, head)
        read = read_message(message, "10")
        if read is None:
            return None
        found: Event = {"observer.vendor": "H3C", "observer.product": "Comware"}
        put_message(found, read)
        located, rest = _split(read.text)
        read = read._replace(text=rest)
        special = _KINDS.get(read.module) or _kind_of(read)
        special(found, read, located, zone)
        return found


def _split(text: str) -> tuple[Pairs, str]:
    """Return the pairs of the leading ``-Name=value`` parts and the text after them."""
    pairs: Pairs = []
    for _ in range(4):
        match = _PREFIX.match(text)
        if match is None or "=" not in match[1]:
            break
        pairs += marked_pairs(match[1], HYPHEN_EQUALS)
        text = text[match.end() :].lstrip()
    return pairs, text


def _numbered(text: str) -> Pairs:
    return [
        (without_number(name), value.rstrip("."))
        for name, value in marked_pairs(text.rstrip(".;"), SEMICOLON_EQUALS)
    ]


def _kind_of(read: Message) -> Callable[[Event, Message, Pairs, tzinfo], None]:
    if read.module.startswith(_FIREWALL):
        return _traffic
    if "(1003)=" in read.text or "(1036)=" in read.text or "(1088)=" in read.text:
        return _threat
    return _device


def _traffic(found: Event, read: Message, located: Pairs, _zone: tzinfo) -> None:
    """Map sessions, translations and what the security policy did."""
    values = put_pairs(found, located + _numbered(read.text), _FIELDS)
    found["event.dataset"] = "h3c.firewall"
    found["observer.type"] = "firewall"
    event = values.get("event", "")
    action = verdict(event) if read.module == "FILTER" else "deny" if read.brief.startswith("DENY") else ""
    started = event.startswith(_STARTS) or "created" in event.lower()
    ended = not started and ("delete" in event.lower() or "ended" in event.lower() or "endtime_e" in values)
    connection(found, action, *(["start"] if started else ["end"] if ended else []))
    put(found, "event.reason", None if verdict(event) else event)
    put_time(found, "event.start", values.get("begintime_e", ""), UTC)
    put_time(found, "event.end", values.get("endtime_e", ""), UTC)
    own_time(found, values.get("endtime_e") or values.get("begintime_e", ""), UTC)
    finish_flow(found, values.get("protocol", ""))


def _threat(found: Event, read: Message, located: Pairs, zone: tzinfo) -> None:
    """Map attacks, intrusions, blacklisted addresses and what else the inspection reports."""
    values = put_pairs(found, located + _numbered(read.text), _FIELDS)
    found["event.dataset"] = "h3c.threat"
    found["observer.type"] = "firewall"
    action = values.get("action", "")
    alert(found, action)
    if action:
        extra(found, "Action", action)
    put(found, "rule.name", found.get("rule.name", read.brief))
    if "httphost" in values or "url" in values or "uri" in values:
        put_url(found, host=values.get("httphost"), path=values.get("url") or values.get("uri"))
    put_severity(found, values.get("severity", ""))
    put_time(found, "event.start", values.get("begintime_c", ""), zone)
    put_time(found, "event.end", values.get("endtime_c", ""), zone)
    finish_flow(found, values.get("protocol", ""))


def _admin(found: Event, read: Message, located: Pairs, _zone: tzinfo) -> None:
    """Map administrators: log-ins and the commands they gave."""
    values = put_pairs(found, located, _FIELDS)
    found["event.dataset"] = "h3c.admin"
    if "CMD" in read.brief:
        command = _COMMAND.search(read.text)
        put(found, "process.command_line", command[1] if command else None)
        found["event.category"], found["event.type"] = ["configuration"], ["change"]
        found["event.action"] = "command"
        denied = "DENY" in read.brief or "FAIL" in read.brief
        found["event.outcome"] = "failure" if denied else "success"
        put(found, "event.reason", read.brief.lower() if denied else None)
    elif not _put_login(found, read):
        found["event.category"], found["event.type"] = ["configuration"], ["info"]
    if "line" in values:
        extra(found, "Line", values["line"])
    finish_flow(found)


def _put_login(found: Event, read: Message) -> bool:
    """Map the sentences about log-ins; tell whether there was one. They are short: only the start counts."""
    text = read.text[:1_024]
    if (match := _LOGGED.search(text)) is not None:
        user, way, address = (match[1], match[2], match[3]) if match[1] else (match[4], match[5], None)
        login(found, f"admin_log{way}", "success", "start" if way == "in" else "end")
        _put_who(found, user, address)
    elif (match := _FAILED.search(text)) is not None:
        login(found, "admin_login", "failure")
        _put_who(found, match[1], match[2])
    elif (match := _SSH.search(text)) is not None:
        login(found, "ssh_login", "success" if match[1] == "Accepted" else "failure")
        _put_who(found, match[2], match[3])
        put(found, "source.port", match[4])
    elif (match := _RADIUS.search(text)) is not None:
        login(found, "radius_login", "success" if match[3] == "passed" else "failure")
        _put_who(found, match[1], match[2])
    else:
        return False
    return True


def _put_who(found: Event, user: str, address: str | None) -> None:
    put(found, "user.name", user)
    if address and address.strip("."):
        put(found, "source.ip", address.strip("."))


def _access(found: Event, read: Message, located: Pairs, _zone: tzinfo) -> None:
    """Map users at switch ports, portals and wireless networks."""
    put_pairs(found, located, _FIELDS)
    found["event.dataset"] = "h3c.access"
    brief = read.brief
    failed = "FAIL" in brief or "VIOLATION" in brief
    gone = not failed and ("LOGOFF" in brief or "OFFLINE" in brief or "LOGOUT" in brief)
    login(
        found,
        "network_logout" if gone else "network_login",
        "failure" if failed else "success",
        "end" if gone else "start",
    )
    found["event.category"] = ["authentication", "session"]
    if failed or gone:
        put(found, "event.reason", read.text)
    finish_flow(found)


def _dhcp(found: Event, read: Message, located: Pairs, zone: tzinfo) -> None:
    """Map leases that the device gave as a DHCP server, as those of other servers."""
    match = _LEASE.search(read.text)
    if match is None or read.brief not in _LEASES:
        _device(found, read, located, zone)
        return
    server, address, mac, seconds = match.groups()
    put_lease(found, _LEASES[read.brief], "h3c", Lease(address, mac_text(mac) or ""))
    put(found, "observer.ip", server)
    if seconds and read.brief != "DHCPS_RECLAIM_IP":
        put_lifetime(found, int(seconds))


def _device(found: Event, read: Message, located: Pairs, _zone: tzinfo) -> None:
    """Map the state of the device: interfaces, and everything else by its code."""
    put_pairs(found, located, _FIELDS)
    found["event.dataset"] = "h3c.device"
    link = _LINK.search(read.text) if read.module in ("IFNET", "ETH") else None
    if link is not None:
        put(found, "observer.ingress.interface.name", link[1] or link[2])
        found["event.category"] = ["network"]
        found["event.action"] = f"interface_{link[3].lower()}"
    finish_flow(found)


_KINDS: Final[Mapping[str, Callable[[Event, Message, Pairs, tzinfo], None]]] = {
    "IPS": _threat, "ATK": _threat, "BLS": _threat, "WAF": _threat, "ANTI-VIR": _threat,
    "SHELL": _admin, "LOGIN": _admin, "SSHS": _admin, "WEB": _admin, "CFGMAN": _admin, "FTPD": _admin,
    "RADIUS": _admin, "PWDCTL": _admin,
    "DOT1X": _access, "MACA": _access, "MACAUTH": _access, "PORTAL": _access, "PORTSEC": _access, "STAMGR": _access,
    "DHCPS": _dhcp,
}  # fmt: skip
