"""Serve many stream connections from one thread: accept, TLS, read, idle time-outs; what is read goes to a reader each.

For protocols in which the server says nothing (syslog, EVE). While a reader's bytes are being delivered nothing is read
from anyone: the senders' TCP then waits, which is the back-pressure these protocols have.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

from collectors.live.base import Counters
from collectors.live.listening import Gate, Limits, sender_text

_CHUNK: Final = 1 << 16
_ROUNDS: Final = 8
_LOGGER: Final = logging.getLogger("edusoc.collectors")
_PAUSE_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 1.0


class Reader(Protocol):
    """Take what one connection sends."""

    def feed(self, data: bytes) -> int:
        """Take bytes as they come; return how many are held because their message isn't whole."""
        ...

    def close(self) -> None:
        """Take notice that nothing more comes."""
        ...


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sender: str
    reader: Reader
    deadline: float
    handshaking: bool = False
    held: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """Say how connections are served: who reads one of a sender, the limits, and how much may be held in all."""

    reader: Callable[[str], Reader]
    limits: Limits
    gate: Gate
    held_most: int = 32 << 20


@dataclass(slots=True)
class _Paused:
    """Hold listeners that are left alone for a while because no file can be opened."""

    until: float = 0.0
    listeners: list[socket.socket] = field(default_factory=list)


class StreamServer:
    """Run the connections of some listening sockets. For one thread; call ``poll`` again and again, then ``close``."""

    def __init__(
        self,
        listeners: Sequence[tuple[socket.socket, ssl.SSLContext | None]],
        service: Service,
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take listening sockets, each with its encryption. Counts what ``Gate`` counts and ``received_bytes``."""
        self._service = service
        self._counters = counters
        self._clock = clock
        self._tls = dict(listeners)
        self._selector = selectors.DefaultSelector()
        self._connections: dict[socket.socket, _Connection] = {}
        self._held = 0
        self._swept = clock()
        self._paused = _Paused()
        for listener in self._tls:
            self._selector.register(listener, selectors.EVENT_READ)

    def poll(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds for something to happen, and do what there is to do."""
        for key, _ in self._selector.select(timeout):
            ready = cast("socket.socket", key.fileobj)
            connection = self._connections.get(ready)
            if connection is not None:
                self._serve(connection)
            elif ready in self._tls:
                self._accept(ready)
        now = self._clock()
        if now - self._swept >= _SWEEP_SECONDS:
            self._sweep(now)

    def close(self) -> None:
        """Read what has arrived already, then close everything."""
        for connection in list(self._connections.values()):
            if not connection.handshaking:
                self._read(connection)
        for connection in list(self._connections.values()):
            self._drop(connection)
        for listener in self._tls:
            listener.close()
        self._selector.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ROUNDS):
            try:
                client, place = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:  # no more files may be open
                _LOGGER.warning("can't accept connections: %s", error)
                self._pause(listener)
                return
            sender = sender_text(place)
            if not self._service.gate.enter(sender):
                client.close()
                continue
            self._admit(client, sender, self._tls[listener])

    def _admit(self, client: socket.socket, sender: str, tls: ssl.SSLContext | None) -> None:
        client.setblocking(False)
        limits = self._service.limits
        if tls is not None:
            try:
                client = tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            except (OSError, ValueError):
                client.close()
                self._service.gate.leave(sender)
                return
        wait = limits.idle if tls is None else limits.handshake
        connection = _Connection(
            client, sender, self._service.reader(sender), self._clock() + wait, tls is not None
        )
        self._connections[client] = connection
        self._selector.register(client, selectors.EVENT_READ)

    def _serve(self, connection: _Connection) -> None:
        if connection.handshaking:
            self._shake_hands(connection)
        else:
            self._read(connection)

    def _shake_hands(self, connection: _Connection) -> None:
        try:
            cast("ssl.SSLSocket", connection.socket).do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE | selectors.EVENT_READ)
            return
        except (OSError, ValueError):
            self._counters.add("refused")
            self._drop(connection)
            return
        self._selector.modify(connection.socket, selectors.EVENT_READ)
        connection.handshaking = False
        connection.deadline = self._clock() + self._service.limits.idle
        self._read(connection)  # what came with the end of the handshake is in TLS's own buffer

    def _read(self, connection: _Connection) -> None:
        """Read a bounded amount, so that one busy sender doesn't starve the others."""
        for _ in range(_ROUNDS):
            try:
                data = connection.socket.recv(_CHUNK)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            if not data:
                self._drop(connection)
                return
            self._counters.add("received_bytes", len(data))
            connection.deadline = self._clock() + self._service.limits.idle
            held = connection.reader.feed(data)
            self._held += held - connection.held
            connection.held = held
            if held and self._held > self._service.held_most:
                self._counters.add("refused")
                self._drop(connection)
                return
            if len(data) < _CHUNK and not _pending(connection.socket):
                return

    def _drop(self, connection: _Connection) -> None:
        if self._connections.pop(connection.socket, None) is None:
            return
        self._selector.unregister(connection.socket)
        self._held -= connection.held
        connection.socket.close()
        connection.reader.close()
        self._service.gate.leave(connection.sender)

    def _sweep(self, now: float) -> None:
        """Close connections that have been silent for too long; accept again after a pause."""
        self._swept = now
        for connection in [each for each in self._connections.values() if each.deadline <= now]:
            self._counters.add("idle")
            self._drop(connection)
        if self._paused.listeners and now >= self._paused.until:
            for listener in self._paused.listeners:
                self._selector.register(listener, selectors.EVENT_READ)
            self._paused.listeners.clear()

    def _pause(self, listener: socket.socket) -> None:
        self._selector.unregister(listener)
        self._paused.listeners.append(listener)
        self._paused.until = self._clock() + _PAUSE_SECONDS


def _pending(client: socket.socket) -> bool:
    """Tell whether TLS holds decrypted bytes: the selector doesn't see those."""
    return isinstance(client, ssl.SSLSocket) and client.pending() > 0
