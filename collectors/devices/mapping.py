"""Write what devices say as ECS fields: addresses, translations, verdicts, severities, times, alerts.

Severities stand in ``event.severity`` as Suricata has them, the smallest is the worst: 1 critical and high, 2 medium,
3 low, 4 information; the device's own word stays in ``edusoc.extra``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final

from collectors.coerce import epoch_text, extra, ip_text, long_value, put
from collectors.network import put_side, put_totals, put_transport, put_url
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

UNSET: Final = frozenset((
    "", "-", "--", "-@-", "null", "(null)", "n/a", "na", "none", "unknown", "<null>", "nil", "未知", "无",
    "****",
))  # fmt: skip
"""What devices write, in lower case, where they have no value."""
_NO_ADDRESS: Final = frozenset({"0.0.0.0", "::", "255.255.255.255"})  # noqa: S104 - compared, not bound
_HEX: Final = re.compile(r"[0-9A-Fa-f]{12}")
_WORD: Final = re.compile(r"[^\W_]+")
_DENIED: Final = frozenset((
    "deny", "denied", "drop", "dropped", "block", "blocked", "forbid", "reject", "rejected", "reset",
    "discard", "close", "terminate", "quarantine", "delete", "拒绝", "阻断", "丢弃", "拦截", "封锁",
    "阻止", "禁止", "隔离", "删除", "重置", "deny-rst",
))  # fmt: skip
_ALLOWED: Final = frozenset((
    "permit", "permitted", "allow", "allowed", "accept", "accepted", "pass", "passthrough", "forward", "log",
    "logging", "logged", "alert", "monitor", "detect", "detected", "declare", "notify", "warning", "warn",
    "允许", "放行", "通过", "告警", "记录", "被记录", "检测", "仅告警", "警告",
))  # fmt: skip
_SEVERITIES: Final[Mapping[str, int]] = {
    word: level
    for level, words in enumerate(
        (
            "critical emergency emerg fatal high alert very-high 严重 紧急 致命 危急 超危 高 高危 高级",
            "medium middle mid moderate error err 中 中危 中级 中等 警告 warning warn",
            "low minor notice 低 低危 低级 提示",
            "info information informational none debug 信息 通知 无",
        ),
        start=1,
    )
    for word in words.split()
}
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_NUMBERS: Final = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T](\d{1,2}):(\d\d):(\d\d)(?:[.,](\d{1,6})\d*)?"
    r"(?: ?(Z|UTC|GMT|[+-]\d\d:?\d\d))?"
)
_NAMED: Final = re.compile(
    r"([A-Za-z]{3}) +(\d{1,2}),? +(\d{4}) +(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(?: ?(Z|UTC|GMT|[+-]\d\d:?\d\d))?"
)
_COMPACT: Final = re.compile(r"(20\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_AMERICAN: Final = re.compile(r"(\d\d)(\d\d)(20\d\d)(\d\d)(\d\d)(\d\d)")


def is_set(value: str) -> bool:
    """Tell whether a device's value is one."""
    return value.strip().lower() not in UNSET


def put_pairs(found: Event, pairs: Iterable[tuple[str, str]], names: Mapping[str, str]) -> dict[str, str]:
    """Write pairs by the table ``names`` (device's name in lower case → field); return the values by lower-case name.

    A name whose field is empty is left to the caller; one that the table lacks goes to ``edusoc.extra``. Of a name that
    comes twice the first value counts. What devices write for nothing is left out.
    """
    values: dict[str, str] = {}
    for name, value in pairs:
        key = name.strip().lower()
        if key in values:
            extra(found, name, value)
            continue
        if not is_set(value):
            continue
        values[key] = value
        field = names.get(key)
        if field is None:
            extra(found, name.strip(), value)
        elif field:
            put_field(found, field, value)
    return values


