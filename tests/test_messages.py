"""Hold every catalogue: both languages, the same parameters, the glossary's words."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from pathlib import Path

import pytest

from soc_core.fields import FIELDS
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


PRODUCT = ("edusoc", "soc_core", "collectors", "detectors", "intake", "cases", "soc_api")
KEY = re.compile(r"[a-z_]+(?:\.[a-z0-9_]+)+")


def sources(*packages: str) -> list[tuple[Path, str]]:
    """Return the files that may name a key: code, templates, scripts, the demo's data."""
    return [
        (path, path.read_text(encoding="utf-8"))
        for package in packages
        for path in sorted((ROOT / package).rglob("*"))
        if path.suffix in {".py", ".html", ".js", ".toml"} and path.name != "messages.toml"
    ]


def named(path: Path, text: str) -> tuple[set[str], set[str]]:
    """Return the texts a file holds, and the patterns of those it puts together (``f"alert.{name}"``)."""
    if path.suffix != ".py":
        joined = re.findall(r"""["']([\w.]+)["'] *~""", text)
        return set(re.findall(r"""["']([\w.]+)["']""", text)), {
            re.escape(part) + r"[\w.]+" for part in joined
        }
    texts, patterns = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[\w.]+"
                for part in node.values
            ]
            if any(re.search(r"[a-z]{3,}|_", part) for part in parts if part != r"[\w.]+"):
                patterns.add("".join(parts))
    return texts, patterns


def test_every_sentence_is_used_somewhere() -> None:
    held = [named(path, text) for path, text in sources(*PRODUCT)]
    texts = set().union(*(found for found, _ in held))
    patterns = re.compile("|".join(sorted(set().union(*(made for _, made in held)))))

    def used(key: str) -> bool:
        """Tell whether a key is named whole, or from the part on which its package's own function adds before it.

        Reasons of detectors are named by their last part only: the detector's id stands before it.
        """
        tails = [".".join(key.split(".")[start:]) for start in range(3)]
        if key.startswith("detectors."):
            tails.append(key.rpartition(".")[2].removesuffix("_minutes"))  # correlations of whole minutes
        return any(tail and (tail in texts or patterns.fullmatch(tail)) for tail in tails)

    # Reasons are found by their English sentence: see tests/soc_core/test_reasons.py.
    unused = [key for _, key, _ in entries() if ".reason." not in key and not used(key)]
    assert unused == []


def test_every_key_in_the_code_has_its_sentence() -> None:
    keys = {key for _, key, _ in entries()}
    areas = {".".join(key.split(".")[:2]) + "." for key in keys}
    missing = [
        f"{path.relative_to(ROOT).as_posix()}: {text}"
        for path, body in sources(*PRODUCT)
        if path.suffix == ".py"
        for text in named(path, body)[0]
        if KEY.fullmatch(text)
        and text.startswith(tuple(areas))
        and text not in keys | FIELDS.keys()
        and not any(key.startswith(text) for key in keys)
    ]
    assert missing == []
