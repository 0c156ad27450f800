r"""Read MySQL's general query log and error log.

Format: MySQL Reference Manual, "The General Query Log" and "The Error Log"; MariaDB's differ in their times. Lines seen
from MariaDB 10.11, those of MySQL 5.7 and 8 from documents only. Without a time of its own a line has that of the
line above: all up to the next time are read together, so that a file can be read on from there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from collectors.base import ReadContext
from collectors.coerce import extra, instant_or_none, put
from collectors.database import mark_accounts, mark_login, put_account, put_origin, put_statement, start
from collectors.lines import decode_text
from collectors.making import RecordError
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

GENERAL: Final = "mysql.general"
ERROR: Final = "mysql.error"
_OLD: Final = r"\d{6} {1,2}\d{1,2}:\d\d:\d\d"
_ISO: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)"
_COMMANDS: Final = (
    "Quit|Query|Connect|Init DB|Prepare|Execute|Close stmt|Reset stmt|Long Data|Field List|Statistics|Ping|Kill"
    "|Change user|Refresh|Shutdown|Processlist|Debug|Binlog Dump(?: GTID)?|Register Slave|Register Replica"
    "|Reset Connection|Set option|Fetch|Daemon|Error|Create DB|Drop DB|Sleep|Delayed insert|Table Dump|Connect Out|Time"
)
_ENTRY: Final = re.compile(rf"(?:({_OLD}|{_ISO})|\t)\t* *(\d{{1,20}}) ({_COMMANDS})(?:\t(.*))?$")
_TIMED: Final = re.compile(rf"(?:{_OLD}|{_ISO})\t".encode())
_CONNECT: Final = re.compile(r"(\S{0,128})@(\S{0,255}) (?:on (\S{0,128}) ?)?(?:using (.{1,64}))?")
_DENIED: Final = re.compile(
    r"Access denied for user '([^']{0,128})'@'([^']{0,255})'(?: \(using password: (YES|NO)\))?"
)
_ERROR: Final = re.compile(
    rf"({_ISO}|\d{{4}}-\d\d-\d\d +\d{{1,2}}:\d\d:\d\d|{_OLD})(?: (\d{{1,20}}))? "
    r"\[(System|Note|Warning|ERROR|Error)\] (?:\[(MY-\d{6})\] )?(?:\[([A-Za-z]{1,32})\] )?"
)


def is_general(text: str) -> bool:
    """Tell whether a line belongs to a general log."""
    return bool(_ENTRY.match(text)) or (
        text.startswith("Time  ") and "Command" in text and "Argument" in text
    )


def is_error(text: str) -> bool:
    """Tell whether a line belongs to an error log."""
    match = _ERROR.match(text)
    return match is not None and (match[2] is not None or match[4] is not None)


def starts_block(line: bytes, _held: Sequence[bytes]) -> bool:
    """Tell whether a line of a general log carries a time."""
    return _TIMED.match(line) is not None


def mysql_time(text: str, zone: tzinfo) -> str | None:
    """Return the canonical time: ISO 8601 (UTC or with offset), ``2026-11-24 12:37:05`` or ``261124 12:37:05``."""
    if "-" in text[:5]:
        instant = instant_or_none(re.sub(r" +(\d):", r" 0\1:", text).replace("  ", " "), zone)
        return format_instant(instant) if instant is not None else None
    try:
        date, clock = text.split()
        local = datetime.strptime(f"20{date} {clock.zfill(8)}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
        return format_instant(local.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


class General:
    """Map blocks of a general log: the entries from one time to the next."""

    def __init__(self, context: ReadContext) -> None:
        """Take zone and policy of the reading."""
        self._zone = context.zone_info
        self._keep = context.keep_original

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the events of a block, nothing for what the server writes when it starts."""
        entries: list[list[str]] = []
        for text in decode_text(raw).split("\n"):
            if _ENTRY.match(text):
                entries.append([text])
            elif entries:
                entries[-1].append(text)
        first = _ENTRY.match(entries[0][0]) if entries else None
        if first is None:
            return ()
        time = mysql_time(first[1] or "", self._zone)
        if time is None:
            raise RecordError("no usable time")
        return [self._event(time, "\n".join(entry)) for entry in entries]

    def _event(self, time: str, text: str) -> Event:
        line, _, more = text.partition("\n")
        match = _ENTRY.match(line)
        if match is None:
            raise RecordError("not an entry of a general log")
        connection, command, argument = match[2], match[3], match[4] or ""
        event: Event = {TIMESTAMP: time}
        start(event, dataset=GENERAL, product="mysql", action=command)
        put(event, "edusoc.database.session_id", connection)
        if self._keep:
            event["event.original"] = text
        if command in ("Connect", "Change user"):
            _put_connect(event, argument)
        elif command == "Init DB":
            put(event, "edusoc.database.name", argument)
        elif argument:
            statement = argument + ("\n" + more if more else "")
            put_statement(event, statement, text if self._keep else None)
            mark_accounts(event, statement)
        if command == "Quit":
            event["event.type"] = ["end"]
        return event


def _put_connect(event: Event, argument: str) -> None:
    """Read who connects; a refusal comes as a second entry, so the first says nothing of the outcome."""
    if put_denied(event, argument):
        return
    mark_login(event, "")
    match = _CONNECT.match(argument)
    if match is not None:
        put_account(event, match[1])
        put_origin(event, match[2])
        put(event, "edusoc.database.name", match[3])
        if match[4]:
            extra(event, "mysql.connection", match[4])


def put_denied(event: Event, message: str) -> bool:
    """Read ``Access denied for user``; tell whether the message is that."""
    match = _DENIED.search(message)
    if match is None:
        return False
    mark_login(event, "failure")
    event["event.action"] = "connect"
    put_account(event, match[1])
    put_origin(event, match[2])
    put(event, "error.message", match[0])
    return True


def starts_error(line: bytes, _held: Sequence[bytes]) -> bool:
    """Tell whether a line begins an entry of an error log: traces and notes of plug-ins have no head."""
    return line[:1].isdigit() and _ERROR.match(decode_text(line[:256])) is not None


class Errors:
    """Map entries of the error log."""

    def __init__(self, context: ReadContext) -> None:
        """Take the zone of the reading."""
        self._zone = context.zone_info

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the event of an entry. Raises ``RecordError`` when it has no time."""
        text = decode_text(raw)
        match = _ERROR.match(text)
        time = mysql_time(match[1], self._zone) if match is not None else None
        if match is None or time is None:
            raise RecordError("not a line of an error log")
        event: Event = {TIMESTAMP: time}
        start(event, dataset=ERROR, product="mysql", action="message")
        level = match[3].lower()
        put(event, "log.level", "info" if level in ("note", "system") else level)
        put(event, "edusoc.database.session_id", match[2])
        put(event, "event.code", match[4])
        put(event, "log.logger", match[5])
        message = text[match.end() :]
        put(event, "message", message)
        if level == "error":
            event["event.type"] = ["error"]
        put_denied(event, message)
        return (event,)
