"""Read audit logs of MySQL's relatives: MariaDB's server_audit, Percona's audit_log (CSV, JSON, XML), JSON of MySQL.

Format: MariaDB Knowledge Base, "Audit Plugin Log Format"; Percona Server documentation, "Audit log plugin"; MySQL
Reference Manual, "Audit Log File Formats". Lines of MariaDB seen from 10.11, the others from documents (未经实机验证).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from html import unescape
from typing import Final

from collectors.base import ReadContext
from collectors.coerce import extra, instant_or_none, long_value, put
from collectors.database import mark_accounts, mark_login, put_account, put_origin, put_statement, start
from collectors.delimited import cells_of
from collectors.json_records import JsonObject, JsonTree, load_object
from collectors.lines import Line, decode_text
from collectors.making import RecordError
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

DATASET: Final = "mysql.audit"
_OPERATIONS: Final = (
    "CONNECT|DISCONNECT|FAILED_CONNECT|CHANGEUSER|QUERY|QUERY_DDL|QUERY_DML|QUERY_DML_NO_SELECT|QUERY_DCL|READ|WRITE"
    "|CREATE|ALTER|RENAME|DROP|AUDIT|PROXY_CONNECT"
)
_ROW: Final = re.compile(
    r"(\d{8} \d\d:\d\d:\d\d|\d{16}),([^,]{0,255}),([^,]{0,128}),([^,]{0,255}),(\d{1,20}),(\d{1,20}),"
    rf"({_OPERATIONS}),([^,]{{0,128}}),(.*),(\d{{0,6}})(?:,.{{0,255}})?$"
)
_MESSAGE: Final = re.compile(
    r"([^,]{0,255}),([^,]{0,128}),([^,]{0,255}),(\d{1,20}),(\d{1,20}),"
    rf"({_OPERATIONS}),([^,]{{0,128}}),(.*),(\d{{0,6}})$"
)
_HOST_PORT: Final = re.compile(r"(.{1,255}):(\d{1,5})")
_ESCAPES: Final = {"\\n": "\n", "\\t": "\t", "\\r": "\r", "\\'": "'", "\\\\": "\\", '\\"': '"'}
_ESCAPE: Final = re.compile(r"\\[ntr'\\\"]")
_CSV: Final = re.compile(
    r'"(?:Audit|NoAudit|Connect|Quit|Query|Prepare|Execute|Change user|[A-Z][A-Za-z ]{1,24})","[^"]{3,64}",'
)
_XML_ATTRIBUTE: Final = re.compile(r'^\s*([A-Z][A-Z_]{1,31})="((?:[^"]|\n)*?)"(?: ;;.*)?$', re.MULTILINE)
_XML_ELEMENT: Final = re.compile(r"<(?!AUDIT)([A-Z][A-Z_]{1,31})>(.*?)</\1>", re.DOTALL)
_USER: Final = re.compile(r"(\S{0,128})\[(\S{0,128})\] @ (\S{0,255}) \[(\S{0,64})\]")
_QUERY_COLUMNS: Final = (
    "name", "record", "timestamp", "command_class", "connection_id", "status", "sqltext", "user", "host", "os_user",
    "ip", "db",
)  # fmt: skip
_CONNECT_COLUMNS: Final = (
    "name", "record", "timestamp", "connection_id", "status", "user", "priv_user", "os_login", "proxy_user", "host",
    "ip", "db",
)  # fmt: skip
_NOTHING_KEPT: Final = ReadContext(datetime(1970, 1, 1, tzinfo=UTC), keep_original=False)
_CONNECTS: Final = frozenset({"connect", "quit", "change user", "changeuser"})


def is_row(text: str) -> bool:
    """Tell whether a line is one of MariaDB's server_audit."""
    return _ROW.match(text) is not None


