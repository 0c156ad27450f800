"""Read the frames of lumberjack version 2, which Beats and Logstash speak: pure, bytes in, documents out.

Frames (go-lumber's PROTOCOL.md and ``server/v2``): ``2 W count``, ``2 J sequence length JSON``, ``2 C length zlib``;
the reader answers ``2 A sequence``. Compressed frames hold further frames. Memory is bounded whatever is sent: a
document is at most 1 MiB, what is compressed is unpacked in pieces, nesting is refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from collectors.base import MAX_RECORD_BYTES
from collectors.making import RAW_KEPT

TOO_LONG: Final = "object is longer than 1 MiB"
_NUMBER: Final = Struct(">I")
_TWO: Final = Struct(">II")
_ACK: Final = Struct(">2sI")
_PIECE: Final = 1 << 16
_WINDOW_MOST: Final = 1 << 20
_FRAME_MOST: Final = 128 << 20


class Window(NamedTuple):
    """Say how many documents follow before the sender waits for an acknowledgement."""

    documents: int


class Sent(NamedTuple):
    """Hold one document and its number in the window; ``fault`` says why it can't be used."""

    sequence: int
    raw: bytes
    fault: str = ""


Item: TypeAlias = Window | Sent


class ProtocolError(Exception):
    """Say that what came is not lumberjack version 2: the connection can't go on."""


def acknowledgement(sequence: int) -> bytes:
    """Return the frame that says: everything up to ``sequence`` is durable."""
    return _ACK.pack(b"2A", sequence)


class FrameReader:
    """Hold what one connection has sent of a frame that isn't whole yet."""

    def __init__(self, *, inner: bool = False) -> None:
        """``inner`` readers read what was compressed, in which no further compressed frame may lie."""
        self._buffer = bytearray()
        self._inner = inner
        self._skip = 0
        self._packed = 0
        self._stream = zlib.decompressobj()
        self._unpacked = self if inner else FrameReader(inner=True)

    @property
    def waiting(self) -> int:
        """Return how many bytes are held."""
        return len(self._buffer) + (0 if self._inner else self._unpacked.waiting)

    def feed(self, data: bytes) -> Iterator[Item]:
        """Yield what is whole with ``data``; must be used up before more is fed.

        Raises ``ProtocolError`` for anything else.
        """
        self._buffer += data
        while True:
            if self._begun():
                yield from self._unpack()
            if self._begun() or not self._pass_over():
                return
            item = self._take()
            if item is not None:
                yield item
            elif not self._begun():
                return

    def _begun(self) -> bool:
        """Tell whether what comes next belongs to a compressed frame."""
        return self._packed > 0

    def _pass_over(self) -> bool:
        """Drop what is left of a document that is too long; tell whether that is done."""
        skipped = min(self._skip, len(self._buffer))
        del self._buffer[:skipped]
        self._skip -= skipped
        return not self._skip

    def _take(self) -> Item | None:
        """Take the frame at the start; ``None`` where it isn't whole, or a compressed one has begun."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        kind = bytes(buffer[:2])
        if kind == b"2W" and len(buffer) >= 6 and not self._inner:
            (count,) = _NUMBER.unpack_from(buffer, 2)
            if count > _WINDOW_MOST:
                raise ProtocolError(f"window of {count} documents")
            del buffer[:6]
            return Window(count)
        if kind == b"2J" and len(buffer) >= 10:
            return self._take_document(*_TWO.unpack_from(buffer, 2))
        if kind == b"2C" and len(buffer) >= 6 and not self._inner:
            (self._packed,) = _NUMBER.unpack_from(buffer, 2)
            if not 0 < self._packed <= _FRAME_MOST:
                raise ProtocolError(f"compressed frame of {self._packed} bytes")
            self._stream = zlib.decompressobj()
            del buffer[:6]
            return None
        if kind not in (b"2W", b"2J", b"2C") or (self._inner and kind != b"2J"):
            raise ProtocolError("no frame of lumberjack version 2")
        return None

    def _take_document(self, sequence: int, length: int) -> Sent | None:
        buffer = self._buffer
        if length > _FRAME_MOST:
            raise ProtocolError(f"document of {length} bytes")
        if length > MAX_RECORD_BYTES:
            if len(buffer) < 10 + RAW_KEPT:
                return None
            raw = bytes(buffer[10 : 10 + RAW_KEPT])
            self._skip = 10 + length
            self._pass_over()
            return Sent(sequence, raw, TOO_LONG)
        if len(buffer) < 10 + length:
            return None
        raw = bytes(buffer[10 : 10 + length])
        del buffer[: 10 + length]
        return Sent(sequence, raw)

    def _unpack(self) -> Iterator[Item]:
        """Yield what lies in the part of a compressed frame that is here."""
        while self._packed and self._buffer:
            chunk = bytes(self._buffer[: min(self._packed, _PIECE)])
            del self._buffer[: len(chunk)]
            self._packed -= len(chunk)
            while chunk:
                try:
                    piece = self._stream.decompress(chunk, _PIECE)
                except zlib.error as error:
                    raise ProtocolError("compressed frame is damaged") from error
                chunk = self._stream.unconsumed_tail
                yield from self._unpacked.feed(piece)
                if self._stream.unused_data:  # it would be kept, however much it is
                    raise ProtocolError("compressed frame holds more than its stream")
                if not piece:
                    break
        if not self._packed:
            yield from self._unpacked.feed(self._stream.flush())
            if not self._stream.eof or self._unpacked.waiting:
                raise ProtocolError("compressed frame is not whole")
