"""Read error logs of web servers: Apache (2.2 to 2.4, with ModSecurity's verdicts) and Nginx.

Format: Apache HTTP Server documentation, ``ErrorLogFormat``; ModSecurity Reference Manual, "Log alert message";
``ngx_log.c`` and ``ngx_http_request.c`` for Nginx. Lines seen from Apache 2.4.71 and Nginx 1.22, those of ModSecurity
from its manual only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import MONTHS, extra, put
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.network import put_side, put_url
from collectors.records import read_line_events
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

DATASET: Final = "web.error"
_NGINX: Final = re.compile(
    r"(?:(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d) )?\[(emerg|alert|crit|error|warn|notice|info|debug)\] "
    r"(\d{1,10})#(\d{1,10}): (?:\*(\d{1,20}) )?"
)
_APACHE: Final = re.compile(
    r"\[[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\d{4})\] "
)
_PART: Final = re.compile(r"\[([^\]]{0,512})\] ?")
_LEVEL: Final = re.compile(r"(?:([\w\-]{0,32}):)?(emerg|alert|crit|error|warn|notice|info|debug|trace[1-8])")
_PID: Final = re.compile(r"pid (\d{1,10})(?::tid (\d{1,20}))?")
_CLIENT: Final = re.compile(r"(?:client|remote) (\S{2,64}?)(?::(\d{1,5}))?")
_CODE: Final = re.compile(r"(AH\d{5}): ?")
_NAMED: Final = re.compile(
    r', (client|server|request|upstream|host|referrer|subrequest): (?:"((?:[^"\\]|\\.)*)"|([^,\s]{1,255}))'
)
_VERDICT: Final = re.compile(r'\[(\w{2,32}) "((?:[^"\\]|\\.){0,2048})"\]')
_REQUEST: Final = re.compile(r"([A-Z][A-Z_\-]{1,30}) (\S{1,4096})(?: HTTP/(\d(?:\.\d)?))?")
_REFERER: Final = re.compile(r", referer: (.{1,2048})$")
_LOGIN: Final = re.compile(
    r'user (?:"([^"]{0,128})"|(\S{1,128}?)):? '
    r"(?:authentication failure for|password mismatch|was not found|not found)"
)
"""What Apache's ``mod_auth_basic`` and Nginx's ``ngx_http_auth_basic_module`` say of a refused log-in."""
_FAILURES: Final = frozenset({"emerg", "alert", "crit", "error"})


class WebError:
    """Collect error logs of web servers."""

    name: str = "web_error"
    datasets: tuple[str, ...] = (DATASET,)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 80 when one of the first lines has one of the formats."""
        lines = text_head(head)[:16_384].split(b"\n")[:10]
        return 80 if any(_kind(decode_text(line)) for line in lines) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_line_events(source, context, _Parser(context.zone_info), name=self.name, module="web")


def _kind(text: str) -> str:
    nginx = _NGINX.match(text)
    if nginx is not None and nginx[1]:
        return "nginx"
    apache = _APACHE.match(text)
    if apache is None:
        return ""
    part = _PART.match(text, apache.end())
    return "apache" if part is not None and _LEVEL.fullmatch(part[1]) else ""


class _Parser:
    """Map one line to one event."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a line. Raises ``RecordError`` when it has neither format."""
        text = decode_text(line.raw)
        kind = _kind(text)
        if not kind:
            raise RecordError("not a line of an error log")
        pattern = _NGINX if kind == "nginx" else _APACHE
        match = pattern.match(text)
        if match is None:
            raise RecordError("not a line of an error log")
        event: Event = {TIMESTAMP: self._time(kind, match)}
        if kind == "nginx":
            interpret_nginx(event, text[match.end(6) + 1 :])
        else:
            _put_apache(event, text[match.end() :])
        return (event,)

    def _time(self, kind: str, match: re.Match[str]) -> str:
        try:
            if kind == "nginx":
                local = datetime(*(int(match[group]) for group in range(1, 7)), tzinfo=self._zone)  # type: ignore[misc, arg-type]  # six numbers
            else:
                day, hour, minute, second, year = (int(match[group]) for group in (2, 3, 4, 5, 7))
                part = int((match[6] or "0").ljust(6, "0"))
                local = datetime(year, MONTHS[match[1]], day, hour, minute, second, part, self._zone)
            return format_instant(local.astimezone(UTC))
        except (ValueError, KeyError, OverflowError) as fault:
            raise RecordError(f"unreadable time {match[0][:40]!r}") from fault


