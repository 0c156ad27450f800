"""Get from an alert to the packets of its session, cut from the imported capture."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

from sqlalchemy import select

from intake.tables import sources
from soc_api.services import CutPackets
from soc_core.clock import parse_instant
from soc_core.errors import InputError, StoreBusyError
from soc_core.model.event import Event
from soc_core.state.database import Database
from soc_core.store.interface import EventReader, Scope

MARGIN: Final = timedelta(minutes=1)
MAX_PACKETS: Final = 20_000
TRIED: Final = 20
AT_ONCE: Final = 2
"""Cutting reads a whole capture: more at once would keep pages waiting."""
LEFT_SECONDS: Final = 3_600


class CaptureCutter:
    """Cut sessions out of captures that were imported and still lie where they were."""

    def __init__(self, database: Database, reader: EventReader, directory: Path) -> None:
        """Take where sources are remembered, the events, and a directory for temporary files."""
        self._database = database
        self._reader = reader
        self._directory = directory
        self._turns = BoundedSemaphore(AT_ONCE)

    def cut(self, scope: Scope, evidence: Sequence[str]) -> CutPackets | None:
        """Return the packets of the first evidence event whose capture is there; the scope holds for events too.

        Raises ``StoreBusyError`` when others are cut already.
        """
        if not self._turns.acquire(blocking=False):
            raise StoreBusyError("other packets are being cut", todo="try again in a moment")
        try:
            return self._first(scope, evidence)
        finally:
            self._turns.release()

    def _first(self, scope: Scope, evidence: Sequence[str]) -> CutPackets | None:
        events = self._reader.get(evidence[:TRIED], scope)
        for event_id in evidence[:TRIED]:
            event = events.get(event_id)
            path = self._capture_of(event) if event is not None else None
            if event is not None and path is not None:
                found = self._cut(event, path)
                if found is not None:
                    return found
        return None

    def _capture_of(self, event: Event) -> Path | None:
        if (
            not str(event.get("event.dataset", "")).startswith("packets.")
            or "network.community_id" not in event
        ):
            return None
        question = select(sources.c.path).where(
            sources.c.identity == str(event.get("edusoc.source", "")),
            sources.c.organization_id == str(event["organization.id"]),
        )
        with self._database.read() as connection:
            found = connection.scalar(question)
        path = Path(found) if found else None
        return path if path is not None and path.is_file() else None

    def _cut(self, event: Event, path: Path) -> CutPackets | None:
        from collectors.packets.session import cut_session, tree

        start = parse_instant(str(event.get("event.start", event["@timestamp"]))) - MARGIN
        end = parse_instant(str(event.get("event.end", event["@timestamp"]))) + MARGIN
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sweep()
        with tempfile.NamedTemporaryFile(dir=self._directory, suffix=".pcap") as file:
            target = Path(file.name)
            community = str(event["network.community_id"])
            try:
                result = cut_session(path, community, start, end, target, max_packets=MAX_PACKETS)
            except InputError:  # the capture can't be read any more: as if it were not there
                return None
            if not result.packets:
                return None
            layers = tree(target)
            return CutPackets(target.read_bytes(), result.packets, tuple(layers.lines), layers.missing)

    def _sweep(self) -> None:
        """Remove what a process that was killed left behind: packets are personal data."""
        for left in self._directory.glob("*.pcap"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                    left.unlink()
