"""Understand Cisco: IOS (``%FACILITY-level-MNEMONIC: text``) and ASA firewalls (``%ASA-level-number: text``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Final

from collectors.coerce import put
from collectors.devices.base import Family
from collectors.devices.ios_layout import put_record, read_record
from collectors.devices.mapping import (
    alert,
    connection,
    finish_flow,
    login,
    put_field,
    split_address,
    verdict,
)
from soc_core.model.event import Event, Value

_ASA: Final = re.compile(r"(?:: ?)?%(ASA|FTD|PIX)-(?:\w{1,16}-)?([0-7])-(\d{6}): ?(.*)", re.DOTALL)
_LEVELS: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
_END: Final = r"([\w\-. ]{1,48}):([0-9A-Fa-f.:]{3,45})/(\d{1,5})"
_BUILT: Final = re.compile(
    rf"Built (inbound|outbound) (\w+) connection (\d+) for {_END} \(([^)]+)/(\d+)\)(?:\([^)]*\))?"
    rf" to {_END} \(([^)]+)/(\d+)\)"
)
_TORN: Final = re.compile(
    rf"Teardown (\w+) connection (\d+) for {_END}(?:\([^)]*\))? to {_END}(?:\([^)]*\))?"
    r" duration (\d+):(\d\d):(\d\d) bytes (\d+)(?: (.{1,64}))?"
)
_TRANSLATED: Final = re.compile(
    rf"(Built|Teardown) dynamic (\w+) translation from {_END}(?:\([^)]*\))? to {_END}"
)
_DENIED: Final = re.compile(
    rf"[Dd]eny (?:inbound )?(\w+) (?:src|from) (?:{_END}|([0-9A-Fa-f.:]{{3,45}})/(\d+))(?:\([^)]*\))?"
    rf" (?:dst|to) (?:{_END}|([0-9A-Fa-f.:]{{3,45}})/(\d+))"
)
_GROUP: Final = re.compile(r'by access-group "([^"]{1,128})"')
_LIST: Final = re.compile(
    r"access-list (\S{1,64}) (permitted|denied|est-allowed) (\w+) (\S{1,48})/(\S{3,45}?)\((\d+)\)(?:\([^)]*\))?"
    r" -> (\S{1,48})/(\S{3,45}?)\((\d+)\)"
)
_LOGIN: Final = re.compile(
    r'Login (permitted|denied) from (\S{3,45}?)/(\d+) to (\S{1,48}?)/(\w+) for user "([^"]{0,128})"'
)
_AAA: Final = re.compile(
    r"AAA user (?:authentication|authorization) (Successful|Rejected) ?: "
    r"(?:reason = ([^:]{1,64}) : )?.{0,64}?user = (\S{1,128})"
    r"(?: : user IP = (\S{3,45}))?"
)
_COMMAND: Final = re.compile(
    r"User '([^']{1,128})'(?:, running '[^']*' from IP (\S{3,45}),)? executed (?:the )?'(.{1,1024}?)'(?: command)?\.?$"
)


class Cisco(Family):
    """Understand messages of Cisco's switches, routers and ASA firewalls."""

    name: str = "cisco"
    title: tuple[str, str] = ("思科交换机、路由器（IOS）、防火墙（ASA）", "Cisco IOS, ASA")
    datasets: tuple[str, ...] = (
        "cisco.firewall",
        "cisco.threat",
        "cisco.access",
        "cisco.admin",
        "cisco.device",
    )
    reference: tuple[str, ...] = (
        "Cisco, System Message Guide for IOS (LINK, LINEPROTO, SYS, SEC_LOGIN, SEC, PARSER, DOT1X, PORT_SECURITY)",
        "Cisco Secure Firewall ASA Syslog Messages (106001, 106023, 106100, 111008, 113004, 302013–302016, 305011,"
        " 605004, 605005)",
        "Samples of ASA (302013, 302014, 106023) and IOS (DOT1X-5-FAIL, LINK-3-UPDOWN) in public repositories",
    )
    verified: bool = True
    setup: tuple[str, str] = (
        "IOS：logging host 本机地址；service timestamps log datetime localtime year；"
        "ASA：logging enable；logging host 接口 本机地址；logging trap informational；logging timestamp",
        "IOS: logging host ADDRESS; service timestamps log datetime localtime year; ASA: logging enable;"
        " logging host INTERFACE ADDRESS; logging trap informational; logging timestamp",
    )
    opening: str = (
        r"(?:: ?)?%(?:ASA|FTD|PIX)-"
        r"|(?:\d{1,10}: ?)?(?:[*.]?[A-Z][a-z]{2} +\d{1,2} [\d:. ]{8,24}: ?)?"
        r"(?:\S{1,64} )?%[A-Z]\w{1,31}-(?:\w{1,16}-)?[0-7]-[A-Z]"
    )
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, _head: Mapping[str, Value], _zone: tzinfo, /) -> Event | None:
        """Return what an IOS or ASA message says."""
        found: Event = {"observer.vendor": "Cisco"}
        match = _ASA.match(message)
        if match is not None:
            _put_asa(found, match)
            return found
        record = read_record(message)
        if record is None:
            return None
        found["observer.product"] = "IOS"
        put_record(found, record, self.name)
        return found


def _put_asa(found: Event, match: re.Match[str]) -> None:
    product, level, number, text = match.groups()
    found["observer.product"], found["observer.type"] = product, "firewall"
    found["event.code"] = number
    found["log.level"] = _LEVELS[int(level)]
    found["event.dataset"] = "cisco.device"
    found["event.category"], found["event.type"] = ["host"], ["info"]
    found["event.action"] = f"{product.lower()}_{number}"
    special = _NUMBERS.get(number)
    if special is not None:
        special(found, text)
    finish_flow(found)


