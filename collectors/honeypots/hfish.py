"""Read threat reports of HFish: from syslog, and as JSON objects with the same names.

Fields: HFish's own document "Syslog外发信息字段" (docs/Syslog.md of github.com/hacklcx/HFish), which names them but not
what stands between them: a value is taken to go up to the next known name. Not seen with a real HFish (未经实机验证).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import date_text, extra, instant_or_none, long_value, put, unique
from collectors.json_records import JsonObject, first_object
from collectors.lines import decode_text
from collectors.making import RecordError
from collectors.network import put_side, put_transport
from collectors.packets.dissectors.http_credentials import HIDDEN
from collectors.records import read_json_events
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event, Value, extra_values

_NAMES: Final = (
    "client_ip", "client", "attack_type", "scan_type", "scan_port", "type", "class", "account", "src_ip", "labels",
    "dst_ip", "geo", "time", "threat_name", "threat_level", "info", "Server_ip", "server_ip", "title",
)  # fmt: skip
_NAMED: Final = re.compile(r"(?<![A-Za-z_])(" + "|".join(_NAMES) + r")\s*[:：=]\s*")
_PASSWORD: Final = "hfish.account.password"  # noqa: S105 - the name of a field
_OFFLINE: Final = re.compile(r"HFish-?(节点离线告警|蜜罐离线告警)")
_NOTHING: Final = frozenset({"", "N/A", "n/a", "-", "null"})
# Kind of attack → action, category, type, outcome.
_ATTACKS: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...], str]]] = {
    "scan": ("honeypot_scan", ("network", "intrusion_detection"), ("connection", "info"), ""),
    "attack": ("honeypot_attack", ("intrusion_detection",), ("info",), ""),
    "signon": ("honeypot_login", ("authentication", "intrusion_detection"), ("start",), "failure"),
    "hr_signon": (
        "honeypot_login_high_risk",
        ("authentication", "intrusion_detection"),
        ("start",),
        "failure",
    ),
    "compromise": ("honeypot_compromise", ("intrusion_detection",), ("info",), "success"),
}
_CHINESE: Final = {
    "扫描": "scan", "攻击": "attack", "登陆": "signon", "登录": "signon", "高危登陆": "hr_signon",
    "高危登录": "hr_signon", "失陷": "compromise",
}  # fmt: skip
_SEVERITIES: Final = {"low": 1, "medium": 2, "high": 3, "critical": 4}
_USUAL: Final = {"scan": 2, "signon": 2, "compromise": 4}
"""What is as severe as usual where the report doesn't say; other attacks are high."""


