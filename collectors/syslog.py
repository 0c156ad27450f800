"""Read syslog files, and the syslog messages of live inputs by the same parser.

Log-in messages of sshd, sudo, su, cron, login and the account tools become ``syslog.auth``, all others ``syslog.log``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectors import programs
from collectors.auditd import is_resumed
from collectors.auditd_syslog import SyslogGroups, has_records
from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import put
from collectors.devices import registry as devices
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.records import read_group_events, read_line_events
from collectors.syslog_auth import interpret
from collectors.syslog_header import HeaderReader, has_header, take_priority
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

NO_TIME = "missing"
"""``edusoc.time.fault`` of a message that says no time; it has the one of its arrival."""


class Syslog:
    """Collect syslog files."""

    name: str = "syslog"
    datasets: tuple[str, ...] = ("syslog.log", "syslog.auth", *programs.DATASETS, *devices.DATASETS)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 70 when most of the first lines have a syslog header, 40 when one has."""
        lines = [line for line in text_head(head)[:16_384].split(b"\n")[:20] if line.strip(b" \r\0")]
        if len(lines) > 1 and len(head) > 16_384:
            lines.pop()
        fitting = sum(_is_message(decode_text(line)) for line in lines)
        if not fitting:
            return 0
        return 70 if fitting * 2 > len(lines) else 40

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        parser = SyslogParser(context)
        if has_records(source.head):
            groups = SyslogGroups(parser, resumed=is_resumed(source))
            return read_group_events(source, context, groups, name=self.name, module="syslog")
        return read_line_events(source, context, parser, name=self.name, module="syslog")


class SyslogParser:
    """Map messages to events: the lines of one file, or what a live input received at about the same time."""

    def __init__(self, context: ReadContext) -> None:
        """``context.reference`` dates what has no year or no time at all; its option ``device`` names the sender's.

        Raises ``UsageError`` for a device not known.
        """
        name = context.options.get("device")
        self._headers = HeaderReader(context.reference, context.zone_info)
        self._zone = context.zone_info
        self._device = devices.device(name) if name else None
        self._reference = format_instant(context.reference)

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a line. Raises ``RecordError`` when it has no syslog header.

        Some devices write none, but a time into the message: these lines are taken too.
        """
        event, start, text = _new_event(decode_text(line.raw))
        if not self._headers.read(event, text, start):
            put(event, "message", text[start:].strip())
            if not self._understand(event) or TIMESTAMP not in event:
                raise RecordError("no syslog header (time and host)")
            return (event,)
        return (self._finish(event),)

    def parse_message(self, text: str, sender: str) -> Event:
        """Return the event of one received message.

        Without a header the whole text is the message and ``sender``, an address, stands for the host, as relays do
        it (RFC 3164 section 4.3).
        """
        event, start, text = _new_event(text)
        if not self._headers.read(event, text, start):
            put(event, "message", text[start:].strip())
        if "log.syslog.hostname" not in event:
            event["log.syslog.hostname"] = sender
        return self._finish(event)

    def _finish(self, event: Event) -> Event:
        """Add what follows from the header and what the message proper says."""
        if "log.syslog.hostname" in event:
            event["host.name"] = event["log.syslog.hostname"]
        application = event.get("log.syslog.appname")
        if isinstance(application, str):
            put(event, "process.name", application.rpartition("/")[2])
        process = event.get("log.syslog.procid")
        if isinstance(process, str) and process.isdigit():
            put(event, "process.pid", process)
        if TIMESTAMP not in event:
            event[TIMESTAMP] = self._reference
            event["edusoc.time.fault"] = NO_TIME
        if not self._understand(event):
            interpret(event)
        return event

    def _understand(self, event: Event) -> bool:
        """Add what the message proper says if it is of a server's program or of a device; tell whether it was."""
        if self._device is None and programs.interpret(event):
            return True
        return devices.interpret(event, self._zone, self._device)


def _new_event(text: str) -> tuple[Event, int, str]:
    """Return an event with the priority of a message, where the rest begins, and the text."""
    event: Event = {"event.category": ["host"], "event.type": ["info"], "event.dataset": "syslog.log"}
    return event, take_priority(event, text), text


def _is_message(text: str) -> bool:
    """Tell whether a line starts like syslog does, or like the messages of a device that writes no header."""
    return has_header(text) or devices.recognise(text) is not None
