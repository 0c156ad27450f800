"""Name the formats, recognise them by content, and read a list of any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import orjson

from detectors.indicators.model import Indicator
from detectors.indicators.reading.base import Defaults, Notes, Reader
from detectors.indicators.reading.csv_table import looks_like_csv, read_csv
from detectors.indicators.reading.misp import read_misp
from detectors.indicators.reading.plain import read_plain
from detectors.indicators.reading.stix import read_stix
from soc_core.errors import InputError

FORMATS: Final = ("misp", "stix", "csv", "text")
LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a list: JSON takes several times as much memory while it is read."""
_READERS: Final[dict[str, Callable[[object, Reader], Iterator[Indicator]]]] = {
    "misp": read_misp,
    "stix": read_stix,
}


def recognise(data: bytes) -> str:
    """Return the format that a list is in by how it begins: JSON is MISP unless it is a STIX bundle."""
    head = data[:65_536].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:1] in {b"{", b"["}:
        stix = b'"bundle"' in head or b'"spec_version"' in head or b'"indicator--' in head
        return "stix" if stix else "misp"
    return "csv" if looks_like_csv(data) else "text"


def read_list(data: bytes, kind: str, defaults: Defaults, notes: Notes) -> Iterator[Indicator]:
    """Yield the indicators of a list in its order; raise ``InputError`` when it can't be read at all.

    What is bad is counted in ``notes``, which is complete once all are taken.
    """
    if len(data) > LARGEST:
        raise InputError("the list is larger than 256 MB", todo="cut it into several files")
    reader = Reader(defaults, notes)
    if kind == "csv":
        yield from read_csv(data, reader)
    elif kind == "text":
        yield from read_plain(data, reader)
    else:
        yield from _READERS[kind](_parsed(data), reader)


def _parsed(data: bytes) -> object:
    try:
        return orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"no valid JSON: {error}", todo="see whether the file was copied completely"
        ) from None