def put_field(found: Event, field: str, value: str) -> None:
    """Write one value; addresses, ports and MACs with care for how devices write them."""
    if field.endswith(".ip"):
        _put_address(found, field, value)
    elif field.endswith(".mac"):
        put(found, field, mac_text(value) or (value if value.strip("0.:-") else None))
    elif field.endswith("nat.port"):
        if value != "0":
            put(found, field, value)
    else:
        put(found, field, value)


def _put_address(found: Event, field: str, value: str) -> None:
    side = field.removesuffix(".ip")
    address, port = split_address(value)
    if address in _NO_ADDRESS:
        return
    if side in ("source", "destination"):
        put_side(found, side, address, port or None)
        return
    put(found, field, address)
    if port and "nat" in side:
        put_field(found, f"{side}.port", port)


@lru_cache(maxsize=1 << 12)
def split_address(text: str) -> tuple[str, str]:
    """Return address and port of ``address:port``, ``[v6]:port`` or an address alone (port empty)."""
    text = text.strip()
    if ip_text(text) is None:
        address, colon, port = text.rpartition(":")
        if colon and port.isascii() and port.isdigit() and (known := ip_text(address)) is not None:
            return known, port
    return ip_text(text) or text, ""


@lru_cache(maxsize=1 << 12)
def mac_text(text: str) -> str | None:
    """Return a MAC as ECS writes it (RFC 7042) from any way devices write it, ``None`` if it is none or zero."""
    plain = text.replace(":", "").replace("-", "").replace(".", "").strip()
    if _HEX.fullmatch(plain) is None or plain.strip("0") == "":
        return None
    upper = plain.upper()
    return "-".join(upper[start : start + 2] for start in range(0, 12, 2))


def finish_flow(found: Event, protocol: str = "") -> None:
    """Complete endpoints already written: transport, IP version, Community ID, totals; no translation is left out.

    ``protocol`` is a name or number, also ``TCP.HTTP`` with the application behind it.
    """
    for field in ("network.protocol", "network.application"):
        value = found.get(field)
        if isinstance(value, str) and value.isascii():
            found[field] = value.lower()
    transport, dot, application = protocol.strip().lower().partition(".")
    if dot and "network.protocol" not in found:
        put(found, "network.protocol", application)
    put_transport(found, transport)
    put_totals(found)
    for side in ("source", "destination"):
        if found.get(f"{side}.nat.ip") == found.get(f"{side}.ip") and found.get(
            f"{side}.nat.port", found.get(f"{side}.port")
        ) == found.get(f"{side}.port"):
            found.pop(f"{side}.nat.ip", None)
            found.pop(f"{side}.nat.port", None)


@lru_cache(maxsize=1 << 10)
def verdict(words: str) -> str:
    """Return ``deny`` or ``accept`` for what a device says it did, empty if it is neither; one refusal decides."""
    text = words.strip().lower()
    parts = {text, *_WORD.findall(text)}
    if parts & _DENIED:
        return "deny"
    return "accept" if parts & _ALLOWED else ""


def severity(word: str) -> int | None:
    """Return 1 (critical, high) to 4 (information) for a device's word, ``None`` for one not known."""
    return _SEVERITIES.get(word.strip().lower())


def put_severity(found: Event, word: str) -> None:
    """Write a device's severity word: its number, and the word itself."""
    if not word:
        return
    put(found, "event.severity", severity(word))
    extra(found, "severity", word)


def connection(found: Event, action: str, *types: str) -> None:
    """Make the event one of traffic; ``action`` is a verdict or empty."""
    found["event.category"] = ["network"]
    found["event.type"] = ["connection", *types, *_VERDICT_TYPES.get(action, ())]
    if action:
        found["event.action"] = action
        found["event.outcome"] = "success" if action == "accept" else "failure"


_VERDICT_TYPES: Final[Mapping[str, tuple[str, ...]]] = {"accept": ("allowed",), "deny": ("denied",)}


