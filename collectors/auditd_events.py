"""Make one event of the records that share an audit serial: who started, opened, changed or logged in what.

The records' own fields stand in ``edusoc.extra`` as ``auditd.log.<name>``, as SigmaHQ's rules name them, except those
that have a place of their own (``rules/mappings/linux.yml``). ``a0`` … are a program's arguments where there is an
EXECVE record, else those of the system call.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Final

from collectors.auditd_records import AuditRecord, socket_address, system_call
from collectors.auditd_tables import CALLS, KINDS, Meaning
from collectors.coerce import extra, ip_text, put, put_default
from collectors.network import put_side
from soc_core.model.event import TIMESTAMP, Event

DATASET: Final = "auditd.log"
_UNSET: Final = frozenset({"", "?", "(null)", "(none)", "-1", "4294967295", "unset"})
_RESULTS: Final = {"yes": "success", "success": "success", "1": "success",
                   "no": "failure", "failed": "failure", "fail": "failure", "0": "failure"}  # fmt: skip
_PLAIN: Final = {
    "pid": "process.pid",
    "ppid": "process.parent.pid",
    "comm": "process.name",
    "exe": "process.executable",
    "uid": "user.id",
    "auid": "edusoc.auditd.login_id",
    "ses": "edusoc.auditd.session",
    "terminal": "edusoc.auditd.terminal",
    "tty": "edusoc.auditd.terminal",
}
"""Field of a record → field of the event; the first record that has it counts."""
_ENRICHED: Final = {"UID": "user.name", "AUID": "edusoc.auditd.login_name", "EUID": "user.effective.name"}
_OWN: Final = frozenset({"type", "msg", "key", "argc", "item", "items", "saddr", "success", "res", "result"})
_ACCOUNTS: Final = frozenset(
    {"ADD_USER", "DEL_USER", "USER_MGMT", "USER_CHAUTHTOK", "ACCT_LOCK", "ACCT_UNLOCK"}
)
_GROUPS: Final = frozenset({"ADD_GROUP", "DEL_GROUP", "GRP_MGMT"})
_LONGEST_EXTRA: Final = 2_048
_MOST_PATHS: Final = 32


def audit_event(records: Sequence[AuditRecord]) -> Event:
    """Return the event of ``records``, which share time and serial; there is at least one."""
    event: Event = {TIMESTAMP: records[0].stamp, "event.dataset": DATASET}
    fill(event, records)
    return event


def fill(event: Event, records: Sequence[AuditRecord]) -> None:
    """Write what ``records`` say into ``event``, which may have a head of syslog already."""
    first = records[0]
    event[TIMESTAMP] = first.stamp
    event["event.dataset"] = DATASET
    event["event.module"] = "auditd"
    event["event.sequence"] = first.serial
    put(event, "host.name", first.node)
    event["edusoc.auditd.types"] = list(dict.fromkeys(record.kind for record in records))
    meaning = _meaning(event, records)
    event["event.action"] = meaning.action
    event["event.category"] = list(meaning.category)
    event["event.type"] = list(meaning.types)
    runs = any(record.kind == "EXECVE" for record in records)
    for record in records:
        _put_plain(event, record)
        _put_outcome(event, record)
        _put_special(event, record)
        _put_rest(event, record, arguments=runs)
    _put_command(event, records)
    _put_paths(event, [record for record in records if record.kind == "PATH"])
    _put_people(event, records)


def _meaning(event: Event, records: Sequence[AuditRecord]) -> Meaning:
    for record in records:
        if record.kind == "SYSCALL":
            call = system_call(record)
            put(event, "edusoc.auditd.syscall", call)
            if call in CALLS:
                return CALLS[call]
    for record in records:
        if record.kind in KINDS:
            return KINDS[record.kind]
    kinds = {record.kind for record in records}
    if "EXECVE" in kinds:
        return CALLS["execve"]
    if "PATH" in kinds:
        return Meaning("file_involved", ("file",), ("info",))
    return Meaning(records[0].kind.lower()[:64], ("host",), ("info",))


def _put_plain(event: Event, record: AuditRecord) -> None:
    for fields in (record.said, record.fields):
        for name, field in _PLAIN.items():
            value = fields.get(name, "")
            if value not in _UNSET:
                put_default(event, field, value)
    for name, field in _ENRICHED.items():
        if record.names.get(name, "unset") not in _UNSET:
            put_default(event, field, record.names[name])


def _put_outcome(event: Event, record: AuditRecord) -> None:
    for fields, name in (
        (record.fields, "success"),
        (record.said, "res"),
        (record.fields, "res"),
        (record.said, "result"),
    ):
        outcome = _RESULTS.get(fields.get(name, "").lower().rstrip("'"))
        if outcome is not None:
            event.setdefault("event.outcome", outcome)


def _put_special(event: Event, record: AuditRecord) -> None:
    keys = record.fields.get("key", "")
    if keys not in _UNSET:
        put(event, "edusoc.auditd.keys", [key for key in keys.split("\x01") if key])
    if record.kind == "CWD":
        put_default(event, "process.working_directory", record.fields.get("cwd"))
    elif record.kind == "SOCKADDR":
        _put_socket(event, record)
    elif record.kind == "PROCTITLE":
        put_default(event, "process.title", record.fields.get("proctitle", "").strip())
    elif record.kind in ("TTY", "USER_TTY"):
        typed = {**record.fields, **record.said}.get("data", "")
        put(event, "message", "".join(letter if letter.isprintable() else "␍" for letter in typed))
    elif record.kind in ("SERVICE_START", "SERVICE_STOP"):
        put(event, "service.name", record.said.get("unit"))
    elif record.kind == "SOFTWARE_UPDATE":
        put(event, "package.name", record.said.get("sw"))


def _put_socket(event: Event, record: AuditRecord) -> None:
    address, port, path = socket_address(record.fields.get("saddr", ""))
    # connect and sendto name the far side, bind one's own, accept and recvfrom who came.
    side = "source" if event.get("event.action") == "accepted_connection" else "destination"
    if address:
        put_side(event, side, address, port)
    put(event, "file.path", path)


def _put_rest(event: Event, record: AuditRecord, *, arguments: bool) -> None:
    """Keep the other fields under the names that SigmaHQ's rules use."""
    for fields in (record.fields, record.said):
        for name, value in fields.items():
            of_call = record.kind == "SYSCALL" and name[:1] == "a" and name[1:].isdigit()
            if value in _UNSET or name in _OWN or name in _PLAIN or (of_call and arguments):
                continue
            extra(event, f"auditd.log.{name}", value[:_LONGEST_EXTRA])
    for number in sorted(record.arguments):
        extra(event, f"auditd.log.a{number}", record.arguments[number][:_LONGEST_EXTRA])


