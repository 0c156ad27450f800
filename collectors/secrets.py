"""Hide passwords that other sensors and web servers wrote down.

Our own dissectors never keep a captured password (``packets.dissectors.http_credentials``). Suricata, Zeek and access
logs do: in queries of URLs, in the arguments of FTP, in columns of their own. Every record's event passes here before
it is finished; what is hidden in a field is hidden in ``event.original`` too, or that is left out.
"""

from __future__ import annotations

import re
from typing import Final, cast

from collectors.database import hide_passwords as hide_in_statement
from collectors.packets.dissectors.http_credentials import HIDDEN, hide_secrets
from soc_core.model.event import EXTRA, Event

_URLS: Final = ("url.original", "url.query", "http.request.referrer")
_NAMES: Final = ("password", "passwd", "passphrase", "community", "authorization", "cookie")
"""What the last part of a name ends with in Suricata's EVE, Zeek's logs and headers that they were told to keep."""
_WORDS: Final = ("pass", "community=", "authorization=", "cookie=", "command_data=")
_HARMLESS: Final = frozenset({"", "-", "public", "private", "<hidden>", HIDDEN})
"""The usual community strings (RFC 1157) are no secrets, and rules look for them."""
_LEAST: Final = 6
"""A shorter secret can't be told from other text of the record: then the whole original goes."""
_STATEMENT: Final = "edusoc.database.statement"
_RADIUS: Final = re.compile(r"(: \[[^\]/]{0,255}/)(.{1,600}?)(\] \(from client )")
"""What FreeRADIUS writes behind the user's name when it is told to log passwords."""


def hide_passwords(event: Event) -> None:
    """Replace passwords in ``event`` by ``***``; attacks in password fields stay, rules look for them."""
    hidden = [pair for name in _URLS if (pair := _hidden_in_url(event, name)) is not None]
    kept = event.get(EXTRA)
    if isinstance(kept, list):
        hidden += _hidden_in_extra(event, cast("list[str]", kept))
    _hide_of_servers(event)
    original = event.get("event.original")
    if not hidden or not isinstance(original, str):
        return
    for text, shown in dict.fromkeys(hidden):
        if len(text) < _LEAST or text not in original:
            del event["event.original"]
            return
        original = original.replace(text, shown)
    event["event.original"] = original


def _hide_of_servers(event: Event) -> None:
    """Hide what databases and RADIUS servers wrote into text that was kept whole, as syslog's message is."""
    radius = event.get("event.dataset") == "radius.auth"
    if not radius and _STATEMENT not in event:
        return
    for name in ("event.original", "message"):
        text = event.get(name)
        if isinstance(text, str):
            event[name] = _RADIUS.sub(rf"\1{HIDDEN}\3", text) if radius else hide_in_statement(text)[0]


def _hidden_in_url(event: Event, name: str) -> tuple[str, str] | None:
    """Hide in one field; return what stood there and what stands there now."""
    value = event.get(name)
    if not isinstance(value, str) or "=" not in value:
        return None
    head, mark, query = value.rpartition("?")
    shown, _ = hide_secrets(query, "query")
    if shown == query:
        return None
    event[name] = head + mark + shown
    return query, shown


def _hidden_in_extra(event: Event, kept: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    text = "\n".join(kept)  # most records hold none of these words: five looks instead of one an entry
    if not any(word in text for word in _WORDS):
        return found
    for index, entry in enumerate(kept):
        name, _, value = entry.partition("=")
        sent = name == "ftp.command_data" and str(event.get("event.action", "")).upper() == "PASS"
        if value not in _HARMLESS and (sent or (name.endswith(_NAMES) and "rdp" not in name)):
            kept[index] = f"{name}={HIDDEN}"
            found.append((value, HIDDEN))
    return found
