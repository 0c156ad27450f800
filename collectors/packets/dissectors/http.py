"""Read HTTP/1.0 and 1.1 (RFC 9110, RFC 9112): one event a request with its response.

Requests wait in order for their responses (keep-alive, pipelining). Bodies are passed over by length, by chunks or to
the end; of each only the first bytes are looked at. A CONNECT that succeeds hands what follows to the TLS dissector.
After a gap that hid a head, reading goes on at the next piece that begins with one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from collectors.packets.dissectors.base import ByteStream, Message
from collectors.packets.dissectors.http_body import REQUEST_KEPT, RESPONSE_KEPT
from collectors.packets.dissectors.http_exchange import DATASET, Exchange, exchange_fields
from collectors.packets.dissectors.http_head import Head, parse_head, starts_request, starts_response
from collectors.packets.dissectors.tls import TlsStream

MAX_HEAD: Final = 65_536
MAX_WAITING: Final = 128
MAX_EARLY: Final = 16
_MAX_LINE: Final = 256
_SHORTEST_HEAD: Final = len(b"GET / HTTP/1.0\r\n\r\n")

# What a direction is reading
HEAD: Final = 0
BODY: Final = 1  # of known length
CHUNK: Final = 2  # the line that gives a chunk's size
CHUNK_DATA: Final = 3
TRAILER: Final = 4
TO_END: Final = 5
LOST: Final = 6
IGNORED: Final = 7


class _Side:
    """Hold where one direction stands."""

    __slots__ = ("began_us", "data", "exchange", "kept", "left", "room", "scanned", "state", "total")

    def __init__(self) -> None:
        self.data = ByteStream()
        self.state = HEAD
        self.scanned = 0  # of a head that is not whole yet
        self.began_us = 0
        self.left = 0  # bytes of the body or chunk still to come
        self.room = 0  # first bytes of the body still wanted
        self.kept = bytearray()
        self.total = 0
        self.exchange: Exchange | None = None


class HttpStream:
    """Follow one conversation. At most 64 KB of a head a direction and 128 waiting requests are held."""

    def __init__(self) -> None:
        self.done = False
        self._sides = (_Side(), _Side())
        self._client = -1  # which side sends requests; -1 not known yet
        self._waiting: deque[Exchange] = deque()
        self._early: deque[Exchange] = deque()  # responses whose requests wait for a hole to fill
        self._asked = False
        self._found: list[Message] = []
        self._tunnel: TlsStream | None = None

    def feed(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        """Return the exchanges that ``data`` completes."""
        if self.done:
            return []
        if self._tunnel is not None:
            return self._feed_tunnel(side, offset, time_us, data)
        state = self._sides[side]
        fresh = not len(state.data)
        missing = state.data.push(offset, time_us, data)
        if missing:
            self._gap(side, state, missing)
        if fresh or missing:
            state.began_us = time_us
        if state.state == LOST and not self._found_again(side, state, data):
            state.data.clear()
        else:
            self._advance(side, state)
        return self._taken()

    def close(self) -> list[Message]:
        """Return the exchanges whose end never came."""
        if self.done:
            return []
        self.done = True
        for side, state in enumerate(self._sides):
            if state.exchange is not None:
                self._end_body(side, state)
        for exchange in (*self._waiting, *self._early):
            self._emit(exchange)
        self._waiting.clear()
        self._early.clear()
        found = self._taken()
        if self._tunnel is not None:
            found += self._tunnel.close()
        self._sides = (_Side(), _Side())
        return found

    def _taken(self) -> list[Message]:
        found, self._found = self._found, []
        return found

    def _advance(self, side: int, state: _Side) -> None:
        """Parse as far as the bytes go."""
        while len(state.data) and _STEPS[state.state](self, side, state):
            if self._tunnel is not None:
                self._start_tunnel()
                return

    def _gap(self, side: int, state: _Side, missing: int) -> None:
        """Go on after missing bytes: inside a body nothing is lost, otherwise the next head has to be found."""
        state.room = 0
        if state.state == TO_END:
            state.total += missing
            return
        if state.state == BODY:
            hidden = missing - state.left
            state.total += min(missing, state.left)
            state.left = max(0, -hidden)
            if state.left:
                return
            self._end_body(side, state)
            if hidden < _SHORTEST_HEAD:  # no other message can have been lost
                state.state = HEAD if hidden == 0 else LOST
                return
        if state.state == CHUNK_DATA and missing < state.left:
            state.left -= missing
            state.total += missing
            return
        if state.state == IGNORED:
            return
        if state.exchange is not None:
            self._end_body(side, state)
        state.state = LOST
        if side == self._client:
            self._forget_early()
        else:
            # Which responses were lost is unknown: only the newest request can still get one for sure.
            while len(self._waiting) > 1:
                self._emit(self._waiting.popleft())

    def _forget_early(self) -> None:
        """Give responses up whose requests are lost; the one still passing comes out at its end."""
        for exchange in self._early:
            if exchange.complete:
                self._emit(exchange)
        self._early.clear()

    def _found_again(self, side: int, state: _Side, data: bytes) -> bool:
        begins = starts_request(data) if side == self._client else starts_response(data)
        if self._client < 0:
            begins = begins or starts_request(data)
        if begins:
            state.state, state.scanned = HEAD, 0
        return begins

    def _head(self, side: int, state: _Side) -> bool:
        """Take a head when it is whole."""
        stream = state.data
        if state.scanned == 0 and not self._begins(side, stream):
            self._lose(state)
            return False
        end = _head_end(stream, state.scanned)
        if end < 0:
            state.scanned = max(1, len(stream) - 3)
            if len(stream) > MAX_HEAD:
                self._lose(state)
            return False
        place, began = stream.position, state.began_us
        head = parse_head(stream.take(end))
        state.scanned = 0
        state.began_us = stream.time_us
        if head is None or (self._client >= 0 and (head.status > 0) is (side == self._client)):
            self._lose(state)
            return False
        if self._client < 0:
            self._client = 1 - side if head.status else side
        if head.status:
            self._response(side, state, head, place)
        else:
            self._request(side, state, self._exchange(began, place, side, head))
        return True

    def _exchange(self, began: int, place: int, side: int, head: Head) -> Exchange:
        """Return the exchange of a request: that of its response when it was first, else one that waits for it."""
        self._asked = True
        if self._early:
            exchange = self._early.popleft()
            exchange.began_us, exchange.offset, exchange.side, exchange.request = began, place, side, head
            return exchange
        exchange = Exchange(began, place, side, head)
        self._waiting.append(exchange)
        if len(self._waiting) > MAX_WAITING:
            self._emit(self._waiting.popleft())
        return exchange

    def _begins(self, side: int, stream: ByteStream) -> bool:
        """Tell whether the unread bytes can be a head on this side."""
        while len(stream) and stream.byte(0) in b"\r\n":
            stream.skip(1)
        start = stream.peek(24)
        if not start:
            return True
        if self._client < 0:
            return starts_response(start) or starts_request(start)
        if side == self._client:  # extension methods are any word
            return start[:1].isalpha() and (starts_request(start) or not starts_response(start))
        return starts_response(start)

    def _lose(self, state: _Side) -> None:
        state.state = LOST
        state.data.clear()

    def _request(self, side: int, state: _Side, exchange: Exchange) -> None:
        head = exchange.request
        length = head.length if head is not None else -1
        state.exchange = exchange
        self._start_body(
            side, state, REQUEST_KEPT, -2 if head is not None and head.chunked else max(0, length)
        )

    def _response(self, side: int, state: _Side, head: Head, place: int) -> None:
        if 100 <= head.status < 200 and head.status != 101:
            return  # an interim answer; the final one follows
        exchange = (
            self._waiting.popleft() if self._waiting else self._first_answer(state.began_us, place, side)
        )
        exchange.response = head
        exchange.answered_us = state.data.time_us
        state.exchange = exchange
        method = exchange.request.method if exchange.request else ""
        if head.status == 101 or (method == "CONNECT" and 200 <= head.status < 300):
            self._end_body(side, state)
            self._switch(method)
            return
        if method == "HEAD" or head.status in (204, 304):
            length = 0
        elif head.chunked:
            length = -2
        else:
            length = head.length
        self._start_body(side, state, RESPONSE_KEPT, length)

    def _first_answer(self, began: int, place: int, side: int) -> Exchange:
        """Return an exchange for a response without a request; it is kept a while where requests are seen at all."""
        exchange = Exchange(began, place, side)
        if self._asked:
            if len(self._early) >= MAX_EARLY:
                self._emit(self._early.popleft())
            self._early.append(exchange)
        return exchange

    def _start_body(self, side: int, state: _Side, room: int, length: int) -> None:
        """Begin a body of ``length`` bytes; -1 goes to the end of the connection, -2 comes in chunks."""
        state.kept.clear()
        state.total, state.room, state.left = 0, room, max(0, length)
        if length == 0:
            self._end_body(side, state)
        else:
            state.state = {-1: TO_END, -2: CHUNK}.get(length, BODY)

    def _body(self, side: int, state: _Side) -> bool:
        """Keep the first bytes of a body of known length and pass over the rest at once."""
        if state.room and state.left:
            taken = state.data.take(min(state.room, state.left))
            self._keep(state, taken)
            if state.left and state.room:
                return False
        state.total += state.left
        state.data.skip(state.left)
        self._end_body(side, state)
        return True

    def _keep(self, state: _Side, taken: bytes) -> None:
        state.kept += taken
        state.room -= len(taken)
        state.left -= len(taken)
        state.total += len(taken)

    def _chunk(self, _side: int, state: _Side) -> bool:
        """Read the line with a chunk's size (RFC 9112 §7.1)."""
        stream = state.data
        end = stream.find(b"\n", 0, _MAX_LINE)
        if end < 0:
            if len(stream) >= _MAX_LINE:
                self._lose(state)
            return False
        digits = stream.take(end + 1).partition(b";")[0].strip()
        try:
            size = int(digits, 16) if len(digits) <= 15 else -1
        except ValueError:
            size = -1
        if size < 0:
            self._lose(state)
            return False
        state.left = size
        state.state = CHUNK_DATA if size else TRAILER
        return True

    def _chunk_data(self, _side: int, state: _Side) -> bool:
        if state.room and state.left:
            self._keep(state, state.data.take(min(state.room, state.left)))
            if state.left and state.room:
                return False
        state.total += state.left
        state.data.skip(state.left + 2)
        state.left, state.state = 0, CHUNK
        return True

    def _trailer(self, side: int, state: _Side) -> bool:
        """Pass over trailer fields to the empty line."""
        stream = state.data
        end = stream.find(b"\n", 0, _MAX_LINE * 16)
        if end < 0:
            if len(stream) >= _MAX_LINE * 16:
                self._lose(state)
            return False
        if not stream.take(end + 1).strip():
            self._end_body(side, state)
        return True

    def _to_end(self, _side: int, state: _Side) -> bool:
        if state.room:
            taken = state.data.take(state.room)
            state.kept += taken
            state.room -= len(taken)
            state.total += len(taken)
        state.total += len(state.data)
        state.data.clear()
        return False

    def _ignored(self, _side: int, state: _Side) -> bool:
        state.data.clear()
        return False

    def _end_body(self, side: int, state: _Side) -> None:
        """Give the body to its exchange; a response's end is the exchange's end."""
        exchange = state.exchange
        state.state, state.exchange = HEAD, None
        state.began_us = state.data.time_us
        if exchange is None:
            return
        if exchange.response is not None and side != self._client:
            exchange.response_body, exchange.response_bytes = bytes(state.kept), state.total
            exchange.complete = True
            if exchange not in self._early:
                self._emit(exchange)
        elif not exchange.emitted:
            exchange.request_body, exchange.request_bytes = bytes(state.kept), state.total
            if exchange.complete:
                self._emit(exchange)
        state.kept.clear()

    def _emit(self, exchange: Exchange) -> None:
        if exchange.emitted:
            return
        exchange.emitted = True
        asking = self._sides[exchange.side]
        if asking.exchange is exchange and exchange.side == self._client:  # answered before it was all asked
            exchange.request_body, exchange.request_bytes = bytes(asking.kept), asking.total
        fields = exchange_fields(exchange)
        self._found.append(Message(DATASET, exchange.began_us, exchange.offset, fields, exchange.side))

    def _switch(self, method: str) -> None:
        """Leave HTTP: to TLS behind CONNECT, to nothing we read after an upgrade."""
        if method == "CONNECT":
            self._tunnel = TlsStream()
            return
        for exchange in (*self._waiting, *self._early):
            self._emit(exchange)
        for state in self._sides:
            state.state = IGNORED
            state.data.clear()
        self.done = True

    def _start_tunnel(self) -> None:
        """Give the bytes behind the heads to the tunnel."""
        tunnel = self._tunnel
        for side, state in enumerate(self._sides):
            stream = state.data
            place = stream.position
            rest = stream.take(len(stream))
            if tunnel is not None and rest:
                self._found += tunnel.feed(side, place, stream.time_us, rest)

    def _feed_tunnel(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        tunnel = self._tunnel
        found = tunnel.feed(side, offset, time_us, data) if tunnel is not None else []
        self.done = tunnel is None or tunnel.done
        return found


def _head_end(stream: ByteStream, start: int) -> int:
    """Return the size of the head with its empty line, -1 if that has not come; lone LF ends lines too."""
    size = min(len(stream), MAX_HEAD + 4)
    strict = stream.find(b"\r\n\r\n", max(0, start - 3), size)
    loose = stream.find(b"\n\n", max(0, start - 3), strict if strict >= 0 else size)
    if loose >= 0:
        return loose + 2
    return strict + 4 if strict >= 0 else -1


_STEPS: Final = {
    HEAD: HttpStream._head,
    BODY: HttpStream._body,
    CHUNK: HttpStream._chunk,
    CHUNK_DATA: HttpStream._chunk_data,
    TRAILER: HttpStream._trailer,
    TO_END: HttpStream._to_end,
    IGNORED: HttpStream._ignored,
    LOST: HttpStream._ignored,
}
