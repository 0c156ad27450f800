"""Hold that whatever an error says in English can be said in Chinese."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from soc_core import i18n
from soc_core.errors import UsageError
from soc_core.reasons import LONGEST_INNER, error_text, reason_text

ROOT = Path(__file__).parent.parent.parent
CHINESE = re.compile("[\u4e00-\u9fff]")
CLASS = re.compile(r"class (\w+)\((?:\w*Error)\):")
PROGRAMMERS = ("soc_core/fields.py", "soc_core/i18n.py", "soc_core/store/counting.py")
"""Files whose errors only someone who writes code or API calls can meet."""
PACKAGES = ("soc_core", "detectors", "intake", "cases", "soc_api", "edusoc")
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.relative_to(ROOT).as_posix() not in PROGRAMMERS
}
FAMILY = {name for text in SOURCES.values() for name in CLASS.findall(text)} | {
    "EdusocError",
    "SigmaError",
    "_fault",
    "fault_at",
}
NAMED = {
    name: text
    for body in SOURCES.values()
    for name, text in re.findall(r'^(\w+): Final = "(.+)"$', body, re.MULTILINE)
}
"""Sentences that have a name, such as an advice given several times."""


def sentences() -> list[tuple[str, str]]:
    """Return ``file:line`` and text of every error in the source, with something in place of each parameter."""
    found = []
    for path, body in SOURCES.items():
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FAMILY:
                todo = [keyword.value for keyword in node.keywords if keyword.arg == "todo"]
                found += [
                    (f"{path.relative_to(ROOT).as_posix()}:{node.lineno}", text)
                    for text in map(text_of, [*node.args, *todo])
                    if len(text) > 1
                ]
    return found


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return NAMED.get(node.id, "") if isinstance(node, ast.Name) else ""


def load_catalogues() -> None:
    for package in PACKAGES:
        if (ROOT / package / "messages.toml").exists():
            i18n.load(package)


@pytest.mark.parametrize(("where", "sentence"), sentences())
def test_every_error_is_said_in_chinese(where: str, sentence: str) -> None:
    load_catalogues()
    assert sentence.startswith("edusoc ") or CHINESE.search(reason_text(sentence, "zh")), where
    assert reason_text(sentence, "en") == sentence


def test_a_catalogue_loaded_later_is_known() -> None:
    assert reason_text("a reason of tests", "zh") == "a reason of tests"
    i18n.add({"tests.reason.one": {"zh": "测试的原因", "en": "a reason of tests"}})
    assert reason_text("a reason of tests", "zh") == "测试的原因"


def test_place_reason_and_advice_are_said_one_by_one() -> None:
    said = reason_text(
        "/data/log: only 3 MB are free on the disk — free at least 65 MB; nothing was lost", "zh"
    )
    assert said == "/data/log：磁盘只剩 3 MB；请至少腾出 65 MB；没有丢失数据"


def test_a_reason_within_a_reason_and_its_advice_are_said_too() -> None:
    i18n.load("edusoc")
    said = reason_text("can't listen on ::1:80: Permission denied — choose another --port", "zh")
    assert said == "无法监听 ::1:80：没有权限；请用 --port 换一个端口"


def test_an_error_is_said_by_its_parts() -> None:
    load_catalogues()
    error = UsageError("closing an alert needs a reason", where="a: b", todo="read it again and repeat")
    assert error_text(error, "zh") == "a: b：关闭告警须选择原因；请重新打开后再改"
    assert error_text(error, "en") == str(error)
    assert (
        error_text(UsageError("a reason of nobody", todo="do nothing"), "zh")
        == "a reason of nobody；do nothing"
    )


def test_what_a_stranger_wrote_is_bounded() -> None:
    load_catalogues()
    inner = "there is no alert '"
    for foreign in (
        inner * 3_000 + "' that you may see" * 3_000,
        "setting '" + "': '" * 10_000,
        ": " * 30_000,
    ):
        assert len(foreign) > LONGEST_INNER
        said = error_text(UsageError(f"there is no alert '{foreign}' that you may see"), "zh")
        assert said == f"没有告警“{foreign}”，或您无权查看"
        assert reason_text(f"{foreign}: a reason of nobody", "zh").endswith("a reason of nobody")