class HFish:
    """Collect HFish's reports in JSON."""

    name: str = "hfish"
    datasets: tuple[str, ...] = ("hfish.threat",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 88 when the first object has the names of a threat report."""
        first = first_object(head)
        return 88 if first is not None and is_hfish(first) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_json_events(source, context, HFishParser(context), name=self.name, module="hfish")


def is_hfish(tree: Mapping[str, object]) -> bool:
    """Tell whether an object has the names of a threat report."""
    return "attack_type" in tree and "src_ip" in tree and "client" in tree


class HFishParser:
    """Map one report in JSON to one event."""

    def __init__(self, context: ReadContext) -> None:
        """Take the context of the reading."""
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of one object. Raises ``RecordError`` when it is no threat report with a time."""
        if not is_hfish(record.tree):
            raise RecordError("not a report of HFish")
        event: Event = {}
        stamp = record.tree.get("time")
        instant = instant_or_none(stamp, self._context.zone_info) if isinstance(stamp, str) else None
        text = format_instant(instant) if instant is not None else date_text(stamp)
        if text is None:
            raise RecordError("no usable time")
        event[TIMESTAMP] = text
        _threat(event, dict(record.tree))
        if self._context.keep_original:
            event["event.original"] = decode_text(record.raw)
        return (event,)


class HFishSyslog:
    """Understand HFish's messages in syslog; the time is that of the message's head."""

    name: str = "hfish"
    title: tuple[str, str] = ("HFish 蜜罐", "HFish honeypot")
    datasets: tuple[str, ...] = ("hfish.threat", "hfish.system")
    reference: tuple[str, ...] = ("HFish: Syslog外发信息字段 (github.com/hacklcx/HFish, docs/Syslog.md)",)
    verified: bool = False
    setup: tuple[str, str] = (
        "在“告警配置 → 通知配置”中添加 syslog 服务器（TCP 或 UDP），再在“告警策略”中选用它",
        'add a syslog server (TCP or UDP) under "告警配置 → 通知配置" and choose it in "告警策略"',
    )
    opening: str = r"HFish"
    programs: frozenset[str] = frozenset({"hfish"})

    def recognise(self, message: str, _head: Mapping[str, Value], /) -> bool:
        """Tell whether the message speaks of HFish."""
        return "HFish" in message[:200]

    def interpret(self, message: str, _head: Mapping[str, Value], _zone: tzinfo, /) -> Event | None:
        """Return what a threat report says, or a report of a node or honeypot that is offline."""
        found = _pairs(message)
        event: Event = {}
        if "attack_type" in found and "src_ip" in found:
            found.pop("time", None)
            _threat(event, dict(found))
            for password in extra_values(event, _PASSWORD):
                event["message"] = message.replace(password, HIDDEN)
            return event
        offline = _OFFLINE.search(message)
        if offline is None:
            return None
        event["event.dataset"] = "hfish.system"
        event["event.category"], event["event.type"] = ["host"], ["info"]
        event["event.action"] = (
            "honeypot_offline" if offline[1].startswith("蜜罐") else "honeypot_node_offline"
        )
        _observer(event, dict(found))
        return event


def _pairs(message: str) -> dict[str, str]:
    """Return the named values of a message; separators around them are no part of them."""
    marks = list(_NAMED.finditer(message[:65_536]))
    if not marks:
        return {}
    ends = [mark.start() for mark in marks[1:]] + [len(message)]
    return {
        mark[1]: message[mark.end() : end].strip(" ,，;；|\t\r\n")
        for mark, end in zip(marks, ends, strict=True)
    }


def _threat(event: Event, tree: dict[str, object]) -> None:
    """Write one threat report."""
    found = {name: value for name, value in tree.items() if value not in _NOTHING and value is not None}
    kind = str(found.pop("attack_type", "")).strip().lower()
    kind = _CHINESE.get(kind, kind)
    action, category, types, outcome = _ATTACKS.get(kind, _ATTACKS["attack"])
    level = _SEVERITIES.get(str(found.pop("threat_level", "")).lower(), _USUAL.get(kind, 3))
    event["event.kind"] = "alert"
    event["event.dataset"] = "hfish.threat"
    event["event.category"], event["event.type"] = list(category), list(types)
    event["event.action"] = action
    put(event, "event.outcome", outcome)
    put_side(event, "source", found.pop("src_ip", None))
    put_side(event, "destination", found.pop("dst_ip", None), long_value(found.pop("scan_port", None)))
    put_transport(event, found.pop("scan_type", None), None)
    addresses = [event.get("source.ip"), event.get("destination.ip")]
    put(event, "related.ip", unique([address for address in addresses if isinstance(address, str)]))
    put(event, "rule.name", found.pop("threat_name", None) or action)
    event["event.severity"] = level
    put(event, "event.reason", found.pop("info", None))
    _account(event, found.pop("account", None))
    _observer(event, found)


def _account(event: Event, account: object) -> None:
    """Write the account that was tried; what follows it may be the password, which isn't kept."""
    if isinstance(account, str):
        name, password = re.match(r"([^/:,，|\s]*)(.*)", account, re.DOTALL).groups()  # type: ignore[union-attr]
        put(event, "user.name", name)
        put(event, "related.user", unique([name]))
        password = password.strip(" /:,，|")
        if password:
            extra(event, _PASSWORD, password)


def _observer(event: Event, found: dict[str, object]) -> None:
    """Write the node that reports, and what is left as further fields."""
    event.update({"observer.vendor": "ThreatBook", "observer.product": "HFish", "observer.type": "honeypot"})
    put(event, "observer.name", found.pop("client", None))
    put(event, "observer.ip", found.pop("client_ip", None))
    for name, value in found.items():
        if name != "time" and value not in _NOTHING:
            extra(event, f"hfish.{name}", value)
