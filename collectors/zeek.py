"""Read Zeek logs, tab-separated with headers or JSON: log ``conn`` becomes ``zeek.conn`` and so on.

Header lines: Zeek documentation, "Zeek Log Formats". Times are seconds since 1970, or ISO 8601 text in JSON. Columns
unknown to the tables, and logs of other packages, are kept in ``edusoc.extra``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import (
    date_text,
    double_value,
    epoch_text,
    extra,
    flatten,
    ip_text,
    long_value,
    mac_or_none,
    put,
)
from collectors.dhcp_common import put_seen_lease
from collectors.distinguished_names import put_names
from collectors.json_records import JsonObject, first_object
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.network import put_side, put_totals, put_transport, put_url
from collectors.records import read_json_events, read_line_events
from collectors.zeek_tables import CLASSES, COMMON, KINDS, SIGNS, STATES, TABLES
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

_Row = dict[str, object]
_LOG_NAME: Final = re.compile(r"([a-z][a-z0-9_]{1,31})(?:[.\-_]\d[\dT:._\-]*)*\.(?:log|json|ndjson)")
_ICMP: Final = "icmp"
_FLAGS: Final = ("AA", "TC", "RD", "RA", "Z")
_ESCAPE: Final = re.compile(r"\\x([0-9a-fA-F]{2})")


class Zeek:
    """Collect Zeek logs."""

    name: str = "zeek"
    datasets: tuple[str, ...] = ("zeek",)

    def recognise(self, head: bytes, name: str, /) -> int:
        """Return 100 for the header lines, 80 for JSON with Zeek's columns."""
        if _is_tsv(head):
            return 100
        first = first_object(head)
        if first is None or "ts" not in first:
            return 0
        return 85 if is_zeek_json(first, name) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        if _is_tsv(source.head):
            return read_line_events(
                source, context, _TsvParser(source.name, context), name=self.name, module="zeek"
            )
        parser = ZeekJsonParser(source.name, context)
        return read_json_events(source, context, parser, name=self.name, module="zeek")


def is_zeek_json(tree: Mapping[str, object], name: str = "") -> bool:
    """Tell whether an object with ``ts`` is a record of Zeek, by its columns or the file's name."""
    own = {"_path", "uid", "id.orig_h", "fuid", "_write_ts"} & tree.keys()
    return "ts" in tree and bool(own or _log_of(dict(flatten(tree)), name))


def _is_tsv(head: bytes) -> bool:
    """Tell whether header lines stand at the start (a few broken lines before them are forgiven)."""
    start = text_head(head)[:4096]
    return any(
        line.lstrip(b" \t").startswith((b"#separator", b"#fields\t")) for line in start.split(b"\n")[:5]
    )


def _unescape(text: str) -> str:
    """Return header text with hexadecimal escapes replaced."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


class _TsvParser:
    """Follow the header lines and map the rows below them. A rotated file may carry several headers."""

    def __init__(self, name: str, context: ReadContext) -> None:
        self._separator = "\t"
        self._set_separator = ","
        self._empty = "(empty)"
        self._unset = "-"
        self._log = _name_of(name) or "unknown"
        self._context = context
        self._opened = context.reference
        self._fields: list[str] = []
        self._readers: list[Callable[[str], object]] = []

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a row, nothing for a header line."""
        text = decode_text(line.raw)
        if text.lstrip(" \t").startswith("#"):
            self._header(text.lstrip(" \t")[1:])
            return ()
        if not self._fields:
            raise RecordError("row before any #fields line")
        cells = text.split(self._separator)
        if len(cells) != len(self._fields):
            raise RecordError(f"{len(cells)} columns where the header names {len(self._fields)}")
        row: _Row = {}
        for name, read, cell in zip(self._fields, self._readers, cells, strict=True):
            if cell != self._unset:
                row[name] = [] if cell == self._empty else read(cell)
        if "ts" not in self._fields:
            row["ts"] = format_instant(self._opened)
        return (_event(self._log, row),)

    def _header(self, text: str) -> None:
        """Take one header line (without its ``#``)."""
        if text.startswith("separator"):
            self._separator = _unescape(text.partition(" ")[2].strip()) or "\t"
            return
        name, _, value = text.partition(self._separator)
        if name == "set_separator":
            self._set_separator = _unescape(value) or ","
        elif name == "empty_field":
            self._empty = _unescape(value)
        elif name == "unset_field":
            self._unset = _unescape(value)
        elif name == "path":
            self._log = _clean_log(value) or self._log
        elif name == "open":
            self._opened = self._open_time(value)
        elif name == "fields":
            self._fields = value.split(self._separator)
            self._readers = [str] * len(self._fields)
        elif name == "types":
            kinds = value.split(self._separator)
            if len(kinds) == len(self._fields):
                self._readers = [self._reader(kind) for kind in kinds]

    def _open_time(self, text: str) -> datetime:
        """Return when the log was opened (``2020-10-06-17-32-56``, local), for logs whose rows carry no time."""
        try:
            parts = [int(part) for part in text.strip().split("-")]
            year, month, day, hour, minute, second = parts
            return datetime(year, month, day, hour, minute, second, tzinfo=self._context.zone_info)
        except (ValueError, OverflowError):
            return self._context.reference

    def _reader(self, kind: str) -> Callable[[str], object]:
        if kind.startswith(("set[", "vector[", "table[")):
            return self._members
        return str

    def _members(self, cell: str) -> list[str]:
        return [item for item in cell.split(self._set_separator) if item != self._unset]