def _start(event: Event, module: str, level: str) -> None:
    event["event.dataset"] = DATASET
    event["event.module"] = module
    event["event.category"] = ["web"]
    event["event.type"] = ["error"] if level in _FAILURES else ["info"]
    put(event, "log.level", level)


def interpret_nginx(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of Nginx's error log, whose time may be missing; tell whether it is one."""
    match = _NGINX.match(message)
    if match is None:
        return False
    level, process, thread, connection = match.group(7, 8, 9, 10)
    _start(event, "nginx", level)
    put(event, "process.pid", process)
    put(event, "process.thread.id", thread)
    rest = message[match.end() :]
    if connection:
        extra(event, "nginx.error.connection", connection)
    named = {found[1]: found[2] if found[2] is not None else found[3] for found in _NAMED.finditer(rest)}
    first = _NAMED.search(rest)
    put(event, "message", rest[: first.start()] if first else rest)
    _put_login(event, rest)
    put_side(event, "source", named.get("client"))
    _put_request(event, named.get("request", ""), named.get("host", named.get("server", "")))
    put(event, "http.request.referrer", named.get("referrer"))
    if named.get("upstream"):
        extra(event, "nginx.error.upstream", named["upstream"])
    return True


def _put_login(event: Event, message: str) -> None:
    """Mark a refused log-in and whose it was."""
    match = _LOGIN.match(message)
    if match is not None:
        event["event.category"] = ["web", "authentication"]
        event["event.type"] = ["denied"]
        event["event.action"] = "http_login"
        event["event.outcome"] = "failure"
        put(event, "user.name", match[1] if match[1] is not None else match[2])


def _put_request(event: Event, request: str, host: str) -> None:
    match = _REQUEST.fullmatch(request)
    if match is not None:
        put(event, "http.request.method", match[1])
        put(event, "http.version", match[3])
    put_url(
        event, host=host if host not in ("", "_", "localhost") else None, path=match[2] if match else None
    )


def interpret_apache(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of Apache's error log as syslog carries it; tell whether it is one."""
    if not message.startswith("["):
        return False
    part = _PART.match(message)
    if part is None or not _LEVEL.fullmatch(part[1]):
        return False
    _put_apache(event, message)
    return True


def _put_apache(event: Event, text: str) -> None:
    """Read the parts in brackets, then code and message; what ModSecurity says comes as parts after its message."""
    _start(event, "apache", "")
    place = 0
    while (part := _PART.match(text, place)) is not None:
        if level := _LEVEL.fullmatch(part[1]):
            _start(event, "apache", level[2])
            put(event, "log.logger", level[1])
        elif process := _PID.fullmatch(part[1]):
            put(event, "process.pid", process[1])
            put(event, "process.thread.id", process[2])
        elif client := _CLIENT.fullmatch(part[1]):
            put_side(event, "source", client[1], client[2])
        else:
            break
        place = part.end()
    message = text[place:]
    if code := _CODE.match(message):
        put(event, "event.code", code[1])
        message = message[code.end() :]
    if referer := _REFERER.search(message):
        put(event, "http.request.referrer", referer[1])
        message = message[: referer.start()]
    if "ModSecurity:" in message:
        _put_verdict(event, message)
    _put_login(event, message)
    put(event, "message", message)


def _put_verdict(event: Event, message: str) -> None:
    """Map what the web application firewall found."""
    said: dict[str, str] = {}
    tags: list[str] = []
    for name, value in _VERDICT.findall(message):
        if name == "tag":
            tags.append(value)
        else:
            said.setdefault(name, value)
    if "id" not in said:
        return
    event["event.kind"] = "alert"
    event["event.category"] = ["web", "intrusion_detection"]
    denied = "Access denied" in message
    event["event.type"] = ["denied" if denied else "info"]
    event["event.action"] = "blocked" if denied else "detected"
    fields: Mapping[str, str] = {
        "id": "rule.id",
        "msg": "rule.name",
        "file": "rule.ruleset",
        "ver": "rule.version",
    }
    for name, field in fields.items():
        put(event, field, said.get(name))
    put(event, "event.reason", said.get("data"))
    put_url(event, host=said.get("hostname"), path=said.get("uri"))
    for name in ("severity", "unique_id"):
        if name in said:
            extra(event, f"modsecurity.{name}", said[name])
    for tag in tags[:32]:
        extra(event, "modsecurity.tag", tag)
