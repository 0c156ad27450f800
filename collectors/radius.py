"""Read FreeRADIUS: its log (``radius.log``, or syslog) and its records of requests (``detail`` files).

Format: FreeRADIUS ``radiusd.conf`` (``auth = yes``), ``rlm_detail``; RFC 2865, 2866 and 2869 for the attributes; lines
seen from FreeRADIUS 3.2. Passwords, which both may hold, are never kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import MONTHS, epoch_text, extra, ip_text, long_value, mac_or_none, put, unique
from collectors.groups import Gatherer
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.records import read_group_events, read_line_events
from soc_core.clock import format_instant, parse_instant
from soc_core.model.event import TIMESTAMP, Event

AUTH: Final = "radius.auth"
ACCOUNTING: Final = "radius.accounting"
SERVER: Final = "radius.server"
HIDDEN: Final = "***"
_ASCTIME: Final = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})")
_LOG: Final = re.compile(r" : ([A-Z][A-Za-z]{2,16}): ")
_NUMBER: Final = re.compile(r"\(\d{1,12}\) +")
_LOGIN: Final = re.compile(
    r"(?:Auth: )?(?:\(\d{1,12}\) +)?(Login OK|Login incorrect|Invalid user|Multiple logins \(max \d{1,6}\))"
    r"(?: \((.{0,400}?)\))?: \[(.{0,600}?)\] \(from client (\S{1,255}) port (\d{1,10})"
    r"(?: cli (\S{1,255}))?( via TLS tunnel)?\)"
)
_ATTRIBUTE: Final = re.compile(r"\s+([A-Za-z0-9][\w.\-]{0,127})(?::\d{1,3})? (?:=|:=|\+=) (.{0,4096})")
_SECRET: Final = re.compile(r"password|secret|ms-chap|chap-|tunnel-key|mppe-key", re.IGNORECASE)
_SECRET_LINE: Final = re.compile(
    r"^(\s+[\w.\-]{0,64}(?:password|secret|ms-chap|chap-|tunnel-key|mppe-key)[\w.\-:]{0,64} (?:=|:=|\+=) ).{1,4096}$",
    re.IGNORECASE | re.MULTILINE,
)
_ACTIONS: Final = {
    "start": ("radius_start", ["start"]),
    "stop": ("radius_stop", ["end"]),
    "interim-update": ("radius_interim", ["info"]),
    "accounting-on": ("radius_nas_on", ["info"]),
    "accounting-off": ("radius_nas_off", ["info"]),
}
_PLAIN: Final[Mapping[str, str]] = {
    "NAS-IP-Address": "observer.ip",
    "NAS-IPv6-Address": "observer.ip",
    "NAS-Identifier": "observer.name",
    "NAS-Port": "edusoc.radius.port",
    "NAS-Port-Id": "edusoc.radius.port_name",
    "NAS-Port-Type": "edusoc.radius.port_type",
    "Acct-Session-Id": "edusoc.radius.session_id",
    "Called-Station-Id": "edusoc.radius.called_station",
    "Acct-Terminate-Cause": "event.reason",
    "Acct-Input-Packets": "source.packets",
    "Acct-Output-Packets": "destination.packets",
}
_TAKEN: Final = frozenset(
    {
        "User-Name", "Calling-Station-Id", "Framed-IP-Address", "Framed-IPv6-Address", "Acct-Status-Type",
        "Acct-Session-Time", "Acct-Input-Octets", "Acct-Output-Octets", "Acct-Input-Gigawords",
        "Acct-Output-Gigawords", "Timestamp", "Packet-Type",
    }
)  # fmt: skip


class Radius:
    """Collect files of FreeRADIUS."""

    name: str = "radius"
    datasets: tuple[str, ...] = (AUTH, ACCOUNTING, SERVER)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 85 for lines of the log or a record of a request."""
        return 85 if _kind(head) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        if _kind(source.head) == "detail":
            requests = Gatherer(_Requests(context).parse, _starts_request)
            return read_group_events(source, context, requests, name=self.name, module="radius")
        return read_line_events(source, context, _Log(context), name=self.name, module="radius")


def _kind(head: bytes) -> str:
    lines = [decode_text(line.rstrip(b"\r")) for line in text_head(head)[:8_192].split(b"\n")[:20]]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        stamp = _ASCTIME.match(line)
        if stamp is None:
            continue
        if _LOG.match(line, stamp.end()):
            return "log"
        if stamp.end() == len(line) and _ATTRIBUTE.match(following):
            return "detail"
    return ""


def _time(match: re.Match[str] | None, zone: tzinfo) -> str:
    """Return the canonical time of ``Tue Nov 24 12:36:59 2026``. Raises ``RecordError`` when it is none."""
    try:
        if match is None or match[1] not in MONTHS:
            raise ValueError("no time")
        day, hour, minute, second, year = (int(match[group]) for group in (2, 3, 4, 5, 6))
        local = datetime(year, MONTHS[match[1]], day, hour, minute, min(second, 59), tzinfo=zone)
        return format_instant(local.astimezone(UTC))
    except (ValueError, OverflowError) as fault:
        raise RecordError("no usable time") from fault


