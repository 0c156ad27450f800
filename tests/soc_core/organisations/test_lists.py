"""Feed lists that people and adversaries make."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import InputError
from soc_core.organisations.lists import MAX_CELL, MAX_COLUMNS, Row, read_rows

SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">%b<sheetData>%b</sheetData></worksheet>'
ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a0 "lol">'
    + b"".join(b'<!ENTITY a%d "%b">' % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 10))
    + b"]>"
)


def rows_of(path: Path) -> list[dict[str, str]]:
    return [dict(row.cells) for row in read_rows(path)]


def workbook(path: Path, sheet: bytes) -> Path:
    """Write a workbook whose only sheet is ``sheet``."""
    made = io.BytesIO()
    book = openpyxl.Workbook()
    book.save(made)
    with zipfile.ZipFile(made) as parts, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for part in parts.infolist():
            changed = part.filename == "xl/worksheets/sheet1.xml"
            target.writestr(part.filename, sheet if changed else parts.read(part.filename))
    return path


def cell(where: str, text: str) -> bytes:
    return f'<c r="{where}" t="inlineStr"><is><t>{text}</t></is></c>'.encode()


def test_columns_may_have_chinese_names(tmp_path: Path) -> None:
    path = tmp_path / "单位.csv"
    path.write_text("单位编号,单位名称,级别\nS1,一小,学校\n", encoding="gb18030")
    assert rows_of(path) == [{"code": "S1", "name": "一小", "level": "学校"}]


def test_excels_unicode_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "units.txt"
    path.write_text('code\tname\r\nS1\t"一小, 南校区"\r\n', encoding="utf-16")
    assert rows_of(path) == [{"code": "S1", "name": "一小, 南校区"}]


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_text('code,name\n\nS1,"two\nlines"\nS2,x\n', encoding="utf-8")
    assert [row.where.rpartition(":")[2] for row in read_rows(path)] == ["4", "5"]


@pytest.mark.parametrize(
    "text", ["a\0b", "a\x1bb", "a\nb", "x" * (MAX_CELL + 1)], ids=["nul", "escape", "line", "long"]
)
def test_cells_that_no_name_has_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        Row({"name": text}, "x:1").need("name")


def test_a_sheet_of_far_corners_is_read_in_bounds(tmp_path: Path) -> None:
    rows = b'<row r="1">%b</row><row r="90000">%b</row>' % (cell("A1", "code"), cell("XFD90000", "x"))
    path = workbook(tmp_path / "far.xlsx", SHEET % (b'<dimension ref="A1:XFD1048576"/>', rows))
    assert rows_of(path) == []
    assert MAX_COLUMNS < 16_384


def bomb(path: Path) -> Path:
    return workbook(path, SHEET % (b"", b" " * (129 << 20)))


def laughs(path: Path) -> Path:
    return workbook(path, ENTITIES + SHEET % (b"", b'<row r="1">%b</row>' % cell("A1", "&a9;")))


def cut(path: Path) -> Path:
    whole = workbook(path, SHEET % (b"", b'<row r="1">%b</row>' % cell("A1", "code"))).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def foreign(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("a", "b")
    return path


@pytest.mark.parametrize("make", [bomb, laughs, cut, foreign])
def test_damaged_and_hostile_workbooks_are_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / "list.xlsx")
    with pytest.raises(InputError) as caught:
        rows_of(path)
    assert caught.value.where.startswith(str(path))


@given(st.binary(max_size=200), st.sampled_from([b"", b"PK\x03\x04", b"\xff\xfe", b"code,name\n"]))
def test_whatever_the_bytes_only_input_errors_come(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_bytes(head + data)
    try:
        for row in read_rows(path):
            row.text("name")
    except InputError:
        pass


def test_what_never_ends_is_cut_off() -> None:
    with pytest.raises(InputError, match="larger than 64 MB"):
        rows_of(Path("/dev/zero"))
