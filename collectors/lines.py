"""Split a byte source into lines of bounded length, with offsets and line numbers.

Handles LF and CRLF, an unterminated last line, a UTF-8 byte order mark, UTF-16 with a byte order mark (brought to
UTF-8 first: offsets then count UTF-8 bytes, so a converted copy of a file gives the same ids) and the holes of NUL
bytes that log rotation by truncation leaves.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from collectors.base import MAX_RECORD_BYTES, ByteSource
from soc_core.errors import InputError

_CHUNK: Final = 1 << 18
_KEPT: Final = 4_096


class Line(NamedTuple):
    """Hold one line without its end. ``position`` is the offset of its first byte, ``number`` counts from 1.

    ``too_long`` lines carry only their first 4,096 bytes.
    """

    position: int
    number: int
    raw: bytes
    too_long: bool = False


def utf16_codec(head: bytes) -> str | None:
    """Return the codec when ``head`` starts with a UTF-16 byte order mark."""
    if head.startswith(codecs.BOM_UTF16_LE) and not head.startswith(codecs.BOM_UTF32_LE):
        return "utf-16-le"
    return "utf-16-be" if head.startswith(codecs.BOM_UTF16_BE) else None


def text_head(head: bytes) -> bytes:
    """Return ``head`` as UTF-8 without byte order mark, for recognition."""
    codec = utf16_codec(head)
    if codec:
        return head[2:].decode(codec, "replace").encode("utf-8", "replace")
    return head.removeprefix(codecs.BOM_UTF8).lstrip(b"\0")


def text_reader(source: ByteSource) -> Callable[[int], bytes]:
    """Return a read function that gives UTF-8 where the source is UTF-16 with a mark, else the bytes as they are."""
    codec = utf16_codec(source.head)
    if codec is None:
        return source.read
    decoder = codecs.getincrementaldecoder(codec)("replace")

    def read(size: int) -> bytes:
        while True:
            chunk = source.read(size)
            text = decoder.decode(chunk, final=not chunk).removeprefix("\ufeff")
            if text or not chunk:
                return text.encode("utf-8", "replace")

    return read


def decode_text(raw: bytes) -> str:
    """Return the text of ``raw``: UTF-8, else GB18030 (GB 18030-2022), else UTF-8 with bad bytes in hexadecimal.

    A GB18030 text of a few characters can be valid UTF-8 by chance; it is then read as UTF-8.
    """
    for codec in ("utf-8", "gb18030"):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "backslashreplace")


def read_lines(source: ByteSource) -> Iterator[Line]:
    """Yield the non-empty lines of ``source``; holds at most one record and one chunk in memory.

    Offsets and numbers count on where the source resumes. Raises ``InputError`` where decompression fails, after all
    lines before that point.
    """
    read = text_reader(source)
    buffer = read(_CHUNK)
    resume = source.resume
    position, number = (resume.position, resume.line) if resume is not None else (0, 1)
    if not position and buffer.startswith(codecs.BOM_UTF8):
        buffer, position = buffer[3:], 3
    ended = not buffer
    while buffer or not ended:
        pieces = buffer.split(b"\n")
        rest = b"" if ended else pieces.pop()
        for piece in pieces:
            line = _line(position, number, piece)
            if line is not None:
                yield line
            position += len(piece) + 1
            number += 1
        if ended:
            return
        if rest.startswith(b"\0"):
            stripped = rest.lstrip(b"\0")
            position, rest = position + len(rest) - len(stripped), stripped
        if len(rest) > MAX_RECORD_BYTES:
            yield Line(position, number, rest[:_KEPT], too_long=True)
            skipped, buffer = _skip_line(read, len(rest))
            position, number = position + skipped, number + 1
            continue
        try:
            chunk = read(_CHUNK)
        except InputError:
            line = _line(position, number, rest)
            if line is not None:
                yield line
            raise
        ended = not chunk
        buffer = rest + chunk


def _line(position: int, number: int, piece: bytes) -> Line | None:
    """Return the line of ``piece``, ``None`` for an empty one. NUL bytes around it (holes) are no part of it."""
    if b"\0" in piece:
        stripped = piece.lstrip(b"\0")
        position += len(piece) - len(stripped)
        piece = stripped.rstrip(b"\0")
    if len(piece) > MAX_RECORD_BYTES:
        return Line(position, number, piece[:_KEPT], too_long=True)
    raw = piece.rstrip(b"\r")
    return Line(position, number, raw) if raw.strip() else None


def _skip_line(read: Callable[[int], bytes], skipped: int) -> tuple[int, bytes]:
    """Drop bytes up to the next line; return how many belong to the dropped line (with its end) and what follows."""
    while True:
        chunk = read(_CHUNK)
        if not chunk:
            return skipped, b""
        end = chunk.find(b"\n")
        if end >= 0:
            return skipped + end + 1, chunk[end + 1 :]
        skipped += len(chunk)
