"""Keep the packets that agents send because an order asked for them, until they are old."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from intake.agents.tables import orders
from soc_core.errors import InputError
from soc_core.log.files import write_whole
from soc_core.uplink.orders import PACKETS
from soc_core.uplink.packets import unpack_capture

FOLDER: Final = "requested"
ENDING: Final = ".pcap"
KEPT: Final = timedelta(days=30)
MOST_BYTES: Final = 2 << 30
"""Of all captures together: the oldest go first."""


class Shelf:
    """Hold captures by agent and order, as files that only the centre can read."""

    def __init__(self, state: Path) -> None:
        """Take the state directory."""
        self._folder = state / FOLDER

    def path(self, agent_id: str, number: int) -> Path:
        """Return where the capture of an order is, or would be."""
        if not (agent_id.isascii() and agent_id.isalnum()):
            raise InputError("this is no agent's id")
        return self._folder / f"{agent_id}-{number}{ENDING}"

    def take(self, connection: Connection, agent_id: str, number: int, body: bytes) -> Path:
        """Keep what an agent sent for an order; a second time changes nothing.

        Raises ``InputError`` for what is no capture, or what no order of this agent asked for.
        """
        asked = select(orders.c.number).where(
            orders.c.agent_id == agent_id, orders.c.number == number, orders.c.kind == PACKETS
        )
        if connection.execute(asked).first() is None:
            raise InputError("no order asked for these packets", where=f"order {number}")
        target = self.path(agent_id, number)
        if target.exists():
            return target
        plain = unpack_capture(body)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room(len(plain))
        write_whole(target, plain)
        return target

    def _files(self) -> list[tuple[float, int, Path]]:
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.glob(f"*{ENDING}") if self._folder.is_dir() else ():
            with suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        return sorted(found)

    def _make_room(self, wanted: int) -> None:
        files = self._files()
        total = sum(size for _, size, _ in files) + wanted
        for _, size, path in files:
            if total <= MOST_BYTES:
                return
            path.unlink(missing_ok=True)
            total -= size

    def forget(self, now: datetime) -> int:
        """Remove captures older than ``KEPT``; return how many."""
        old = [path for at, _, path in self._files() if now.timestamp() - at > KEPT.total_seconds()]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)
