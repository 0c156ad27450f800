"""Say what a message of PostgreSQL means: connections, log-ins, statements, and those of pgAudit.

Message texts: PostgreSQL's source (English ``lc_messages``; others keep the message only); pgAudit README, "Format".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from collectors.coerce import double_value, extra, put
from collectors.database import mark_accounts, mark_login, put_account, put_origin, put_statement, start
from collectors.delimited import cells_of
from collectors.making import RecordError
from soc_core.model.event import Event

DATASET: Final = "postgresql.log"
AUDIT_DATASET: Final = "postgresql.audit"
_RECEIVED: Final = re.compile(r"connection received: host=(\S{1,255})(?: port=(\d{1,5}))?")
_AUTHENTICATED: Final = re.compile(r'connection authenticated: identity="([^"]{0,255})" method=(\S{1,32})')
_AUTHORIZED: Final = re.compile(
    r"(?:replication )?connection authorized: user=(\S{1,128})(?: database=(\S{1,128}))?"
    r"(?: application_name=(.{1,128}?))?(?: SSL enabled \(protocol=(\S{1,16}),.*)?$"
)
_ENDED: Final = re.compile(
    r"disconnection: session time: (\d{1,6}):(\d\d):(\d\d(?:\.\d{1,6})?) user=(\S{1,128}) database=(\S{1,128})"
    r" host=(\S{1,255})(?: port=(\d{1,5}))?"
)
_REFUSED: Final = (
    re.compile(
        r'(?:password|Ident|Peer|LDAP|PAM|GSSAPI|certificate|RADIUS) authentication failed for user "([^"]{0,128})"'
    ),
    re.compile(
        r'no pg_hba\.conf entry for (?:replication connection from )?host "([^"]{1,64})", user "([^"]{0,128})"'
    ),
    re.compile(r'pg_hba\.conf rejects connection for host "([^"]{1,64})", user "([^"]{0,128})"'),
    re.compile(r'role "([^"]{0,128})" (?:does not exist|is not permitted to log in)'),
)
_TIMED: Final = re.compile(
    r"duration: (\d{1,12}\.\d{1,6}) ms(?:  (?:statement|(?:parse|bind|execute) [^:]{1,128}): (.*))?",
    re.DOTALL,
)
_STATEMENT: Final = re.compile(r"(?:statement|execute [^:]{1,128}): (.*)", re.DOTALL)
_AUDIT: Final = re.compile(r"AUDIT: ((?:SESSION|OBJECT),.*)", re.DOTALL)
_FAULTS: Final = frozenset({"ERROR", "FATAL", "PANIC"})
_PRIVILEGES: Final = frozenset({"ROLE"})


@dataclass(slots=True)
class Entry:
    """Hold one entry of a log, whatever the format; empty text where it says nothing."""

    severity: str
    message: str
    user: str = ""
    database: str = ""
    host: str = ""
    port: str = ""
    process: str = ""
    session: str = ""
    application: str = ""
    state: str = ""
    detail: str = ""
    statement: str = ""


def put_entry(event: Event, entry: Entry, original: str | None) -> None:
    """Write what ``entry`` says."""
    start(event, dataset=DATASET, product="postgresql", action="message")
    put(event, "log.level", entry.severity.lower())
    put_account(event, entry.user.removeprefix("[unknown]"))
    put_origin(event, entry.host, entry.port)
    for field, text in (
        ("edusoc.database.name", entry.database.removeprefix("[unknown]")),
        ("process.pid", entry.process),
        ("edusoc.database.session_id", entry.session),
        ("edusoc.database.application", entry.application),
        ("error.code", entry.state if entry.state != "00000" else ""),
    ):
        put(event, field, text)
    if entry.detail:
        extra(event, "postgresql.detail", entry.detail)
    if original is not None:
        event["event.original"] = original
    _put_message(event, entry, original)
    if entry.severity in _FAULTS:
        event.setdefault("event.outcome", "failure")
        put(event, "error.message", entry.message)
        if event["event.type"] == ["info"]:
            event["event.type"] = ["error"]


def _put_message(event: Event, entry: Entry, original: str | None) -> None:
    message = entry.message
    audit = _AUDIT.match(message)
    if audit is not None and _put_audit(event, audit[1], original):
        return
    timed = _TIMED.match(message)
    if timed is not None:
        event["event.action"] = "statement" if timed[2] else "duration"
        event["event.duration"] = round((double_value(timed[1]) or 0.0) * 1_000_000)
        if timed[2]:
            put_statement(event, timed[2], original)
            mark_accounts(event, timed[2])
        return
    statement = _STATEMENT.match(message)
    if statement is not None:
        event["event.action"] = "statement"
        put_statement(event, statement[1], original)
        mark_accounts(event, statement[1])
        return
    put(event, "message", message)
    if entry.statement:
        put_statement(event, entry.statement, original)
    _put_connection(event, message)


def _put_connection(event: Event, message: str) -> None:
    if match := _RECEIVED.match(message):
        event["event.action"] = "connection_received"
        put_origin(event, match[1], match[2])
    elif match := _AUTHENTICATED.match(message):
        event["event.action"] = "connection_authenticated"
        put(event, "edusoc.authentication.method", match[2])
    elif match := _AUTHORIZED.match(message):
        event["event.action"] = "connect"
        mark_login(event, "success")
        put_account(event, match[1])
        put(event, "edusoc.database.name", match[2])
        put(event, "edusoc.database.application", match[3])
    elif match := _ENDED.match(message):
        event["event.action"] = "disconnect"
        event["event.type"] = ["end"]
        hours, minutes = int(match[1]), int(match[2])
        seconds = hours * 3_600 + minutes * 60 + (double_value(match[3]) or 0.0)
        event["event.duration"] = round(seconds * 1_000_000_000)
        put_account(event, match[4])
        put(event, "edusoc.database.name", match[5])
        put_origin(event, match[6], match[7])
    else:
        _put_refusal(event, message)


def _put_refusal(event: Event, message: str) -> None:
    for pattern in _REFUSED:
        match = pattern.match(message)
        if match is not None:
            event["event.action"] = "connect"
            mark_login(event, "failure")
            put_account(event, match.groups()[-1])
            if len(match.groups()) == 2:
                put_origin(event, match[1])
            return


def _put_audit(event: Event, text: str, original: str | None) -> bool:
    """Read one record of pgAudit: type, numbers, class, command, object, statement, parameters."""
    try:
        cells = cells_of(text)
    except RecordError:
        return False
    if len(cells) < 8:
        return False
    kind, _, _, group, command, object_type, name, statement = cells[:8]
    event["event.dataset"] = AUDIT_DATASET
    put(event, "event.action", command.strip().lower().replace(" ", "_")[:64])
    put(event, "edusoc.database.command", group.lower())
    put(event, "edusoc.database.object", name)
    put(event, "rule.category", kind.lower())
    if object_type:
        extra(event, "pgaudit.object_type", object_type)
    put_statement(event, statement, original)
    event["event.type"] = (
        ["access"] if group == "READ" else ["change"] if group in ("WRITE", "DDL") else ["info"]
    )
    mark_accounts(event, statement)
    if group in _PRIVILEGES and event["event.category"] == ["database"]:
        event["event.category"], event["event.type"] = ["database", "iam"], ["user", "change"]
    return True


def entry_of(cells: Mapping[str, object]) -> Entry:
    """Return the entry of a record with the names of JSON logs."""

    def text(name: str) -> str:
        value = cells.get(name)
        return "" if value is None else str(value)

    return Entry(
        severity=text("error_severity"),
        message=text("message"),
        user=text("user"),
        database=text("dbname"),
        host=text("remote_host"),
        port=text("remote_port"),
        process=text("pid"),
        session=text("session_id"),
        application=text("application_name"),
        state=text("state_code"),
        detail=text("detail"),
        statement=text("statement"),
    )
