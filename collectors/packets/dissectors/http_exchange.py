"""Turn one HTTP request and its response into ECS fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from collectors.network import put_url
from collectors.packets.dissectors.base import CLIENT, Fields
from collectors.packets.dissectors.http_body import page_title, read_request_body
from collectors.packets.dissectors.http_credentials import Credentials, from_authorization, hide_secrets
from collectors.packets.dissectors.http_head import MAX_TARGET, Head

DATASET: Final = "packets.http"
MAX_FORWARDED: Final = 16


@dataclass(slots=True, eq=False)
class Exchange:
    """Hold one request and response while they pass. Times are microseconds since 1970, sizes bytes of the body.

    ``complete`` says that the response is through.
    """

    began_us: int
    offset: int
    side: int = CLIENT
    request: Head | None = None
    response: Head | None = None
    request_body: bytes = b""
    request_bytes: int = 0
    response_body: bytes = b""
    response_bytes: int = 0
    answered_us: int = 0
    complete: bool = False
    emitted: bool = False


def exchange_fields(exchange: Exchange) -> Fields:
    """Return the fields of one exchange; either half may be missing."""
    fields: Fields = {
        "network.protocol": "http",
        "event.category": ["network", "web"],
        "event.type": ["access", "protocol", "info"],
    }
    if exchange.request is not None:
        _put_request(fields, exchange.request, exchange)
    if exchange.response is not None:
        _put_response(fields, exchange.response, exchange)
        if exchange.request is not None and exchange.answered_us >= exchange.began_us:
            fields["edusoc.http.request_seconds"] = (exchange.answered_us - exchange.began_us) / 1e6
    return fields


def _put_texts(fields: Fields, texts: dict[str, str]) -> None:
    fields.update({name: text for name, text in texts.items() if text})


def _put_request(fields: Fields, head: Head, exchange: Exchange) -> None:
    fields["http.version"] = head.version
    fields["http.request.method"] = head.method
    size = max(exchange.request_bytes, head.length)
    fields["http.request.bytes"] = head.size + size
    credentials = _put_target(fields, head)
    texts = {
        "http.request.referrer": hide_secrets(head.text(b"referer"), "query")[0],
        "http.request.mime_type": head.mime_type,
        "user_agent.original": head.text(b"user-agent"),
    }
    if size or head.chunked:
        fields["http.request.body.bytes"] = size
        body = read_request_body(exchange.request_body, head.mime_type)
        texts["edusoc.http.request_body_start"] = body.text
        texts["file.name"] = body.file_name
        credentials = body.credentials or credentials
    _put_texts(fields, texts)
    for name in (b"authorization", b"proxy-authorization"):
        if name in head.fields:
            credentials = from_authorization(head.fields[name]) or credentials
    if credentials is not None:
        _put_credentials(fields, credentials)
    forwarded = [part.strip() for part in head.text(b"x-forwarded-for").split(",")]
    forwarded = [part for part in forwarded if part][:MAX_FORWARDED]
    if forwarded:
        fields["edusoc.http.forwarded_for"] = forwarded


def _put_credentials(fields: Fields, credentials: Credentials) -> None:
    fields["edusoc.http.credentials"] = credentials.method
    fields["edusoc.http.default_credentials"] = credentials.is_default
    if credentials.account:
        fields["user.name"] = credentials.account


def _put_target(fields: Fields, head: Head) -> Credentials | None:
    """Write the URL; passwords in the query are hidden. Return the credentials the query carried."""
    host = head.text(b"host", 255)
    if head.method == "CONNECT":  # authority form (RFC 9112 §3.2.3)
        fields["url.original"] = head.target
        put_url(fields, host=head.target)
        return None
    location, mark, query = head.target.partition("?")
    query, credentials = hide_secrets(query, "query")
    put_url(fields, host=host, path=f"{location}{mark}{query}"[:MAX_TARGET])
    fields.setdefault("url.scheme", "http")
    return credentials


def _put_response(fields: Fields, head: Head, exchange: Exchange) -> None:
    fields["http.response.status_code"] = head.status
    fields["event.outcome"] = "success" if head.status < 400 else "failure"
    fields.setdefault("http.version", head.version)
    if fields.get("edusoc.http.credentials") in ("basic", "digest") and (
        head.status < 400 or head.status == 401
    ):
        fields["event.category"] = ["network", "web", "authentication"]
    body_allowed = head.status not in (204, 304) and fields.get("http.request.method") != "HEAD"
    size = max(exchange.response_bytes, head.length) if body_allowed else 0
    fields["http.response.bytes"] = head.size + size
    fields["http.response.body.bytes"] = size
    mime_type = head.mime_type
    title = ""
    if exchange.response_body and mime_type in ("text/html", "application/xhtml+xml", ""):
        title = page_title(
            exchange.response_body, head.text(b"content-type"), head.text(b"content-encoding").strip().lower()
        )
    _put_texts(
        fields,
        {
            "http.response.mime_type": mime_type,
            "edusoc.http.server": head.text(b"server", 255),
            "edusoc.http.location": hide_secrets(head.text(b"location"), "query")[0],
            "edusoc.http.title": title,
        },
    )
