"""Understand the web access log of H3C's ACG gateways: ``name=value;name=value`` after a program name for the kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import Final

from collectors.coerce import long_value, put
from collectors.devices.mapping import connection, finish_flow, own_time, put_pairs, put_time
from collectors.devices.text import SEMICOLON_EQUALS, marked_pairs
from collectors.network import put_url
from soc_core.model.event import Event, Value

_HOST: Final = re.compile(r"([^;]{1,64});(\w{1,64});ipv[46];\d{1,3};?")
_FIELDS: Final[Mapping[str, str]] = {
    "user_name": "user.name", "user_group_name": "group.name", "ugname": "group.name",
    "src_ip": "source.ip", "uip": "source.ip", "src_mac": "source.mac", "umac": "source.mac",
    "dst_ip": "destination.ip", "dst_port": "destination.port",
    "url": "", "url_domain": "", "url_cate_name": "rule.category",
    "app_name": "network.application", "appname": "network.application", "file_name": "file.name",
    "up": "source.bytes", "down": "destination.bytes", "create_time": "", "end_time": "", "handle_action": "",
}  # fmt: skip


def interpret_acg(message: str, head: Mapping[str, Value]) -> Event | None:
    """Return what an access record says: who, from which address and MAC, used what."""
    host = _HOST.fullmatch(str(head.get("log.syslog.hostname", "")))
    kind = str(head.get("log.syslog.appname", ""))
    if host is None or "=" not in message:
        return None
    found: Event = {
        "event.dataset": "h3c.web",
        "observer.vendor": "H3C",
        "observer.product": "ACG",
        "observer.type": "proxy",
        "observer.name": host[1],
        "host.name": host[1],
        "observer.serial_number": host[2],
    }
    values = put_pairs(found, marked_pairs(message, SEMICOLON_EQUALS), _FIELDS)
    blocked = (long_value(values.get("handle_action", "0")) or 0) != 0
    if kind == "statistic_traffic":
        connection(found, "", "end")
        put_time(found, "event.start", values.get("create_time", ""), UTC)
        put_time(found, "event.end", values.get("end_time", ""), UTC)
        own_time(found, values.get("end_time", ""), UTC)
    else:
        found["event.category"], found["event.type"] = ["web", "network"], ["denied" if blocked else "access"]
    found["event.action"] = kind
    if values.get("url"):
        put_url(found, host=values.get("url_domain"), path=values["url"])
    else:
        put(found, "url.domain", values.get("url_domain"))
    finish_flow(found)
    return found
