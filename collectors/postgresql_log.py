"""Read PostgreSQL's logs: stderr with any ``log_line_prefix``, ``csvlog``, ``jsonlog``, and pgAudit within them.

Format: PostgreSQL documentation, "Error Reporting and Logging"; lines seen from PostgreSQL 15 with pgAudit 1.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import epoch_text, instant_or_none, ip_text
from collectors.delimited import cells_of
from collectors.groups import Gatherer
from collectors.json_records import JsonObject, first_object
from collectors.lines import decode_text, text_head
from collectors.making import RecordError
from collectors.postgresql_entries import AUDIT_DATASET, DATASET, Entry, entry_of, put_entry
from collectors.records import read_group_events, read_json_events
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

_STAMP: Final = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})? (?:[A-Z]{2,5}|[+\-]\d\d(?::?\d\d)?)"
_SEVERITIES: Final = "DEBUG[1-5]?|INFO|NOTICE|WARNING|LOG|ERROR|FATAL|PANIC"
_LINE: Final = re.compile(
    rf"({_STAMP}|\d{{10}}\.\d{{3}})(.{{0,400}}?)\b({_SEVERITIES}|DETAIL|HINT|QUERY|CONTEXT|STATEMENT|LOCATION):  ?(.*)"
)
_MORE: Final = re.compile(r"(?:^|\n)[^\n\t].{0,500}?\b(DETAIL|HINT|QUERY|CONTEXT|STATEMENT|LOCATION):  ?")
_CSV: Final = re.compile(rf'{_STAMP},(?:"(?:[^"]|"")*")?,(?:"(?:[^"]|"")*")?,\d{{0,10}},')
_ENTRIES: Final = frozenset(
    {
        "DEBUG",
        *(f"DEBUG{level}" for level in range(1, 6)),
        "INFO",
        "NOTICE",
        "WARNING",
        "LOG",
        "ERROR",
        "FATAL",
        "PANIC",
    }
)
_ZONE: Final = re.compile(r"(.*\d) (?:([A-Z]{2,5})|([+\-])(\d\d):?(\d\d)?)")
_PID: Final = re.compile(r"\[(\d{1,10})(?:-\d{1,10})?\]|\bpid=(\d{1,10})|(?:^|[\s:])(\d{2,10})(?=[\s:]|$)")
_PAIRS: Final = re.compile(
    r"\b(user|u|db|database|d|app|application_name|client|host|remote|h|r)=([^,\s]{0,255})"
)
_AT: Final = re.compile(r"([^\s@\[\](),:]{1,128}|\[unknown\])@([^\s@(),:]{1,128}|\[unknown\])")
_REMOTE: Final = re.compile(
    r"(?:^|[\s:,@(])((?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F]{0,4}:[0-9a-fA-F:]{2,43})(?:\((\d{1,5})\))?(?=[\s:,)\]]|$)"
)
_SYSLOG: Final = re.compile(rf"(?:\[\d{{1,10}}-1\] )?(.{{0,400}}?)\b({_SEVERITIES}):  ?(.*)", re.DOTALL)
_MOST_LINES: Final = 512
"""Lines after which an open quote is taken for damage."""
_COLUMNS: Final = (
    "timestamp", "user", "dbname", "pid", "connection_from", "session_id", "line_num", "ps", "session_start", "vxid",
    "txid", "error_severity", "state_code", "message", "detail", "hint", "internal_query", "internal_position",
    "context", "statement", "cursor_position", "func", "application_name", "backend_type", "leader_pid", "query_id",
)  # fmt: skip


class PostgresqlLog:
    """Collect logs of PostgreSQL."""

    name: str = "postgresql"
    datasets: tuple[str, ...] = (DATASET, AUDIT_DATASET)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 85 when the first lines have one of the formats."""
        return 85 if _kind(head) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        kind = _kind(source.head)
        name, module = self.name, "postgresql"
        if kind == "json":
            return read_json_events(source, context, _Objects(context), name=name, module=module)
        if kind == "csv":
            gatherer = Gatherer(_Rows(context).parse, _starts_row)
        else:
            gatherer = Gatherer(_Lines(context).parse, _starts_line)
        return read_group_events(source, context, gatherer, name=name, module=module)


def _kind(head: bytes) -> str:
    first = first_object(head)
    if first is not None:
        return "json" if {"timestamp", "pid", "error_severity", "message"} <= first.keys() else ""
    for raw in text_head(head)[:16_384].split(b"\n")[:20]:
        line = decode_text(raw)
        if _CSV.match(line):
            return "csv"
        match = _LINE.match(line)
        if match is not None and match[3] in _ENTRIES:
            return "stderr"
    return ""


def _instant(text: str, zone: tzinfo) -> str:
    """Return the canonical time of ``2026-11-24 20:37:58.870 CST``. Raises ``RecordError`` when it is none.

    Other letters than UTC and GMT are those of the source's own zone.
    """
    seconds = epoch_text(text) if text[:10].isdigit() else None
    if seconds is not None:
        return seconds
    match = _ZONE.fullmatch(text)
    if match is not None:
        stamp, letters, sign, hours, minutes = match.groups()
        if letters in ("UTC", "GMT", "Z"):
            zone = UTC
        elif sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            zone = timezone(-offset if sign == "-" else offset) if offset < timedelta(hours=24) else zone
        instant = instant_or_none(stamp, zone)
        if instant is not None:
            return format_instant(instant)
    raise RecordError("no usable time")


