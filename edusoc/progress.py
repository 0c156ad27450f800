"""Show how far a reading is: bytes of the files as they lie on disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn

from collectors.reading import ReadBatch

if TYPE_CHECKING:
    from tqdm import tqdm

UNKNOWN: Final = (80, 24)


def terminal_size() -> tuple[int, int] | tuple[None, None]:
    """Return the columns and lines a bar must be told where the terminal doesn't say them; a size of 0 would hide it.

    A serial line and some containers say 0. Elsewhere there is nothing to tell.
    """
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        return None, None
    return (None, None) if size.columns and size.lines else UNKNOWN


class ReadingBar:
    """Draw a bar on a terminal's stderr; elsewhere draw nothing."""

    def __init__(self, paths: Sequence[str], *, hidden: bool = False) -> None:
        """Take the paths to add up the bytes that will be read."""
        shown = sys.stderr.isatty() and not hidden
        total = sum(_size(Path(path)) for path in paths) if shown else 0
        from tqdm import tqdm  # an agent has commands with bars, but no bars

        columns, lines = terminal_size()
        self._bar = tqdm(
            total=total or None,
            unit="B",
            unit_scale=True,
            disable=not shown,
            file=sys.stderr,
            ncols=columns,
            nrows=lines,
        )
        self._file = ""
        self._done = 0

    def __enter__(self) -> ReadingBar:
        """Start drawing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal clean."""
        self._bar.close()

    def update(self, batch: ReadBatch) -> None:
        """Move on to what ``batch`` reached."""
        if batch.file != self._file:
            self._file, self._done = batch.file, 0
            self._bar.set_description(Path(batch.file).name[-30:], refresh=False)
        if batch.done > self._done:
            self._bar.update(batch.done - self._done)
            self._done = batch.done


class StagesBar:
    """Draw a bar of bytes (or ``unit``) for each stage of long work on a terminal's stderr; elsewhere draw nothing."""

    def __init__(self, names: Mapping[str, str], *, hidden: bool = False, unit: str = "B") -> None:
        """Take what the stages are called."""
        self._names, self._shown, self._unit = names, sys.stderr.isatty() and not hidden, unit
        self._bar: tqdm[NoReturn] | None = None

    def __enter__(self) -> StagesBar:
        """Begin with no stage."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal clean."""
        self._close()

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of about ``total`` units (0: nobody knows)."""
        self._close()
        from tqdm import tqdm  # an agent has commands with bars, but no bars

        columns, lines = terminal_size()
        self._bar = tqdm(
            desc=self._names.get(stage, stage),
            total=total or None,
            unit=self._unit,
            unit_scale=True,
            disable=not self._shown,
            file=sys.stderr,
            ncols=columns,
            nrows=lines,
        )

    def advance(self, size: int) -> None:
        """Count units of the stage as done."""
        if self._bar is not None:
            self._bar.update(size)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(_size(child) for child in path.iterdir())
        return path.stat().st_size
    except OSError:
        return 0
