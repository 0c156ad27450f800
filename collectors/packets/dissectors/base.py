"""Define what a dissector is, and hold the unread bytes of one direction of a stream.

A dissector never raises, whatever the bytes; it holds a bounded amount of memory, and its work grows linearly with
the bytes it is fed. It knows nothing of addresses, flows or files: the engine that calls it adds those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from soc_core.model.event import Value

Fields: TypeAlias = dict[str, Value]
DatagramDissector: TypeAlias = Callable[[bytes], "Fields | None"]

CLIENT: Final = 0


@dataclass(slots=True)
class Message:
    """Carry what one message said.

    ``dataset`` is the value of ``event.dataset``, ``time_us`` microseconds since 1970 UTC of the bytes it began with,
    ``offset`` their place in the stream of ``side`` (0 originator, 1 responder). (dataset, side, offset, order of
    coming out) tells the messages of one flow apart. ``fields`` has ECS names and no addressing of the flow.
    """

    dataset: str
    time_us: int
    offset: int
    fields: Fields
    side: int = CLIENT


class StreamDissector(Protocol):
    """Follow one conversation over TCP.

    ``done`` becomes true when nothing more can be learned: further bytes are ignored and need not be fed.
    """

    done: bool

    def feed(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        """Take the next bytes of ``side`` and return the messages they complete.

        Bytes come in order per side; an ``offset`` beyond the end of the last piece is a gap, what lies before it is
        a repetition and is left out.
        """
        ...

    def close(self) -> list[Message]:
        """Return what is known of unfinished messages, at the end of the conversation. Later calls return nothing."""
        ...


class ByteStream:
    """Hold the bytes of one direction that are not parsed yet.

    ``position`` is the stream offset of the first unread byte, ``time_us`` when the newest piece came. A parser takes
    bytes from the front, or skips over bytes to come (bodies, encrypted records) without holding them; a gap inside
    what is skipped is no loss. The owner bounds the length by parsing, skipping or ``clear``.
    """

    __slots__ = ("_begun", "_data", "_skipping", "position", "time_us")

    def __init__(self) -> None:
        self._begun = False
        self._data = bytearray()
        self._skipping = 0
        self.position = 0
        self.time_us = 0

    def __len__(self) -> int:
        return len(self._data)

    @property
    def skipping(self) -> int:
        """Return how many bytes that have not come yet will be passed over."""
        return self._skipping

    @property
    def end(self) -> int:
        """Return the stream offset behind the last byte known: held, or to be passed over."""
        return self.position + len(self._data) + self._skipping

    def push(self, offset: int, time_us: int, data: bytes) -> int:
        """Add a piece; return how many bytes are missing before it that somebody needed (0: none).

        After a loss the buffer holds only the new piece: the parser has to find its feet again. The first piece
        begins the stream wherever its offset is.
        """
        if not self._begun:
            self._begun = True
            self.position = offset
        expected = self.position + len(self._data)
        if offset < expected:
            data = data[expected - offset :]
            offset = expected
        if not data:
            return 0
        self.time_us = time_us
        missing = offset - expected
        if missing and self._skipping:
            passed = min(missing, self._skipping)
            self._skipping -= passed
            self.position += passed
            missing -= passed
        if missing:
            self._data.clear()
            self._skipping = 0
            self.position = offset
        if self._skipping:
            passed = min(len(data), self._skipping)
            self._skipping -= passed
            self.position += passed
            data = data[passed:]
        self._data += data
        return missing

    def follows(self, offset: int) -> bool:
        """Tell whether a piece at ``offset`` is the next one with nothing held or missing before it."""
        return not self._data and (not self._begun or offset == self.position + self._skipping)

    def passed(self, offset: int, time_us: int, skipping: int = 0) -> None:
        """Go on at ``offset``, after ``skipping`` bytes still to come: a piece that ``follows`` was read elsewhere."""
        self._begun = True
        self.position, self.time_us, self._skipping = offset, time_us, skipping

    def byte(self, index: int) -> int:
        """Return one unread byte. The caller knows that it is there."""
        return self._data[index]

    def peek(self, size: int, start: int = 0) -> bytes:
        """Return up to ``size`` unread bytes from ``start`` without taking them."""
        return bytes(self._data[start : start + size])

    def find(self, mark: bytes, start: int, end: int) -> int:
        """Return where ``mark`` stands among the unread bytes of [start, end), -1 if it does not."""
        return self._data.find(mark, start, end)

    def take(self, size: int) -> bytes:
        """Return up to ``size`` bytes and pass them."""
        taken = bytes(self._data[:size])
        del self._data[:size]
        self.position += len(taken)
        return taken

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes, those that have not come yet included."""
        held = min(size, len(self._data))
        del self._data[:held]
        self.position += held
        self._skipping += size - held

    def clear(self) -> None:
        """Pass over everything held."""
        self.position += len(self._data)
        self._data.clear()


def printable(data: bytes, limit: int) -> str:
    r"""Return at most ``limit`` bytes as text: UTF-8, else Latin-1, control characters written as ``\xNN``."""
    cut = len(data) > limit
    data = data[:limit]
    if data.isascii():
        text = data.decode("ascii")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as fault:
            # A cut inside the last character is ours, not the sender's.
            ours = cut and fault.reason == "unexpected end of data"
            text = data.decode("utf-8" if ours else "latin-1", "ignore")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