class ZeekJsonParser:
    """Map one JSON object to one event."""

    def __init__(self, name: str, context: ReadContext) -> None:
        self._name = name
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of one record."""
        row: _Row = {}
        for key, value in record.tree.items():
            if isinstance(value, Mapping):
                row.update(flatten({key: value}))
            elif value is not None:
                row[key] = value
        log = _clean_log(str(row.pop("_path", ""))) or _log_of(row, self._name) or "unknown"
        event = _event(log, row)
        if self._context.keep_original:
            event["event.original"] = decode_text(record.raw)
        return (event,)


def _clean_log(text: str) -> str:
    """Return a log name fit for ``event.dataset``, empty if it is none."""
    name = text.strip().lower()
    return name if re.fullmatch(r"[a-z][a-z0-9_\-]{0,31}", name) else ""


def _name_of(path: str) -> str:
    """Return the log a file name such as ``conn.2026-11-20.log.gz`` or ``zeek__dns.log`` speaks of, else empty."""
    match = _LOG_NAME.search(PurePath(path).name.lower().rpartition("__")[2])
    return match[1] if match else ""


def _log_of(row: Mapping[str, object], path: str) -> str:
    """Return the log that a JSON object without ``_path`` comes from."""
    for log, signs in SIGNS.items():
        if signs <= row.keys():
            return log
    name = _name_of(path)
    return name if name in KINDS else ""


def _event(log: str, row: _Row) -> Event:
    """Return the event of one row. Raises ``RecordError`` when it has no usable time."""
    stamp = row.pop("ts", None)
    time = (
        epoch_text(stamp)
        if isinstance(stamp, str) and stamp[:1].isdigit() and "T" not in stamp
        else date_text(stamp)
    )
    if time is None:
        raise RecordError(f"unreadable time {str(stamp)[:40]!r}")
    protocol, category, types = KINDS.get(log, ("", ["network"], ["info"]))
    event: Event = {
        TIMESTAMP: time,
        "event.dataset": f"zeek.{log}",
        "event.category": list(category),
        "event.type": list(types),
    }
    put(event, "network.protocol", protocol)
    _endpoints(event, row, log)
    special = _SPECIAL.get(log)
    if special is not None:
        special(event, row)
    table = TABLES.get(log, {})
    for name, value in row.items():
        field = table.get(name) or COMMON.get(name)
        if field is None or (field in event and not isinstance(event[field], list)):
            extra(event, f"zeek.{log}.{name}", value)
        else:
            put(event, field, _converted(field, value))
    _finish(event, log)
    return event


def _converted(field: str, value: object) -> object:
    """Return times (seconds as text) and MAC addresses in canonical form, anything else as it is."""
    if isinstance(value, str):
        if field in _TIMES and value[:1].isdigit() and "T" not in value:
            return epoch_text(value) or value
        if field.endswith(".mac"):
            return mac_or_none(value) or value
    return value


_TIMES: Final = frozenset(
    {
        "tls.server.not_before",
        "tls.server.not_after",
        "file.accessed",
        "file.created",
        "file.ctime",
        "file.mtime",
    }
)


def _endpoints(event: Event, row: _Row, log: str) -> None:
    put_side(event, "source", row.pop("id.orig_h", None), None)
    put_side(event, "destination", row.pop("id.resp_h", None), None)
    ports = long_value(row.pop("id.orig_p", None)), long_value(row.pop("id.resp_p", None))
    transport = str(row.pop("proto", "") or "")
    if transport == _ICMP and ":" in str(event.get("source.ip", "")):
        transport = "ipv6-icmp"
    if transport.endswith(_ICMP):
        put(event, "icmp.type", ports[0])
        put(event, "icmp.code", ports[1])
        put_transport(event, transport, (ports[0] or 0, ports[1] or 0))
        return
    put(event, "source.port", ports[0])
    put(event, "destination.port", ports[1])
    put_transport(event, transport or _TRANSPORTS.get(log))


_TRANSPORTS: Final = {"http": "tcp", "ssl": "tcp", "ssh": "tcp", "ftp": "tcp", "smtp": "tcp", "rdp": "tcp",
                      "smb_files": "tcp", "smb_mapping": "tcp", "ntlm": "tcp", "dhcp": "udp", "ntp": "udp"}  # fmt: skip


def _conn(event: Event, row: _Row) -> None:
    """Map a connection: duration, totals, and what its state says about start and end."""
    seconds = double_value(row.pop("duration", None))
    put(event, "event.duration", None if seconds is None else round(seconds * 1_000_000_000))
    state = str(row.get("conn_state", ""))
    event["event.type"] = ["connection", *STATES.get(state, ("info",))]
    for name, side in (("orig", "source"), ("resp", "destination")):
        if f"{name}_ip_bytes" not in row:
            put(event, f"{side}.bytes", row.pop(f"{name}_bytes", None))
    services = str(row.pop("service", "") or "")
    put(event, "network.protocol", services.partition(",")[0].replace("ssl", "tls"))
    if "," in services:
        extra(event, "zeek.conn.service", services)
    local = row.get("local_orig"), row.get("local_resp")
    if None not in local:
        del row["local_orig"], row["local_resp"]
        event["network.direction"] = _DIRECTIONS[local[0] in (True, "T"), local[1] in (True, "T")]


_DIRECTIONS: Final = {
    (True, True): "internal",
    (True, False): "outbound",
    (False, True): "inbound",
    (False, False): "external",
}


def _dns(event: Event, row: _Row) -> None:
    """Map a query with its answers, which Zeek logs together."""
    flags = [flag for flag in _FLAGS if row.pop(flag, None) in (True, "T")]
    put(event, "dns.header_flags", flags)
    answers = row.get("answers")
    texts = [str(answer) for answer in answers] if isinstance(answers, list) else []
    event["dns.type"] = "answer" if texts or row.get("rcode_name") else "query"
    times = row.pop("TTLs", None)
    if isinstance(times, list) and times:
        event["dns.answers.ttl"] = [int(double_value(time) or 0) for time in times]
    put(event, "dns.resolved_ip", [text for text in texts if ip_text(text)])
    code = row.pop("qtype", None)
    if "qtype_name" not in row and code is not None:
        row["qtype_name"] = code
    if row.get("qclass_name") == "C_INTERNET":
        row["qclass_name"] = "IN"
    number = row.pop("qclass", None)
    if number is not None:
        row.setdefault("qclass_name", CLASSES.get(str(number), number))
    if "rcode_name" in row:
        row.pop("rcode", None)
    seconds = double_value(row.pop("rtt", None))
    put(event, "event.duration", None if seconds is None else round(seconds * 1_000_000_000))


def _http(event: Event, row: _Row) -> None:
    """Map one HTTP transaction."""
    put_url(event, host=row.pop("host", None), path=row.pop("uri", None))
    status = long_value(row.get("status_code"))
    if status is not None:
        event["event.outcome"] = "success" if status < 400 else "failure"
    put(event, "event.action", row.get("method"))
    put(event, "user.name", row.get("username"))


def _ssl(event: Event, row: _Row) -> None:
    """Map the version word (``TLSv12``) to number and protocol."""
    version = row.pop("version", None)
    if isinstance(version, str) and "v" in version:
        protocol, _, digits = version.partition("v")
        event["tls.version_protocol"] = protocol.lower()
        event["tls.version"] = f"{digits[:1]}.{digits[1:] or '0'}" if digits.isdigit() else digits
    elif version is not None:
        extra(event, "zeek.ssl.version", version)


def _ssh(event: Event, row: _Row) -> None:
    """Map success of the log-in."""
    success = row.pop("auth_success", None)
    if success is not None:
        event["event.outcome"] = "success" if success in (True, "T") else "failure"
        event["event.action"] = "ssh_login"


def _success(event: Event, row: _Row) -> None:
    success = row.pop("success", None)
    if success is not None:
        event["event.outcome"] = "success" if success in (True, "T") else "failure"


def _kerberos(event: Event, row: _Row) -> None:
    """Map client and realm."""
    _success(event, row)
    client = row.pop("client", None)
    if isinstance(client, str):
        name, _, realm = client.rpartition("/")
        put(event, "user.name", name or realm)
        put(event, "user.domain", realm if name else None)


def _notice(event: Event, row: _Row) -> None:
    """Map a notice: an alert of Zeek's own."""
    event["event.kind"] = "alert"
    put(event, "rule.name", row.get("note"))
    put(event, "rule.description", row.get("msg"))
    dropped = row.pop("dropped", None)
    if dropped is not None:
        event["event.type"] = ["info", "denied" if dropped in (True, "T") else "allowed"]
    for name, side in (("src", "source"), ("dst", "destination")):
        if f"{side}.ip" not in event:
            put_side(event, side, row.pop(name, None))
        elif ip_text(str(row.get(name))) == event[f"{side}.ip"]:
            row.pop(name)
    if "p" in row and "destination.port" not in event:
        put(event, "destination.port", row.pop("p"))


