"""Read what OpenCanary reports: one JSON object a line (its log, TCP and file handlers), or pushed over HTTP.

Fields and types: ``opencanary/logger.py`` and the modules of github.com/thinkst/opencanary. Its ``local_time`` and
``utc_time`` are both UTC. Pushed by its ``RequestsHandler``, the object is the text of ``message``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import extra, ip_text, long_value, put, unique
from collectors.json_records import JsonObject, JsonTree, first_object, load_object
from collectors.lines import decode_text
from collectors.making import RecordError
from collectors.network import put_side, put_transport
from collectors.records import read_json_events
from soc_core.clock import format_instant, parse_instant
from soc_core.model.event import TIMESTAMP, Event

_LOGIN: Final = (("authentication", "intrusion_detection"), ("start",), "failure")
_WEB: Final = (("web", "intrusion_detection"), ("access",), "")
_TOUCH: Final = (("intrusion_detection",), ("info",), "")
_SCAN: Final = (("network", "intrusion_detection"), ("connection", "info"), "")
# Type → action, and what it is: category, type, outcome; protocol.
_KINDS: Final[Mapping[int, tuple[str, tuple[tuple[str, ...], tuple[str, ...], str], str]]] = {
    2000: ("ftp_login_attempt", _LOGIN, "ftp"),
    3000: ("http_get", _WEB, "http"),
    3001: ("http_login_attempt", _LOGIN, "http"),
    4000: ("ssh_connection", _TOUCH, "ssh"),
    4001: ("ssh_version_sent", _TOUCH, "ssh"),
    4002: ("ssh_login_attempt", _LOGIN, "ssh"),
    5000: ("smb_file_open", (("file", "intrusion_detection"), ("access",), ""), "smb"),
    5001: ("port_scan_syn", _SCAN, ""),
    5002: ("port_scan_nmap_os", _SCAN, ""),
    5003: ("port_scan_nmap_null", _SCAN, ""),
    5004: ("port_scan_nmap_xmas", _SCAN, ""),
    5005: ("port_scan_nmap_fin", _SCAN, ""),
    6001: ("telnet_login_attempt", _LOGIN, "telnet"),
    7001: ("http_proxy_login_attempt", _LOGIN, "http"),
    8001: ("mysql_login_attempt", _LOGIN, "mysql"),
    9001: ("mssql_login_sql", _LOGIN, "tds"),
    9002: ("mssql_login_windows", _LOGIN, "tds"),
    10001: ("tftp_request", _TOUCH, "tftp"),
    11001: ("ntp_monlist", _TOUCH, "ntp"),
    12001: ("vnc_login_attempt", _LOGIN, "vnc"),
    13001: ("snmp_command", _TOUCH, "snmp"),
    14001: ("rdp_connection", _TOUCH, "rdp"),
    15001: ("sip_request", _TOUCH, "sip"),
    16001: ("git_clone", _TOUCH, "git"),
    17001: ("redis_command", _TOUCH, "redis"),
    18001: ("tcp_banner_connection", _TOUCH, ""),
    18002: ("tcp_banner_kept_alive", _TOUCH, ""),
    18003: ("tcp_banner_secret_received", _TOUCH, ""),
    18004: ("tcp_banner_data_received", _TOUCH, ""),
    18005: ("tcp_banner_data_received", _TOUCH, ""),
}
_FIELDS: Final = {
    "USERNAME": "user.name", "USERAGENT": "user_agent.original", "PATH": "url.path", "HOSTNAME": "url.domain",
    "LOCALVERSION": "edusoc.ssh.server", "REMOTEVERSION": "edusoc.ssh.client", "FILENAME": "file.name",
}  # fmt: skip
_OWN: Final = 2_000
"""Smaller types are about the honeypot itself: start, settings, errors."""


class OpenCanary:
    """Collect logs of OpenCanary."""

    name: str = "opencanary"
    datasets: tuple[str, ...] = ("opencanary.event",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 90 when the first object is one of OpenCanary."""
        first = first_object(head)
        return 90 if first is not None and is_opencanary(first) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_json_events(
            source, context, OpenCanaryParser(context), name=self.name, module="opencanary"
        )


