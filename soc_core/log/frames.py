"""Encode and find the frames of a log file.

File: an 8-byte magic, version (u32), base offset (u64), CRC32 of these (u32). Then frames: a 4-byte magic, CRC32 of the
rest (u32), payload length (u32), offset of the first item (u64), number of items (u32), payload. All little endian.
The magic of each frame lets a reader find its way again behind damage.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from soc_core.errors import StoreError

FILE_MAGIC: Final = b"edusocLG"
FRAME_MAGIC: Final = b"eFr\x01"
VERSION: Final = 1
MAX_PAYLOAD: Final = 256 * 1024 * 1024
_FILE: Final = struct.Struct("<8sIQI")
_FRAME: Final = struct.Struct("<4sIIQI")
_CHECKED: Final = struct.Struct("<IQI")
FILE_HEADER: Final = _FILE.size
FRAME_HEADER: Final = _FRAME.size
_STEP: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """Hold one record: the offset of its first item, how many items, and its bytes."""

    offset: int
    count: int
    payload: bytes

    @property
    def end(self) -> int:
        """Return the offset after the last item."""
        return self.offset + self.count


@dataclass(frozen=True, slots=True)
class Damage:
    """Name bytes of a log file that can't be read: ``position`` and ``length`` in ``path``."""

    path: Path
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Say where a record lies: its file position, the position after it, first offset and number of items."""

    position: int
    end_position: int
    offset: int
    count: int


def file_header(base: int) -> bytes:
    """Return the first bytes of a file whose first item has offset ``base``."""
    head = _FILE.pack(FILE_MAGIC, VERSION, base, 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(head))


def read_base(stream: BinaryIO, path: Path) -> int | None:
    """Return a file's base offset, ``None`` when its header is torn; raise ``StoreError`` for a newer version."""
    head = stream.read(FILE_HEADER)
    if len(head) < FILE_HEADER:
        return None
    magic, version, base, crc = _FILE.unpack(head)
    if magic != FILE_MAGIC or crc != zlib.crc32(head[:-4]):
        return None
    if version != VERSION:
        raise StoreError(
            f"log version {version} is not known", where=str(path), todo="use the newer program that wrote it"
        )
    return int(base)


def encode(record: Record) -> bytes:
    """Return the frame of a record."""
    checked = _CHECKED.pack(len(record.payload), record.offset, record.count)
    crc = zlib.crc32(record.payload, zlib.crc32(checked))
    return FRAME_MAGIC + crc.to_bytes(4, "little") + checked + record.payload


def read_frame(stream: BinaryIO, position: int, *, payload: bool) -> tuple[Frame, bytes] | None:
    """Return the frame at ``position`` and its payload, ``None`` if there is no whole and sound one.

    Without ``payload`` only the header is looked at, and the payload is empty: for skipping, not for believing.
    """
    stream.seek(position)
    head = stream.read(FRAME_HEADER)
    if len(head) < FRAME_HEADER:
        return None
    magic, crc, length, offset, count = _FRAME.unpack(head)
    if magic != FRAME_MAGIC or length > MAX_PAYLOAD:
        return None
    frame = Frame(position, position + FRAME_HEADER + length, offset, count)
    if not payload:
        return frame, b""
    body = stream.read(length)
    if len(body) < length or zlib.crc32(body, zlib.crc32(head[8:])) != crc:
        return None
    return frame, body


def find_frame(stream: BinaryIO, position: int) -> int | None:
    """Return the position of the first sound frame at or behind ``position``, if any."""
    carried = b""
    while True:
        stream.seek(position + len(carried))
        block = carried + stream.read(_STEP)
        at = block.find(FRAME_MAGIC)
        while at >= 0:
            if read_frame(stream, position + at, payload=True) is not None:
                return position + at
            at = block.find(FRAME_MAGIC, at + 1)
        if len(block) < len(carried) + _STEP:
            return None
        carried = block[-len(FRAME_MAGIC) + 1 :]
        position += len(block) - len(carried)


def scan(stream: BinaryIO, path: Path, position: int = FILE_HEADER) -> Iterator[tuple[Frame, bytes] | Damage]:
    """Yield all sound frames from ``position`` on, and damage where bytes between or behind them are not frames."""
    while True:
        found = read_frame(stream, position, payload=True)
        if found is None:
            size = stream.seek(0, 2)
            following = find_frame(stream, position + 1)
            end = size if following is None else following
            if end > position:
                yield Damage(path, position, end - position)
            if following is None:
                return
            position = following
            continue
        yield found
        position = found[0].end_position
