"""Understand DPtech: ``%%--DEVICE/MODULE/level/KIND(l): name(number):value;…`` and the carriers' NAT session formats.

KIND is DATALOG (attacks, filters), OPERLOG (administrators), SRVLOG (services) or SYSLOG (the device).
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
    login,
    own_time,
    put_field,
    put_pairs,
    put_seconds,
    put_time,
    verdict,
)
from collectors.devices.text import SEMICOLON_COLON, marked_pairs, quoted_pairs, without_number
from soc_core.model.event import Event, Value

_LAYOUT: Final = re.compile(
    r"%%(?:--)?(\w{1,20})/([\w\-]{1,40})/([0-7])/(SYSLOG|DATALOG|OPERLOG|SRVLOG)\(\w\): ?"
)
_NUMBERED: Final = re.compile(r"\(\d{1,12}\)(?=\S)")
_CARRIER: Final = re.compile(
    r"(?:1 +)?(?:([\d.:a-fA-F]{2,45}) +)?(20\d\d [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d) +(?:([\d.:a-fA-F]{7,45}) +)?(.*)",
    re.DOTALL,
)
_STAMP: Final = re.compile(r"(20\d\d) ([A-Z][a-z]{2}) (\d\d) (\S+)")
_NAT: Final = re.compile(r"(?:\S{1,32} +){0,3}(NAT\d{2,3}|DSLITE):(\w{1,32}) +(.*)", re.DOTALL)
_POLICY: Final = re.compile(r"(?:\S{1,32} +){0,3}POLICY: ?(Allow|Deny) +(.*)", re.DOTALL)
_TRAFFIC: Final = re.compile(r'traffic (start_time="[^"]{1,32}" .*)', re.DOTALL)
_FIELDS: Final[Mapping[str, str]] = {
    "source-ip": "source.ip", "source-port": "source.port", "src": "source.ip", "src_port": "source.port",
    "destination-ip": "destination.ip", "destination-port": "destination.port", "dst": "destination.ip",
    "dst_port": "destination.port", "ip-proto-id": "", "proto": "", "protocol-name": "network.protocol",
    "attack-name": "rule.name", "log-type": "rule.category", "event": "", "block-reason": "event.reason",
    "ifname-inside": "observer.ingress.interface.name", "ifname-outside": "observer.egress.interface.name",
    "user-name": "user.name", "host-ip": "source.ip", "client-type": "network.protocol", "error-code": "",
    "summary-count": "edusoc.repeated", "sent": "source.bytes", "rcvd": "destination.bytes",
    "start_time": "", "duration": "", "service": "network.protocol", "reason": "edusoc.flow.end_reason", "level": "",
}  # fmt: skip
_TRANSLATED: Final = re.compile(
    r"src-xlated ip=(\S{3,45}) port=(\d{1,5}) dst-xlated ip=(\S{3,45}) port=(\d{1,5})(?: reason=(.{1,128}))?"
)
_LOGIN: Final = re.compile(r"(登录|登陆|log ?in|退出|注销|log ?out)", re.IGNORECASE)
_LINK: Final = re.compile(r"[Ii]nterface (\S{2,48}) .{0,40}\b(up|down)\b", re.IGNORECASE)
_HEXADECIMAL: Final = re.compile(r"4-[0-9A-Fa-f]{8}")


class Dptech(Family):
    """Understand messages of DPtech's firewalls, IPS, UAG and application gateways."""

    name: str = "dptech"
    title: tuple[str, str] = ("迪普防火墙、IPS、UAG、应用交付", "DPtech firewalls, IPS, UAG, ADX")
    datasets: tuple[str, ...] = ("dptech.firewall", "dptech.threat", "dptech.admin", "dptech.device")
    reference: tuple[str, ...] = (
        "迪普 FW1000、DPX8000 日志格式（Syslog 格式一至七、包过滤、NAT444、DSLITE），"
        "as quoted in the public Java project cn.hba.audit.flume (logdp.BastionHost)",
        "Samples quoted there and in public Python scripts: UAG ATTACK DATALOG, DPX WEB OPERLOG, IPS DEVM SYSLOG,"
        " GUARD3000 SRVLOG",
    )
    verified: bool = True
    setup: tuple[str, str] = undocumented_setup(
        "业务日志、操作日志、系统日志", "service, operation and system logs"
    )
    opening: str = (
        r"(?:\S{1,32} +)?%%(?:--)?\w{1,20}/[\w\-]{1,40}/[0-7]/(?:SYSLOG|DATALOG|OPERLOG|SRVLOG)\("
        r"|(?:1 +)?(?:[\d.:a-fA-F]{2,45} +)?20\d\d [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d "
    )
    programs: frozenset[str] = frozenset()

    def interpret(self, message: str, _head: Mapping[str, Value], zone: tzinfo, /) -> Event | None:
        """Return what a DPtech message says."""
        found: Event = {"observer.vendor": "DPtech"}
        start = message.find("%%", 0, 40)
        match = _LAYOUT.match(message, start) if start >= 0 else None
        if match is not None:
            _numbered(found, match, message[match.end() :])
            return found
        carrier = _CARRIER.match(message)
        if carrier is None or not _carried(found, carrier, zone):
            return None
        return found


