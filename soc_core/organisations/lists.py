"""Read the rows of a list that people keep in a spreadsheet: CSV as Excel writes it, or XLSX.

The first row names the columns, in English or Chinese. Sizes are bounded before anything is unpacked, so a file made to
blow up is refused.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import openpyxl

from soc_core.errors import InputError
from soc_core.printing import is_printable

MAX_ROWS: Final = 200_000
MAX_COLUMNS: Final = 100
MAX_CELL: Final = 2_000
MAX_FILE_BYTES: Final = 64 << 20
MAX_UNPACKED_BYTES: Final = 128 << 20
COLUMNS_ZH: Final = {
    "单位编号": "code",
    "编号": "code",
    "单位名称": "name",
    "名称": "name",
    "英文名称": "name_en",
    "级别": "level",
    "类别": "kind",
    "上级单位编号": "parent_code",
    "上级编号": "parent_code",
    "行政区划代码": "region_code",
    "学校标识码": "school_code",
    "统一社会信用代码": "credit_code",
    "主要领导": "leader",
    "分管领导": "deputy_leader",
    "联络员": "contact",
    "学校网络安全联络员": "contact",
    "联络员电话": "contact_phone",
    "网络区域": "zones",
    "网段": "network",
    "生效日期": "valid_from",
    "失效日期": "valid_to",
    "所属单位编号": "organisation_code",
    "区域": "zone",
    "IP 地址": "address",
    "IP地址": "address",
    "MAC 地址": "mac",
    "MAC地址": "mac",
    "位置": "location",
    "主管": "supervisor",
    "运维": "operator",
    "使用人": "user",
    "等保级别": "protection_level",
    "重要程度": "importance",
}
"""What the columns may be called in Chinese."""


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row: cell text by column name, and ``file:line``."""

    cells: Mapping[str, str]
    where: str

    def text(self, name: str) -> str:
        """Return the trimmed cell, empty when there is none; raise ``InputError`` for what no name or code holds."""
        value = self.cells.get(name, "").strip()
        if len(value) > MAX_CELL:
            raise InputError(f"column '{name}': longer than {MAX_CELL} characters", where=self.where)
        if not is_printable(value):
            raise InputError(f"column '{name}': holds control characters", where=self.where)
        return value

    def need(self, name: str) -> str:
        """Return the cell; raise ``InputError`` when it is empty."""
        value = self.text(name)
        if not value:
            raise InputError(f"column '{name}' is empty", where=self.where)
        return value

    def day(self, name: str) -> date | None:
        """Return the cell as a date (YYYY-MM-DD), ``None`` when empty; raise ``InputError`` otherwise."""
        value = self.text(name)[:10]
        try:
            return date.fromisoformat(value) if value else None
        except ValueError:
            raise InputError(
                f"column '{name}': '{value}' is not a date like 2026-09-01", where=self.where
            ) from None

    def number(self, name: str, default: int) -> int:
        """Return the cell as a whole number; raise ``InputError`` otherwise."""
        value = self.text(name)
        try:
            return int(float(value)) if value else default
        except (ValueError, OverflowError):
            raise InputError(f"column '{name}': '{value}' is not a number", where=self.where) from None


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a CSV or XLSX file, told apart by content; raise ``InputError`` when it can't be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(error.strerror or "can't be read", where=str(path)) from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"the list is larger than {MAX_FILE_BYTES >> 20} MB", where=str(path))
    lines = _xlsx_lines(data, path) if data[:4] == b"PK\x03\x04" else _csv_lines(data, path)
    names: list[str] = []
    for number, cells in lines:
        if number > MAX_ROWS:
            raise InputError(f"more than {MAX_ROWS} rows", where=f"{path}:{number}")
        if not names:
            names = [COLUMNS_ZH.get(cell.strip(), cell.strip()) for cell in cells]
        elif any(cells):
            yield Row(dict(zip(names, cells, strict=False)), f"{path}:{number}")


def _csv_lines(data: bytes, path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    text = _decoded(data, path)
    # Excel's "Unicode text" has tabs.
    first = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter="\t" if first.count("\t") > first.count(",") else ","
    )
    try:
        for cells in reader:
            yield reader.line_num, cells[:MAX_COLUMNS]
    except csv.Error as error:
        raise InputError(f"no valid CSV: {error}", where=f"{path}:{reader.line_num}") from error


def _decoded(data: bytes, path: Path) -> str:
    """Return the text: UTF-16 with its mark, UTF-8, or GB18030, which is how Excel in China saves CSV."""
    marked = data[:2] in {b"\xff\xfe", b"\xfe\xff"}
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError("the text is neither UTF-8, UTF-16 nor GB18030", where=str(path))


def _xlsx_lines(data: bytes, path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    try:
        _refuse_bomb(data, path)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows = book.worksheets[0].iter_rows(values_only=True, max_row=MAX_ROWS + 1, max_col=MAX_COLUMNS)
        for number, cells in enumerate(rows, start=1):
            yield number, ["" if cell is None else str(cell) for cell in cells]
        book.close()
    except InputError:
        raise
    except Exception as error:  # a damaged workbook makes openpyxl raise almost anything
        raise InputError(f"no readable XLSX workbook ({error})", where=str(path)) from error


def _refuse_bomb(data: bytes, path: Path) -> None:
    """Raise ``InputError`` when the parts are large unpacked; zipfile unpacks no more than what is declared here."""
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        if sum(part.file_size for part in parts.infolist()) > MAX_UNPACKED_BYTES:
            raise InputError(
                f"the list is larger than {MAX_UNPACKED_BYTES >> 20} MB when unpacked", where=str(path)
            )


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows as CSV with the mark by which Excel knows UTF-8, or as XLSX where the name ends so.

    Raises ``InputError`` when the file can't be written.
    """
    try:
        if path.suffix.lower() == ".xlsx":
            book = openpyxl.Workbook(write_only=True)
            sheet = book.create_sheet()
            for row in rows:
                sheet.append(list(row))
            book.save(path)
            return
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows(rows)
    except OSError as error:
        raise InputError(error.strerror or "can't be written to", where=str(path)) from error
