"""Bring values of any source into the types of the field dictionary.

``put`` is the one way a collector writes a field: a value that fits becomes canonical, one that does not fit goes to
``edusoc.extra`` as ``name=value``, so that nothing a source said is lost. Unknown fields go the same way.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final, TypeAlias, cast

from soc_core.clock import format_epoch_us, format_instant, parse_instant
from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA, Event, Scalar, Value

Coercer: TypeAlias = Callable[[object], "Scalar | None"]

MONTHS: Final = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}
"""English names of months as logs write them → number."""
_LONG_MIN: Final = -(1 << 63)
_LONG_MAX: Final = (1 << 63) - 1
_TRUE: Final = frozenset({"true", "t", "yes", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "0"})
_MAX_DEPTH: Final = 32
_HEX_MAC: Final = re.compile(
    r"(?:[0-9A-Fa-f]{2}[:\-.]?){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}[.\-]){2}[0-9A-Fa-f]{4}"
)
_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f]")
# Tuples, not unions: these are asked for each value of each record.
_LISTS: Final = (list, tuple)
_NESTED: Final = (dict, list, tuple)


@lru_cache(maxsize=1 << 15)
def ip_text(text: str) -> str | None:
    """Return the canonical text of an address, ``None`` if it is none.

    Brackets and interface names (``%eth0``) are taken off; an IPv4 address written inside IPv6 becomes IPv4, because
    it is the same device.
    """
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


@lru_cache(maxsize=1 << 14)
def mac_or_none(text: str) -> str | None:
    """Return a MAC address as ECS writes it (RFC 7042: upper case, hyphens) from any usual form."""
    text = text.strip()
    if text.startswith("01-") and len(text) == 20:  # a hardware type before it, as dnsmasq writes for others
        text = text[3:]
    if not _HEX_MAC.fullmatch(text):
        return None
    digits = _NOT_HEX.sub("", text).upper()
    return "-".join(digits[place : place + 2] for place in range(0, 12, 2))


def epoch_text(seconds: float | str) -> str | None:
    """Return the canonical text of seconds since 1970, ``None`` outside years 1–9999; text keeps every digit."""
    try:
        if isinstance(seconds, str):
            whole, _, fraction = seconds.partition(".")
            negative = whole.startswith("-")
            part = int(fraction[:6].ljust(6, "0")) if fraction else 0
            return format_epoch_us(int(whole) * 1_000_000 + (-part if negative else part))
        return format_epoch_us(round(seconds * 1_000_000))
    except (ValueError, OverflowError):
        return None


def date_text(value: object) -> str | None:
    """Return the canonical text of a date: ISO 8601 text or seconds, milliseconds, microseconds since 1970."""
    if isinstance(value, str):
        try:
            return format_instant(parse_instant(value, zone=UTC))
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    size = abs(value)
    if size >= 1e14:
        return epoch_text(value / 1e6)
    return epoch_text(value / 1e3 if size >= 1e11 else value)


def long_value(value: object) -> int | None:
    """Return a 64-bit integer from a number or decimal or ``0x`` text, ``None`` if there is none without loss."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    elif isinstance(value, str):
        text = value.strip()
        try:
            value = int(text, 16) if text[:2] in ("0x", "0X") else int(text)
        except ValueError:
            return None
    if isinstance(value, int) and _LONG_MIN <= value <= _LONG_MAX:
        return value
    return None


def double_value(value: object) -> float | None:
    """Return a finite float from a number or its text."""
    if not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def boolean_value(value: object) -> bool | None:
    """Return a truth value from a boolean, 0/1, or one of the words sources use for it."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def keyword_text(value: object) -> str | None:
    """Return text: strings as they are, numbers and truth values as JSON writes them; lone surrogates are replaced."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return None


def _ip_value(value: object) -> str | None:
    return ip_text(value) if isinstance(value, str) else None


_BY_TYPE: Final[Mapping[str, Coercer]] = {
    "keyword": keyword_text,
    "text": keyword_text,
    "long": long_value,
    "double": double_value,
    "boolean": boolean_value,
    "date": date_text,
    "ip": _ip_value,
}
_COERCERS: Final[Mapping[str, tuple[Coercer, bool]]] = {
    name: (_BY_TYPE[field.type], field.multi) for name, field in FIELDS.items()
}


