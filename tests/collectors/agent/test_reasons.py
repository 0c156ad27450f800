"""Hold that whatever the agent says in English can be said in Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import collectors
from collectors.reasons import reason_text

CHINESE = re.compile("[\u4e00-\u9fff]")
FOLDER = Path(collectors.__file__).parent
FILES = [
    *sorted((FOLDER / "agent").glob("*.py")),
    *sorted((FOLDER / "uplink").glob("*.py")),
    FOLDER / "live" / "registry.py",
    FOLDER / "live" / "options.py",
]
RAISED = {"UsageError", "StoreError", "InputError", "LinkError"}
KINDS = {"link", "certificate", "proxy", "name"}


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return ""


def sentences() -> Iterator[tuple[str, str]]:
    """Yield place and text of each error and advice, with something in place of each parameter."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            where = f"{path.name}:{node.lineno}"
            todo = [keyword.value for keyword in node.keywords if keyword.arg == "todo"]
            if name in RAISED:
                for text in map(text_of, [*node.args, *todo]):
                    if len(text) > 1 and text not in KINDS:
                        yield where, text
            elif name == "fault" and len(node.args) == 3:
                yield where, f"setting 'x' {text_of(node.args[1])}"
                yield where, text_of(node.args[2])


def remedies() -> Iterator[tuple[str, str]]:
    """Yield the remedies of what is no TOML."""
    path = FOLDER / "agent" / "toml_places.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Return) and node.value is not None and (text := text_of(node.value)):
            yield path.name, text


@pytest.mark.parametrize(("where", "sentence"), sorted({*sentences(), *remedies()}))
def test_every_reason_is_said_in_chinese(where: str, sentence: str) -> None:
    if not re.search("[a-z]", sentence):
        return
    assert CHINESE.search(reason_text(sentence, "zh")), where
    assert reason_text(sentence, "en") == sentence
