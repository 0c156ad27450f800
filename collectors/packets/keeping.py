"""Keep the last packets on disk within a budget, so that a session can be looked at after an alert.

Files are plain captures (pcap, microseconds), named by the time of their first packet, ended by size or age; the oldest
go first when the budget is used up. Nothing is promised about the newest seconds when the power goes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from collectors.packets import layout
from collectors.packets.machine import Kernel, address_of, make_memory
from collectors.packets.meter import Window
from collectors.packets.session import Cut, cut_session
from soc_core.clock import epoch_us

ENDING: Final = ".pcap"
_BUFFER: Final = 4 << 20
_HEADER: Final = struct.Struct("<IHHIIII")
_MAGIC: Final = 0xA1B2C3D4
_SLACK_US: Final = 1_000_000
"""Packets of one block may be a little out of order."""


class PacketKeep:
    """Write packets to a directory and cut sessions out of it. One writes, others may cut meanwhile."""

    def __init__(
        self, directory: Path, kernel: Kernel, *, budget: int, file_bytes: int = 64 << 20, seconds: int = 600
    ) -> None:
        """Take where files lie, how many bytes all of them may have, and when one is ended."""
        self._directory, self._kernel = directory, kernel
        self._budget, self._file_bytes = budget, min(file_bytes, max(budget // 4, 1))
        self._seconds = seconds
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._buffer = make_memory(_BUFFER)
        self._written = make_memory(8)
        self._file: BinaryIO | None = None
        self._size, self._link, self._began = 0, -1, 0
        self.failed = 0

    def write(self, window: Window, index: memoryview, count: int) -> None:
        """Keep the packets of the window's index (rows as words); what can't be written is counted in ``failed``.

        A full disk never stops the metering: packets are kept again when there is room.
        """
        try:
            self._write(window, index, count)
        except OSError:
            self.failed += count
            self._end()
            self._make_room(self._file_bytes)

    def _write(self, window: Window, index: memoryview, count: int) -> None:
        time, link = index[layout.IX_TIME], index[layout.IX_LINK]
        aged = time - self._began > self._seconds * 1_000_000
        if self._file is None or link != self._link or self._size >= self._file_bytes or aged:
            self._begin(time, link)
        assert self._file is not None  # noqa: S101  # begun above
        done = 0
        while done < count:
            place, total = address_of(self._buffer), address_of(self._written)
            reached = self._kernel.call(
                "write_records",
                window.address,
                window.index_address,
                done,
                count,
                place,
                _BUFFER,
                total,
            )
            size = memoryview(self._written).cast("q")[0]
            self._file.write(memoryview(self._buffer)[:size])
            self._size += size
            done = (
                reached if reached > done or size else done + 1
            )  # one that is larger than the buffer is left out

    def _begin(self, time: int, link: int) -> None:
        self._end()
        self._make_room(self._file_bytes)
        path = self._directory / f"{time:017d}{ENDING}"
        while path.exists():
            time += 1
            path = self._directory / f"{time:017d}{ENDING}"
        self._file = path.open("wb", buffering=0)
        self._file.write(_HEADER.pack(_MAGIC, 2, 4, 0, 0, layout.MAX_RECORD, link))
        self._size, self._link, self._began = _HEADER.size, link, time

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _make_room(self, wanted: int) -> None:
        """Remove the oldest files until ``wanted`` more bytes fit into the budget."""
        files = [(path, _size(path)) for path in self._files()]
        total = sum(size for _, size in files)
        for path, size in files:
            if total + wanted <= self._budget:
                return
            with suppress(OSError):
                path.unlink()
                total -= size

    def _files(self) -> list[Path]:
        """Return the files, oldest first."""
        return sorted(path for path in self._directory.glob(f"*{ENDING}") if path.stem.isdigit())

    def cut(
        self, community: str, start: datetime, end: datetime, target: Path, *, max_packets: int = 10_000
    ) -> Cut:
        """Write the packets of one session between two instants to ``target``, a pcap; none are left out between files.

        The target is not made when there are none.
        """
        packets, more, link = 0, False, b""
        part = target.with_name(target.name + ".part")
        try:
            for path in self._during(epoch_us(start), epoch_us(end)):
                found = cut_session(path, community, start, end, part, max_packets=max_packets - packets)
                if not found.packets:
                    continue
                data = part.read_bytes()
                if link and data[20:24] != link:  # one pcap has one link type
                    more = True
                    continue
                with target.open("ab" if link else "wb") as output:
                    output.write(data[_HEADER.size if link else 0 :])
                link, packets, more = data[20:24], packets + found.packets, more or found.more
                if packets >= max_packets:
                    return Cut(packets, more=True)
        finally:
            part.unlink(missing_ok=True)
        return Cut(packets, more)

    def _during(self, start: int, end: int) -> Iterator[Path]:
        """Yield the files that may hold packets of the time, oldest first; one may go meanwhile."""
        files = self._files()
        for number, path in enumerate(files):
            begins = int(path.stem) - _SLACK_US
            ends = int(files[number + 1].stem) + _SLACK_US if number + 1 < len(files) else end
            if begins <= end and ends >= start and path.exists():
                yield path

    def span(self) -> tuple[int, int]:
        """Return how many bytes are kept and when the oldest packet was (microseconds since 1970, 0 for none)."""
        files = self._files()
        return sum(_size(path) for path in files), int(files[0].stem) if files else 0

    def close(self) -> None:
        """End the file that is being written."""
        self._end()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
