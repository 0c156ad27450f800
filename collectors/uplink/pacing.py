"""Say when to send and how fast: pauses after failures, a cap on bytes, hours of the day."""

from __future__ import annotations

import random
import re
import time as times
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from soc_core.clock import Clock, utc_now
from soc_core.errors import UsageError

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
LONGEST_WAIT: Final = 3_600.0
"""Seconds: a centre may ask for no longer wait."""
AGE_SECONDS: Final = 1.0
"""How long a small batch waits for more."""
_BURST_SECONDS: Final = 1.0
_WINDOW: Final = re.compile(r"(\d{1,2}):(\d\d) ?[-–~～至] ?(\d{1,2}):(\d\d)")


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads retries, guards nothing


@dataclass(frozen=True, slots=True)
class Outside:
    """Hold what comes from outside: a clock, a clock that never jumps (seconds), chance (0 to 1)."""

    clock: Clock = utc_now
    monotonic: Callable[[], float] = times.monotonic
    chance: Callable[[], float] = _chance


class Pauses:
    """Grow the pause with each failure, by half at random so that many agents don't come back all at once."""

    def __init__(
        self, chance: Callable[[], float], *, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE
    ) -> None:
        """``chance`` returns a random number from 0 to 1."""
        self._chance, self._first, self._longest = chance, first, longest
        self.failures = 0

    def failed(self) -> float:
        """Count a failure; return how many seconds to wait."""
        usual = min(self._first * 2.0 ** min(self.failures, 30), self._longest)
        self.failures += 1
        return usual * (0.5 + self._chance() / 2)

    def worked(self) -> None:
        """Begin again with the shortest pause."""
        self.failures = 0


class RateCap:
    """Say how long to wait so that no more than so many bytes a second are sent; 0 bytes mean no cap."""

    def __init__(self, bytes_per_second: int, monotonic: Callable[[], float]) -> None:
        """Take the cap and a clock that never jumps."""
        self._rate, self._monotonic = bytes_per_second, monotonic
        self._free_at = 0.0

    def take(self, size: int) -> float:
        """Count ``size`` bytes as about to be sent; return how many seconds to wait before."""
        if not self._rate:
            return 0.0
        now = self._monotonic()
        begin = max(self._free_at, now - _BURST_SECONDS)
        self._free_at = begin + size / self._rate
        return max(begin - now, 0.0)


@dataclass(frozen=True, slots=True)
class Window:
    """Hold the hours of the day, local time, in which everything is sent; equal ends mean always."""

    begin: time = time()
    end: time = time()

    @classmethod
    def parse(cls, text: str) -> Window:
        """Return the window of ``22:00-06:00``, always for an empty text; raise ``UsageError`` for anything else."""
        if not text:
            return cls()
        match = _WINDOW.fullmatch(text.strip())
        try:
            hours = [int(part) for part in match.groups()] if match else []
            return cls(time(hours[0] % 24, hours[1]), time(hours[2] % 24, hours[3]))
        except (IndexError, ValueError):
            raise UsageError(f"'{text}' is no span of hours", todo='write it like "22:00-06:00"') from None

    def is_open(self, local: datetime) -> bool:
        """Tell whether everything may be sent at a local time."""
        now = local.time()
        if self.begin == self.end:
            return True
        if self.begin < self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end


@dataclass(frozen=True, slots=True)
class Plan:
    """Say when and how fast to send. Outside the window urgent events pass if ``urgent_always``."""

    zone: ZoneInfo
    window: Window = field(default_factory=Window)
    urgent_always: bool = True
    bytes_per_second: int = 0
    age_seconds: float = AGE_SECONDS