def _put_command(event: Event, records: Sequence[AuditRecord]) -> None:
    """Write arguments and command line: of EXECVE, of sudo's USER_CMD, else of the process title."""
    arguments = {number: text for record in records for number, text in record.arguments.items()}
    if arguments:
        words = [arguments[number] for number in sorted(arguments)]
        put(event, "process.args", [word for word in words if word])
        put(event, "process.command_line", " ".join(words))
    for record in records:
        if record.kind == "USER_CMD":
            put(event, "process.command_line", record.said.get("cmd"))
            put(event, "process.working_directory", record.said.get("cwd"))
    put_default(event, "process.command_line", event.get("process.title"))


def _put_paths(event: Event, paths: Sequence[AuditRecord]) -> None:
    """Write the file an event is about: what was made or deleted, else the first that is no parent folder."""
    if not paths:
        return
    folder = str(event.get("process.working_directory", "/"))
    chosen = min(paths[:_MOST_PATHS], key=_rank)
    name = chosen.fields.get("name", "")
    if name not in _UNSET:
        # Names are as the program gave them; what is relative lies below its working folder.
        path = posixpath.normpath(posixpath.join(folder, name))
        put(event, "file.path", path)
        put(event, "file.name", posixpath.basename(path))
        put(event, "file.directory", posixpath.dirname(path))
    put(event, "file.owner", chosen.names.get("OUID"))
    put(event, "file.inode", chosen.fields.get("inode"))
    put(event, "file.mode", chosen.fields.get("mode"))


def _rank(record: AuditRecord) -> int:
    kind = record.fields.get("nametype", record.fields.get("objtype", "NORMAL"))
    return {"DELETE": 0, "CREATE": 0, "NORMAL": 1, "UNKNOWN": 2, "PARENT": 3}.get(kind, 2)


def _put_people(event: Event, records: Sequence[AuditRecord]) -> None:
    """Write accounts and addresses of what programs reported (``msg='…'``)."""
    for record in records:
        said = record.said
        if not said:
            continue
        account = said.get("acct", "")
        number = said.get("id", "")
        if record.kind in _ACCOUNTS:
            put(event, "user.target.name", account if account not in _UNSET else None)
            put(event, "user.target.id", number if number.isdigit() else None)
        elif record.kind in _GROUPS:
            put(event, "group.id", number if number.isdigit() else None)
            put(event, "group.name", said.get("grp") or (account if account not in _UNSET else None))
        elif account not in _UNSET:
            put(event, "user.name", account)
        elif record.kind in ("USER_LOGIN", "USER_LOGOUT") and number.isdigit():
            event["user.id"] = number
        address = ip_text(said.get("addr", ""))
        put(event, "source.ip", address)
        host = said.get("hostname", "")
        if host not in _UNSET and ip_text(host) is None:
            put(event, "source.domain", host)
        put(event, "related.ip", address)
