"""Show what the demo is doing, stage by stage, and how long each stage took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

from edusoc.demo.words import say
from edusoc.progress import terminal_size


class Stages:
    """Draw a bar a stage on a terminal's stderr and a line when it is done; ``seconds`` keeps the times."""

    def __init__(self, language: str) -> None:
        """Take the language of the lines."""
        self._language = language
        self._started = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[tqdm[NoReturn]]:
        """Run one stage; its bar has ``total`` steps."""
        title = say(f"stage.{name}", self._language)
        started = time.monotonic()
        columns, lines = terminal_size()
        bar = tqdm(
            total=total,
            desc=title,
            unit=unit,
            leave=False,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            ncols=columns,
            nrows=lines,
        )
        with bar:
            yield bar
        self.seconds[name] = time.monotonic() - started
        self._line("stage.done", title=title, seconds=f"{self.seconds[name]:.1f}")

    def finish(self) -> None:
        """Say how long everything took."""
        self.seconds["total"] = time.monotonic() - self._started
        self._line("stage.total", seconds=f"{self.seconds['total']:.1f}")

    def note(self, key: str, **values: str | int) -> None:
        """Say something between stages."""
        self._line(key, **values)

    def _line(self, key: str, **values: str | int) -> None:
        print(say(key, self._language, **values), file=sys.stderr, flush=True)