def _numbered(found: Event, match: re.Match[str], text: str) -> None:
    device, module, level, kind = match.groups()
    found["observer.product"] = device
    found["event.provider"] = module
    found["event.code"] = f"{module}/{level}/{kind}"
    put(found, "log.level", _LEVELS[int(level)])
    traffic = _TRAFFIC.match(text)
    if traffic is not None:
        _session(found, traffic[1])
        return
    pairs = [
        (without_number(name), _NUMBERED.sub("", value, count=1) if value.startswith("(") else value)
        for name, value in marked_pairs(text.replace("``", ""), SEMICOLON_COLON)
    ]
    if kind == "DATALOG" or "attack-name" in text:
        _attack(found, dict_values(found, pairs), module)
    elif kind == "OPERLOG":
        _operation(found, pairs, text)
    else:
        _device(found, text)


_LEVELS: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")


def dict_values(found: Event, pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Write the pairs and return their values; addresses may have a ``4-`` for IPv4 in hexadecimal before them."""
    return put_pairs(found, [(name, _address(value)) for name, value in pairs], _FIELDS)


def _address(value: str) -> str:
    """Return the address of ``4-C0A80111`` (IPv4 in hexadecimal), else the value as it is."""
    if _HEXADECIMAL.fullmatch(value) is None:
        return value
    number = int(value.removeprefix("4-"), 16)
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _attack(found: Event, values: Mapping[str, str], module: str) -> None:
    found["event.dataset"] = "dptech.threat"
    found["observer.type"] = "firewall"
    event = values.get("event", "")
    alert(found, event)
    if event:
        extra(found, "event", event)
    put(found, "rule.name", found.get("rule.name") or module)
    finish_flow(found, values.get("ip-proto-id", ""))


def _operation(found: Event, pairs: list[tuple[str, str]], text: str) -> None:
    """Map what administrators did: pairs first, then a sentence that ends with ``result: …``."""
    found["event.dataset"] = "dptech.admin"
    named = [
        (name, value.partition(";")[0])
        for name, value in pairs
        if name in ("client-type", "user-name", "host-ip", "error-code")
    ]
    values = put_pairs(found, named, _FIELDS)
    sentence = text.rpartition(";")[2].strip() if "user-name" in values else text.strip()
    failed = values.get("error-code", "0") != "0" or "fail" in sentence.lower() or "失败" in sentence
    word = _LOGIN.search(sentence)
    if word is not None and len(sentence) < 200:
        gone = word[1].lower().replace(" ", "") in ("退出", "注销", "logout")
        login(found, "admin_logout" if gone else "admin_login", "failure" if failed else "success",
              "end" if gone else "start")  # fmt: skip
    else:
        found["event.category"], found["event.type"] = ["configuration"], ["change"]
        found["event.action"] = "command"
        found["event.outcome"] = "failure" if failed else "success"
        put(found, "process.command_line", sentence)
    finish_flow(found)


def _device(found: Event, text: str) -> None:
    found["event.dataset"] = "dptech.device"
    found["event.category"], found["event.type"] = ["host"], ["info"]
    link = _LINK.search(text)
    if link is not None:
        put(found, "observer.ingress.interface.name", link[1])
        found["event.action"] = f"interface_{link[2].lower()}"


def _carried(found: Event, carrier: re.Match[str], zone: tzinfo) -> bool:
    """Read a record of the carriers' formats; tell whether it is one."""
    text = carrier[4]
    if (nat := _NAT.match(text)) is not None:
        if not _translation(found, nat):
            return False
    elif (policy := _POLICY.match(text)) is not None:
        if not _packet(found, policy):
            return False
    elif (traffic := _TRAFFIC.match(text)) is not None:
        _session(found, traffic[1])
    else:
        return False
    put(found, "observer.ip", carrier[1] or carrier[3])
    stamp = _STAMP.match(carrier[2])
    if stamp is not None and "@timestamp" not in found:
        own_time(found, f"{stamp[2]} {stamp[3]} {stamp[1]} {stamp[4]}", zone)
    return True


def _translation(found: Event, nat: re.Match[str]) -> bool:
    """Map a NAT444 or DS-Lite session: eight or seven values between bars, or six to seven in brackets."""
    found["event.dataset"] = "dptech.firewall"
    found["observer.type"] = "firewall"
    connection(found, "", "start" if nat[2].endswith("A") else "end" if nat[2].endswith("D") else "info")
    found["event.action"] = "nat"
    found["event.code"] = f"{nat[1]}:{nat[2]}"
    text = nat[3].strip().rstrip(".")
    bars = text.split("|")
    protocol = ""
    names: tuple[tuple[str, str], ...]
    if len(bars) == 8:
        begin, end, source, translated, port, destination, far, protocol = bars
        put_time(found, "event.start", begin, UTC)
        put_time(found, "event.end", end, UTC)
        own_time(found, end if end.strip("0") else begin, UTC)
        names = (("source.ip", source), ("source.nat.ip", translated), ("source.nat.port", port))
    elif len(bars) == 7:
        begin, source, near, translated, port, destination, far = bars
        names = (
            ("source.ip", source), ("source.port", near), ("source.nat.ip", translated), ("source.nat.port", port),
        )  # fmt: skip
        put_time(found, "event.start", begin, UTC)
    else:
        return _ports(found, text)
    for field, value in (*names, ("destination.ip", destination), ("destination.port", far)):
        put_field(found, field, value.strip())
    finish_flow(found, protocol)
    return True


def _ports(found: Event, text: str) -> bool:
    """Map ``[protocol source - translated port first last]``: a port or a block of ports given to an address."""
    parts = [part for part in text.strip("[] ").replace("–", "-").split() if part]
    addresses = [part for part in parts[1:] if part != "-" and ("." in part or ":" in part)]
    numbers = [part for part in parts[1:] if part.isdigit()]
    if len(addresses) < 2 or not parts[0].isdigit():
        return False
    put_field(found, "source.ip", addresses[0])
    put_field(found, "source.nat.ip", addresses[-1])
    if len(numbers) == 3:
        put(found, "source.port", numbers[0])
    if len(numbers) >= 2:
        put(found, "source.nat.port", numbers[-2])
        if numbers[-1] != numbers[-2]:
            extra(found, "last_port", numbers[-1])
    finish_flow(found, parts[0])
    return True


def _packet(found: Event, policy: re.Match[str]) -> bool:
    """Map packet filtering: protocol, source, port, destination, port, interfaces between bars."""
    bars = policy[2].strip().split("|")
    if len(bars) != 7:
        return False
    found["event.dataset"] = "dptech.firewall"
    found["observer.type"] = "firewall"
    connection(found, verdict(policy[1]))
    fields = ("source.ip", "source.port", "destination.ip", "destination.port",
              "observer.ingress.interface.name", "observer.egress.interface.name")  # fmt: skip
    for field, value in zip(fields, bars[1:], strict=True):
        put_field(found, field, value.strip())
    finish_flow(found, bars[0].strip())
    return True


def _session(found: Event, text: str) -> None:
    """Map a traffic record: pairs, then ``src-xlated ip=… port=… dst-xlated ip=… port=… reason=…``."""
    found["event.dataset"] = "dptech.firewall"
    found["observer.type"] = "firewall"
    match = _TRANSLATED.search(text)
    values = put_pairs(found, quoted_pairs(text[: match.start()] if match else text), _FIELDS)
    reason = match[5] if match is not None and match[5] else ""
    connection(found, "", "end" if reason.lower().startswith("close") else "start")
    found["event.action"] = "session"
    if match is not None:
        for field, value in zip(
            ("source.nat.ip", "source.nat.port", "destination.nat.ip", "destination.nat.port"),
            match.groups()[:4],
            strict=True,
        ):
            put_field(found, field, value)
    put(found, "edusoc.flow.end_reason", reason.strip().rstrip("."))
    service = str(found.get("network.protocol", "")).partition("/")[0]
    put(found, "network.protocol", service.lower())
    put_seconds(found, values.get("duration", ""))
    finish_flow(found, values.get("proto", ""))
