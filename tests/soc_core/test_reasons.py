"""Hold that whatever an error says in English can be said in Chinese."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from soc_core import i18n
from soc_core.reasons import reason_text

ROOT = Path(__file__).parent.parent.parent
CHINESE = re.compile("[\u4e00-\u9fff]")
RAISED = {"UsageError", "InputError", "StoreError", "StoreBusyError", "NotAllowedError", "_fault"}
PROGRAMMERS = ("soc_core/fields.py", "soc_core/i18n.py", "soc_core/store/embedded/counting.py")
"""Files whose errors only someone who writes code or API calls can meet."""
PACKAGES = ("soc_core", "edusoc")


def sentences() -> list[tuple[str, str]]:
    """Return ``file:line`` and text of every error in the source, with something in place of each parameter."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name in PROGRAMMERS:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED:
                    todo = [keyword.value for keyword in node.keywords if keyword.arg == "todo"]
                    found += [
                        (f"{name}:{node.lineno}", text)
                        for text in map(text_of, [*node.args, *todo])
                        if len(text) > 1
                    ]
    return found


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return ""


@pytest.mark.parametrize(("where", "sentence"), sentences())
def test_every_error_is_said_in_chinese(where: str, sentence: str) -> None:
    i18n.load("edusoc")
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
