"""Read syslog files: RFC 5424, RFC 3164, ISO times as rsyslog writes them, journald's short forms; PRI or none.

Log-in messages of sshd, sudo, su, cron, login and the account tools become ``syslog.auth``, all others ``syslog.log``.
A year that is not written is taken so that the time lies at most one day after the context's reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import instant_or_none, put, put_default
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.records import read_line_events
from collectors.syslog_auth import interpret
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

_MONTHS: Final = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}
_PRI: Final = re.compile(r"<(\d{1,3})>")
_RFC5424: Final = re.compile(r"(?:(\d{1,2}) )?(\S+) (\S{1,255}) (\S{1,255}) (\S{1,128}) (\S{1,64}) (?=-|\[)")
_RFC3164: Final = re.compile(
    r"\*?([A-Z][a-z]{2}) +(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(\.\d{1,6})?:? +"
)
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?) +")
_HOST: Final = re.compile(r"([^\s:\[\]]{1,255}) +(?=\S)")
_TAG: Final = re.compile(r"([A-Za-z0-9_./\-()@]{1,100})(?:\[([^\]\s]{1,32})\])?: ?")
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


class Syslog:
    """Collect syslog files."""

    name: str = "syslog"
    datasets: tuple[str, ...] = ("syslog.log", "syslog.auth")

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 70 when most of the first lines have a syslog header, 40 when one has."""
        lines = [line for line in text_head(head)[:16_384].split(b"\n")[:20] if line.strip(b" \r\0")]
        if len(lines) > 1 and len(head) > 16_384:
            lines.pop()
        fitting = sum(_has_header(decode_text(line)) for line in lines)
        if not fitting:
            return 0
        return 70 if fitting * 2 > len(lines) else 40

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_line_events(source, context, _Parser(context), name=self.name, module="syslog")


def _has_header(text: str) -> bool:
    """Tell whether a line starts like syslog does."""
    pri = _PRI.match(text)
    rest = text[pri.end() :] if pri else text
    if pri and int(pri[1]) <= 191:
        return True
    stamp = _RFC3164.match(rest) or _ISO.match(rest)
    return stamp is not None and _HOST.match(rest, stamp.end()) is not None


class _Parser:
    """Map one line to one event."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._local = context.reference.astimezone(context.zone_info)

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event. Raises ``RecordError`` when the line has no syslog header."""
        text = decode_text(line.raw)
        event: Event = {"event.category": ["host"], "event.type": ["info"], "event.dataset": "syslog.log"}
        text = _take_priority(event, text)
        if not self._new_format(event, text) and not self._old_format(event, text):
            raise RecordError("no syslog header (time and host)")
        put_default(event, "host.name", event.get("log.syslog.hostname"))
        put(event, "process.name", str(event.get("log.syslog.appname", "")).rpartition("/")[2])
        pid = event.get("log.syslog.procid")
        if isinstance(pid, str) and pid.isdigit():
            put(event, "process.pid", pid)
        interpret(event)
        return (event,)

    def _new_format(self, event: Event, text: str) -> bool:
        """Read RFC 5424; the version may be missing where a daemon cut off the PRI."""
        match = _RFC5424.match(text)
        if match is None:
            return False
        version, stamp, host, application, process, message_id = match.groups()
        instant = instant_or_none(stamp, self._context.zone_info) if stamp != "-" else self._context.reference
        if instant is None or not (version or "T" in stamp):
            return False
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

    def _old_format(self, event: Event, text: str) -> bool:
        """Read RFC 3164 and its relatives: time, host, tag, message."""
        match = _RFC3164.match(text)
        if match is not None:
            instant = self._guess(match)
        else:
            match = _ISO.match(text)
            instant = (
                instant_or_none(match[1].replace(",", ".").replace(" +", "+"), self._context.zone_info)
                if match
                else None
            )
        if match is None or instant is None:
            return False
        event[TIMESTAMP] = format_instant(instant)
        position = match.end()
        host = _HOST.match(text, position)
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
        if match[1] not in _MONTHS:
            return None
        month, day = _MONTHS[match[1]], int(match[2])
        hour, minute, second = (int(match[group]) for group in (4, 5, 6))
        fraction = int((match[7] or ".0")[1:].ljust(6, "0"))
        years = [int(match[3])] if match[3] else range(self._local.year + 1, self._local.year - 9, -1)
        for year in years:
            try:
                local = datetime(
                    year, month, day, hour, minute, min(second, 59), fraction, self._context.zone_info
                )
                instant = local.astimezone(UTC)
            except (ValueError, OverflowError):
                continue
            if match[3] or instant <= self._context.reference + _AHEAD:
                return instant
        return None


def _take_priority(event: Event, text: str) -> str:
    """Write facility and severity of the PRI part (RFC 5424 §6.2.1) and return what follows it."""
    match = _PRI.match(text)
    if match is None or int(match[1]) > 191:
        return text
    priority = int(match[1])
    facility, severity = divmod(priority, 8)
    event["log.syslog.priority"] = priority
    event["log.syslog.facility.code"] = facility
    event["log.syslog.facility.name"] = _FACILITIES[facility]
    event["log.syslog.severity.code"] = severity
    event["log.syslog.severity.name"] = _SEVERITIES[severity]
    event["log.level"] = _SEVERITIES[severity]
    return text[match.end() :].lstrip(" ")


def _structured_data(text: str, position: int) -> tuple[int, list[str]]:
    """Return where structured data ends and its parameters as ``id.name=value`` (RFC 5424 §6.3)."""
    if text.startswith("-", position):
        return position + 1, []
    found: list[str] = []
    while (match := _ELEMENT.match(text, position)) is not None:
        for name, value in _PARAMETER.findall(match[2]):
            found.append(f"{match[1]}.{name}=" + _ESCAPED.sub(r"\1", value))
        position = match.end()
    return position, found
