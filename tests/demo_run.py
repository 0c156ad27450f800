"""Run the demo as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class DemoRun:
    """Hold where a demo keeps its state, and how its run ended."""

    state: Path
    ended: subprocess.CompletedProcess[str]


def demo_command(state: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "edusoc", "demo", "--once", "--state", str(state), *arguments]


def environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDUSOC_")}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "random"}


def run_demo(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        demo_command(state, *arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
