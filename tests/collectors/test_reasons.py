from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from collectors import registry
from collectors.opening import open_bytes
from collectors.reasons import reason_text
from soc_core.errors import InputError
from tests.collectors.base import GOLDEN

_CHINESE = re.compile("[\u4e00-\u9fff]")
_RAISED = {"RecordError", "InputError"}


def _sentences() -> list[str]:
    """Return the reasons in the source of the collectors, with something in place of each parameter."""
    found = []
    for path in sorted(Path(registry.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in _RAISED
                and node.args
            ):
                text = _text(node.args[0])
                # The first only a programmer can meet; the second is looked at by the next test.
                if text and not text.startswith(("there is no collector", "this is 7")):
                    found.append(text)
    return found


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return ""


@pytest.mark.parametrize("sentence", _sentences())
def test_every_reason_is_said_in_chinese(sentence: str) -> None:
    assert _CHINESE.search(reason_text(sentence, "zh")), sentence
    assert reason_text(sentence, "en") == sentence


@pytest.mark.parametrize("foreign", registry.FOREIGN, ids=lambda foreign: foreign[1])
def test_every_foreign_kind_is_said_in_chinese(foreign: tuple[bytes, str, str]) -> None:
    assert _CHINESE.search(reason_text(f"this is {foreign[1]}, which is not read", "zh"))
    assert not foreign[2] or _CHINESE.search(reason_text(foreign[2], "zh"))


def test_reasons_of_golden_samples_are_said_in_chinese() -> None:
    for path in GOLDEN.glob("*.expected.json"):
        for _, _, reason in json.loads(path.read_text(encoding="utf-8"))["bad"]:
            assert _CHINESE.search(reason_text(reason, "zh")), reason


def test_an_errors_parts_are_said_one_by_one() -> None:
    with open_bytes(b"PK\x03\x04", name="C: drive: x") as source, pytest.raises(InputError) as caught:
        registry.recognise(source)
    said = reason_text(str(caught.value), "zh")
    assert said == "C: drive: x：这是ZIP 压缩包或办公文档，不在读取范围内；请先解包"
    with open_bytes(b"\x00\x01", name="x") as source, pytest.raises(InputError) as caught:
        registry.recognise(source)
    assert "抓包（pcap、pcapng）" in reason_text(str(caught.value), "zh")


def test_unknown_reasons_stay_as_they_are() -> None:
    assert reason_text("something of a plug-in", "zh") == "something of a plug-in"
