"""Read CSV: columns are found by the names in the first row, in many words for the same, or as configured.

Separators are comma, semicolon, tab or bar. Lines that begin with ``#`` are comments, but the last of them before the
first row may be the header, as several public lists have it. UTF-8 and GB18030.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.indicators.model import Indicator, Kind, read_tlp
from detectors.indicators.reading.base import Reader, Said, moment
from detectors.indicators.reading.guessing import WORDS
from detectors.indicators.reading.plain import kind_and_value
from detectors.indicators.reading.text_lines import decoded, numbered
from soc_core.errors import InputError

SEPARATORS: Final = ",;\t|"
MOST_CELLS: Final = 200
LONGEST_LINE: Final = 65_536
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "value": ("value", "indicator", "ioc", "ioc_value", "indicator_value", "observable", "值", "指标",
              "情报", "情报值"),
    "kind": ("kind", "type", "ioc_type", "indicator_type", "类型", "情报类型"),
    "confidence": ("confidence", "confidence_level", "score", "可信度", "置信度"),
    "tlp": ("tlp", "marking", "分享级别"),
    "since": ("since", "first_seen", "first_seen_utc", "firstseen", "date", "dateadded", "valid_from", "首次发现"),
    "expires": ("expires", "expiry", "expiration", "valid_until", "过期时间", "有效期至"),
    "reason": ("reason", "description", "comment", "malware", "malware_printable", "threat", "threat_type", "tags",
               "listingreason", "说明", "描述", "备注", "原因"),
    "reference": ("reference", "source", "link", "urlhaus_link", "参考", "来源"),
}  # fmt: skip
"""What each thing that is read may be called; a column named like a kind (``dst_ip``, ``sha256``) holds values."""
_VALUE_COLUMNS: Final[dict[str, Kind]] = {
    "dst_ip": Kind.IP,
    "src_ip": Kind.IP,
    "ip_address": Kind.IP,
    "fingerprint": Kind.CERTIFICATE,
}
_CONFIDENCE_WORDS: Final = {"low": 25, "medium": 50, "high": 85, "低": 25, "中": 50, "高": 85}


@dataclass(frozen=True, slots=True)
class Columns:
    """Say where things stand: number of the column by name, and the kinds of columns that hold values."""

    places: Mapping[str, int]
    values: Mapping[int, Kind | None]


def looks_like_csv(data: bytes) -> bool:
    """Tell whether the first row of a text names columns that can be read."""
    lines = [line for _, line in _head(decoded(data[:65_536]))]
    return any(_columns(_cells(line, _separator(line))) is not None for line in lines)


def read_csv(data: bytes, reader: Reader) -> Iterator[Indicator]:
    """Yield the indicators of a table; raise ``InputError`` when no column of values is found."""
    text = decoded(data)
    columns, separator, header = _layout(text, reader)
    for number, line in numbered(text):
        if number <= header or not line.strip() or line.startswith("#"):
            continue
        if len(line) > LONGEST_LINE:
            reader.notes.refuse(f"line {number}", "the line is too long", line)
            continue
        yield from _row(_cells(line, separator), columns, reader, f"line {number}")


def _layout(text: str, reader: Reader) -> tuple[Columns, str, int]:
    """Return the columns, the separator, and the number of the line that is the header (0: there is none)."""
    given = reader.defaults.columns
    for number, line in _head(text):
        separator = _separator(line)
        cells = _cells(line, separator)
        found = _chosen(cells, given) if given else _columns(cells)
        if found is not None:
            named = not all(place.isdigit() for place in given.values()) if given else True
            return found, separator, number if named else 0
    raise InputError(
        "no column of this table holds values that can be read",
        todo="name it: --column value=NAME, or by its number",
    )


def _head(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that may be the header: comments at the beginning, then the first row."""
    for number, line in numbered(text):
        if number > 200:
            return
        if line.startswith("#"):
            yield number, line.lstrip("# ")
        elif line.strip():
            yield number, line
            return


def _separator(line: str) -> str:
    return max(SEPARATORS, key=line.count)


def _cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line; a quoted cell does not go over several lines."""
    try:
        rows = list(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error:
        return []
    return [cell.strip() for cell in rows[0][:MOST_CELLS]] if rows else []


def _columns(cells: Sequence[str]) -> Columns | None:
    """Return what the names of a header say, ``None`` when none of them holds values."""
    names = [cell.strip().strip('"').lower() for cell in cells]
    places: dict[str, int] = {}
    for what, words in NAMES.items():
        found = next((names.index(word) for word in words if word in names), None)
        if found is not None:
            places[what] = found
    values: dict[int, Kind | None] = {}
    if "value" in places:
        values[places["value"]] = None
    else:
        kinds = _VALUE_COLUMNS | WORDS
        values = {place: kinds[name] for place, name in enumerate(names) if name in kinds}
    return Columns(places, values) if values else None


def _chosen(cells: Sequence[str], given: Mapping[str, str]) -> Columns | None:
    names = [cell.lower() for cell in cells]
    places: dict[str, int] = {}
    for what, column in given.items():
        if column.isdigit() and 0 < int(column) <= MOST_CELLS:
            places[what] = int(column) - 1
        elif column.lower() in names:
            places[what] = names.index(column.lower())
    return Columns(places, {places["value"]: None}) if "value" in places else None


def _row(cells: Sequence[str], columns: Columns, reader: Reader, place: str) -> Iterator[Indicator]:
    def cell(what: str) -> str:
        at = columns.places.get(what, -1)
        return cells[at] if 0 <= at < len(cells) else ""

    said = Said(
        confidence=_confidence(cell("confidence")),
        tlp=read_tlp(cell("tlp")),
        since=moment(cell("since")),
        expires=moment(cell("expires")) or None,
        reason=cell("reason"),
        reference=cell("reference"),
    )
    texts = [(kind, cells[at]) for at, kind in columns.values.items() if at < len(cells) and cells[at]]
    if not texts:
        reader.notes.refuse(place, "the row has no value", "")
    for kind, text in texts:
        guessed, value, port = kind_and_value(text, reader.defaults.subdomains)
        named = kind or WORDS.get(cell("kind").strip().lower())
        about = Said(said.confidence, said.tlp, said.since, said.expires,
                     " ".join(part for part in (port, said.reason) if part), said.reference)  # fmt: skip
        found = reader.entry(_settled(named, guessed), value, place, about)
        if found is not None:
            yield found


def _settled(named: Kind | None, guessed: Kind) -> Kind:
    """Return the kind a cell is of: as the table says, but what is plainly an address or URL is one."""
    if named is None or (guessed in {Kind.IP, Kind.NETWORK, Kind.URL} and named is not Kind.SERIAL):
        return guessed
    return named


def _confidence(text: str) -> int | None:
    plain = text.strip().rstrip("%").lower()
    if plain in _CONFIDENCE_WORDS:
        return _CONFIDENCE_WORDS[plain]
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 3 else None
