r"""Read one line of a web access log: common and combined format, with virtual host before and fields after.

Format: Apache HTTP Server documentation, ``mod_log_config``; Nginx, ``ngx_http_log_module``. Requests that are no
HTTP (scanners send anything) keep their text in ``url.original``; ``\xNN`` and ``\"`` are unescaped.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from collectors.coerce import MONTHS, double_value, extra, ip_text, put
from collectors.lines import decode_text
from collectors.making import RecordError
from collectors.network import put_side, put_url
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

_LINE: Final = re.compile(
    r'(?:(?P<host>[^\s"\[]+) )?(?P<client>[^\s"\[]+) (?P<ident>[^\s"\[]+) (?P<user>[^"\[]*?) '
    r"\[(?P<time>[^\]]{20,32})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<size>\d+|-)'
    r'(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?(?P<rest>(?: .*)?)\s*'
)
_TIME: Final = re.compile(r"(\d{1,2})/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_REQUEST: Final = re.compile(r"([A-Za-z][A-Za-z_\-]{1,30}) (.*?)(?: HTTP/(\d(?:\.\d)?))?")
_ESCAPE: Final = re.compile(rb'\\(?:x([0-9a-fA-F]{2})|([\\"]))')
_TRAILING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_SECONDS: Final = re.compile(r"\d{1,6}\.\d{1,6}")


def is_access(text: str) -> bool:
    """Tell whether a line has the format."""
    return _LINE.fullmatch(text) is not None


def access_event(text: str) -> Event | None:
    """Return the event of one line, ``None`` when it has another format. Raises ``RecordError`` for its time."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    event = new_access(access_time(match["time"]))
    put_side(event, "source", match["client"])
    if match["user"] not in ("-", '""', ""):
        put(event, "user.name", unescape(match["user"]))
    if match["ident"] != "-":
        extra(event, "apache.access.identity", match["ident"])
    put_request(event, match["host"], unescape(match["request"]))
    put_response(event, match["status"], match["size"])
    for name, value in (
        ("http.request.referrer", match["referrer"]),
        ("user_agent.original", match["agent"]),
    ):
        if value and value != "-":
            put(event, name, unescape(value))
    _put_rest(event, match["rest"])
    return event


def new_access(timestamp: str) -> Event:
    """Return an event of a web access at a time in canonical text."""
    return {
        TIMESTAMP: timestamp,
        "event.dataset": "web.access",
        "event.category": ["web"],
        "event.type": ["access"],
        "network.protocol": "http",
    }


@lru_cache(maxsize=1 << 10)
def access_time(text: str) -> str:
    """Return the canonical time of ``20/Nov/2026:10:03:04 +0800``. Raises ``RecordError`` when it is none."""
    match = _TIME.fullmatch(text)
    try:
        if match is None or match[2] not in MONTHS:
            raise ValueError(text)
        minutes = int(match[8]) * 60 + int(match[9])
        zone = timezone(timedelta(minutes=-minutes if match[7] == "-" else minutes))
        day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
        return format_instant(
            datetime(year, MONTHS[match[2]], day, hour, minute, second, tzinfo=zone).astimezone(UTC)
        )
    except (ValueError, OverflowError) as fault:
        raise RecordError(f"unreadable time {text[:40]!r}") from fault


def unescape(text: str) -> str:
    r"""Return ``text`` with ``\xNN``, ``\"`` and ``\\`` replaced; bytes that form no text stay escaped."""
    if "\\" not in text:
        return text
    raw = _ESCAPE.sub(
        lambda match: bytes((int(match[1], 16),)) if match[1] else match[2], text.encode("utf-8", "replace")
    )
    return decode_text(raw)


def put_request(event: Event, host: str | None, request: str) -> None:
    """Write the request line, ``GET /path HTTP/1.1``; what is no HTTP stays as it is."""
    match = _REQUEST.fullmatch(request)
    if match is None:
        put(event, "url.original", request if request != "-" else None)
        event["event.type"] = ["access", "error"]
        put_url(event, host=host)
        return
    put(event, "http.request.method", match[1])
    put(event, "http.version", match[3])
    put_url(event, host=host, path=match[2])


def put_response(event: Event, status: str, size: str) -> None:
    """Write status and size of the answer, each ``-`` when there is none."""
    if status != "-":
        code = int(status)
        event["http.response.status_code"] = code
        event["event.outcome"] = "success" if 0 < code < 400 else "failure"
    if size != "-":
        put(event, "http.response.body.bytes", size)


def _put_rest(event: Event, rest: str) -> None:
    """Keep fields after the format: the time taken, forwarded addresses, whatever else as ``web.field<n>``."""
    for number, match in enumerate(_TRAILING.finditer(rest), start=1):
        text = unescape(match[1] if match[1] is not None else match[2])
        if text in ("-", ""):
            continue
        name, equals, value = text.partition("=")
        value = (value if equals and name in ("rt", "request_time") else text).strip('"')
        seconds = double_value(value) if _SECONDS.fullmatch(value) else None
        addresses = [address for part in text.split(",") if (address := ip_text(part))]
        if seconds is not None and "edusoc.http.request_seconds" not in event:
            event["edusoc.http.request_seconds"] = seconds
        elif addresses and len(addresses) == text.count(",") + 1:
            put(event, "edusoc.http.forwarded_for", addresses)
        else:
            extra(event, f"web.field{number}", text)
