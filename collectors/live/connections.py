"""Serve connections of protocols with answers, each in a thread of its own: Beats, HTTP. Their number is bounded.

A thread may wait for a batch to become durable without the others waiting. At the end connections are shut for
reading: what is under way is finished and answered.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from collectors.live.base import Counters
from collectors.live.listening import Gate, Limits, sender_text

Serve: TypeAlias = Callable[[socket.socket, str], None]
"""Serve one connection of a sender until it ends; the socket has a time-out and is closed by the caller."""
_POLL_SECONDS: Final = 0.25
_END_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 1.0
_LOGGER: Final = logging.getLogger("edusoc.collectors")


class Budget:
    """Bound the memory that all connections of an input hold together. Safe from several threads."""

    def __init__(self, most: int) -> None:
        """Take the most bytes."""
        self._most = most
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take some bytes and tell so, or tell that there is no room."""
        with self._lock:
            if self._held + size > self._most:
                return False
            self._held += size
            return True

    def give(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._held -= size


@dataclass(frozen=True, slots=True)
class Server:
    """Say how connections are accepted: sockets, encryption, who may come, limits, counters, who serves."""

    listeners: Sequence[socket.socket]
    tls: ssl.SSLContext | None
    gate: Gate
    limits: Limits
    counters: Counters
    serve: Serve

    def run(self, stop: threading.Event) -> None:
        """Accept until ``stop``, then end the connections and return."""
        running = _Running(self)
        selector = selectors.DefaultSelector()
        try:
            for listener in self.listeners:
                selector.register(listener, selectors.EVENT_READ)
            while not stop.is_set():
                for key, _ in selector.select(_POLL_SECONDS):
                    if not running.accept(cast("socket.socket", key.fileobj)):
                        stop.wait(_PAUSE_SECONDS)
        finally:
            selector.close()
            for listener in self.listeners:
                listener.close()
            running.end()


class _Running:
    """Hold the connections that are open."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()

    def accept(self, listener: socket.socket) -> bool:
        """Take one connection; return ``False`` where no further file can be opened."""
        try:
            client, place = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return True
        except OSError as error:
            _LOGGER.warning("can't accept connections: %s", error)
            return False
        sender = sender_text(place)
        if not self._server.gate.enter(sender):
            client.close()
            return True
        thread = threading.Thread(target=self._run, args=(client, sender), daemon=True)
        with self._lock:
            self._open[client] = thread
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no further thread
            _LOGGER.warning("can't serve connections: %s", error)
            self._forget(client, sender)
            client.close()
            return False
        return True

    def _run(self, client: socket.socket, sender: str) -> None:
        server = self._server
        served = client
        try:
            client.settimeout(server.limits.handshake)
            if server.tls is not None:
                served = server.tls.wrap_socket(client, server_side=True)
            served.settimeout(server.limits.idle)
            server.serve(served, sender)
        except (OSError, ValueError) as error:
            # TLS that fails, a peer that goes away, time-outs: the connection's end, nothing more.
            _LOGGER.debug("connection of %s ended: %r", sender, error)
            if served is client and server.tls is not None:
                server.counters.add("refused")
        except Exception:
            _LOGGER.exception("connection of %s failed", sender)
        finally:
            with suppress(OSError):
                served.close()
            client.close()
            self._forget(client, sender)

    def _forget(self, client: socket.socket, sender: str) -> None:
        with self._lock:
            self._open.pop(client, None)
        self._server.gate.leave(sender)

    def end(self) -> None:
        """Let connections finish what they are doing, for a few seconds."""
        deadline = time.monotonic() + _END_SECONDS
        while True:
            with self._lock:
                left = list(self._open.items())
            if not left or time.monotonic() >= deadline:
                return
            for client, _ in left:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RD)
            left[0][1].join(0.1)
