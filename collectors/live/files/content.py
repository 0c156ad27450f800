"""Read the bytes of a file by offset, unpacked, and hand parts of them to collectors.

Plain files are read where wanted. Packed ones (gzip, zstd, xz, bzip2) are read forwards; going back begins anew.
"""

from __future__ import annotations

import codecs
import io
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from collectors.base import HEAD_BYTES, Resume
from collectors.lines import text_head, utf16_codec
from collectors.live.files.marks import Mark
from collectors.opening import OpenSource, compression_of
from soc_core.errors import InputError
from soc_core.system import open_shared

_MAGIC_BYTES: Final = 8
_STEP: Final = 1 << 18
_LONGEST_HOLE: Final = 1 << 20


class Content(Protocol):
    """Give the unpacked bytes of one open file."""

    packed: bool

    def at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``, fewer only at the end. Raises ``OSError``."""
        ...

    def status(self) -> os.stat_result:
        """Return the state of the open file, whatever its name is now."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class PlainContent:
    """Read a file as it lies there; it may grow."""

    packed: bool = False

    def __init__(self, file: io.FileIO) -> None:
        """Take the open, unbuffered file."""
        self._file = file

    def at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``, fewer only at the end."""
        self._file.seek(offset)
        data = self._file.read(size) or b""
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        return data

    def status(self) -> os.stat_result:
        """Return the state of the open file."""
        return os.fstat(self._file.fileno())

    def next_data(self, offset: int) -> int:
        """Return where data begins at or after ``offset``, as far as the file system knows of holes."""
        if hasattr(os, "SEEK_DATA"):
            with suppress(OSError):
                return os.lseek(self._file.fileno(), offset, os.SEEK_DATA)
        return offset

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class PackedContent:
    """Read a packed file, which is not to grow."""

    packed: bool = True

    def __init__(self, path: str, file: io.FileIO) -> None:
        """Take the open file. Raises ``InputError`` when nothing of it can be read."""
        self._path, self._file = path, io.BufferedReader(file, _STEP)
        self.fault: InputError | None = None
        self.told = False
        """Whether the fault was said."""
        self._open()
        if not self._source.head:
            self._source.read(1)
            raise InputError("the file is empty", where=path)

    def _open(self) -> None:
        """Begin at the start of the file, whatever its name is now."""
        self._file.seek(0)
        status = self.status()
        modified = datetime.fromtimestamp(max(status.st_mtime, 0.0), UTC)
        self._source = OpenSource(self._path, self._file, size=status.st_size, modified=modified)
        self._start, self._buffer = 0, b""

    def at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``, fewer only at the end or where ``fault`` says the rest is damaged."""
        if offset + size <= len(self._source.head):
            return self._source.head[offset : offset + size]
        if offset < self._start:
            self._open()
        while self._start + len(self._buffer) < offset + size:
            if self._start + len(self._buffer) < offset:
                self._start, self._buffer = self._start + len(self._buffer), b""
            chunk = self._read()
            if not chunk:
                break
            self._buffer += chunk
        skipped = max(0, min(offset - self._start, len(self._buffer)))
        self._start, self._buffer = self._start + skipped, self._buffer[skipped:]
        return self._buffer[:size] if self._start == offset else b""

    def _read(self) -> bytes:
        try:
            return self._source.read(_STEP)
        except InputError as fault:
            self.fault = fault
            return b""

    def status(self) -> os.stat_result:
        """Return the state of the open file."""
        return os.fstat(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_content(path: str) -> Content:
    """Open a file. Raises ``OSError``, and ``InputError`` where a packed file can't be unpacked at all."""
    file = open_shared(path)
    try:
        packed = compression_of(file.read(_MAGIC_BYTES)) is not None
        return PackedContent(path, file) if packed else PlainContent(file)
    except (OSError, InputError):
        file.close()
        raise


@dataclass(frozen=True, slots=True)
class Window:
    """Hold a part of a file's text as UTF-8, which begins where a mark stands."""

    data: bytes
    codec: str | None
    mark_bytes: int
    """Bytes of the byte order mark before ``data`` (UTF-16 only)."""
    full: bool
    """Whether there may be more behind it."""

    def raw_size(self, size: int) -> int:
        """Return how many bytes of the file the first ``size`` bytes of ``data`` stand for."""
        if self.codec is None:
            return size
        return self.mark_bytes + len(
            self.data[:size].decode("utf-8", "replace").encode(self.codec, "replace")
        )


def make_window(plain: bytes, head: bytes, mark: Mark, limit: int) -> Window:
    """Return the window of the bytes ``plain`` that lie at the mark; ``head`` tells the encoding."""
    codec = utf16_codec(head)
    full = len(plain) >= limit
    if codec is None:
        return Window(plain, None, 0, full)
    mark_bytes = len(codecs.BOM_UTF16_LE) if mark.raw == 0 else 0
    body = plain[mark_bytes:]
    text = body[: len(body) - len(body) % 2].decode(codec, "replace")
    return Window(text.encode("utf-8", "replace"), codec, mark_bytes, full)


def slice_of(content: Content, head: bytes, position: int, size: int) -> bytes:
    """Return the bytes of a record by its place in the text; ``head`` tells the encoding."""
    codec = utf16_codec(head)
    if codec is None:
        return content.at(position, size)
    decoder = codecs.getincrementaldecoder(codec)("replace")
    offset, start = len(codecs.BOM_UTF16_LE), 0
    while plain := content.at(offset, _STEP):
        text = decoder.decode(plain).encode("utf-8", "replace")
        if start + len(text) > position:
            rest = content.at(offset + len(plain), 4 * size)
            text += decoder.decode(rest).encode("utf-8", "replace")
            return text[position - start : position - start + size]
        offset, start = offset + len(plain), start + len(text)
    return b""


def text_size(content: Content, codec: str, raw: int) -> int:
    """Return how many bytes of UTF-8 the first ``raw`` bytes of a UTF-16 file are."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    offset, size = len(codecs.BOM_UTF16_LE), 0
    while offset < raw and (plain := content.at(offset, min(_STEP, raw - offset))):
        size += len(decoder.decode(plain).encode("utf-8", "replace"))
        offset += len(plain)
    return size


class PartSource:
    """Give a part of a file to a collector as a source (``ByteSource``) that resumes."""

    def __init__(self, name: str, head: bytes, data: bytes, resume: Resume, modified: float) -> None:
        """``head`` is that of the whole file, ``data`` what stands at ``resume.position``."""
        self.name = name
        self.head = text_head(head) if utf16_codec(head) else head
        self.local_path: str | None = None
        self.modified = datetime.fromtimestamp(max(modified, 0.0), UTC)
        self.resume: Resume | None = resume
        self._data = data
        self._start = resume.position
        self._read = 0

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, ``b""`` at the end of the part."""
        chunk = self._data[self._read : self._read + size]
        self._read += len(chunk)
        return chunk

    @property
    def offset(self) -> int:
        """Return the offset in the file's text."""
        return self._start + self._read


def head_of(content: Content) -> bytes:
    """Return the first bytes of a file; those behind the hole where it begins with one."""
    head = content.at(0, HEAD_BYTES)
    if len(head) < HEAD_BYTES or head.strip(b"\0"):
        return head
    offset = content.next_data(HEAD_BYTES) if isinstance(content, PlainContent) else HEAD_BYTES
    data = content.at(offset, _LONGEST_HOLE).lstrip(b"\0")
    return data[:HEAD_BYTES] or head
