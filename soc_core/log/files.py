"""Name, list and publish the files of a log directory."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

from soc_core.system import open_file, replace, sync_directory, write_at

COMMITTED: Final = "committed"
DAMAGED: Final = "damaged"
_MARK: Final = struct.Struct("<QI")


def file_name(base: int) -> str:
    """Return the name of the file that begins with offset ``base``; names sort by offset."""
    return f"{base:020d}.log"


def list_files(directory: Path) -> list[tuple[int, Path]]:
    """Return base offset and path of all log files, lowest first."""
    names = sorted(name for name in _names(directory) if name.endswith(".log") and name[:20].isdigit())
    return [(int(name[:20]), directory / name) for name in names]


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file durably, all or nothing."""
    new = path.with_name(path.name + ".new")
    handle = open_file(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    replace(new, path)
    sync_directory(path.parent)


def publish(descriptor: int, end: int) -> None:
    """Tell readers that everything below ``end`` is committed."""
    body = struct.pack("<Q", end)
    write_at(descriptor, body + struct.pack("<I", zlib.crc32(body)), 0)


def read_committed(directory: Path) -> int:
    """Return the offset below which everything is committed; 0 when nothing was ever written or it can't be read."""
    return read_mark(directory) or 0


def read_mark(directory: Path, name: str = COMMITTED) -> int | None:
    """Return what a mark (``publish``) says: 0 when there is none yet, ``None`` when it is damaged."""
    for _ in range(100):  # a reader may meet the writer half way; the CRC tells
        try:
            body = (directory / name).read_bytes()
        except FileNotFoundError:
            return 0
        if len(body) >= _MARK.size:
            end, crc = _MARK.unpack_from(body)
            if crc == zlib.crc32(body[:8]):
                return int(end)
    return None
