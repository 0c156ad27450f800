"""Write a first configuration: commented in Chinese, with the centre filled in and examples to uncomment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from soc_core.errors import UsageError
from soc_core.system import open_file

_TEMPLATE: Final = Path(__file__).with_name("agent.toml")


def write_configuration(path: Path, url: str, name: str, proxy: str, state: Path) -> None:
    """Write the file; raise ``UsageError`` when it can't be written."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    values = {"@NAME@": name, "@STATE@": str(state), "@URL@": url, "@PROXY@": proxy}
    for mark, value in values.items():
        text = text.replace(mark, value.replace("\\", "\\\\").replace('"', '\\"'))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It may hold a proxy's password: the installer lets the agent's group read it.
        handle = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            error.strerror or "can't be written", where=str(path), todo="check the permissions of the folder"
        ) from error
