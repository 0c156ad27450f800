"""Read the layout that Cisco IOS and Ruijie RGOS share: ``%FACILITY-level-MNEMONIC: text``, and what its texts say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from collectors.coerce import put
from collectors.devices.mapping import alert, connection, finish_flow, login, put_field, verdict
from soc_core.model.event import Event

_LAYOUT: Final = re.compile(
    r"(?:\d{1,10}: ?)?(?:[*.]?[A-Z][a-z]{2} +\d{1,2} [\d:. ]{8,24}: ?)?(?:(\S{1,64}) )?"
    r"%([A-Z][A-Z0-9_]{1,31})-(?:\w{1,16}-)?([0-7])-([A-Z0-9_]{1,40}): ?"
)
_LEVELS: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
_ADDRESS: Final = r"([0-9A-Fa-f.:]{3,45})"
_LINK: Final = re.compile(r"[Ii]nterface (\S+(?: \d[\d/.]*)?), changed state to (?:administratively )?(\w+)")
_CONFIGURED: Final = re.compile(rf"Configured from (\S+) by (\S+)(?: on (\S+) \({_ADDRESS}\))?")
_LOGIN: Final = re.compile(rf"[Ll]ogin \w{{0,12}} ?\[user: ?([^\]]{{0,128}})\] \[Source: ?{_ADDRESS}\]")
_REASON: Final = re.compile(r"\[Reason: ([^\]]{1,128})\]")
_SSH: Final = re.compile(
    rf"User '([^']{{1,128}})' authentication for SSH2 Session from {_ADDRESS}.{{0,256}}(Succeeded|Failed)"
)
_EXITED: Final = re.compile(rf"User (\S{{1,128}}) has exited tty session \d+\({_ADDRESS}\)")
_COMMAND: Final = re.compile(r"User:(\S{1,128}) +logged command:(.{1,1024})")
_ACL: Final = re.compile(
    rf"list (\S{{1,64}}) (permitted|denied) (\S{{1,16}}) {_ADDRESS}(?:\((\d{{1,5}})\))? (?:\S{{0,64}} )?-> {_ADDRESS}"
    r"(?:\((\d{1,5})\))?(?: \(\d+/\d+\))?, (\d{1,10}) packet"
)
_CLIENT: Final = re.compile(r"client \((?:Unknown MAC|([0-9A-Fa-f.:\-]{12,17}))\) on [Ii]nterface (\S+)")
_FLAP: Final = re.compile(
    r"Host ([0-9A-Fa-f.:\-]{12,17}) in vlan (\d+) is flapping between port (\S+) and port (\S+)"
)
_PORT: Final = re.compile(r"MAC address ([0-9A-Fa-f.:\-]{12,17}) on port (\S+?)\.?$")
_DOUBLE: Final = re.compile(
    rf"Duplicate address {_ADDRESS} on (\S+(?: \d+)?), sourced by ([0-9A-Fa-f.:\-]{{12,17}})"
)


class Record(NamedTuple):
    """Hold the parts of a message. ``host`` is a name before the ``%``, empty if there is none."""

    host: str
    facility: str
    level: int
    mnemonic: str
    text: str


def read_record(message: str) -> Record | None:
    """Return the parts of a message, ``None`` if it has another layout."""
    match = _LAYOUT.match(message)
    if match is None:
        return None
    host, facility, level, mnemonic = match.groups()
    return Record(host or "", facility, int(level), mnemonic, message[match.end() :].strip("\0 \r\n"))


def put_record(found: Event, record: Record, vendor: str) -> None:
    """Write what the layout and, for the messages known, the text say; data sets are named after the vendor."""
    found["event.code"] = f"{record.facility}-{record.level}-{record.mnemonic}"
    found["event.provider"] = record.facility
    found["log.level"] = _LEVELS[record.level]
    found["event.dataset"] = f"{vendor}.device"
    found["event.category"], found["event.type"] = ["host"], ["info"]
    found["event.action"] = record.mnemonic.lower()
    if record.host:
        found["observer.name"] = record.host
    for prefix, special in _KINDS.items():
        if f"{record.facility}-{record.mnemonic}".startswith(prefix):
            special(found, record, vendor)
            break
    finish_flow(found)


def _link(found: Event, record: Record, _vendor: str) -> None:
    match = _LINK.search(record.text)
    if match is not None:
        found["event.category"] = ["network"]
        found["event.action"] = f"interface_{match[2].lower()}"
        put(found, "observer.ingress.interface.name", match[1].rstrip(","))


def _config(found: Event, record: Record, vendor: str) -> None:
    found["event.dataset"] = f"{vendor}.admin"
    found["event.category"], found["event.type"] = ["configuration"], ["change"]
    found["event.action"], found["event.outcome"] = "command", "success"
    match = _CONFIGURED.search(record.text)
    if match is not None:
        put(found, "user.name", match[2])
        put(found, "source.ip", match[4])
    command = _COMMAND.search(record.text)
    if command is not None:
        put(found, "user.name", command[1])
        put(found, "process.command_line", command[2].strip())


def _admin(found: Event, record: Record, vendor: str) -> None:
    """Map administrators' log-ins; what is no sentence known keeps its mnemonic."""
    found["event.dataset"] = f"{vendor}.admin"
    if (match := _SSH.search(record.text)) is not None:
        login(found, "ssh_login", "success" if match[3] == "Succeeded" else "failure")
    elif (match := _EXITED.search(record.text)) is not None:
        login(found, "admin_logout", "success", "end")
    elif (match := _LOGIN.search(record.text)) is not None:
        login(found, "admin_login", "failure" if "FAIL" in record.mnemonic else "success")
        reason = _REASON.search(record.text)
        put(found, "event.reason", reason[1] if reason else None)
    else:
        return
    put(found, "user.name", match[1].strip())
    put_field(found, "source.ip", match[2])