def _files(event: Event, row: _Row) -> None:
    """Map hosts (older logs) and size: who sent the file is the server, who received it the client."""
    for name, side, role in (("tx_hosts", "source", "server"), ("rx_hosts", "destination", "client")):
        hosts = row.get(name)
        if isinstance(hosts, list) and hosts:
            put(event, f"{role}.ip", hosts[0])
            if f"{side}.ip" not in event:
                put_side(event, side, hosts[0])
                if len(hosts) == 1:
                    row.pop(name)
    size = row.pop("total_bytes", None)
    put(event, "file.size", row.pop("seen_bytes", None) if size is None else size)
    source = row.get("source")
    if isinstance(source, str):
        row["source"] = source.lower().replace("ssl", "tls")


def _smb_files(event: Event, row: _Row) -> None:
    """Map the action word, what it does to the file, and the file's full name."""
    action = row.get("action")
    if isinstance(action, str):
        row["action"] = action.lower().replace("::", "_")
        change = {
            "SMB::FILE_DELETE": "deletion",
            "SMB::FILE_RENAME": "change",
            "SMB::FILE_SET_ATTRIBUTE": "change",
        }
        event["event.type"] = ["connection", "protocol", change.get(action, "info")]
    name, path = row.get("name"), row.get("path")
    put(event, "file.name", name)
    if isinstance(name, str) and isinstance(path, str):
        put(event, "file.path", f"{path}\\{name}")


