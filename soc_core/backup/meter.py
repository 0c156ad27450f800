"""Show how far a backup is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol


class Meter(Protocol):
    """Be told how far the work is."""

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage (``state``, ``events``, ``files``, ``check``, ``snapshot``) of about ``total`` bytes."""
        ...

    def advance(self, size: int) -> None:
        """Count ``size`` more bytes of the stage as done."""
        ...


class SilentMeter:
    """Show nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Show nothing."""

    def advance(self, size: int) -> None:
        """Show nothing."""


def metered(blocks: Iterable[bytes], meter: Meter) -> Iterator[bytes]:
    """Pass blocks on and count their bytes."""
    for block in blocks:
        meter.advance(len(block))
        yield block