def alert(found: Event, words: str, *categories: str) -> None:
    """Make the event a device's own alert; ``words`` is what it did about it."""
    action = verdict(words)
    found["event.kind"] = "alert"
    found["event.category"] = list(categories) or ["intrusion_detection", "network"]
    found["event.type"] = list(_VERDICT_TYPES.get(action, ("info",)))
    if action:
        found["event.action"] = action


def login(found: Event, action: str, outcome: str, *types: str) -> None:
    """Make the event a log-in or log-out; ``outcome`` may be empty."""
    found["event.category"] = ["authentication"]
    found["event.type"] = list(types) or ["start"]
    found["event.action"] = action
    put(found, "event.outcome", outcome)


def own_time(found: Event, value: str, zone: tzinfo) -> None:
    """Write a time of the device's own as the event's, if it can be read."""
    text = time_text(value, zone)
    if text is not None:
        found[TIMESTAMP] = text


def put_time(found: Event, field: str, value: str, zone: tzinfo) -> None:
    """Write a time into a date field, if it can be read."""
    put(found, field, time_text(value, zone))


@lru_cache(maxsize=1 << 12)
def time_text(value: str, zone: tzinfo) -> str | None:
    """Return the canonical text of a time as devices write it, ``None`` if it is none.

    ``2026-11-24 10:00:00``, ``2026/1/2 03:04:05``, ``Nov 24 2026 10:00:00``, seconds or milliseconds since 1970,
    ``20261124100000`` and Comware's ``11242026100000``; read in ``zone`` where it says none.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return _digits_text(value, zone)
    match = _NUMBERS.match(value)
    if match is not None:
        year, month, day, *clock = match.groups()
    else:
        match = _NAMED.match(value)
        if match is None or match[1].lower() not in _MONTHS:
            return None
        month, day, year, *clock = match.groups()
        month = str(_MONTHS.index(month.lower()) + 1)
    return _local_text((year, month, day, *clock[:3]), clock[3], clock[4], zone)


def _digits_text(value: str, zone: tzinfo) -> str | None:
    if len(value) in (10, 13, 16):
        whole = value[:10]
        return epoch_text(f"{whole}.{value[10:]}" if len(value) > 10 else whole)
    if len(value) != 14:
        return None
    match = _COMPACT.fullmatch(value)
    if match is not None and 1 <= int(match[2]) <= 12:
        return _local_text(match.groups(), None, None, zone)
    match = _AMERICAN.fullmatch(value)
    if match is None:
        return None
    month, day, year, *clock = match.groups()
    return _local_text((year, month, day, *clock), None, None, zone)


def _local_text(
    numbers: tuple[str | None, ...], fraction: str | None, offset: str | None, zone: tzinfo
) -> str | None:
    parts = [int(number or 0) for number in numbers]
    year, month, day, hour, minute, second = parts
    micro = int((fraction or "0").ljust(6, "0"))
    where: tzinfo = zone
    if offset in ("Z", "UTC", "GMT"):
        where = UTC
    elif offset:
        try:
            parsed = datetime.strptime(offset.replace(":", ""), "%z").tzinfo
        except ValueError:
            return None
        where = parsed or zone
    try:
        return format_instant(datetime(year, month, day, hour, minute, min(second, 59), micro, where))
    except (ValueError, OverflowError):
        return None


def put_web(found: Event, text: str) -> None:
    """Write an address on the web, with or without scheme: ``http://host/path``, ``host:port/path``, ``/path``."""
    if not is_set(text):
        return
    if "://" in text[:16] or text.startswith("/"):
        put_url(found, path=text)
        return
    host, slash, path = text.partition("/")
    put_url(found, host=host, path=slash + path if slash else None)
    put(found, "url.original", text)


def put_seconds(found: Event, value: str) -> None:
    """Write a number of seconds as ``event.duration`` in nanoseconds."""
    seconds = long_value(value)
    if seconds is not None and 0 <= seconds < 1 << 32:
        found["event.duration"] = seconds * 1_000_000_000
