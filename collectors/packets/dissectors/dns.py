"""Read DNS over UDP and TCP (RFC 1035, RFC 6891, RFC 7766): one event a message."""

from __future__ import annotations

from typing import Final

from collectors.packets.dissectors.base import ByteStream, Fields, Message
from collectors.packets.dissectors.dns_message import message_fields, parse_message, put_answers

DATASET: Final = "packets.dns"


def dissect(payload: bytes) -> Fields | None:
    """Return the fields of one message, ``None`` if ``payload`` is not DNS."""
    message = parse_message(payload)
    if message is None:
        return None
    fields = message_fields(message, "dns")
    put_answers(fields, message.answers)
    return fields


class DnsStream:
    """Cut a TCP stream into messages by their two-byte length (RFC 1035 §4.2.2).

    A direction whose first bytes are no message is given up; after a gap the next piece is taken to begin with a
    message. At most 64 KB a direction are held.
    """

    def __init__(self) -> None:
        self.done = False
        self._sides = (ByteStream(), ByteStream())
        self._lost = [False, False]

    def feed(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        """Return the messages that ``data`` completes."""
        stream = self._sides[side]
        if stream.push(offset, time_us, data):
            self._lost[side] = False
        if self._lost[side]:
            stream.clear()
            return []
        found: list[Message] = []
        while len(stream) >= 2:
            size = stream.byte(0) << 8 | stream.byte(1)
            if size >= 12 and len(stream) < size + 2:
                break
            place = stream.position
            fields = dissect(stream.take(size + 2)[2:]) if size >= 12 else None
            if fields is None:
                self._give_up(side)
                break
            found.append(Message(DATASET, time_us, place, fields, side))
        return found

    def _give_up(self, side: int) -> None:
        self._lost[side] = True
        self._sides[side].clear()

    def close(self) -> list[Message]:
        """Return the records of a message whose end never came."""
        found: list[Message] = []
        for side, stream in enumerate(self._sides):
            place = stream.position
            fields = (
                dissect(stream.take(len(stream))[2:]) if len(stream) > 14 and not self._lost[side] else None
            )
            if fields is not None:
                found.append(Message(DATASET, stream.time_us, place, fields, side))
        self.done = True
        self._lost = [True, True]
        return found
