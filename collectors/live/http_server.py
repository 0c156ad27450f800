"""Serve HTTP/1.1 requests with bounded everything: heads, bodies, their decompression, time, connections.

h11 reads and writes the protocol. A request is refused on its head where possible, before its body is sent (Expect:
100-continue). For the pushes of log shippers: requests are small in number, bodies are JSON.
"""

from __future__ import annotations

import logging
import socket
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import unquote

import h11
import orjson

from collectors.live.connections import Budget

_LOGGER: Final = logging.getLogger("edusoc.collectors")
_HEAD_MOST: Final = 32_768
_HEAD_SECONDS: Final = 15.0
_BODY_SECONDS: Final = 30.0
_BODY_RATE: Final = 16_384
"""Bytes a second that a body has to keep up, beyond the first seconds."""
_CHUNK: Final = 1 << 16
_ROUNDS: Final = 100_000
TOO_LARGE: Final = "request is larger than allowed"
NO_ROOM: Final = "no room for further requests now"
NOT_PACKED: Final = "body is not what its encoding says"
UNKNOWN_ENCODING: Final = "encoding of the body is not known"
TOO_SLOW: Final = "request came too slowly"


@dataclass(frozen=True, slots=True)
class Head:
    """Hold what a request says before its body: header names in lower case, the path without query, decoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    sender: str


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one request with its whole body, decompressed."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """Hold an answer."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)
    kind: str = "application/json"


class RefusedError(Exception):
    """Say why a request is not served, and with which status."""

    def __init__(self, status: int, reason: str) -> None:
        """Take an HTTP status and the reason for the sender's log."""
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def response(self) -> Response:
        """Return the answer that says so; senders that shall come again are told when."""
        again = (("Retry-After", "5"),) if self.status in (429, 503) else ()
        return Response(self.status, orjson.dumps({"error": self.reason, "status": self.status}), again)


class Handler(Protocol):
    """Answer requests. Safe from several threads."""

    def check(self, head: Head) -> Response | None:
        """Return an answer that needs no body, ``None`` where the body is wanted. Raises ``RefusedError``."""
        ...

    def answer(self, request: Request) -> Response:
        """Return the answer. Raises ``RefusedError``."""
        ...


class HttpConnections:
    """Serve the requests of connections; give ``serve`` to ``connections.Server``."""

    def __init__(
        self, handler: Handler, *, largest: int, budget: Budget, server_name: str = "edusoc"
    ) -> None:
        """Take who answers, the largest body (decompressed) and the memory all bodies share."""
        self._handler = handler
        self._largest = largest
        self._budget = budget
        self._name = server_name

    def serve(self, client: socket.socket, sender: str) -> None:
        """Serve one connection until either side ends it."""
        talk = _Talk(client, sender, client.gettimeout() or _HEAD_SECONDS)
        while self._one(talk):
            pass

    def _one(self, talk: _Talk) -> bool:
        """Serve one request; tell whether the connection goes on."""
        taken: list[int] = []
        try:
            head = talk.head()
            if head is None:
                return False
            response = self._handler.check(head)
            if response is None:
                body = self._body(talk, head, taken)
                response = self._handler.answer(Request(head, body))
        except RefusedError as refused:
            response = refused.response()
        except h11.RemoteProtocolError as error:
            response = RefusedError(error.error_status_hint, "request is not HTTP/1.1").response()
        finally:
            self._budget.give(sum(taken))
        return talk.respond(response, self._name)

    def _body(self, talk: _Talk, head: Head, taken: list[int]) -> bytes:
        """Return the decompressed body; notes in ``taken`` what the budget gave."""
        length = head.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._largest:
            raise RefusedError(413, TOO_LARGE)
        unpack = _unpacker(head.headers.get("content-encoding", ""))
        parts: list[bytes] = []
        size = 0
        for chunk in talk.body():
            for part in unpack.take(chunk):
                size += len(part)
                if size > self._largest:
                    raise RefusedError(413, TOO_LARGE)
                if not self._budget.take(len(part)):
                    raise RefusedError(429, NO_ROOM)
                taken.append(len(part))
                parts.append(part)
        unpack.end()
        return b"".join(parts)


