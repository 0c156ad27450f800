"""Read Unbound's log of questions and answers (``log-queries``, ``log-replies``, ``log-local-actions``).

Format: ``unbound.conf(5)``; lines seen from Unbound 1.17, in its own file (seconds since 1970, or ``log-time-ascii``)
and as syslog carries them.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import Final

from collectors.coerce import double_value, epoch_text, extra, instant_or_none, put
from collectors.dns_common import put_client, put_code, put_question, start_question, start_server
from collectors.syslog_header import HeaderReader
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

MODULE: Final = "unbound"
_OWN: Final = re.compile(
    r"(?:\[(\d{9,11})\]|(\d{4}-\d\d-\d\dT\S{8,32})|([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)) "
    r"unbound(\[\d{1,10}:[0-9a-f]{1,10}\]) "
)
_HEAD: Final = re.compile(
    r"\[(\d{1,10}):[0-9a-f]{1,10}\] (query|reply|info|notice|warning|error|fatal error|debug): "
)
_ADDRESS: Final = r"([0-9a-fA-F.:%]{2,64})"
_ASKED: Final = re.compile(_ADDRESS + r" (\S{1,1024}) ([A-Z][A-Z0-9]{0,31}) ([A-Z][A-Z0-9]{0,31})")
_REPLY: Final = re.compile(r" ([A-Z]{2,16}[0-9]{0,5}) (\d{1,6}\.\d{1,9}) ([01]) (\d{1,10})(.{0,200})")
_LOCAL: Final = re.compile(
    r"(\S{1,1024}) ([a-z_]{2,32}) "
    + _ADDRESS
    + r"@(\d{1,5}) (\S{1,1024}) ([A-Z][A-Z0-9]{0,31}) ([A-Z][A-Z0-9]{0,31})"
)


def is_unbound(text: str) -> bool:
    """Tell whether a line of a file is Unbound's."""
    return _OWN.match(text) is not None


def unbound_event(text: str, zone: tzinfo, headers: HeaderReader) -> Event | None:
    """Return the event of a line of Unbound's own log; ``headers`` dates times without a year."""
    match = _OWN.match(text)
    if match is None:
        return None
    seconds, iso, ascii_time, _ = match.groups()
    event: Event = {}
    if seconds:
        put(event, TIMESTAMP, epoch_text(seconds))
    elif iso:
        instant = instant_or_none(iso, zone)
        put(event, TIMESTAMP, format_instant(instant) if instant is not None else None)
    elif not headers.read(event, f"{ascii_time} unbound: x", 0):
        return None
    event.pop("message", None)
    event.pop("log.syslog.appname", None)
    if TIMESTAMP not in event:
        return None
    event["process.name"] = "unbound"
    message = text[match.start(4) :]
    if not interpret(event, message):
        head = _HEAD.match(message)
        start_server(
            event, message[head.end() if head else 0 :], module=MODULE, level=head[2] if head else ""
        )
    return event


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of unbound about a client's question; tell whether it is one."""
    head = _HEAD.match(message)
    if head is None or head[2] not in ("query", "reply", "info"):
        return False
    put(event, "process.pid", head[1])
    asked = _ASKED.match(message, head.end())
    if asked is None:
        return _put_local(event, message, head.end())
    reply = _REPLY.match(message, asked.end())
    if reply is None and asked.end() != len(message.rstrip()):
        return False
    address, name, kind, klass = asked.groups()
    start_question(event, module=MODULE, answer=reply is not None)
    put_question(event, name, kind, klass)
    put_client(event, address)
    if reply is not None:
        code, seconds, cached, size, rest = reply.groups()
        put_code(event, code)
        put(event, "event.duration", round((double_value(seconds) or 0.0) * 1_000_000_000))
        put(event, "destination.bytes", size)
        extra(event, "unbound.cached", cached)
        if rest.strip():
            extra(event, "unbound.rest", rest.strip())
    return True


def _put_local(event: Event, message: str, start: int) -> bool:
    """Read what was done to a question by a local zone (``log-local-actions``)."""
    match = _LOCAL.match(message, start)
    if match is None:
        return False
    zone, action, address, port, name, kind, klass = match.groups()
    start_question(event, module=MODULE, answer=True)
    put_question(event, name, kind, klass)
    put_client(event, address, port)
    event["event.action"] = "dns_local_zone"
    refused = action.startswith(
        ("deny", "refuse", "always_deny", "always_refuse", "always_nxdomain", "inform_deny")
    )
    event["event.type"] = ["protocol", "denied" if refused else "info"]
    put(event, "event.reason", action)
    extra(event, "unbound.zone", zone.rstrip("."))
    return True