class Rows:
    """Map lines of MariaDB's server_audit, whose times are local."""

    def __init__(self, context: ReadContext) -> None:
        """Take zone and policy of the reading."""
        self._zone = context.zone_info
        self._keep = context.keep_original

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a line. Raises ``RecordError`` when it has another form."""
        text = decode_text(line.raw)
        match = _ROW.match(text)
        if match is None:
            raise RecordError("not a line of an audit log")
        event: Event = {TIMESTAMP: _row_time(match[1], self._zone)}
        if self._keep:
            event["event.original"] = text
        _put_row(event, match.group(2, 3, 4, 5, 6, 7, 8, 9, 10))
        return (event,)


def _row_time(text: str, zone: tzinfo) -> str:
    """Return the canonical time of ``20261124 12:37:05`` or of microseconds since 1970 (managed databases)."""
    try:
        if text.isdigit():
            return format_instant(datetime.fromtimestamp(int(text) / 1_000_000, UTC))
        local = datetime.strptime(text, "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
        return format_instant(local.astimezone(UTC))
    except (ValueError, OverflowError, OSError) as fault:
        raise RecordError("no usable time") from fault


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of server_audit in syslog, which has no time; tell whether it is one."""
    match = _MESSAGE.match(message.strip())
    if match is None:
        return False
    _put_row(event, match.groups())
    return True


def interpret_percona(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of Percona's audit_log in syslog, in any of its formats; tell whether it is one."""
    text = message.strip()
    try:
        if text.startswith("{"):
            inner = load_object(text.encode("utf-8", "replace")).get("audit_record")
            found = _percona_event(inner, None) if isinstance(inner, dict) else None
        else:
            events = Records(_NOTHING_KEPT).parse(text.encode("utf-8", "replace"))
            found = events[0] if events else None
    except (RecordError, ValueError):
        return False
    if found is None:
        return False
    event.pop("message", None)
    event.update(found)
    return True


def _put_row(event: Event, cells: Sequence[str | None]) -> None:
    server, user, host, connection, _, operation, database, about, code = (cell or "" for cell in cells)
    start(event, dataset=DATASET, product="mysql", action=operation)
    put(event, "host.name", server)
    put_account(event, user)
    far = _HOST_PORT.fullmatch(host) if host.count(":") == 1 else None
    put_origin(event, far[1] if far else host, far[2] if far else None)
    put(event, "edusoc.database.session_id", connection)
    put(event, "edusoc.database.name", database)
    status = long_value(code)
    _put_status(event, status)
    if operation in ("CONNECT", "FAILED_CONNECT", "CHANGEUSER"):
        event["event.action"] = "connect"
        mark_login(event, "failure" if status else "success")
    elif operation == "DISCONNECT":
        event["event.type"] = ["end"]
    elif operation.startswith("QUERY"):
        _put_query(event, _unquoted(about))
    else:
        put(event, "edusoc.database.object", about)
        event["event.type"] = ["access"] if operation == "READ" else ["change"]


def _unquoted(text: str) -> str:
    """Return the statement in quotes of server_audit."""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        text = text[1:-1]
    return _ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)


def _put_status(event: Event, status: int | None) -> None:
    if status is not None:
        event["event.outcome"] = "failure" if status else "success"
        put(event, "error.code", str(status) if status else None)


def _put_query(event: Event, statement: str) -> None:
    original = event.get("event.original")
    put_statement(event, statement, original if isinstance(original, str) else None)
    mark_accounts(event, statement)


def is_record(text: str) -> bool:
    """Tell whether a line begins a record of Percona's audit log in CSV or XML."""
    return text.startswith(("<AUDIT_RECORD", "<AUDIT>")) or _CSV.match(text) is not None


def starts_record(line: bytes, held: Sequence[bytes]) -> bool:
    """Tell whether a line begins a record: CSV only where no quote is open above it."""
    if line.lstrip().startswith(b"<AUDIT_RECORD"):
        return True
    if held[0].lstrip().startswith(b"<"):
        return line.startswith(b'"') and _CSV.match(decode_text(line[:256])) is not None
    quotes = sum(part.count(b'"') for part in held[-64:]) if len(held) <= 64 else 0
    return quotes % 2 == 0 and line.startswith(b'"')


