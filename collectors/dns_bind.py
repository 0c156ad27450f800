"""Read BIND's query log (``querylog yes``, category ``queries``), refusals and failures.

Format: BIND 9 Administrator Reference Manual, "The category Phrase: The queries Category"; lines seen from BIND 9.18.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from collectors.coerce import MONTHS, extra, instant_or_none, put
from collectors.dns_common import put_client, put_code, put_question, start_question, start_server
from collectors.network import put_side
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

MODULE: Final = "bind"
_TIME: Final = re.compile(
    r"(?:(\d\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d)\.(\d{3})"
    r"|(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:?\d\d)?)) "
)
_CATEGORY: Final = re.compile(
    r"(?:([a-z][a-z\-]{1,31}): )?(?:(debug \d{1,2}|info|notice|warning|error|critical): )?"
)
_CLIENT: Final = re.compile(
    r"client (?:@0x[0-9a-f]{1,16} )?([0-9a-fA-F.:%\w]{2,64})#(\d{1,5})(?:/key (\S{1,255}))?(?: \((\S{1,1024})\))?: "
    r"(?:view (\S{1,255}): )?"
)
_QUERY: Final = re.compile(
    r"query: (\S{1,1024}) (\S{1,32}) (\S{1,32}) ([+\-]\S{0,32})"
    r"(?: \(([0-9a-fA-F.:%\w]{2,64})\))?(?: \[ECS ([^\]]{1,64})\])?"
)
_FAILED: Final = re.compile(
    r"query failed \(([^)]{1,64})\) for (\S{1,1024})/([A-Z0-9]{1,32})/([A-Z0-9]{1,32})"
)
_DENIED: Final = re.compile(
    r"query (?:\(cache\) )?'(\S{1,1024})/([A-Z0-9]{1,32})/([A-Z0-9]{1,32})' denied(.{0,200})"
)


def bind_time(text: str, zone: tzinfo) -> tuple[str, int]:
    """Return the canonical time at the start of a line of BIND's own log and its length; nothing if there is none."""
    match = _TIME.match(text)
    if match is None:
        return "", 0
    if match[8]:
        instant = instant_or_none(match[8], zone)
        return (format_instant(instant), match.end()) if instant is not None else ("", 0)
    try:
        day, year, hour, minute, second, part = (int(match[group]) for group in (1, 3, 4, 5, 6, 7))
        local = datetime(year, MONTHS[match[2]], day, hour, minute, second, part * 1_000, zone)
        return format_instant(local.astimezone(UTC)), match.end()
    except (ValueError, KeyError, OverflowError):
        return "", 0


def is_bind(text: str) -> bool:
    """Tell whether a line of a file is one of BIND's about a client."""
    stamp, end = bind_time(text, UTC)
    category = _CATEGORY.match(text, end)
    return bool(stamp) and category is not None and _CLIENT.match(text, category.end()) is not None


def bind_event(text: str, zone: tzinfo) -> Event | None:
    """Return the event of a line of BIND's own log, ``None`` without a time."""
    stamp, end = bind_time(text, zone)
    if not stamp:
        return None
    event: Event = {TIMESTAMP: stamp, "process.name": "named"}
    if not interpret(event, text[end:]):
        category = _CATEGORY.match(text, end)
        level = category[2] or "" if category else ""
        start_server(event, text[category.end() if category else end :], module=MODULE, level=level)
    return event


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of named about a client's question; tell whether it is one."""
    category = _CATEGORY.match(message)
    client = _CLIENT.match(message, category.end() if category else 0)
    if client is None:
        return False
    query = _QUERY.match(message, client.end())
    if query is not None:
        _put_query(event, query)
    elif not _put_refusal(event, message, client.end()):
        return False
    address, port, key, _, view = client.groups()
    put_client(
        event, address, port, "tcp" if query is not None and "T" in query[4] else "udp" if query else ""
    )
    if key:
        extra(event, "bind.key", key)
    if view:
        extra(event, "bind.view", view)
    return True


def _put_query(event: Event, match: re.Match[str]) -> None:
    name, klass, kind, flags, server, subnet = match.groups()
    start_question(event, module=MODULE, answer=False)
    put_question(event, name, kind, klass)
    # "+" recursion desired, D DNSSEC OK, C checking disabled, S signed, E(version) EDNS, T TCP, K and V cookies.
    named = [flag for sign, flag in (("+", "RD"), ("D", "DO"), ("C", "CD")) if sign in flags]
    put(event, "dns.header_flags", named)
    if server:
        put_side(event, "destination", server)
    if subnet:
        extra(event, "bind.client_subnet", subnet)


def _put_refusal(event: Event, message: str, start: int) -> bool:
    failed, denied = _FAILED.match(message, start), _DENIED.match(message, start)
    if failed is not None:
        reason, name, klass, kind = failed.groups()
        start_question(event, module=MODULE, answer=True)
        put_question(event, name, kind, klass)
        put(event, "event.reason", reason)
        if reason.isupper():
            put_code(event, reason)
        event["event.outcome"] = "failure"
        return True
    if denied is not None:
        name, kind, klass, why = denied.groups()
        start_question(event, module=MODULE, answer=True)
        put_question(event, name, kind, klass)
        put_code(event, "REFUSED")
        event["event.type"] = ["protocol", "denied"]
        put(event, "event.reason", why.strip(" ()"))
        return True
    return False
