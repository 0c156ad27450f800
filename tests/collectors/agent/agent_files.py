"""Write configurations for tests, and be the kind ``scripted`` of inputs that they name."""

from __future__ import annotations

from pathlib import Path

from collectors.live.base import LiveInput
from collectors.live.options import Options
from tests.collectors.agent.helpers import Scripted


def write(folder: Path, url: str) -> Path:
    """Write a configuration without inputs."""
    path = folder / "agent.toml"
    path.write_text(
        f'[agent]\nstate = "{folder / "state"}"\n[centre]\nurl = "{url}"\n[spool]\nsize_mb = 16\nreserve_mb = 0\n'
    )
    return path


def inputs(path: Path, *names: str) -> None:
    """Let a configuration have scripted inputs."""
    text = path.read_text().partition("\n[[inputs]]")[0]
    path.write_text(text + "".join(f'\n[[inputs]]\nname = "{name}"\nkind = "scripted"\n' for name in names))


def build(name: str, options: Options) -> LiveInput:
    return Scripted(name)