class Records:
    """Map records of Percona's audit log in CSV or XML, whose times are UTC."""

    def __init__(self, context: ReadContext) -> None:
        """Take the policy of the reading."""
        self._keep = context.keep_original

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the event of a record, nothing for what frames them. Raises ``RecordError`` for a broken one."""
        text = decode_text(raw).strip()
        if text.startswith("<AUDIT_RECORD"):
            found = _XML_ELEMENT.findall(text) or _XML_ATTRIBUTE.findall(text)
            said = {name.lower(): unescape(value) for name, value in found}
        elif text.startswith('"'):
            cells = cells_of(text)
            columns = _CONNECT_COLUMNS if cells[0].lower() in _CONNECTS else _QUERY_COLUMNS
            if len(cells) < (6 if cells[0].endswith("Audit") else len(columns)):
                raise RecordError("not a line of an audit log")
            said = dict(zip(columns, cells, strict=False))
        else:
            return ()
        return (_percona_event(said, text if self._keep else None),)


def _percona_event(said: Mapping[str, object], original: str | None) -> Event:
    def text(name: str) -> str:
        value = said.get(name, "")
        return value if isinstance(value, str) else str(value)

    instant = instant_or_none(text("timestamp").removesuffix(" UTC"), UTC)
    if instant is None:
        raise RecordError("no usable time")
    event: Event = {TIMESTAMP: format_instant(instant)}
    if original is not None:
        event["event.original"] = original
    start(event, dataset=DATASET, product="mysql", action=text("name"))
    user = _USER.fullmatch(text("user"))
    put_account(event, user[1] if user else text("user"))
    put_origin(event, text("ip") or (user[4] if user else "") or text("host"))
    put(event, "edusoc.database.session_id", text("connection_id"))
    put(event, "edusoc.database.name", text("db"))
    put(event, "edusoc.database.command", text("command_class"))
    status = long_value(text("status"))
    _put_status(event, status)
    kind = text("name").lower()
    if kind in ("connect", "change user"):
        mark_login(event, "failure" if status else "success")
    elif kind == "quit":
        event["event.type"] = ["end"]
    if text("sqltext"):
        _put_query(event, text("sqltext"))
    return event


def is_object(tree: JsonTree) -> bool:
    """Tell whether a JSON object is a record of Percona's or MySQL's audit log."""
    record = tree.get("audit_record")
    if isinstance(record, dict):
        return "name" in record and "timestamp" in record
    return {"timestamp", "class", "event"} <= tree.keys() and bool(
        {"account", "login", "server_id", "id"} & tree.keys()
    )


class Objects:
    """Map JSON records (see ``collectors.records.JsonParser``), whose times are UTC."""

    def __init__(self, context: ReadContext) -> None:
        """Take the policy of the reading."""
        self._keep = context.keep_original

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of an object. Raises ``RecordError`` when it is none of these."""
        original = decode_text(record.raw) if self._keep else None
        inner = record.tree.get("audit_record")
        if isinstance(inner, dict):
            return (_percona_event(inner, original),)
        if not is_object(record.tree):
            raise RecordError("not a record of an audit log")
        return (_mysql_event(record.tree, original),)


def _part(tree: JsonTree, name: str) -> Mapping[str, object]:
    part = tree.get(name)
    return part if isinstance(part, dict) else {}


def _mysql_event(tree: JsonTree, original: str | None) -> Event:
    """Map the JSON of MySQL's own audit log: account, login, and data by class."""
    instant = instant_or_none(str(tree.get("timestamp", "")), UTC)
    if instant is None:
        raise RecordError("no usable time")
    event: Event = {TIMESTAMP: format_instant(instant)}
    if original is not None:
        event["event.original"] = original
    kind, what = str(tree.get("class", "")), str(tree.get("event", ""))
    start(event, dataset=DATASET, product="mysql", action=what)
    account, login = _part(tree, "account"), _part(tree, "login")
    put_account(event, str(login.get("user") or account.get("user") or ""))
    put_origin(event, str(login.get("ip") or account.get("host") or ""))
    put(event, "edusoc.database.session_id", tree.get("connection_id"))
    connection, general, table = (
        _part(tree, f"{name}_data") for name in ("connection", "general", "table_access")
    )
    put(event, "edusoc.database.name", connection.get("db") or table.get("db"))
    put(event, "edusoc.database.object", table.get("table"))
    put(event, "edusoc.database.command", general.get("sql_command") or table.get("sql_command"))
    status = long_value(connection.get("status", general.get("status")))
    _put_status(event, status)
    if kind == "connection" and what in ("connect", "change_user"):
        mark_login(event, "failure" if status else "success")
    elif what == "disconnect":
        event["event.type"] = ["end"]
    elif kind == "table_access":
        event["event.type"] = ["access" if what == "read" else "change"]
    if connection.get("connection_type"):
        extra(event, "mysql.connection", connection["connection_type"])
    statement = general.get("query") or table.get("query")
    if isinstance(statement, str) and statement:
        _put_query(event, statement)
    return event