class _Talk:
    """Hold the protocol's state of one connection."""

    def __init__(self, client: socket.socket, sender: str, idle: float) -> None:
        self._client = client
        self._sender = sender
        self._idle = idle
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_MOST)
        self._deadline = 0.0
        self._method = ""

    def head(self) -> Head | None:
        """Return the head of the next request, ``None`` where the peer has ended."""
        self._client.settimeout(self._idle)
        self._deadline = 0.0  # runs from the first byte
        event = self._next()
        if not isinstance(event, h11.Request):
            return None
        target = event.target.decode("ascii", "replace")
        path, _, query = target.partition("?")
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        self._method = event.method.decode("ascii")
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            self._next()  # the end of a message without body
        return Head(self._method, unquote(path), query, headers, self._sender)

    def body(self) -> _Chunks:
        """Return the body piece by piece, having told a sender that waits for it to go on."""
        if self._connection.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
        self._deadline = time.monotonic() + _BODY_SECONDS
        return _Chunks(self)

    def piece(self) -> bytes | None:
        """Return the next piece of the body, ``None`` at its end."""
        if self._connection.their_state in (h11.DONE, h11.MUST_CLOSE):
            return None
        event = self._next()
        if isinstance(event, h11.Data):
            self._deadline += len(event.data) / _BODY_RATE
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return None
        raise ConnectionError("the peer has ended within a body")

    def _next(self) -> object:
        for _ in range(_ROUNDS):
            event = self._connection.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._receive()
        raise ConnectionError("too many pieces")

    def _receive(self) -> None:
        if self._deadline:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise RefusedError(408, TOO_SLOW)
            self._client.settimeout(left)
        try:
            data = self._client.recv(_CHUNK)
        except TimeoutError:
            if self._deadline:
                raise RefusedError(408, TOO_SLOW) from None
            raise
        if data and not self._deadline:
            self._deadline = time.monotonic() + _HEAD_SECONDS
        self._connection.receive_data(data)

    def respond(self, response: Response, server: str) -> bool:
        """Send an answer; tell whether another request may follow."""
        connection = self._connection
        if self._state() not in (h11.SEND_RESPONSE, h11.IDLE):
            return False
        headers = [
            ("Content-Type", response.kind),
            ("Content-Length", str(len(response.body))),
            ("Server", server),
            *response.headers,
        ]
        whole = connection.their_state in (h11.DONE, h11.MUST_CLOSE)
        if not whole:
            headers.append(("Connection", "close"))
        self._client.settimeout(_HEAD_SECONDS)
        self._send(h11.Response(status_code=response.status, headers=headers))
        if response.body and self._method != "HEAD":
            self._send(h11.Data(data=response.body))
        self._send(h11.EndOfMessage())
        if not whole or self._state() is not h11.DONE:
            return False
        connection.start_next_cycle()
        return True

    def _state(self) -> object:
        return self._connection.our_state

    def _send(self, event: h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage) -> None:
        data = self._connection.send(event)
        if data:
            self._client.sendall(data)


class _Chunks:
    """Iterate over the pieces of a body."""

    def __init__(self, talk: _Talk) -> None:
        self._talk = talk

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        piece = self._talk.piece()
        if piece is None:
            raise StopIteration
        return piece


class _Plain:
    """Pass a body on as it is."""

    def take(self, chunk: bytes) -> Sequence[bytes]:
        return (chunk,)

    def end(self) -> None:
        return


class _Packed:
    """Decompress a body in pieces of bounded size, so that a small one can't become a large one unseen."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._stream = zlib.decompressobj(bits)

    def take(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk holds; several streams may stand one behind the other (RFC 1952 section 2.2)."""
        while chunk:
            if self._stream.eof:
                self._stream = zlib.decompressobj(self._bits)
            yield from Unpacked(self._stream, chunk)
            chunk = self._stream.unused_data

    def end(self) -> None:
        if not self._stream.eof:
            raise RefusedError(400, NOT_PACKED)


class Unpacked:
    """Iterate over what a compressed chunk holds, piece by piece."""

    def __init__(self, stream: zlib._Decompress, chunk: bytes) -> None:
        """Take the stream and the next bytes of it."""
        self._stream = stream
        self._chunk = chunk

    def __iter__(self) -> Unpacked:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece, at most 64 KiB. Raises ``RefusedError`` for what can't be decompressed."""
        try:
            piece = self._stream.decompress(self._chunk, _CHUNK)
        except zlib.error:
            raise RefusedError(400, NOT_PACKED) from None
        self._chunk = self._stream.unconsumed_tail
        if not piece:
            raise StopIteration
        return piece


def _unpacker(encoding: str) -> _Plain | _Packed:
    """Return what undoes a Content-Encoding. Raises ``RefusedError`` for one that isn't known."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Packed(16 + zlib.MAX_WBITS)
        case "deflate":
            return _Packed(zlib.MAX_WBITS)
        case _:
            raise RefusedError(415, UNKNOWN_ENCODING)
