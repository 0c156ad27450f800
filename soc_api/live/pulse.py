"""Notice new changes once for all listeners of a process."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.concurrency import run_in_threadpool

from soc_api.services import Services
from soc_core.jobs import outbox

FRESH_SECONDS: Final = 0.25


class Pulse:
    """Read the outbox's newest sequence at most four times a second, however many pages listen."""

    def __init__(self, services: Services) -> None:
        """Take where the outbox is."""
        self._services = services
        self._newest = 0
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def newest(self) -> int:
        """Return the newest sequence, at most a quarter of a second old."""
        async with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                self._newest = await run_in_threadpool(self._read)
                self._read_at = time.monotonic()
        return self._newest

    def _read(self) -> int:
        with self._services.database.read() as connection:
            return outbox.last_sequence(connection)
