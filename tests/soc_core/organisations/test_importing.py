from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest

from soc_core.errors import InputError, UsageError
from soc_core.organisations.importing import import_file
from soc_core.organisations.lists import read_rows, write_rows
from soc_core.organisations.networks import list_networks
from soc_core.organisations.repository import list_assets, load_tree
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
UNITS = """code,name,level,parent_code,school_code,zones,valid_from
S1,一小,school,C,9900000001,default=192.168.1.0/24;10.1.0.0/16|监控网=172.16.0.0/24,2020-09-01
C,某县教育局,county,,,,
S2,二小,school,NOPE,,,
S3,三小,planet,C,,,
S4,四小,school,C,,default=300.1.1.1/8,
"""


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_good_rows_come_in_and_bad_ones_are_named(database: Database, tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "units.csv", UNITS, encoding)
    with database.write() as connection:
        report = import_file(connection, path, now=NOW)
        tree = load_tree(connection, NOW.date())
    assert (report.units, report.bad) == (3, 3)
    assert [problem.split(":")[1] for problem in report.problems] == ["5", "6", "4"]
    school = tree.find("9900000001")
    assert tree.units[school.parent_id or ""].code == "C"
    assert school.zones["监控网"] == ("172.16.0.0/24",)


def test_unknown_columns_are_named(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "units.csv", "code,name,parent,备注\nC,某县教育局,X,好\n")
    with database.write() as connection:
        report = import_file(connection, path, now=NOW)
    assert (report.units, report.bad) == (1, 0)
    assert report.problems == [f"{path}:1: unknown columns are left out: parent, 备注"]


def test_importing_twice_changes_nothing(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "units.csv", UNITS)
    with database.write() as connection:
        import_file(connection, path, now=NOW)
        first = load_tree(connection, NOW.date()).units
        import_file(connection, path, now=NOW)
        assert load_tree(connection, NOW.date()).units == first


def test_a_workbook_reads_like_a_list(database: Database, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (
        ["code", "name", "level"],
        ["C", "某县教育局", "county"],
        [None, None, None],
        ["X", None, "county"],
    ):
        sheet.append(row)
    book.save(tmp_path / "units.xlsx")
    with database.write() as connection:
        report = import_file(connection, tmp_path / "units.xlsx", now=NOW)
    assert (report.units, report.bad) == (1, 1)
    assert "units.xlsx:4" in report.problems[0]


def test_assets_name_their_unit_and_duty_holders(database: Database, tmp_path: Path) -> None:
    write(tmp_path / "units.csv", UNITS)
    text = (
        "organisation_code,zone,address,name,supervisor,operator,user,importance\n"
        "S1,default,192.168.1.10,网站服务器,张三,李四,王五,3\nS1,default,1.2.3,坏地址,,,,\nS9,default,10.0.0.1,无校,,,,\n"
    )
    path = write(tmp_path / "assets.csv", text)
    with database.write() as connection:
        import_file(connection, tmp_path / "units.csv", now=NOW)
        report = import_file(connection, path, now=NOW)
        found = list_assets(connection, SYSTEM_SCOPE)
    assert (report.assets, report.bad) == (1, 2)
    assert (found[0].supervisor, found[0].operator, found[0].user, found[0].importance) == (
        "张三",
        "李四",
        "王五",
        3,
    )


@pytest.mark.parametrize(
    "data", [b"", b"code,name\n", b"PK\x03\x04garbage", b"\xff\xfe\x00\x80\xff", b"\0" * 100]
)
def test_unreadable_lists_are_refused_in_words(database: Database, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    with database.write() as connection, pytest.raises((InputError, UsageError)) as caught:
        import_file(connection, path, now=NOW)
    assert "list" in str(caught.value)


def test_other_columns_are_refused(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a,b\n1,2\n")
    with database.write() as connection, pytest.raises(UsageError, match="columns"):
        import_file(connection, path, now=NOW)


def test_the_address_plan_has_dates_and_goes_out_as_it_came(database: Database, tmp_path: Path) -> None:
    units = write(tmp_path / "units.csv", "code,name\nS1,一小\nS2,二小\n")
    plan = write(
        tmp_path / "plan.csv",
        "所属单位编号,网段,区域,生效日期,失效日期\n"
        "S1,10.1.0.0/16;10.3.0.7,城域网,2020-09-01,2026-09-01\n"
        "S2,10.1.0.0/16,城域网,2026-09-01,\n"
        "S2,10.1.0.0/99,,,\nS9,10.1.0.0/16,,,\nS1,10.5.0.0/16,,2026-09-01,2026-09-01\n",
    )
    with database.write() as connection:
        import_file(connection, units, now=NOW)
        report = import_file(connection, plan, now=NOW)
        again = import_file(connection, plan, now=NOW)
        found = list_networks(connection)
        tree = load_tree(connection, NOW.date())
        assert tree.find("S2").zones == {"城域网": ("10.1.0.0/16",)}
        assert load_tree(connection, date(2026, 8, 31)).find("S1").zones["城域网"] == (
            "10.1.0.0/16",
            "10.3.0.7/32",
        )
    assert (report.networks, report.bad, again.networks, len(found)) == (3, 3, 3, 3)
    for name in ("out.csv", "out.xlsx"):
        write_rows(tmp_path / name, [("organisation_code", "network"), ("S1", "10.1.0.0/16")])
        [row] = read_rows(tmp_path / name)
        assert (row.text("organisation_code"), row.text("network")) == ("S1", "10.1.0.0/16")
