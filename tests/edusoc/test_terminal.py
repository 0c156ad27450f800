"""A command on a real terminal: nothing that an event holds commands it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EVIL = "a\x1b]0;owned\x07\x9b2J\x7f\u202egpj.exe 学校\tb"


@pytest.mark.parametrize("flat", [["--flat"], []])
def test_events_on_a_terminal_stay_text(tmp_path: Path, flat: list[str]) -> None:
    event = {"@timestamp": "2026-11-20T00:00:00Z", "message": EVIL, "event.dataset": "x"}
    (tmp_path / "e.ndjson").write_text(json.dumps(event, ensure_ascii=False) + "\n", encoding="utf-8")
    master, terminal = os.openpty()
    command = [sys.executable, "-m", "edusoc", "read", *flat, "--no-original", str(tmp_path / "e.ndjson")]
    done = subprocess.run(
        command,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUTF8": "1"},
        check=False,
    )
    os.close(terminal)
    seen = b""
    while chunk := _read(master):
        seen += chunk
    os.close(master)
    text = seen.decode("utf-8")
    assert done.returncode == 0
    assert not {"\x1b", "\x07", "\x9b", "\x7f", "\u202e"} & set(text)
    assert "学校" in text
    assert json.loads(text)["message"] == EVIL


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # Linux's way to say that the other end is closed
        return b""
