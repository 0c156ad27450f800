"""Open inputs: walk directories, take off compression (by magic number, never by name) and hand out bytes.

gzip (also several members and trailing bytes), zstd (several frames), xz and bzip2, nested at most once. Memory is
bounded whatever the ratio: compressed data goes in by small steps and output is asked for in pieces.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import zstandard

from collectors.base import HEAD_BYTES, Resume
from soc_core.errors import InputError

_STEP: Final = 1 << 10
_FIRST_STEP: Final = 1 << 6
_CAREFUL_BYTES: Final = 1 << 16
_PIECE: Final = 1 << 18
_XZ_MEMORY: Final = 256 << 20
_ZSTD_WINDOW: Final = 128 << 20
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
STDIN: Final = "-"


class _Decoder(Protocol):
    """Decompress one stream step by step, as the standard library's objects do."""

    step: int

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Gzip:
    step = 1 << 10

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the output of ``data`` in bounded pieces."""
        while True:
            before = self._stream.copy()
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error:
                yield _inflate_carefully(before, data)
                raise
            if piece:
                yield piece
            data = self._stream.unconsumed_tail
            if not data or self._stream.eof:
                return


def _inflate_carefully(stream: zlib._Decompress, data: bytes) -> bytes:
    """Return what comes out before the fault, byte by byte: a failing call gives nothing of what it had."""
    parts: list[bytes] = []
    with suppress(zlib.error):
        parts.extend(stream.decompress(bytes((byte,))) for byte in data)
    return b"".join(parts)


class _Standard:
    """Wrap ``lzma`` and ``bz2``, whose objects share one interface."""

    step = 1 << 10

    def __init__(self, stream: lzma.LZMADecompressor | bz2.BZ2Decompressor) -> None:
        self._stream = stream

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the output of ``data`` in bounded pieces."""
        while True:
            piece = self._stream.decompress(data, _PIECE)
            if piece:
                yield piece
            data = b""
            if self._stream.eof or self._stream.needs_input:
                return


class _Zstd:
    """Wrap zstd; its output of one step is bounded: a block gives at most 128 KiB and takes at least 4 bytes."""

    step = 1 << 8

    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the output of ``data``."""
        piece = self._stream.decompress(data)
        if piece:
            yield piece


_DECODERS: Final[dict[str, Callable[[], _Decoder]]] = {
    "gzip": _Gzip,
    "zstd": _Zstd,
    "xz": lambda: _Standard(lzma.LZMADecompressor(memlimit=_XZ_MEMORY)),
    "bzip2": lambda: _Standard(bz2.BZ2Decompressor()),
}
_FAULTS: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, MemoryError)


def compression_of(head: bytes) -> str | None:
    """Return the name of the compression that ``head`` starts with."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def _decompressed(pull: Callable[[int], bytes], kind: str, first: bytes, name: str) -> Iterator[bytes]:
    """Yield the decompressed pieces of all members; raise ``InputError`` where the data goes bad.

    Zero bytes and anything else after a complete member that is no further member is left alone: archives are padded.
    """
    consumed, data, decoder = 0, first, _DECODERS[kind]()
    fresh = True
    while True:
        if not data:
            data = pull(_FIRST_STEP if consumed < _CAREFUL_BYTES else _STEP)
            if not data:
                if not fresh:
                    raise InputError(
                        f"{kind} data ends too early", where=f"{name}: compressed offset {consumed}"
                    )
                return
        step, data = data[: decoder.step], data[decoder.step :]
        fresh = False
        try:
            yield from decoder.feed(step)
        except _FAULTS as fault:
            reason = str(fault) or type(fault).__name__
            raise InputError(
                f"damaged {kind} data: {reason}", where=f"{name}: compressed offset {consumed}"
            ) from fault
        consumed += len(step)
        if decoder.eof:
            data = _next_member(decoder.unused_data + data, pull, kind)
            if not data:
                return
            decoder, fresh = _DECODERS[kind](), True


def _next_member(data: bytes, pull: Callable[[int], bytes], kind: str) -> bytes:
    """Return the start of the next member, ``b""`` if nothing of the same kind follows."""
    data = data.lstrip(b"\0")
    while len(data) < 8:
        more = pull(_STEP)
        if not more:
            break
        data = (data + more).lstrip(b"\0")
    return data if compression_of(data) == kind else b""


def _raising(fault: InputError) -> Callable[[int], bytes]:
    """Return a read function that reports a fault which was met while reading ahead."""

    def pull(_size: int) -> bytes:
        raise fault

    return pull