def _starts_line(line: bytes, _held: Sequence[bytes]) -> bool:
    """Tell whether a line begins an entry: the server puts a tab before the others, DETAIL and so on belong to it."""
    if line[:1] in (b"\t", b" "):
        return False
    match = _LINE.match(decode_text(line[:1_024]))
    return match is None or match[3] in _ENTRIES


class _Lines:
    """Map entries of stderr logs."""

    def __init__(self, context: ReadContext) -> None:
        self._zone = context.zone_info
        self._keep = context.keep_original

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the event of an entry. Raises ``RecordError`` when it has no severity or time."""
        text = decode_text(raw)
        head, _, rest = text.partition("\n")
        match = _LINE.match(head)
        if match is None:
            raise RecordError("not an entry of PostgreSQL's log")
        event: Event = {TIMESTAMP: _instant(match[1], self._zone)}
        entry = Entry(match[3], match[4])
        _take_more(entry, rest)
        take_prefix(entry, match[2])
        put_entry(event, entry, text if self._keep else None)
        return (event,)


def _take_more(entry: Entry, rest: str) -> None:
    """Take the lines below the first: those of the message, then DETAIL, STATEMENT and others."""
    if not rest:
        return
    places = list(_MORE.finditer(rest))[:16]
    first = places[0].start() if places else len(rest)
    if rest[:first].strip("\n"):
        entry.message += "\n" + rest[:first].strip("\n").replace("\n\t", "\n").removeprefix("\t")
    ends = [*(place.start() for place in places[1:]), len(rest)]
    for place, end in zip(places, ends, strict=False):
        text = rest[place.end() : end].replace("\n\t", "\n")
        if place[1] == "STATEMENT":
            entry.statement = text
        elif place[1] == "DETAIL":
            entry.detail = text


def take_prefix(entry: Entry, prefix: str) -> None:
    """Read from a line's prefix who and where, as far as usual settings of ``log_line_prefix`` allow."""
    said = {name: value for name, value in _PAIRS.findall(prefix) if value}
    entry.user = said.get("user", said.get("u", ""))
    entry.database = said.get("db", said.get("database", said.get("d", "")))
    entry.application = said.get("app", said.get("application_name", ""))
    far = said.get("client", said.get("host", said.get("remote", said.get("h", said.get("r", "")))))
    at = _AT.search(prefix)
    if at is not None and not entry.user:
        entry.user, entry.database = at[1], at[2]
    remote = _REMOTE.search(far or prefix)
    if remote is not None and ip_text(remote[1]) is not None:
        entry.host, entry.port = remote[1], remote[2] or ""
    process = _PID.search(prefix)
    if process is not None:
        entry.process = next((part for part in process.groups() if part), "")


def _starts_row(line: bytes, held: Sequence[bytes]) -> bool:
    """Tell whether a line begins a row: no quote is open above it (statements may hold anything, also rows)."""
    if len(held) >= _MOST_LINES:
        return _CSV.match(decode_text(line[:1_024])) is not None
    return sum(part.count(b'"') for part in held) % 2 == 0


class _Rows:
    """Map rows of csvlog; later versions add columns at the end."""

    def __init__(self, context: ReadContext) -> None:
        self._zone = context.zone_info
        self._keep = context.keep_original

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the event of a row. Raises ``RecordError`` for a broken one."""
        text = decode_text(raw)
        cells = cells_of(text)
        if len(cells) < 14:
            raise RecordError("not a row of PostgreSQL's log")
        row = dict(zip(_COLUMNS, cells, strict=False))
        event: Event = {TIMESTAMP: _instant(row["timestamp"], self._zone)}
        entry = entry_of(row)
        entry.host, _, entry.port = row["connection_from"].rpartition(":") if ":" in row["connection_from"] else (
            row["connection_from"], "", ""
        )  # fmt: skip
        put_entry(event, entry, text if self._keep else None)
        return (event,)


class _Objects:
    """Map objects of jsonlog."""

    def __init__(self, context: ReadContext) -> None:
        self._zone = context.zone_info
        self._keep = context.keep_original

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of an object. Raises ``RecordError`` when it has no time or severity."""
        tree = record.tree
        if not isinstance(tree.get("error_severity"), str):
            raise RecordError("not an entry of PostgreSQL's log")
        event: Event = {TIMESTAMP: _instant(str(tree.get("timestamp", "")), self._zone)}
        put_entry(event, entry_of(tree), decode_text(record.raw) if self._keep else None)
        return (event,)


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of PostgreSQL in syslog (of its first line); tell whether it is one."""
    match = _SYSLOG.match(message)
    if match is None:
        return False
    entry = Entry(match[2], match[3].replace("#011", "\t"))
    take_prefix(entry, match[1])
    original = event.get("event.original")
    put_entry(event, entry, original if isinstance(original, str) else None)
    return True
