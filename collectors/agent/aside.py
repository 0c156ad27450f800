"""Keep bad records aside at the agent: the newest ones, with reason and place, for people to look at.

They are counted in any case; of one input so many a minute are kept, and of all together so many bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from collectors.live.base import Origin
from soc_core.clock import Clock, format_instant
from soc_core.errors import StoreError
from soc_core.log import LogReader, LogWriter
from soc_core.model.event import BadRecord

MOST_A_MINUTE: Final = 200
MOST_BYTES: Final = 32 << 20
_FILE_BYTES: Final = 2 << 20
_RAW_SHOWN: Final = 1_024


@dataclass(frozen=True, slots=True)
class Kept:
    """Hold a bad record as it is shown."""

    at: str
    source: str
    sender: str
    place: str
    reason: str
    raw: str


class Aside:
    """Keep bad records in a bounded log. Safe to use from several threads."""

    def __init__(self, directory: Path, reserve: int, clock: Clock) -> None:
        """Open the log; nothing is kept while less than ``reserve`` bytes of the disk are free."""
        self._log = LogWriter(directory, max_file=_FILE_BYTES, reserve=reserve)
        self._reader = LogReader(directory)
        self._clock = clock
        self._lock = threading.Lock()
        self._minute = ""
        self._counts: dict[str, int] = {}
        self.last: dict[str, str] = {}
        """The last reason of each source."""

    def keep(self, bad: Sequence[BadRecord], origin: Origin) -> None:
        """Keep records of a source, as many as there is room for."""
        now = format_instant(self._clock())
        with self._lock:
            self.last[origin.source] = bad[-1].reason.encode("utf-8", "backslashreplace").decode()
            if now[:16] != self._minute:
                self._minute, self._counts = now[:16], {}
            room = max(MOST_A_MINUTE - self._counts.get(origin.source, 0), 0)
            self._counts[origin.source] = self._counts.get(origin.source, 0) + min(room, len(bad))
        lines = [orjson.dumps(_row(item, origin, now)) for item in bad[:room]]
        if not lines:
            return
        try:
            self._log.append(b"\n".join(lines), len(lines))
        except StoreError:
            return  # the disk is full: counting must do
        if self._log.size > MOST_BYTES:
            with self._lock:
                self._log.drop_below(self._log.end_offset)

    def close(self) -> None:
        """Close the log."""
        self._log.close()


def _row(bad: BadRecord, origin: Origin, now: str) -> dict[str, str]:
    place = f"{bad.source}:{bad.line}" if bad.line else f"{bad.source}@{bad.position}"
    return {
        "at": now,
        "source": origin.source,
        "sender": origin.sender,
        "place": place.encode("utf-8", "backslashreplace").decode(),
        "reason": bad.reason.encode("utf-8", "backslashreplace").decode(),
        "raw": bad.raw[:_RAW_SHOWN].decode("utf-8", "backslashreplace"),
    }


def read_aside(directory: Path) -> Iterator[Kept]:
    """Yield the bad records kept in a directory, oldest first; also while an agent writes there."""
    if not directory.is_dir():
        return
    reader = LogReader(directory)
    for record in reader.records(reader.start_offset()):
        for line in record.payload.split(b"\n"):
            yield Kept(**orjson.loads(line))
