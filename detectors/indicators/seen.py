"""Say which event fields hold which kinds of value, and what a field's values mean for who is concerned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from soc_core.fields import FIELDS
from soc_core.model.event import Event, values_of

ADDRESSES: Final = (
    "source.ip", "destination.ip", "client.ip", "server.ip", "source.nat.ip", "destination.nat.ip", "dns.resolved_ip",
    "edusoc.tunnel.source.ip", "edusoc.tunnel.destination.ip",
)  # fmt: skip
NAMES: Final = (
    "dns.question.name", "dns.answers.data", "tls.client.server_name", "url.domain", "destination.domain",
    "source.domain", "server.domain", "tls.server.x509.subject.common_name", "tls.server.x509.alternative_names",
)  # fmt: skip
HASHES: Final = (
    "file.hash.md5", "file.hash.sha1", "file.hash.sha256", "process.hash.md5", "process.hash.sha1",
    "process.hash.sha256", "process.parent.hash.md5", "process.parent.hash.sha1", "process.parent.hash.sha256",
    "related.hash",
)  # fmt: skip
JA3S: Final = ("tls.client.ja3",)
JA4S: Final = ("tls.client.ja4",)
CERTIFICATES: Final = ("tls.server.hash.md5", "tls.server.hash.sha1", "tls.server.hash.sha256")
SERIALS: Final = ("tls.server.x509.serial_number",)
URLS: Final = ("url.full", "url.original")
PARTS: Final = ("url.scheme", "url.domain", "url.port", "url.path", "url.query")
"""What a web address is put together from where an event has it in parts."""
ABOUT: Final = ("source.ip", "destination.ip", "host.ip", "host.name", "user.name", "observer.name")
"""What tells whose device it was."""
URL: Final = "url.full"
"""The field that a put-together address is said to stand in."""
FIELDS_ASKED: Final = tuple(
    dict.fromkeys((*ADDRESSES, *NAMES, *HASHES, *JA3S, *JA4S, *CERTIFICATES, *SERIALS, *URLS, *PARTS, *ABOUT))
)
"""All fields that matching looks at: those a search in history has to bring."""
MULTIPLE: Final = frozenset(name for name in FIELDS_ASKED if FIELDS[name].multi)
CALLERS: Final = frozenset({"source.ip", "client.ip", "source.nat.ip", "source.domain"})
"""Fields in which a hit means that the listed one came to us, rather than that we went there."""


def web_address(event: Event) -> str:
    """Return the whole web address of an event, empty where it has none."""
    for name in URLS:
        value = event.get(name)
        if isinstance(value, str) and "://" in value[:12]:
            return value
    host = event.get("url.domain")
    if not isinstance(host, str) or not host:
        return ""
    rest = event.get("url.original")
    if not isinstance(rest, str) or not rest.startswith("/"):
        rest = _rest(event)
    port = event.get("url.port", event.get("destination.port"))
    known = f":{port}" if isinstance(port, int) and port not in {80, 443} and ":" not in host else ""
    return f"//{host}{known}{rest}" if rest else ""


def _rest(event: Event) -> str:
    path, query = event.get("url.path"), event.get("url.query")
    if not isinstance(path, str):
        return ""
    return f"{path}?{query}" if isinstance(query, str) and query else path


def texts_of(event: Event, field: str) -> Iterator[str]:
    """Yield the values of a field that are text."""
    return (value for value in values_of(event, field) if isinstance(value, str))
