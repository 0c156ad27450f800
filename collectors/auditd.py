"""Read logs of the Linux audit daemon (``/var/log/audit/audit.log``): the records of one event become one event here.

The kernel writes an event as several records with the same time and serial (SYSCALL, EXECVE, CWD, PATH, PROCTITLE …),
between which records of other events may lie. An event is whole at PROCTITLE or EOE, and is taken as whole when a
record two seconds younger comes, as ``auparse(3)`` does. What programs report (USER_LOGIN …) is whole by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from collectors.auditd_events import DATASET, audit_event, fill
from collectors.auditd_records import AuditRecord, is_audit, parse_record
from collectors.base import MAX_RECORD_BYTES, Batch, ByteSource, ReadContext
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.records import Group, read_group_events
from soc_core.model.event import Event

MAX_OPEN: Final = 64
"""Events that may be unfinished at a time; an event's records lie within a few milliseconds."""
MAX_RECORDS: Final = 512
_WAIT_SECONDS: Final = 2
_LAST: Final = frozenset({"PROCTITLE", "EOE"})
_LATER: Final = frozenset({"EXECVE", "CWD", "PATH", "SOCKADDR", "FD_PAIR", "PROCTITLE", "EOE"})
"""Never the first record of an event."""


class Auditd:
    """Collect audit logs."""

    name: str = "auditd"
    datasets: tuple[str, ...] = (DATASET,)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 90 when one of the first lines is an audit record."""
        lines = text_head(head)[:8_192].split(b"\n")[:10]
        return 90 if any(is_audit(decode_text(line)) for line in lines) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        groups = AuditGroups(resumed=is_resumed(source))
        return read_group_events(source, context, groups, name=self.name, module="auditd")


def is_resumed(source: ByteSource) -> bool:
    """Tell whether a source begins where an earlier reading stopped."""
    return source.resume is not None and source.resume.position > 0


@dataclass(slots=True)
class Pending:
    """Hold the records of an event so far, the first one's line, the texts, and the head that syslog gave it."""

    first: Line
    records: list[AuditRecord] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    size: int = 0
    head: Event | None = None

    def add(self, record: AuditRecord, text: str) -> bool:
        """Add a record; tell whether the event is whole now."""
        if record.kind != "EOE":
            self.records.append(record)
        self.texts.append(text)
        self.size += len(text)
        return record.kind in _LAST or len(self.records) >= MAX_RECORDS or self.size > MAX_RECORD_BYTES // 2

    def group(self) -> Group:
        """Return the event."""
        if not self.records:
            return Group(self.first, (), "")
        if self.head is None:
            event = audit_event(self.records)
        else:
            event = self.head
            fill(event, self.records)
        return Group(self.first, (event,), "\n".join(self.texts))


class AuditGroups:
    """Join records by node, time and serial (see ``collectors.records.GroupParser``).

    A reading goes on at the first record of the oldest event that was open. Other events, finished by then, may have
    begun before it and have records behind it: those were read already.
    """

    def __init__(self, *, resumed: bool = False) -> None:
        """Start with nothing held; ``resumed`` says that records of events already read may come."""
        self._open: dict[tuple[str, str, int], Pending] = {}
        self._resumed = resumed
        self._start: tuple[str, int] | None = None

    def parse(self, line: Line) -> Iterable[Group]:
        """Return the events that ``line`` finishes. Raises ``RecordError`` when it is no audit record."""
        text = decode_text(line.raw)
        record = parse_record(text)
        if record is None:
            raise RecordError("not an audit record")
        return self.take(line, record, text, None)

    def take(self, line: Line, record: AuditRecord, text: str, head: Event | None) -> list[Group]:
        """Take one record, ``head`` being the event of the syslog message it came in; return what is whole."""
        found = self._overdue(record.second)
        pending = self._open.get(record.key)
        if self._start is None:
            self._start = record.stamp, record.serial
        if pending is None:
            if record.kind == "EOE" or self._was_read(record):
                return found
            pending = Pending(line, head=head)
            self._open[record.key] = pending
        if pending.add(record, text) or record.said:
            del self._open[record.key]
            found.append(pending.group())
        elif len(self._open) > MAX_OPEN:
            found.append(self._oldest())
        return found

    def _was_read(self, record: AuditRecord) -> bool:
        """Tell whether a record belongs to an event that began before the place where the reading goes on."""
        return (
            self._resumed
            and record.kind in _LATER
            and self._start is not None
            and record.stamp <= self._start[0]
            and record.serial < self._start[1]
        )

    def _overdue(self, second: int) -> list[Group]:
        found: list[Group] = []
        while self._open:
            oldest = next(iter(self._open.values()))
            if oldest.records[0].second + _WAIT_SECONDS > second:
                break
            found.append(self._oldest())
        return found

    def _oldest(self) -> Group:
        return self._open.pop(next(iter(self._open))).group()

    def rest(self) -> Iterable[Group]:
        """Return the events that are still open, as they are."""
        found = [pending.group() for pending in self._open.values()]
        self._open.clear()
        return found

    def held(self) -> int | None:
        """Return where the oldest open event begins."""
        return next(iter(self._open.values())).first.position if self._open else None


def interpret(event: Event, message: str, /) -> bool:
    """Fill a syslog event from the audit record in its message; tell whether there is one.

    Relays send each record by itself; ``join`` puts those of one event together again.
    """
    record = parse_record(message)
    if record is None:
        return False
    fill(event, (record,))
    return True
