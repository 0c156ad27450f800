r"""Take apart the two event formats that many vendors share: ArcSight's CEF and IBM's LEEF.

CEF: ``CEF:0|Vendor|Product|Version|Id|Name|Severity|name=value …``; ``\|`` and ``\\`` are escaped in the header,
``\=``, ``\\``, ``\n`` and ``\r`` in values (ArcSight Common Event Format Implementation Standard).
LEEF: ``LEEF:1.0|Vendor|Product|Version|Id|name=value<tab>…``, with 2.0 a field more for the separator, a character or
its number as ``x09`` or ``0x09`` (IBM, LEEF event components).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from collectors.coerce import put
from collectors.devices.text import MOST_PAIRS, MOST_TEXT, SPACE_EQUALS, Pairs, marked_pairs
from soc_core.model.event import Event

_BAR: Final = re.compile(r"\\.|\|", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NUMBER: Final = re.compile(r"0?x([0-9A-Fa-f]{2,4})")
_CEF_FIELDS: Final = 7
_LEEF_FIELDS: Final = 5


class Record(NamedTuple):
    """Hold an event: the fields of its header and its pairs."""

    vendor: str
    product: str
    version: str
    code: str
    name: str
    severity: str
    pairs: Pairs


def begin_event(dataset: str, record: Record) -> Event:
    """Return an event with what the header says of the product that wrote it."""
    found: Event = {"event.dataset": dataset}
    put(found, "observer.vendor", record.vendor)
    put(found, "observer.product", record.product)
    put(found, "observer.version", record.version)
    put(found, "event.code", record.code)
    return found


def read_cef(text: str) -> Record | None:
    """Return the event of ``0|Vendor|…`` with or without ``CEF:`` before it, ``None`` if it is none."""
    header, rest = _header(text.removeprefix("CEF:"), _CEF_FIELDS)
    if len(header) != _CEF_FIELDS or not header[0].strip().replace(".", "").isdigit():
        return None
    pairs = [(name, _plain(value)) for name, value in marked_pairs(rest, SPACE_EQUALS)]
    vendor, product, version, code, name, severity = (part.strip() for part in header[1:])
    return Record(vendor, product, version, code, name, severity, pairs)


def read_leef(text: str) -> Record | None:
    """Return the event of ``1.0|Vendor|…`` with or without ``LEEF:`` before it, ``None`` if it is none."""
    header, rest = _header(text.removeprefix("LEEF:"), _LEEF_FIELDS)
    if len(header) != _LEEF_FIELDS or header[0].strip() not in ("1.0", "2.0", "1", "2"):
        return None
    separator = "\t"
    if header[0].startswith("2"):
        given, bar, after = rest.partition("|")
        if bar and "=" not in given and len(given) <= 6:
            separator, rest = _separator(given), after
    pairs: Pairs = []
    for piece in rest[:MOST_TEXT].split(separator, MOST_PAIRS)[:MOST_PAIRS]:
        name, sign, value = piece.partition("=")
        if sign and name.strip():
            pairs.append((name.strip(), value.strip()))
    _, vendor, product, version, code = (part.strip() for part in header)
    return Record(vendor, product, version, code, "", "", pairs)


def _separator(given: str) -> str:
    number = _NUMBER.fullmatch(given)
    if number is not None:
        return chr(int(number[1], 16)) or "\t"
    return given[:1] or "\t"


def _header(text: str, count: int) -> tuple[list[str], str]:
    """Return ``count`` fields before unescaped bars, and what follows the last of them."""
    fields: list[str] = []
    start = 0
    for match in _BAR.finditer(text[:4_096]):
        if match[0] != "|":
            continue
        fields.append(_ESCAPED.sub(r"\1", text[start : match.start()]))
        start = match.end()
        if len(fields) == count:
            break
    return fields, text[start:]


def _plain(value: str) -> str:
    """Return a value without its escapes."""
    if "\\" not in value:
        return value
    return _ESCAPED.sub(lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), value)
