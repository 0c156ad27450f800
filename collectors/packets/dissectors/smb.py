"""Read SMB 1, 2 and 3 over TCP ([MS-CIFS], [MS-SMB2]): log-ins, shares, and what is done to files.

Events: ``session_setup`` (one a log-in attempt), ``tree_connect`` (one a share asked for) and ``file_activity`` (one a
minute, with counts and sample names). Of each message only the front is held, data of reads and writes is passed over.
"""

from __future__ import annotations

from typing import Final

from collectors.packets.dissectors.base import ByteStream, Message
from collectors.packets.dissectors.smb1 import read_old_message
from collectors.packets.dissectors.smb2 import READ, WRITE, read_messages
from collectors.packets.dissectors.smb_session import Session

FRONT: Final = 4_096
HEADER: Final = 64
DATA_FRONT: Final = 128
_SESSION_MESSAGE: Final = 0x00
# NetBIOS session service (RFC 1002 §4.3.1): request, positive and negative response, retarget, keep-alive
_CONTROL: Final = frozenset({0x81, 0x82, 0x83, 0x84, 0x85})
_DATA_COMMANDS: Final = (READ.to_bytes(2, "little"), WRITE.to_bytes(2, "little"))
_PROTOCOLS: Final = (b"\xffSMB", b"\xfeSMB", b"\xfdSMB", b"\xfcSMB")


class SmbStream:
    """Follow one conversation. At most 4 KB of a message a direction are held; tables are bounded."""

    def __init__(self) -> None:
        self.done = False
        self._sides = (ByteStream(), ByteStream())
        self._lost = [False, False]
        self._session = Session()

    def feed(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        """Return the events that ``data`` completes."""
        if self.done:
            return []
        stream = self._sides[side]
        if not self._lost[side] and stream.follows(offset):
            done = self._whole_messages(side, offset, time_us, data)
            if done >= len(data):
                return self._session.taken()
            data, offset = data[done:], offset + done
        elif offset > stream.end:
            self._cut_short(side, stream)
        if stream.push(offset, time_us, data) or self._lost[side]:
            # A message begins with its length and a sign: a piece that does not is the middle of one.
            self._lost[side] = data[4:8] not in _PROTOCOLS
            if self._lost[side]:
                stream.clear()
                return []
        while self._message(side, stream, time_us):
            pass
        return self._session.taken()

    def close(self) -> list[Message]:
        """Return the last period's event."""
        if self.done:
            return []
        self.done = True
        for side, stream in enumerate(self._sides):
            self._cut_short(side, stream)
        self._session.close()
        return self._session.taken()

    def _whole_messages(self, side: int, offset: int, time_us: int, data: bytes) -> int:
        """Read the messages whose front lies in ``data``, nearly always all; return where the first other one begins.

        Whatever needs more care is left to ``_message``.
        """
        at, end = 0, len(data)
        stream = self._sides[side]
        while at + 4 + HEADER <= end and data[at] == _SESSION_MESSAGE:
            size = data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
            front = at + 4 + _wanted(data[at + 4 : at + 4 + HEADER], size)
            if front > end or data[at + 4 : at + 8] not in _PROTOCOLS:
                break
            place = offset + at
            at, start = at + 4 + size, at + 4
            self._read(side, data[start:front], time_us, place)
        stream.passed(offset + min(at, end), time_us, max(0, at - end))
        return at

    def _message(self, side: int, stream: ByteStream, time_us: int) -> bool:
        """Take the front of one message and pass over the rest; tell whether there was one."""
        if len(stream) < 4:
            return False
        kind = stream.byte(0)
        size = int.from_bytes(stream.peek(3, 1), "big")
        if kind != _SESSION_MESSAGE:
            if kind not in _CONTROL or size > 512:
                self._lost[side] = True
                stream.clear()
                return False
            stream.skip(4 + size)
            return True
        if len(stream) < 4 + min(size, HEADER):
            return False
        wanted = _wanted(stream.peek(HEADER, 4), size)
        if len(stream) < 4 + wanted:
            return False
        place = stream.position
        front = stream.take(4 + wanted)[4:]
        stream.skip(size - wanted)
        return self._read(side, front, time_us, place)

    def _cut_short(self, side: int, stream: ByteStream) -> None:
        """Read a message whose end will not come: what stands in front says most, and the next one's place is known."""
        if len(stream) < 4 + HEADER or stream.byte(0) != _SESSION_MESSAGE:
            return
        size = int.from_bytes(stream.peek(3, 1), "big")
        place = stream.position
        front = stream.take(len(stream))[4:]
        stream.skip(max(0, size - len(front)))
        self._read(side, front, stream.time_us, place)

    def _read(self, side: int, front: bytes, time_us: int, place: int) -> bool:
        sign = front[:4]
        session = self._session
        session.at(side, time_us, place)
        if sign == b"\xfeSMB":
            read_messages(front, session)
        elif sign == b"\xffSMB":
            read_old_message(front, session)
        elif sign == b"\xfdSMB":
            session.encrypted_message()
        elif sign == b"\xfcSMB":
            session.compressed_message()
        elif len(front) >= 4:
            self._lost[side] = True
            self._sides[side].clear()
            return False
        return True


def _wanted(head: bytes, size: int) -> int:
    """Return how much of a message is looked at: little of one that carries file data and nothing after it."""
    sign, limit = head[:4], FRONT
    if sign == b"\xfeSMB":
        if head[12:14] in _DATA_COMMANDS and head[20:24] == b"\0\0\0\0":
            limit = DATA_FRONT
    elif sign == b"\xffSMB":
        if head[4:5] in (b"\x2e", b"\x2f"):
            limit = DATA_FRONT
    elif sign in (b"\xfdSMB", b"\xfcSMB"):
        limit = HEADER
    return min(size, limit)
