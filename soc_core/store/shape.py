"""Bring events into the shape of the field dictionary: what every store holds and returns.

A value that its field's type can't hold, and every field that the dictionary does not know, is kept as ``name=value``
text in ``edusoc.extra``: nothing is lost and nothing can make a schema explode. What is brought into shape: a number
for a text field becomes text, decimal text for a number field a number, a scalar for a list field a list of one,
a list of one for a scalar field its item. ``None`` and empty names are dropped. Everything else comes back as it came.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from ipaddress import ip_address
from itertools import chain
from operator import itemgetter
from typing import Any, Final, TypeAlias

import orjson

from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, EXTRA, TIMESTAMP, Event, Scalar, Value
from soc_core.query.evaluate import text_of

DATE_FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ID_FORM: Final = re.compile(r"\d{8}-[0-9A-Za-z_.-]{1,64}")
_INTEGER: Final = re.compile(r"-?(0|[1-9]\d{0,18})")
_CLASSES: Final[dict[str, type]] = {"long": int, "double": float, "boolean": bool}
_CLASS: Final[dict[str, type]] = {name: _CLASSES.get(field.type, str) for name, field in FIELDS.items()}
_PLAIN: Final = {
    name: _CLASS[name]
    for name, field in FIELDS.items()
    if not field.multi and field.type in {"keyword", "text", "boolean"}
}
_TEXTS: Final = frozenset(name for name, f in FIELDS.items() if f.multi and f.type in {"keyword", "text"})
_LONGS: Final = frozenset(name for name, f in FIELDS.items() if not f.multi and f.type == "long")
_ADDRESSES: Final = frozenset(name for name, f in FIELDS.items() if not f.multi and f.type == "ip")
_LONG: Final = 2**63


def fault_of(event: Event) -> str:
    """Return why an event can't be stored at all, or an empty text."""
    identity, timestamp = event.get(EVENT_ID), event.get(TIMESTAMP)
    if not isinstance(identity, str) or not ID_FORM.fullmatch(identity):
        return "event.id is missing or not YYYYMMDD-name"
    if not isinstance(timestamp, str) or not DATE_FORM.fullmatch(timestamp):
        return "@timestamp is missing or not canonical"
    try:
        datetime.fromisoformat(timestamp)
    except ValueError:
        return "@timestamp is no day of the calendar"
    return "" if _is_day(identity[:8]) else "the day of event.id is no day of the calendar"


@lru_cache(maxsize=1_024)
def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def shape(event: Event) -> Event:
    """Return the event as the columns hold it; never the same object."""
    if _is_in_shape(event):
        return event.copy()
    shaped: Event = {}
    extra: list[str] = []
    for name, value in event.items():
        if value.__class__ is _PLAIN.get(name) or _is_sound(name, value):
            shaped[name] = value
            continue
        fitted = _fit(name, value) if name in FIELDS else None
        if fitted is not None:
            shaped[name] = fitted
        elif value is not None:
            extra.extend(f"{name}={_text(item)}" for item in _items(value))
    if extra:
        known = shaped.get(EXTRA, [])
        shaped[EXTRA] = [*(str(item) for item in _items(known)), *extra]
    return shaped