def put(event: Event, name: str, value: object) -> None:
    """Write ``value`` as field ``name``; ``None`` and empty values write nothing, misfits go to ``edusoc.extra``.

    A field of one value takes the first of a list, the rest goes to ``edusoc.extra``; a list field is extended.
    """
    if value is None or value == "" or value == []:
        return
    known = _COERCERS.get(name)
    kind = type(value)
    if known is None or kind is dict:
        extra(event, name, value)
        return
    coerce, multi = known
    if multi or kind is list or kind is tuple:
        _put_many(event, name, value if isinstance(value, _LISTS) else (value,))
        return
    fitting = coerce(value)
    if fitting is None:
        extra(event, name, value)
    else:
        event[name] = fitting


def _put_many(event: Event, name: str, values: Iterable[object]) -> None:
    coerce, multi = _COERCERS[name]
    fitting: list[Scalar] = []
    for value in values:
        if value is None or (value == "" and not multi):
            continue
        scalar = None if isinstance(value, _NESTED) else coerce(value)
        if scalar is None or (fitting and not multi):
            extra(event, name, value)
        else:
            fitting.append(scalar)
    if not fitting:
        return
    if not multi:
        event[name] = fitting[0]
        return
    present = event.get(name)
    event[name] = cast("Value", [*present, *fitting] if isinstance(present, list) else fitting)


def put_default(event: Event, name: str, value: object) -> None:
    """Write ``value`` as field ``name`` only where the event has none yet."""
    if name not in event:
        put(event, name, value)


def extra(event: Event, name: str, value: object) -> None:
    """Keep ``value`` as ``name=value`` in ``edusoc.extra``; nested values are taken apart into dotted names."""
    if type(value) is str:
        found = [f"{name}={value if value.isascii() else keyword_text(value)}"]
    else:
        found = [
            f"{path}={text}"
            for path, item in flatten({name: value})
            if (text := keyword_text(item)) is not None
        ]
    present = event.get(EXTRA)
    if isinstance(present, list):
        cast("list[str]", present).extend(found)
    elif found:
        event[EXTRA] = found


def flatten(tree: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    """Yield (dotted name, scalar) of a nested mapping in order; lists yield their items, depth is bounded.

    What lies deeper than 32 levels is yielded as one text, so that a hostile record can't exhaust the stack.
    """
    for key, value in tree.items():
        if isinstance(value, _NESTED):
            yield from _flatten_deep(key, value)
        elif value is not None:
            yield key, value


def _flatten_deep(name: str, tree: object) -> Iterable[tuple[str, object]]:
    stack: list[tuple[str, object, int]] = [(name, tree, 0)]
    while stack:
        path, value, depth = stack.pop()
        if depth >= _MAX_DEPTH and isinstance(value, _NESTED):
            yield path, str(type(value).__name__) + " nested too deep"
        elif isinstance(value, dict):
            stack.extend((f"{path}.{key}", item, depth + 1) for key, item in reversed(value.items()))
        elif isinstance(value, _LISTS):
            stack.extend((path, item, depth + 1) for item in reversed(value))
        elif value is not None:
            yield path, value


def instant_or_none(text: str, zone: tzinfo = UTC) -> datetime | None:
    """Return the UTC instant of ISO 8601 text, read in ``zone`` without an offset; ``None`` if it is none."""
    try:
        return parse_instant(text, zone=zone)
    except (ValueError, OverflowError):
        return None


def unique(values: Iterable[str]) -> list[str]:
    """Return ``values`` without repetitions and empties, in order."""
    return [value for value in dict.fromkeys(values) if value]


def put_words(event: Event, dataset: str, message: str, *, module: str, level: str = "") -> None:
    """Make ``event`` one that only tells what a server says about itself."""
    event["event.dataset"] = dataset
    event["event.module"] = module
    event["event.category"] = ["host"]
    event["event.type"] = ["info"]
    put(event, "message", message)
    put(event, "log.level", level)