def _access_list(found: Event, record: Record, vendor: str) -> None:
    match = _ACL.search(record.text)
    if match is None:
        return
    name, word, protocol, source, near, destination, far, packets = match.groups()
    found["event.dataset"] = f"{vendor}.firewall"
    connection(found, verdict(word))
    put(found, "rule.name", name)
    put_field(found, "source.ip", source)
    put_field(found, "destination.ip", destination)
    put(found, "source.port", near)
    put(found, "destination.port", far)
    put(found, "source.packets", packets)
    finish_flow(found, protocol)


def _access(found: Event, record: Record, vendor: str) -> None:
    """Map 802.1X and MAC authentication at a port."""
    match = _CLIENT.search(record.text)
    if match is None:
        return
    found["event.dataset"] = f"{vendor}.access"
    words = f"{record.mnemonic} {record.text}".lower()
    outcome = "failure" if "fail" in words else "success" if "success" in words else ""
    login(found, "network_login", outcome)
    found["event.category"] = ["authentication", "session"]
    put_field(found, "source.mac", match[1] or "")
    put(found, "observer.ingress.interface.name", match[2])
    found["edusoc.authentication.method"] = {"MAB": "mac", "DOT1X": "dot1x"}.get(record.facility, "port")


def _conflict(found: Event, record: Record, vendor: str) -> None:
    """Map addresses that are doubled, wander or are not allowed at a port."""
    if (match := _FLAP.search(record.text)) is not None:
        found["event.action"] = "mac_flapping"
        put_field(found, "source.mac", match[1])
        put(found, "network.vlan.id", match[2])
        put(found, "observer.ingress.interface.name", match[3])
        put(found, "observer.egress.interface.name", match[4].rstrip("."))
    elif (match := _DOUBLE.search(record.text)) is not None:
        found["event.action"] = "address_conflict"
        put_field(found, "source.ip", match[1])
        put_field(found, "source.mac", match[3])
        put(found, "observer.ingress.interface.name", match[2])
    elif (match := _PORT.search(record.text)) is not None:
        found["event.dataset"] = f"{vendor}.threat"
        alert(found, "deny")
        put(found, "rule.name", record.mnemonic)
        put_field(found, "source.mac", match[1])
        put(found, "observer.ingress.interface.name", match[2])


_KINDS: Final[Mapping[str, Callable[[Event, Record, str], None]]] = {
    "LINK-": _link, "LINEPROTO-": _link,
    "SYS-CONFIG": _config, "PARSER-CFGLOG": _config,
    "SEC_LOGIN-": _admin, "SSH-": _admin, "SYS-LOGOUT": _admin, "LOGIN-": _admin,
    "SEC-IPACCESSLOG": _access_list,
    "DOT1X-": _access, "MAB-": _access, "AUTHMGR-": _access,
    "SW_MATM-": _conflict, "IP-DUPADDR": _conflict, "PORT_SECURITY-": _conflict,
}  # fmt: skip
