"""Write a first configuration: commented in Chinese, with the centre filled in and examples to uncomment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from soc_core.errors import UsageError

STATE: Final = "/var/lib/edusoc-agent"
_TEMPLATE: Final = Path(__file__).with_name("agent.toml")


def write_configuration(path: Path, url: str, name: str, proxy: str, state: Path) -> None:
    """Write the file; raise ``UsageError`` when it can't be written."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    values = {"@NAME@": name, "@STATE@": str(state), "@URL@": url, "@PROXY@": proxy}
    for mark, value in values.items():
        text = text.replace(mark, value.replace("\\", "\\\\").replace('"', '\\"'))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            error.strerror or "can't be written", where=str(path), todo="check the permissions of the folder"
        ) from error