class _Log:
    """Map one line of the log to one event."""

    def __init__(self, context: ReadContext) -> None:
        self._zone = context.zone_info
        self._keep = context.keep_original

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a line. Raises ``RecordError`` when it has no time."""
        text = decode_text(line.raw)
        stamp = _ASCTIME.match(text)
        event: Event = {TIMESTAMP: _time(stamp, self._zone)}
        level = _LOG.match(text, stamp.end()) if stamp is not None else None
        if level is None:
            raise RecordError("not a line of FreeRADIUS's log")
        message = text[level.end() :]
        if self._keep:
            event["event.original"] = _without_passwords(text)
        if not interpret(event, message):
            _start(event, SERVER, ["host"], ["error" if level[1] == "Error" else "info"])
            put(event, "message", message)
            put(event, "log.level", level[1].lower())
        return (event,)


def _without_passwords(text: str) -> str:
    """Hide the password that stands behind the user's name (``auth_goodpass``, ``auth_badpass``)."""
    match = _LOGIN.search(text)
    if match is None or "/" not in match[3]:
        return text
    return f"{text[: match.start(3)]}{match[3].partition('/')[0]}/{HIDDEN}{text[match.end(3) :]}"


def _start(event: Event, dataset: str, category: list[str], types: list[str]) -> None:
    event["event.dataset"] = dataset
    event["event.module"] = "radius"
    event["event.category"] = category
    event["event.type"] = types


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of FreeRADIUS about a log-in; tell whether it is one."""
    match = _LOGIN.match(message)
    if match is None:
        return False
    verdict, reason, account, client, port, station, tunnel = match.groups()
    name, slash, _ = account.partition("/")
    good = verdict == "Login OK"
    _start(event, AUTH, ["authentication"], ["start"] if good else ["denied"])
    event["event.action"] = "radius_login"
    event["event.outcome"] = "success" if good else "failure"
    put(event, "user.name", name)
    put(event, "related.user", unique([name]))
    put(event, "event.reason", reason or ("" if good else verdict))
    put(event, "observer.name", client)
    put(event, "edusoc.radius.port", port)
    _put_station(event, station or "")
    if tunnel:
        extra(event, "radius.tunnel", "TLS")
    if slash:  # a log with passwords: neither the message nor the original may keep it
        event["message"] = _without_passwords(message)
        original = event.get("event.original")
        if isinstance(original, str):
            event["event.original"] = _without_passwords(original)
    return True


def _put_station(event: Event, station: str) -> None:
    """Write who called: a MAC address for 802.1X, an address or number for others (RFC 3580 section 3.21)."""
    address = ip_text(station)
    put(event, "client.mac", mac_or_none(station))
    if address is not None:
        put(event, "source.ip", address)
    if station and mac_or_none(station) is None and address is None:
        extra(event, "radius.Calling-Station-Id", station)


def _starts_request(line: bytes, _held: Sequence[bytes]) -> bool:
    return line[:1] not in (b" ", b"\t")


class _Requests:
    """Map the records of a detail file to events."""

    def __init__(self, context: ReadContext) -> None:
        self._zone = context.zone_info
        self._keep = context.keep_original

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the event of one request. Raises ``RecordError`` when it has no time or no attribute."""
        text = decode_text(raw)
        head, _, body = text.partition("\n")
        attributes: dict[str, list[str]] = {}
        for line in body.split("\n"):
            match = _ATTRIBUTE.fullmatch(line.rstrip("\r"))
            if match is not None and not _SECRET.search(match[1]):
                attributes.setdefault(match[1], []).append(_unquoted(match[2]))
        if not attributes:
            raise RecordError("a request without attributes")
        stamp = attributes.get("Timestamp", [""])[0]
        time = epoch_text(stamp) if stamp.isdigit() else None
        event: Event = {TIMESTAMP: time or _time(_ASCTIME.match(head), self._zone)}
        _put_request(event, attributes)
        if self._keep:
            event["event.original"] = _SECRET_LINE.sub(rf"\1{HIDDEN}", text)
        return (event,)


def _unquoted(text: str) -> str:
    """Return a value without its quotes and escapes."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text


def _put_start(event: Event, seconds: int) -> None:
    """Write when the session began: as long before the record as it lasted."""
    try:
        began = parse_instant(str(event[TIMESTAMP])) - timedelta(seconds=seconds)
        event["event.start"] = format_instant(began)
    except (ValueError, OverflowError):
        return


def _put_request(event: Event, attributes: Mapping[str, Sequence[str]]) -> None:
    def first(name: str) -> str:
        return attributes.get(name, ("",))[0]

    status = first("Acct-Status-Type")
    if status:
        action, types = _ACTIONS.get(status.lower(), (f"radius_{status.lower()}"[:64], ["info"]))
        _start(event, ACCOUNTING, ["session", "network"], list(types))
        event["event.action"] = action
    else:
        _start(event, AUTH, ["session"], ["info"])
        event["event.action"] = (first("Packet-Type") or "Access-Request").lower().replace("-", "_")
    put(event, "user.name", first("User-Name"))
    put(event, "related.user", unique([first("User-Name")]))
    _put_station(event, first("Calling-Station-Id"))
    address = ip_text(first("Framed-IP-Address")) or ip_text(first("Framed-IPv6-Address"))
    put(event, "client.ip", address)
    put(event, "related.ip", address)
    for name, field in _PLAIN.items():
        put(event, field, attributes.get(name))
    for name, side in (("Input", "source"), ("Output", "destination")):
        octets = long_value(first(f"Acct-{name}-Octets"))
        if octets is not None:
            high = long_value(first(f"Acct-{name}-Gigawords")) or 0
            put(event, f"{side}.bytes", octets + (high << 32))
    seconds = long_value(first("Acct-Session-Time"))
    if seconds is not None and status.lower() != "start":
        put(event, "event.duration", seconds * 1_000_000_000)
        _put_start(event, seconds)
    for name, values in attributes.items():
        if name not in _TAKEN and name not in _PLAIN:
            for value in values[:32]:
                extra(event, f"radius.{name}", value)
