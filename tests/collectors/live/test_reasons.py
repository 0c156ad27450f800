"""Hold that whatever live inputs say in English can be said in Chinese."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from collectors.live import base
from collectors.reasons import reason_text

CHINESE = re.compile("[\u4e00-\u9fff]")
NETWORK = (
    "beats", "bulk", "datagrams", "documents", "eve_socket", "http_push", "http_server", "listening", "lumberjack",
    "pushing", "streams", "syslog", "syslog_framing", "syslog_records", "unix_sockets",
)  # fmt: skip
RAISED = {"RecordError", "UsageError", "RefusedError"}


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return ""


def sentences() -> list[str]:
    """Return the errors, advice and reasons in the source, with something in place of each parameter."""
    found: list[str] = []
    folder = Path(base.__file__).parent
    for path in sorted(folder / f"{name}.py" for name in NETWORK if (folder / f"{name}.py").exists()):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.target.id.isupper()
            ):
                text = text_of(node.value) if node.value else ""
                found += [text] if " " in text else []
            elif isinstance(node, ast.Call):
                found += spoken(node)
    return sorted(set(found))


def spoken(node: ast.Call) -> list[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    todo = [text_of(keyword.value) for keyword in node.keywords if keyword.arg == "todo"]
    if name == "fault" and len(node.args) == 3:
        return [f"setting 'x' {text_of(node.args[1])}", text_of(node.args[2])]
    return [text for text in [*map(text_of, node.args), *todo] if " " in text] if name in RAISED else []


@pytest.mark.parametrize("sentence", sentences())
def test_every_reason_is_said_in_chinese(sentence: str) -> None:
    assert CHINESE.search(reason_text(sentence, "zh")), sentence
    assert reason_text(sentence, "en") == sentence