_Getter: TypeAlias = Callable[[Event], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Say which values of events with the same fields and classes must be looked at; ``None``: at all of them."""

    longs: _Getter
    dates: _Getter
    addresses: _Getter
    texts: _Getter
    address_lists: _Getter
    long_lists: _Getter
    joined: re.Pattern[str]


_LAYOUTS: Final[dict[tuple[tuple[str, ...], tuple[type, ...]], _Layout | None]] = {}
_MOST_LAYOUTS: Final = 4_096
_LOOKED_AT: Final = ("long", "date", "ip", "texts", "ips", "longs")
_DATE_LENGTH: Final = {27}
_TEXT_ONLY: Final = {str}
_WHOLE_ONLY: Final = {int}
_SOUND_ADDRESSES: Final[set[object]] = set()
_MOST_ADDRESSES: Final = 65_536


def _is_in_shape(event: Event) -> bool:
    """Tell quickly of a usual event that it is in shape; ``False`` only means: look closer.

    A source's events have the same fields of the same classes again and again, so that is looked up as a whole; only
    what depends on the value remains. Looking at each field takes four times as long.
    """
    key = (tuple(event), tuple(map(type, event.values())))
    try:
        layout = _LAYOUTS[key]
    except KeyError:
        if len(_LAYOUTS) >= _MOST_LAYOUTS:
            _LAYOUTS.clear()
        layout = _LAYOUTS[key] = _layout(*key)
    if layout is None:
        return False
    longs, dates = layout.longs(event), layout.dates(event)
    listed: list[Any] = list(chain.from_iterable(layout.long_lists(event)))
    if listed:
        longs = (*longs, *listed) if set(map(type, listed)) <= _WHOLE_ONLY else (_LONG,)
    return (
        (not longs or (min(longs) >= -_LONG and max(longs) < _LONG))
        and (
            not dates
            or (set(map(len, dates)) == _DATE_LENGTH and bool(layout.joined.fullmatch("".join(dates))))
        )
        and set(map(type, chain.from_iterable(layout.texts(event)))) <= _TEXT_ONLY
        and _are_sound([*layout.addresses(event), *chain.from_iterable(layout.address_lists(event))])
    )


def _layout(names: tuple[str, ...], kinds: tuple[type, ...]) -> _Layout | None:
    parts: dict[str, list[str]] = {
        "plain": [],
        "long": [],
        "date": [],
        "ip": [],
        "texts": [],
        "ips": [],
        "longs": [],
        "": [],
    }
    for name, kind in zip(names, kinds, strict=True):
        parts[_part(name, kind)].append(name)
    if parts[""]:
        return None
    longs, dates, addresses, texts, listed, long_lists = (_getter(parts[part]) for part in _LOOKED_AT)
    return _Layout(
        longs,
        dates,
        addresses,
        texts,
        listed,
        long_lists,
        re.compile(f"(?:{DATE_FORM.pattern}){{{len(parts['date'])}}}"),
    )


def _part(name: str, kind: type) -> str:
    """Return how values of a class in a field are looked at; empty: one by one."""
    if kind is _PLAIN.get(name):
        return "plain"
    field = FIELDS.get(name)
    if field is None:
        return ""
    if kind is list and field.multi:
        return {"keyword": "texts", "text": "texts", "ip": "ips", "long": "longs"}.get(field.type, "")
    usual = not field.multi and kind is (int if field.type == "long" else str)
    return field.type if usual and field.type in {"long", "date", "ip"} else ""


def _getter(names: list[str]) -> _Getter:
    """Return a function that returns the values of fields that are there."""
    if len(names) > 1:
        return itemgetter(*names)
    return (lambda event: (event[names[0]],)) if names else (lambda _event: ())


def _are_sound(addresses: list[object]) -> bool:
    """Tell whether all are canonical addresses."""
    try:
        unknown = set(addresses) - _SOUND_ADDRESSES
    except TypeError:  # something in a list that is no scalar
        return False
    if not unknown:
        return True
    if not all(item.__class__ is str and _canonical_address(item) == item for item in unknown):
        return False
    if len(_SOUND_ADDRESSES) > _MOST_ADDRESSES:
        _SOUND_ADDRESSES.clear()
    _SOUND_ADDRESSES.update(unknown)
    return True


def encode_line(event: Event) -> bytes:
    """Return the JSON of an event; lone surrogates, which UTF-8 can't carry, become question marks."""
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:
        return orjson.dumps(_mended(event))


def _mended(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {name: _mended(item) for name, item in value.items()}
    return value


def _is_sound(name: str, value: Value) -> bool:
    """Tell quickly of usual values that they are as their field has them; ``False`` only means: look closer."""
    kind = value.__class__
    if kind is int:
        return name in _LONGS and -_LONG <= value < _LONG  # type: ignore[operator] # an int here
    if kind is str:
        return name in _ADDRESSES and _canonical_address(value) == value  # type: ignore[arg-type] # text here
    if kind is list and name in _TEXTS:
        return all(item.__class__ is str for item in value)  # type: ignore[union-attr] # a list here
    return False


def _fit(name: str, value: object) -> Value | None:
    """Return the value as the field's type holds it, or ``None``."""
    convert, multi = _CONVERTERS[name]
    if not multi:
        if isinstance(value, list):
            return convert(value[0]) if len(value) == 1 else None
        return convert(value)
    fitted = [convert(item) for item in _items(value)]
    return None if None in fitted else fitted  # type: ignore[return-value] # one type by convert


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    if isinstance(value, str | int | float):
        return text_of(value)
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _keyword(value: object) -> Scalar | None:
    if isinstance(value, str):
        return value
    return text_of(value) if isinstance(value, int | float) else None


def _long(value: object) -> Scalar | None:
    if value.__class__ is int:
        return value if -_LONG <= value < _LONG else None
    if isinstance(value, str) and _INTEGER.fullmatch(value) and value != "-0":
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool) and -_LONG <= value < _LONG
    return value if whole else None  # type: ignore[return-value] # whole says it is an int


def _double(value: object) -> Scalar | None:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
        return number + 0.0 if text_of(number) == value else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value) if abs(value) < 1e308 else float("inf")
    # Minus zero becomes zero: databases differ about whether they are one.
    return number + 0.0 if abs(number) < float("inf") else None


def _boolean(value: object) -> Scalar | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


@lru_cache(maxsize=4_096)
def _is_date(text: str) -> bool:
    return DATE_FORM.fullmatch(text) is not None


def _date(value: object) -> Scalar | None:
    return value if isinstance(value, str) and _is_date(value) else None


@lru_cache(maxsize=65_536)
def _canonical_address(text: str) -> str | None:
    try:
        socket.inet_pton(socket.AF_INET, text)  # ten times faster than ip_address, and as strict
    except (OSError, ValueError):
        return _canonical_ipv6(text)
    return text


def _canonical_ipv6(text: str) -> str | None:
    """Return one text for one address: IPv4 in the clothes of IPv6 is IPv4, and no interface is part of an address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if getattr(address, "scope_id", None):
        return None
    return str(getattr(address, "ipv4_mapped", None) or address.compressed)


def _ip(value: object) -> Scalar | None:
    return _canonical_address(value) if isinstance(value, str) else None


_CONVERT: Final[dict[str, Callable[[object], Scalar | None]]] = {
    "keyword": _keyword,
    "text": _keyword,
    "long": _long,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "ip": _ip,
}
_CONVERTERS: Final = {name: (_CONVERT[field.type], field.multi) for name, field in FIELDS.items()}
