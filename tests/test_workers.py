"""Hold how the suite is shared between processes."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.workers import TOGETHER, group_of, wanted

ROOT = Path(__file__).parent.parent
TESTPATHS, ARGS = pytest.Config.ArgsSource.TESTPATHS, pytest.Config.ArgsSource.ARGS


def config(source: object = TESTPATHS, **changed: Any) -> Any:
    usual = {
        "keyword": "",
        "markexpr": "",
        "usepdb": False,
        "trace": False,
        "collectonly": False,
        "capture": "fd",
    }
    return SimpleNamespace(args_source=source, option=SimpleNamespace(**usual | changed))


def test_the_whole_suite_is_shared() -> None:
    assert 2 <= wanted(config()) <= 4


@pytest.mark.parametrize(
    "asked",
    [
        {"source": ARGS},
        {"keyword": "backup"},
        {"markexpr": "not slow"},
        {"usepdb": True},
        {"collectonly": True},
        {"capture": "no"},
    ],
)
def test_a_part_and_a_debugger_stay_in_one_process(asked: dict[str, Any]) -> None:
    assert wanted(config(**asked)) == 0


def test_files_that_stay_together_are_there_once() -> None:
    names = [name for group in TOGETHER for name in group]
    assert len(set(names)) == len(names)
    for name in names:
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("fixture", ["demo_run", "secured_elasticsearch"])
def test_what_is_costly_to_make_is_made_in_one_process(fixture: str) -> None:
    takes = re.compile(rf"^ *def (?!{fixture}\b).*\b{fixture}: |^    {fixture}: ", re.MULTILINE)
    users = [path for path in (ROOT / "tests").rglob("*.py") if takes.search(path.read_text())]
    groups = {group_of(f"{path.relative_to(ROOT).as_posix()}::test") for path in users}
    assert len(users) > 1
    assert len(groups) == 1, sorted(map(str, users))


def test_other_files_are_handed_out_one_by_one() -> None:
    assert group_of("tests/test_workers.py::test_a[tests/x.py::y]") == "tests/test_workers.py"