def is_opencanary(tree: JsonTree) -> bool:
    """Tell whether an object is one of OpenCanary, as it is or wrapped by its HTTP handler."""
    if "logtype" in tree and "node_id" in tree:
        return True
    message = tree.get("message")
    return len(tree) <= 3 and isinstance(message, str) and '"logtype"' in message and '"node_id"' in message


class OpenCanaryParser:
    """Map one report to one event."""

    def __init__(self, context: ReadContext) -> None:
        """Take the context of the reading."""
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of one object. Raises ``RecordError`` when it is not one of OpenCanary."""
        tree = _unwrapped(record.tree)
        kind = long_value(tree.pop("logtype", None))
        if kind is None:
            raise RecordError("not a report of OpenCanary")
        event: Event = {TIMESTAMP: _time(tree), "event.dataset": "opencanary.event", "event.code": str(kind)}
        action, (category, types, outcome), protocol = _KINDS.get(kind, (f"opencanary_{kind}", _TOUCH, ""))
        if kind < _OWN:
            category, types = ("host",), ("info",)
        else:
            event["event.kind"] = "alert"
            event["rule.name"] = action
            event["event.severity"] = 3 if "login" in action else 2
        event["event.category"], event["event.type"] = list(category), list(types)
        event["event.action"] = action
        put(event, "event.outcome", outcome)
        put(event, "network.protocol", protocol)
        put(event, "observer.name", tree.pop("node_id", None))
        event.update(
            {"observer.vendor": "Thinkst", "observer.product": "OpenCanary", "observer.type": "honeypot"}
        )
        _sides(event, tree)
        _details(event, tree.pop("logdata", None))
        for name, value in tree.items():
            if name not in _TIMES:
                extra(event, f"opencanary.{name}", value)
        if self._context.keep_original:
            event["event.original"] = decode_text(record.raw)
        return (event,)


_TIMES: Final = ("utc_time", "local_time", "local_time_adjusted")


def _unwrapped(tree: JsonTree) -> JsonTree:
    if "logtype" in tree:
        return dict(tree)
    message = tree.get("message")
    try:
        return load_object(message.encode("utf-8", "replace")) if isinstance(message, str) else {}
    except ValueError as fault:
        raise RecordError("not a report of OpenCanary") from fault


def _time(tree: Mapping[str, object]) -> str:
    """Return the canonical time. Raises ``RecordError`` where there is none."""
    for name in _TIMES[:2]:
        stamp = tree.get(name)
        if isinstance(stamp, str):
            try:
                return format_instant(parse_instant(stamp))
            except (ValueError, OverflowError):
                continue
    raise RecordError("no usable time")


def _sides(event: Event, tree: JsonTree) -> None:
    for side, host, port in (("source", "src_host", "src_port"), ("destination", "dst_host", "dst_port")):
        number = long_value(tree.pop(port, None))
        put_side(
            event, side, tree.pop(host, None) or None, number if number is not None and number > 0 else None
        )
    addresses = [event.get("source.ip"), event.get("destination.ip")]
    put(event, "related.ip", unique([address for address in addresses if isinstance(address, str)]))


def _details(event: Event, details: object) -> None:
    """Write what the module that was touched says; passwords are named so that they get hidden."""
    if not isinstance(details, Mapping):
        put(event, "message", details)
        return
    for name, value in details.items():
        field = _FIELDS.get(name)
        if name == "PROTO" and isinstance(value, str):
            put_transport(event, value, None)
        elif name == "msg":
            put(event, "message", value if isinstance(value, str) else None)
            if isinstance(value, Mapping):
                put(event, "message", value.get("logdata"))
        elif field is not None and isinstance(value, str) and (name != "HOSTNAME" or ip_text(value) is None):
            put(event, field, value)
        elif value not in ("", None):
            extra(event, f"opencanary.{name.lower()}", value)
    put(event, "related.user", unique([str(event.get("user.name", ""))]))
