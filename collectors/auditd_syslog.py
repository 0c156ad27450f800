"""Join audit records that syslog carried (audispd), one a message, as ``collectors.auditd`` does in its own files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from collectors.auditd import AuditGroups
from collectors.auditd_events import DATASET, audit_event
from collectors.auditd_records import AuditRecord, parse_record
from collectors.lines import Line, decode_text
from collectors.records import Group
from soc_core.model.event import Event

_OF_HEAD: Final = (
    "log.syslog.",
    "log.source.",
    "event.id",
    "event.created",
    "organization.",
    "edusoc.zone",
    "host.",
)


class _Parser(Protocol):
    def parse(self, line: Line) -> Sequence[Event]: ...


def has_records(head: bytes) -> bool:
    """Tell whether the first bytes of a syslog file hold records of the audit system."""
    return b"msg=audit(" in head


class SyslogGroups:
    """Read lines of syslog by another parser and join those that are records of one audit event.

    See ``collectors.records.GroupParser``; lines that are none are finished at once.
    """

    def __init__(self, parser: _Parser, *, resumed: bool = False) -> None:
        """Take the parser of single lines; ``resumed`` as ``AuditGroups`` has it."""
        self._parser = parser
        self._groups = AuditGroups(resumed=resumed)

    def parse(self, line: Line) -> Iterable[Group]:
        """Return the events that ``line`` finishes. Raises ``RecordError`` as the parser of lines does."""
        events = self._parser.parse(line)
        text = decode_text(line.raw)
        if len(events) == 1 and events[0].get("event.dataset") == DATASET:
            record = parse_record(str(events[0].get("message", "")))
            if record is not None:
                record.node = record.node or str(events[0].get("host.name", ""))
                return self._groups.take(line, record, text, _head_of(events[0]))
        return (Group(line, events, text),)

    def rest(self) -> Iterable[Group]:
        """Return the audit events that are still open."""
        return self._groups.rest()

    def held(self) -> int | None:
        """Return where the oldest open audit event begins."""
        return self._groups.held()


def _head_of(event: Event) -> Event:
    return {name: value for name, value in event.items() if name.startswith(_OF_HEAD)}


def join(events: list[Event]) -> list[Event]:
    """Return finished ``events`` of one batch with the records of each audit event joined into the first of them.

    Only what lies in the batch is joined: records of an event arrive together.
    """
    groups: dict[tuple[str, str, int], list[tuple[int, AuditRecord]]] = {}
    for place, event in enumerate(events):
        if event.get("event.dataset") == DATASET and "log.syslog.hostname" in event:
            record = parse_record(str(event.get("message", "")))
            if record is not None and not record.said:
                record.node = record.node or str(event.get("host.name", ""))
                groups.setdefault(record.key, []).append((place, record))
    joined = {members[0][0]: members for members in groups.values() if len(members) > 1}
    if not joined:
        return events
    gone = {place for members in joined.values() for place, _ in members[1:]}
    found: list[Event] = []
    for place, event in enumerate(events):
        if place in joined:
            found.append(_joined(events, joined[place]))
        elif place not in gone:
            found.append(event)
    return found


def _joined(events: Sequence[Event], members: Sequence[tuple[int, AuditRecord]]) -> Event:
    first = events[members[0][0]]
    records = [record for _, record in members if record.kind != "EOE"]
    event = {**audit_event(records or [members[0][1]]), **_head_of(first)}
    for name in ("event.kind", "event.module"):
        if name in first:
            event[name] = first[name]
    originals = [
        str(events[place]["event.original"]) for place, _ in members if "event.original" in events[place]
    ]
    if originals:
        event["event.original"] = "\n".join(originals)
    return event
