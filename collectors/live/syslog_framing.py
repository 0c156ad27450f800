"""Cut a stream of bytes into syslog messages (RFC 6587): counted or ended, told apart message by message.

A counted message is ``LENGTH SP <PRI>…`` (RFC 5425, RFC 6587 section 3.4.1), an ended one goes up to LF, CR LF, NUL,
or a CR that the next ``<`` follows (section 3.4.2). Senders that mix both, or end counted messages too, are read.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from collectors.base import MAX_RECORD_BYTES
from collectors.making import RAW_KEPT

TOO_LONG: Final = "message is longer than 1 MiB"
CUT_OFF: Final = "message was cut off when the connection ended"
_COUNT: Final = re.compile(rb"([1-9]\d{0,7}) (?=<)")
_COUNT_BEGUN: Final = re.compile(rb"[1-9]\d{0,7} ?\Z")
_END: Final = re.compile(rb"\r?\n|\0|\r(?=<)")
_BETWEEN: Final = b"\r\n\0 "
_LOOKED_AT_AGAIN: Final = 4_096


class Frame(NamedTuple):
    """Hold one message without its frame; ``fault`` says why it can't be used, ``raw`` is then its beginning."""

    raw: bytes
    fault: str = ""


class Framer:
    """Hold what one connection has sent of a message that isn't whole yet: little more than 1 MiB."""

    def __init__(self) -> None:
        """Begin at the start of a message."""
        self._rest = bytearray()
        self._needed = 0
        self._counted_skip = 0
        self._skipping = False

    @property
    def waiting(self) -> int:
        """Return how many bytes are held."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the messages that are whole with ``data``."""
        frames: list[Frame] = []
        data = self._skip(data)
        if len(self._rest) > _LOOKED_AT_AGAIN and not self._may_end(data):
            self._rest += data
        else:
            buffer = bytes(self._rest) + data if self._rest else data
            self._needed = 0
            position = self._cut(buffer, frames)
            self._rest = bytearray(buffer[position:])
        self._bound(frames)
        return frames

    def close(self) -> list[Frame]:
        """Return what the connection left when it ended: a line without end is a message, a counted part is not."""
        rest = bytes(self._rest).strip(_BETWEEN)
        self._rest.clear()
        if not rest:
            return []
        return [Frame(rest[:RAW_KEPT], CUT_OFF)] if _COUNT.match(rest) else [Frame(rest)]

    def _may_end(self, data: bytes) -> bool:
        """Tell whether a long message may end with ``data``: else it isn't looked at again for each small piece."""
        if self._needed:
            return len(self._rest) + len(data) >= self._needed
        return _END.search(data) is not None or (
            self._rest.endswith(b"\r") and data.startswith((b"\n", b"<"))
        )

    def _cut(self, buffer: bytes, frames: list[Frame]) -> int:
        """Take all whole messages; return where the first one begins that isn't."""
        position, size = 0, len(buffer)
        while position < size:
            if buffer[position] in _BETWEEN:
                position += 1
                continue
            following = self._take(buffer, position, frames)
            if following < 0:
                return position
            position = following
        return size

    def _skip(self, data: bytes) -> bytes:
        """Return ``data`` without what still belongs to a message that is too long."""
        if self._counted_skip:
            skipped = min(self._counted_skip, len(data))
            self._counted_skip -= skipped
            return data[skipped:]
        if self._skipping:
            end = _END.search(data)
            if end is None:
                return b""
            self._skipping = False
            return data[end.end() :]
        return data

    def _take(self, buffer: bytes, position: int, frames: list[Frame]) -> int:
        """Take the message at ``position``; return where the next one begins, -1 if this one isn't whole."""
        if 48 < buffer[position] < 58:  # a digit, not 0
            counted = _COUNT.match(buffer, position)
            if counted is not None:
                return self._take_counted(buffer, counted, frames)
            if len(buffer) - position <= 10 and _COUNT_BEGUN.match(buffer, position):
                return -1
        end = _END.search(buffer, position)
        if end is None:
            return -1
        raw = buffer[position : end.start()]
        frames.append(Frame(raw[:RAW_KEPT], TOO_LONG) if len(raw) > MAX_RECORD_BYTES else Frame(raw))
        return end.end()

    def _take_counted(self, buffer: bytes, counted: re.Match[bytes], frames: list[Frame]) -> int:
        start, length = counted.end(), int(counted[1])
        end = start + length
        if length > MAX_RECORD_BYTES:
            frames.append(Frame(buffer[start : start + RAW_KEPT], TOO_LONG))
            if end > len(buffer):
                self._counted_skip = end - len(buffer)
                return len(buffer)
            return end
        if end > len(buffer):
            self._needed = end - counted.start()
            return -1
        frames.append(Frame(buffer[start:end]))
        return end

    def _bound(self, frames: list[Frame]) -> None:
        """Give up a line that is too long although its end hasn't come."""
        if len(self._rest) > MAX_RECORD_BYTES + RAW_KEPT:
            frames.append(Frame(bytes(self._rest[:RAW_KEPT]), TOO_LONG))
            self._rest.clear()
            self._skipping = True