def _side(found: Event, side: str, zone: str | None, address: str, port: str) -> None:
    put_field(found, f"{side}.ip", split_address(address)[0])
    put(found, f"{side}.port", port)
    put(found, f"observer.{'ingress' if side == 'source' else 'egress'}.interface.name", zone)


def _built(found: Event, text: str) -> None:
    """Map a connection: an outbound one starts at the far end of the sentence."""
    match = _BUILT.search(text)
    if match is None:
        return
    (
        way,
        protocol,
        _,
        zone,
        address,
        port,
        mapped,
        mapped_port,
        zone2,
        address2,
        port2,
        mapped2,
        mapped_port2,
    ) = match.groups()
    first = (zone, address, port, mapped, mapped_port)
    second = (zone2, address2, port2, mapped2, mapped_port2)
    source, destination = (second, first) if way == "outbound" else (first, second)
    found["event.dataset"] = "cisco.firewall"
    connection(found, "accept", "start")
    for side, (where, host, number, other, other_number) in (
        ("source", source),
        ("destination", destination),
    ):
        _side(found, side, where, host, number)
        put_field(found, f"{side}.nat.ip", other)
        put_field(found, f"{side}.nat.port", other_number)
    found["network.direction"] = way
    finish_flow(found, protocol)


def _torn(found: Event, text: str) -> None:
    match = _TORN.search(text)
    if match is None:
        return
    protocol, _, zone, address, port, zone2, address2, port2, hours, minutes, seconds, amount, reason = (
        match.groups()
    )
    found["event.dataset"] = "cisco.firewall"
    connection(found, "", "end")
    found["event.action"] = "session"
    _side(found, "source", zone, address, port)
    _side(found, "destination", zone2, address2, port2)
    put(found, "network.bytes", amount)
    put(found, "edusoc.flow.end_reason", reason)
    if len(hours) < 7:
        found["event.duration"] = (int(hours) * 3_600 + int(minutes) * 60 + int(seconds)) * 1_000_000_000
    finish_flow(found, protocol)


def _translated(found: Event, text: str) -> None:
    match = _TRANSLATED.search(text)
    if match is None:
        return
    word, protocol, zone, address, port, zone2, address2, port2 = match.groups()
    found["event.dataset"] = "cisco.firewall"
    connection(found, "", "start" if word == "Built" else "end")
    found["event.action"] = "nat"
    _side(found, "source", zone, address, port)
    put(found, "observer.egress.interface.name", zone2)
    put_field(found, "source.nat.ip", address2)
    put_field(found, "source.nat.port", port2)
    finish_flow(found, protocol)


def _denied(found: Event, text: str) -> None:
    match = _DENIED.search(text)
    if match is None:
        return
    protocol, zone, address, port, bare, bare_port, zone2, address2, port2, bare2, bare_port2 = match.groups()
    found["event.dataset"] = "cisco.firewall"
    connection(found, "deny")
    _side(found, "source", zone, address or bare, port or bare_port)
    _side(found, "destination", zone2, address2 or bare2, port2 or bare_port2)
    group = _GROUP.search(text)
    put(found, "rule.name", group[1] if group else None)
    finish_flow(found, protocol)


def _listed(found: Event, text: str) -> None:
    match = _LIST.search(text)
    if match is None:
        return
    name, word, protocol, zone, address, port, zone2, address2, port2 = match.groups()
    found["event.dataset"] = "cisco.firewall"
    connection(found, "accept" if word == "est-allowed" else verdict(word))
    put(found, "rule.name", name)
    _side(found, "source", zone, address, port)
    _side(found, "destination", zone2, address2, port2)
    finish_flow(found, protocol)


def _logged_in(found: Event, text: str) -> None:
    match = _LOGIN.search(text)
    if match is None:
        return
    found["event.dataset"] = "cisco.admin"
    login(found, "admin_login", "success" if match[1] == "permitted" else "failure")
    put_field(found, "source.ip", match[2])
    put(found, "source.port", match[3])
    put(found, "network.protocol", match[5])
    put(found, "user.name", match[6])


def _authenticated(found: Event, text: str) -> None:
    match = _AAA.search(text)
    if match is None:
        return
    found["event.dataset"] = "cisco.access"
    login(found, "network_login", "success" if match[1] == "Successful" else "failure")
    found["event.category"] = ["authentication", "session"]
    put(found, "event.reason", match[2])
    put(found, "user.name", match[3])
    put_field(found, "source.ip", match[4] or "")


def _commanded(found: Event, text: str) -> None:
    match = _COMMAND.search(text)
    if match is None:
        return
    found["event.dataset"] = "cisco.admin"
    found["event.category"], found["event.type"] = ["configuration"], ["change"]
    found["event.action"], found["event.outcome"] = "command", "success"
    put(found, "user.name", match[1])
    put(found, "source.ip", match[2])
    put(found, "process.command_line", match[3])


def _attack(found: Event, text: str) -> None:
    found["event.dataset"] = "cisco.threat"
    alert(found, "")
    put(found, "rule.name", text.partition(".")[0][:128])


_NUMBERS: Final[Mapping[str, Callable[[Event, str], None]]] = {
    "302013": _built, "302015": _built, "302014": _torn, "302016": _torn,
    "305011": _translated, "305012": _translated,
    "106001": _denied, "106006": _denied, "106014": _denied, "106015": _denied, "106023": _denied, "106100": _listed,
    "605004": _logged_in, "605005": _logged_in, "113004": _authenticated, "113005": _authenticated,
    "111008": _commanded, "111010": _commanded, "733100": _attack, "733101": _attack,
}  # fmt: skip
