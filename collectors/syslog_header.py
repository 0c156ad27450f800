"""Read the head of a syslog message: priority, time, host, program, and where the message proper begins.

RFC 5424, RFC 3164, ISO times as rsyslog writes them, journald's short forms, and the years and fractions of seconds
that switches and firewalls put into RFC 3164 times; PRI or none. A year that is not written is taken so that the time
lies at most one day after the reference.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from collectors.coerce import MONTHS, instant_or_none, put
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event, Scalar

_PRI: Final = re.compile(r"<(\d{1,3})>")
_RFC5424: Final = re.compile(r"(?:(\d{1,2}) )?(\S+) (\S{1,255}) (\S{1,255}) (\S{1,128}) (\S{1,64}) (?=-|\[)")
# Cisco and Ruijie put a number, and a name if told so, before the time, Huawei an offset after it, H3C the year.
_RFC3164: Final = re.compile(
    r"(?:\d{1,10}: ?(?:(?P<origin>[^\s:]{1,64}): )?)?"
    r"[*.]?([A-Z][a-z]{2}) +(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)([.:]\d{1,6})?"
    r"(?: ?([+-]\d\d:?\d\d|UTC|GMT)(?: DST)?(?=[ :]))?(?: ((?:19|20)\d\d)(?= ))?:? +"
)
_ISO: Final = re.compile(
    r"(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?) +"
)
_HOST: Final = re.compile(r"([^\s:\[\]]{1,255}) +(?=\S)")
# ``CEF:0|…``, ``LEEF:1.0|…``, ``time:2026-…`` and ``MODULE/4/BRIEF:`` begin the message, they are no programs.
_TAG: Final = re.compile(
    r"(?!(?:CEF|LEEF|time): ?\d|[A-Z]\w{1,30}/[0-7]/)([A-Za-z0-9_./\-()@]{1,100})(?:\[([^\]\s]{1,32})\])?: ?"
)
# What most daemons send, in one look; everything else goes the long way to the same result.
_USUAL: Final = re.compile(
    r"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?!(?:19|20)\d\d )([^\s:\[\]]{1,255}) "
    r"(?!(?:CEF|LEEF|time): ?\d|[A-Z]\w{1,30}/[0-7]/)"
    r"([A-Za-z0-9_./\-()@]{1,100})(?:\[([^\]\s]{1,32})\])?: ?"
)
_ELEMENT: Final = re.compile(r'\[([^\s=\]"]{1,64})((?: [^\s=\]"]{1,64}="(?:[^"\\\]]|\\.)*")*)\]')
_PARAMETER: Final = re.compile(r'([^\s=\]"]{1,64})="((?:[^"\\\]]|\\.)*)"')
_ESCAPED: Final = re.compile(r'\\(["\\\]])')
_FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "security", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4", "local5",
    "local6", "local7",
)  # fmt: skip
_SEVERITIES: Final = (
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "informational",
    "debug",
)
_AHEAD: Final = timedelta(days=1)
_STAMPS_KEPT: Final = 4_096


def _priority_fields(priority: int) -> tuple[tuple[str, Scalar], ...]:
    """Return the fields of a PRI value (RFC 5424 section 6.2.1)."""
    facility, severity = divmod(priority, 8)
    return (
        ("log.syslog.priority", priority),
        ("log.syslog.facility.code", facility),
        ("log.syslog.facility.name", _FACILITIES[facility]),
        ("log.syslog.severity.code", severity),
        ("log.syslog.severity.name", _SEVERITIES[severity]),
        ("log.level", _SEVERITIES[severity]),
    )


_PRIORITIES: Final = {str(priority): _priority_fields(priority) for priority in range(192)}
_PRIORITIES.update(
    {text.rjust(width, "0"): _PRIORITIES[text] for text in list(_PRIORITIES) for width in (2, 3)}
)


def has_header(text: str) -> bool:
    """Tell whether a line starts like syslog does."""
    pri = _PRI.match(text)
    rest = text[pri.end() :] if pri else text
    if pri and int(pri[1]) <= 191:
        return True
    stamp = _RFC3164.match(rest) or _ISO.match(rest)
    return stamp is not None and _HOST.match(rest, stamp.end()) is not None


def take_priority(event: Event, text: str) -> int:
    """Write facility and severity of the PRI part; return where the text after it begins."""
    match = _PRI.match(text)
    fields = _PRIORITIES.get(match[1]) if match is not None else None
    if match is None or fields is None:
        return 0
    event.update(fields)
    end = match.end()
    return end if text[end : end + 1] != " " else len(text) - len(text[end:].lstrip(" "))


class HeaderReader:
    """Read heads of messages that arrive at about the same time; remembers the times it has read, they repeat."""

    def __init__(self, reference: datetime, zone: tzinfo) -> None:
        """Take the time that dates what has no year, and the zone of times without one."""
        self._reference = reference
        self._zone = zone
        self._year = reference.astimezone(zone).year
        self._stamps: dict[str, str | None] = {}

    def read(self, event: Event, text: str, start: int) -> bool:
        """Write what the head at ``start`` says and the ``message`` after it; tell whether there is a head.

        The time of RFC 5424's nil value is left out.
        """
        return (
            self._usual(event, text, start) or self._new(event, text, start) or self._old(event, text, start)
        )

    def _usual(self, event: Event, text: str, start: int) -> bool:
        match = _USUAL.match(text, start)
        if match is None:
            return False
        stamp, host, application, process = match.groups()
        if stamp not in self._stamps:
            self._remember(stamp)
        timestamp = self._stamps[stamp]
        if timestamp is None:
            return False
        event[TIMESTAMP] = timestamp
        event["log.syslog.hostname"] = host
        event["log.syslog.appname"] = application
        if process:
            event["log.syslog.procid"] = process
        message = text[match.end() :].strip()
        if message:
            event["message"] = message
        return True

    def _remember(self, stamp: str) -> None:
        match = _RFC3164.match(stamp + " ")
        instant = self._guess(match) if match is not None else None
        if len(self._stamps) >= _STAMPS_KEPT:
            self._stamps.clear()
        self._stamps[stamp] = format_instant(instant) if instant is not None else None

    def _new(self, event: Event, text: str, start: int) -> bool:
        """Read RFC 5424; the version may be missing where a daemon cut off the PRI."""
        match = _RFC5424.match(text, start)
        if match is None:
            return False
        version, stamp, host, application, process, message_id = match.groups()
        instant = instant_or_none(stamp, self._zone) if stamp != "-" else None
        if (instant is None and stamp != "-") or not (version or "T" in stamp):
            return False
        if instant is not None:
            event[TIMESTAMP] = format_instant(instant)
        put(event, "log.syslog.version", version)
        for name, value in zip(
            ("hostname", "appname", "procid", "msgid"), (host, application, process, message_id), strict=True
        ):
            put(event, f"log.syslog.{name}", None if value == "-" else value)
        end, parameters = _structured_data(text, match.end())
        put(event, "log.syslog.structured_data", parameters)
        put(event, "message", text[end:].lstrip(" ").removeprefix("\ufeff"))
        return True

    def _old(self, event: Event, text: str, start: int) -> bool:
        """Read RFC 3164 and its relatives: time, host, tag, message."""
        match = _RFC3164.match(text, start)
        if match is not None:
            instant = self._guess(match)
        else:
            match = _ISO.match(text, start)
            instant = (
                instant_or_none(
                    match[1].replace(",", ".").replace("/", "-").replace(" +", "+").replace(" -", "-"),
                    self._zone,
                )
                if match
                else None
            )
        if match is None or instant is None:
            return False
        event[TIMESTAMP] = format_instant(instant)
        position = match.end()
        origin = match["origin"] if match.re is _RFC3164 else None
        put(event, "log.syslog.hostname", origin)
        host = _HOST.match(text, position) if origin is None else None
        if host is not None and not _TAG.match(text, position):
            put(event, "log.syslog.hostname", host[1])
            position = host.end()
        tag = _TAG.match(text, position)
        if tag is not None:
            put(event, "log.syslog.appname", tag[1])
            put(event, "log.syslog.procid", tag[2])
            position = tag.end()
        put(event, "message", text[position:].strip())
        return True

    def _guess(self, match: re.Match[str]) -> datetime | None:
        """Return the instant of an RFC 3164 time; without a year the latest one not after the reference plus a day."""
        _, name, number, before, *clock, decimals, offset, behind = match.groups()
        if name not in MONTHS:
            return None
        month, day = MONTHS[name], int(number)
        hour, minute, second = map(int, clock)
        fraction = int((decimals or ".0")[1:].ljust(6, "0"))
        written = before or behind
        zone = _offset(offset) or self._zone
        years = [int(written)] if written else range(self._year + 1, self._year - 9, -1)
        for year in years:
            try:
                local = datetime(year, month, day, hour, minute, min(second, 59), fraction, zone)
                instant = local.astimezone(UTC)
            except (ValueError, OverflowError):
                continue
            if written or instant <= self._reference + _AHEAD:
                return instant
        return None


def _offset(text: str | None) -> tzinfo | None:
    """Return the zone of ``+08:00``, ``+0800``, ``UTC`` or ``GMT``, ``None`` where a time has none."""
    if text is None:
        return None
    if text in ("UTC", "GMT"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    if minutes >= 24 * 60:
        return None
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _structured_data(text: str, position: int) -> tuple[int, list[str]]:
    """Return where structured data ends and its parameters as ``id.name=value`` (RFC 5424 section 6.3)."""
    if text.startswith("-", position):
        return position + 1, []
    found: list[str] = []
    while (match := _ELEMENT.match(text, position)) is not None:
        for name, value in _PARAMETER.findall(match[2]):
            found.append(f"{match[1]}.{name}=" + _ESCAPED.sub(r"\1", value))
        position = match.end()
    return position, found
