"""Hold every catalogue: both languages, the same parameters, the glossary's words."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest

from soc_core.i18n import flatten

ROOT = Path(__file__).parent.parent
CATALOGUES = sorted(path for path in ROOT.glob("*/**/messages.toml") if ".venv" not in path.parts)
FORBIDDEN = {
    "事件": "event is 日志记录, incident is 网络安全事件",
    "应急预案": "playbook is 处置流程",
    "租户": "organisation is 单位",
    "警报": "alert is 告警",
    "证据": "evidence is 佐证材料",
}
ALLOWED = ("网络安全事件", "事件代码", "事件 ID", "Windows 安全日志")


def entries() -> list[tuple[str, str, dict[str, str]]]:
    found = []
    for path in CATALOGUES:
        for key, texts in flatten(tomllib.loads(path.read_text(encoding="utf-8"))).items():
            found.append((path.relative_to(ROOT).as_posix(), key, texts))
    return found


def test_there_are_catalogues() -> None:
    assert len(CATALOGUES) >= 4


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_keys_begin_with_their_package(path: Path) -> None:
    package = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    shown = "pages" if package == "soc_api.pages" else package
    keys = flatten(tomllib.loads(path.read_text(encoding="utf-8")))
    assert all(key.startswith(f"{shown}.") for key in keys)


def test_both_languages_take_the_same_parameters() -> None:
    def parameters(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    different = [key for _, key, texts in entries() if parameters(texts["zh"]) != parameters(texts["en"])]
    assert different == []


def test_neither_language_is_empty_or_in_the_other() -> None:
    wrong = [
        key
        for _, key, texts in entries()
        if not texts["zh"].strip() or not texts["en"].strip() or re.search(r"[\u4e00-\u9fff]", texts["en"])
    ]
    assert wrong == []


def test_chinese_follows_the_glossary() -> None:
    wrong = []
    for path, key, texts in entries():
        text = texts["zh"]
        for allowed in ALLOWED:
            text = text.replace(allowed, "")
        wrong += [f"{path} {key}: {word} ({why})" for word, why in FORBIDDEN.items() if word in text]
    assert wrong == []