def _dhcp(event: Event, row: _Row) -> None:
    """Map the client's lease."""
    put_side(event, "source", row.pop("client_addr", None), row.pop("client_port", 68))
    put_side(event, "destination", row.pop("server_addr", None), row.pop("server_port", 67))
    put_transport(event, "udp")
    put(event, "network.name", row.get("domain"))
    kinds = row.pop("msg_types", None)
    said = [str(kind).upper() for kind in kinds] if isinstance(kinds, list) else []
    if said:
        event["event.action"] = "dhcp_" + "_".join(said).lower()[:100]
    if said and "ACK" not in said:  # asked, offered, refused or given back: nobody got an address
        changes = {"NAK": "denied", "DECLINE": "error", "RELEASE": "end"}
        event["event.type"] = ["connection", "protocol", *(changes[kind] for kind in said if kind in changes)]
        put(event, "client.ip", event.get("source.ip") if "RELEASE" in said else None)
        return
    _put_lease(event, row)


def _put_lease(event: Event, row: _Row) -> None:
    """Write who got which address for how long."""
    seconds = double_value(row.pop("lease_time", None))
    put_seen_lease(event, row.pop("assigned_addr", None), row.get("mac"), row.get("host_name"), seconds)


_SPECIAL: Final[Mapping[str, Callable[[Event, _Row], None]]] = {
    "conn": _conn, "dns": _dns, "http": _http, "ssl": _ssl, "ssh": _ssh, "kerberos": _kerberos, "ntlm": _success,
    "notice": _notice, "files": _files, "smb_files": _smb_files, "dhcp": _dhcp,
}  # fmt: skip


def _finish(event: Event, log: str) -> None:
    if log == "conn":
        put_totals(event)
    elif log in ("ssl", "x509"):
        put_names(event)
    path = event.get("file.path")
    if isinstance(path, str) and "file.name" not in event:
        put(event, "file.name", path.replace("\\", "/").rpartition("/")[2])
