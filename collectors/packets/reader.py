"""Read captures window by window and index their packets: pcap and pcapng, whole or damaged, plain or packed.

One buffer takes the decompressed bytes in turn; a record cut by its end is moved to the front. Plain files are read
the same way, not mapped: measured, reading costs 0.1 s a gigabyte more, but a file that is cut while it is read (log
rotation) can't kill the process, and the window stays in the processor's cache.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.base import ByteSource
from collectors.making import fault_reason
from collectors.packets import layout
from collectors.packets.machine import Kernel, address_of, make_memory
from soc_core.errors import InputError

WINDOW: Final = 4 << 20
INDEX_ROOM: Final = 16_384
_PCAP: Final = {0xA1B2C3D4: (1_000_000, 16), 0xA1B23C4D: (1_000_000_000, 16), 0xA1B2CD34: (1_000_000, 24)}
HEADER_SHORT: Final = "the header of the capture is cut short"
ENDS_INSIDE: Final = "the capture ends in the middle of a record"
DAMAGED: Final = "damaged record, looked for the next good one"
REASONS: Final = (HEADER_SHORT, ENDS_INSIDE, DAMAGED)
PCAPNG_MAGIC: Final = bytes.fromhex("0a0d0d0a")


def pcap_layout(head: bytes) -> tuple[bool, int, int] | None:
    """Return byte order (true: big-endian), units per second and record header length of a pcap, else ``None``."""
    if len(head) < 4:
        return None
    for big, code in ((False, "<I"), (True, ">I")):
        found = _PCAP.get(struct.unpack_from(code, head)[0])
        if found is not None:
            return big, *found
    return None


@dataclass(frozen=True, slots=True)
class Problem:
    """Say what part of a capture could not be read: offset, length (0 unknown) and reason."""

    position: int
    reason: str
    raw: bytes = b""


class CaptureReader:
    """Walk one capture. ``chunks`` yields how many packets the index holds; buffers are valid until the next step.

    ``base`` is the decompressed offset of the window's first byte, ``problems`` what was met so far (the owner
    empties it).
    """

    def __init__(self, source: ByteSource, kernel: Kernel, *, window: int = WINDOW) -> None:
        """Take the source, unread. ``window`` is made smaller by tests only."""
        self._source = source
        self._kernel = kernel
        self._file: io.RawIOBase | None = None
        self._end = False
        self.buffer = make_memory(window)
        self.base = 0
        self.filled = 0
        self.problems: list[Problem] = []
        self._state = make_memory(layout.WALK_SIZE * 8)
        self._words = memoryview(self._state).cast("q")
        self._interfaces = make_memory(layout.MAX_INTERFACES * layout.INTERFACE_COLUMNS * 8)
        self.index = make_memory(INDEX_ROOM * layout.INDEX_COLUMNS * 8)
        self.index_address = address_of(self.index)
        self._ng = False
        self._lost_from: int | None = None

    @property
    def address(self) -> int:
        """Return where the window lies in memory."""
        return address_of(self.buffer)

    @property
    def position(self) -> int:
        """Return the decompressed offset up to which packets were indexed."""
        return self.base + self._words[layout.WK_POSITION]

    @property
    def swapped(self) -> bool:
        """Tell whether the capture is big-endian."""
        return bool(self._words[layout.WK_SWAPPED])

    def chunks(self) -> Iterator[int]:
        """Yield the number of packets in the index, again and again; never raises for what the file holds."""
        try:
            if self._source.local_path is not None:
                self._file = Path(self._source.local_path).open("rb", buffering=0)  # noqa: SIM115 - closed below
            self._fill()
            if self._begin():
                yield from self._walk()
        except OSError as fault:
            self._problem(self.base + self.filled, fault.strerror or str(fault))
        finally:
            if self._file is not None:
                self._file.close()

    def _problem(self, position: int, reason: str) -> None:
        start = max(0, position - self.base)
        self.problems.append(Problem(position, reason, self.buffer[start : min(start + 256, self.filled)]))

    def _read_into(self, view: memoryview) -> int:
        """Read some bytes; 0 at the end."""
        if self._file is not None:
            return self._file.readinto(view) or 0
        piece = self._source.read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def _fill(self) -> None:
        """Fill the buffer as far as the source goes; a fault of decompression is its end."""
        with memoryview(self.buffer) as view:
            while self.filled < len(view) and not self._end:
                try:
                    size = self._read_into(view[self.filled :])
                except InputError as fault:
                    self._problem(self.base + self.filled, fault_reason(fault, self._source.name))
                    size = 0
                self._end = size == 0
                self.filled += size
        self._words[layout.WK_LAST] = self._end

    def _begin(self) -> bool:
        """Read the file's header; tell whether there is something to walk."""
        head = self.buffer[:24]
        self._ng = head.startswith(PCAPNG_MAGIC)
        if self._ng:
            return True
        found = pcap_layout(head)
        if found is None or self.filled < 24:
            self._problem(0, HEADER_SHORT)
            return False
        big, units, header = found
        magic, _, minor, _, _, snap, link = struct.unpack(">IHHIIII" if big else "<IHHIIII", head)
        words = self._words
        words[layout.WK_SWAPPED], words[layout.WK_UNITS], words[layout.WK_HEADER] = big, units, header
        words[layout.WK_LINK], words[layout.WK_SNAP], words[layout.WK_MAGIC] = link & 0xFFFF, snap, magic
        words[layout.WK_OLD] = minor < 4
        words[layout.WK_POSITION] = 24
        return True

    def _run(self, name: str) -> int:
        state, buffer = address_of(self._state), self.address
        if name == "walk":
            if not self._ng:
                arguments = (buffer, self.filled, state, self.index_address, INDEX_ROOM)
                return self._kernel.call("walk_pcap", *arguments)
            interfaces = address_of(self._interfaces)
            arguments_ng = (buffer, self.filled, state, interfaces, self.index_address, INDEX_ROOM)
            return self._kernel.call("walk_pcapng", *arguments_ng)
        return self._kernel.call("resync_pcapng" if self._ng else "resync_pcap", buffer, self.filled, state)

    def _walk(self) -> Iterator[int]:
        while True:
            result = self._run("walk")
            rows, reason = result >> 2, result & 3
            if rows:
                yield rows
            if reason == layout.WALK_DAMAGED:
                if not (yield from self._resynchronise()):
                    return
            elif reason == layout.WALK_END:
                if self._end:
                    if self._words[layout.WK_POSITION] < self.filled:
                        self._problem(self.position, ENDS_INSIDE)
                    return
                self._advance()

    def _advance(self) -> None:
        """Move what is left to the front and read on, into a larger buffer where one record needs it."""
        words = self._words
        position, need = words[layout.WK_POSITION], words[layout.WK_NEED]
        rest = self.buffer[position : self.filled]
        if need > len(self.buffer):
            self.buffer = make_memory(need + WINDOW)
        self.buffer[: len(rest)] = rest
        self.base += position
        self.filled = len(rest)
        words[layout.WK_POSITION] = 0
        self._fill()

    def _resynchronise(self) -> Generator[int, None, bool]:
        """Find where records make sense again; return (as a generator) whether there is such a place."""
        start = self.position
        self._problem(start, DAMAGED)
        while True:
            found = self._run("resync")
            if found >= 0:
                self._words[layout.WK_POSITION] = found
                return True
            if self._end:
                self._words[layout.WK_POSITION] = self.filled
                return False
            # A place that looks right but reaches beyond the window is looked at again with more bytes.
            stuck = self._words[layout.WK_POSITION] == 0 and self.filled == len(self.buffer)
            self._words[layout.WK_NEED] = 5 * layout.MAX_RECORD if stuck else 0
            self._advance()
            yield 0