class OpenSource:
    """Give the decompressed bytes of one input; see ``ByteSource``. Close it when done (it is a context manager).

    ``consumed`` counts bytes taken from the input as it lies on disk, for progress; ``size`` is its length there, 0
    when unknown (pipes).
    """

    def __init__(self, name: str, raw: BinaryIO, *, size: int, modified: datetime) -> None:
        """Read the head. Raises ``InputError`` when the input can't be read or is packed more than twice."""
        self.name = name
        self.size = size
        self.modified = modified
        self.consumed = 0
        self.local_path: str | None = None
        self.resume: Resume | None = None
        self.compression: tuple[str, ...] = ()
        self._raw = raw
        self._offset = 0
        self._pending = b""
        self._start = 0
        self._pull: Callable[[int], bytes] = self._read_raw
        self._fault: InputError | None = None
        self.head = self._fill_head()
        self._unpack_all()

    def _unpack_all(self) -> None:
        """Take off compression, at most two layers. Raises ``InputError`` when there are more."""
        while (kind := compression_of(self.head)) is not None:
            if len(self.compression) == 2:
                self.close()
                raise InputError("packed more than twice", where=self.name, todo="unpack it first")
            self._unpack(kind)

    def _unpack(self, kind: str) -> None:
        """Put a decompressor on top of what is read so far."""
        first, below, fault = self._pending, self._pull, self._fault
        pieces = _decompressed(below if fault is None else _raising(fault), kind, first, self.name)
        self._fault = None
        self._pull = lambda _size: next(pieces, b"")
        self._pending = b""
        self.compression = (*self.compression, kind)
        self.head = self._fill_head()

    def _read_raw(self, size: int) -> bytes:
        try:
            chunk = self._raw.read(size)
        except OSError as fault:
            raise InputError(fault.strerror or str(fault), where=self.name) from fault
        self.consumed += len(chunk)
        return chunk

    def _fill_head(self) -> bytes:
        """Read up to ``HEAD_BYTES`` ahead; a fault waits until the good part before it was read."""
        parts, length = [self._pending], len(self._pending)
        try:
            while length < HEAD_BYTES and (chunk := self._pull(HEAD_BYTES - length)):
                parts.append(chunk)
                length += len(chunk)
        except InputError as fault:
            self._fault = fault
        self._pending = b"".join(parts)
        return self._pending[:HEAD_BYTES]

    @property
    def offset(self) -> int:
        """Return how many decompressed bytes were read so far."""
        return self._offset

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, ``b""`` at the end. Raises ``InputError`` when decompression fails."""
        if self._start >= len(self._pending):
            if self._fault is not None:
                fault, self._fault = self._fault, None
                raise fault
            self._pending, self._start = self._pull(size), 0
        chunk = self._pending[self._start : self._start + size]
        self._start += len(chunk)
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the input."""
        self._raw.close()

    def __enter__(self) -> OpenSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(path: str) -> OpenSource:
    """Open one input (``-`` is standard input). Raises ``InputError`` for what can't be read or is empty."""
    if path == STDIN and sys.stdin is None:
        raise InputError("standard input is closed", where="-")
    if path == STDIN:
        return _not_empty(OpenSource("-", sys.stdin.buffer, size=0, modified=datetime.now(UTC)))
    try:
        status = os.stat(path)  # noqa: PTH116 - the text of the path must stay as given
    except (OSError, ValueError) as fault:
        raise InputError(_reason(fault), where=path, todo="check the path and its permissions") from fault
    _refuse_special(path, status.st_mode)
    try:
        raw = Path(path).open("rb", buffering=_PIECE)  # noqa: SIM115 - closed by OpenSource
    except OSError as fault:
        raise InputError(_reason(fault), where=path, todo="check its permissions") from fault
    modified = datetime.fromtimestamp(max(status.st_mtime, 0.0), UTC)
    source = _not_empty(OpenSource(path, raw, size=status.st_size, modified=modified))
    if stat.S_ISREG(status.st_mode) and not source.compression:
        source.local_path = path
    return source


def open_bytes(data: bytes, *, name: str = "memory", modified: datetime | None = None) -> OpenSource:
    """Open bytes in memory as a source, for parts of other inputs and for tests."""
    return OpenSource(
        name, io.BytesIO(data), size=len(data), modified=modified or datetime(1970, 1, 1, tzinfo=UTC)
    )


def _reason(fault: OSError | ValueError) -> str:
    return (getattr(fault, "strerror", None) or str(fault)).lower()


def _not_empty(source: OpenSource) -> OpenSource:
    """Return ``source`` unless nothing can be read from it."""
    if source.head:
        return source
    try:
        source.read(1)
    finally:
        source.close()
    raise InputError("the file is empty", where=source.name)


def _refuse_special(path: str, mode: int) -> None:
    """Raise ``InputError`` for what is neither a file nor a pipe."""
    if stat.S_ISDIR(mode):
        raise InputError("is a directory", where=path)
    if stat.S_ISSOCK(mode) or stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        raise InputError("is a device or a socket, not a file", where=path)


@dataclass(frozen=True, slots=True)
class Input:
    """Name one file to read: its path, its size on disk in bytes, or why it can't be read."""

    path: str
    size: int = 0
    problem: InputError | None = None


def find_inputs(paths: Sequence[str]) -> list[Input]:
    """Return the files under ``paths`` in the order given; directories are walked, sorted by name.

    Hidden files are left out. Links to directories are followed once: a directory met before is not entered again.
    What a directory holds besides files (pipes, sockets, devices) and folders that can't be listed are reported as
    problems. A pipe named directly is read.
    """
    found: list[Input] = []
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            found.extend(_walk(path, seen))
        else:
            found.append(_input(path))
    return found


def _input(path: str) -> Input:
    try:
        return Input(path, 0 if path == STDIN else os.stat(path).st_size)  # noqa: PTH116 - path stays as given
    except (OSError, ValueError) as fault:
        return Input(
            path, 0, InputError(_reason(fault), where=path, todo="check the path and its permissions")
        )


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[Input]:
    """Yield the files below ``folder`` depth first."""
    stack = [folder]
    while stack:
        path = stack.pop()
        try:
            status = os.stat(path)  # noqa: PTH116 - path stays as given
            if not stat.S_ISDIR(status.st_mode):
                yield _file_in_folder(path, status)
                continue
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            names = sorted(os.listdir(path), reverse=True)  # noqa: PTH208 - names as text
        except OSError as fault:
            yield Input(path, 0, InputError(_reason(fault), where=path, todo="check its permissions"))
            continue
        stack.extend(os.path.join(path, name) for name in names if not name.startswith("."))  # noqa: PTH118 - as given


def _file_in_folder(path: str, status: os.stat_result) -> Input:
    if stat.S_ISREG(status.st_mode):
        return Input(path, status.st_size)
    return Input(path, 0, InputError("is not a regular file (pipe, socket or device)", where=path))
