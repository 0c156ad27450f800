"""Read access logs in JSON: Nginx with ``log_format … escape=json``, whose names sites choose, Caddy and Traefik.

The names looked for are Nginx's variables (``ngx_http_core_module``, ``ngx_http_log_module``) and the usual other words
for them; names nobody knows go to the other fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from collectors.base import ReadContext
from collectors.coerce import date_text, double_value, extra, flatten, ip_text, long_value, put
from collectors.json_records import JsonObject, JsonTree
from collectors.lines import decode_text
from collectors.making import RecordError
from collectors.network import put_side, put_url
from collectors.web_access_text import access_time, new_access, put_request, put_response
from soc_core.clock import format_instant, parse_instant
from soc_core.model.event import Event

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "time": (
        "@timestamp",
        "time_iso8601",
        "timestamp",
        "time_local",
        "time",
        "ts",
        "msec",
        "StartUTC",
        "date",
    ),
    "client": (
        "remote_addr",
        "client_ip",
        "clientip",
        "clientRealIp",
        "request.remote_ip",
        "ClientHost",
        "remote_ip",
    ),
    "client_port": ("remote_port", "client_port", "request.remote_port", "ClientPort"),
    "user": ("remote_user", "user_id", "ClientUsername"),
    "request": ("request",),
    "method": ("request_method", "method", "request.method", "RequestMethod", "verb"),
    "target": ("request_uri", "request.uri", "RequestPath", "uri", "url", "path"),
    "protocol": ("server_protocol", "request.proto", "RequestProtocol", "protocol"),
    "status": ("status", "status_code", "DownstreamStatus", "OriginStatus", "response"),
    "body": ("body_bytes_sent", "DownstreamContentSize"),
    "sent": ("bytes_sent", "size", "bytes"),
    "received": ("request_length", "bytes_read", "RequestContentSize"),
    "referrer": ("http_referer", "referer", "http_referrer", "referrer", "request_Referer"),
    "agent": ("http_user_agent", "user_agent", "agent", "request_User-Agent"),
    "host": ("http_host", "host", "request.host", "RequestHost", "server_name", "domain", "vhost"),
    "scheme": ("scheme",),
    "forwarded": ("http_x_forwarded_for", "x_forwarded_for", "xff", "http_x_real_ip"),
    "seconds": ("request_time", "responsetime", "duration", "response_time"),
    "server": ("server_addr", "server_ip"),
    "server_port": ("server_port",),
    "tls": ("ssl_protocol",),
    "cipher": ("ssl_cipher",),
}
_PLAIN: Final = {
    "user": "user.name",
    "received": "http.request.bytes",
    "sent": "http.response.bytes",
    "body": "http.response.body.bytes",
    "referrer": "http.request.referrer",
    "agent": "user_agent.original",
    "scheme": "url.scheme",
    "cipher": "tls.cipher",
}
_OURS: Final = {name for names in _NAMES.values() for name in names}
_EMPTY: Final = frozenset({"", "-"})


def is_access_object(tree: JsonTree) -> bool:
    """Tell whether a JSON object says when, who, what and with which status."""
    said = _flat(tree)
    if not {"time", "client", "status"} <= said.keys():
        return False
    return ("request" in said and " " in said["request"]) or {"method", "target"} <= said.keys()


def _flat(tree: JsonTree) -> dict[str, str]:
    """Return what is known, by our words; the first name that has a value counts."""
    flat: dict[str, str] = {}
    for name, value in flatten(tree):
        if name in _OURS and name not in flat and isinstance(value, (str, int, float)):
            flat[name] = str(value)
    return {
        word: next(flat[name] for name in names if flat.get(name, "") not in _EMPTY)
        for word, names in _NAMES.items()
        if any(flat.get(name, "") not in _EMPTY for name in names)
    }


class AccessObjects:
    """Map JSON objects (see ``collectors.records.JsonParser``)."""

    def __init__(self, context: ReadContext) -> None:
        """Take zone and policy of the reading."""
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of an object. Raises ``RecordError`` when it says neither time nor request."""
        said = _flat(record.tree)
        if "status" not in said or not ("request" in said or "target" in said):
            raise RecordError("not an access log line")
        event = new_access(self._time(said.get("time", "")))
        if self._context.keep_original:
            event["event.original"] = decode_text(record.raw)
        _put_request(event, said)
        put_response(event, said["status"] if said["status"].isdigit() else "-", "-")
        for word, field in _PLAIN.items():
            put(event, field, said.get(word))
        put_side(event, "source", said.get("client"), said.get("client_port"))
        put_side(event, "destination", said.get("server"), said.get("server_port"))
        _put_rest(event, said)
        for name, value in flatten(record.tree):
            if name not in _OURS and value not in _EMPTY:
                extra(event, f"web.{name}", value)
        return (event,)

    def _time(self, text: str) -> str:
        """Return the canonical time of ISO 8601, Apache's form, or seconds since 1970."""
        if "/" in text[:6]:
            return access_time(text)
        number = double_value(text)
        if number is not None:
            found = date_text(number)
            if found is not None:
                return found
        try:
            return format_instant(parse_instant(text, zone=self._context.zone_info))
        except (ValueError, OverflowError) as fault:
            raise RecordError(f"unreadable time {text[:40]!r}") from fault


def _put_request(event: Event, said: Mapping[str, str]) -> None:
    host = said.get("host")
    if "request" in said and " " in said["request"]:
        put_request(event, host, said["request"])
        return
    put(event, "http.request.method", said.get("method"))
    put(event, "http.version", said.get("protocol", "").removeprefix("HTTP/"))
    put_url(event, host=host, path=said.get("target"))


def _put_rest(event: Event, said: Mapping[str, str]) -> None:
    seconds = double_value(said.get("seconds"))
    if seconds is not None and seconds >= 0:
        event["edusoc.http.request_seconds"] = seconds
    addresses = [address for part in said.get("forwarded", "").split(",") if (address := ip_text(part))]
    put(event, "edusoc.http.forwarded_for", addresses)
    if "tls" in said:
        protocol, _, version = said["tls"].partition("v")
        put(event, "tls.version_protocol", protocol.lower())
        put(event, "tls.version", version)
    if "event.outcome" not in event and long_value(said["status"]) == 0:
        event["event.outcome"] = "failure"
