"""Take documents from Beats and Logstash over lumberjack version 2, acknowledged when they are durable.

While a batch waits for room, what was acknowledged last is said again every few seconds: the sender then knows that we
are alive and doesn't send all of it anew. Documents are read as ``documents`` says.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from collectors.base import BATCH_EVENTS, MAX_RECORD_BYTES
from collectors.live.base import Counters, Outlet
from collectors.live.connections import Budget, Server
from collectors.live.documents import Document, DocumentReader
from collectors.live.listening import Gate, Limits, Network, read_limits, server_tls
from collectors.live.lumberjack import FrameReader, ProtocolError, Sent, Window, acknowledgement
from collectors.live.options import Options
from collectors.live.pushing import Delivery, listen_all
from soc_core.errors import StoreError

_CHUNK: Final = 1 << 16
_HELD_BYTES: Final = 2 * MAX_RECORD_BYTES
_HELD_BYTES_OF_ALL: Final = 32 * MAX_RECORD_BYTES
_SAY_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class BeatsSettings:
    """Hold what an input of Beats was told."""

    where: str
    addresses: Sequence[tuple[str, int]]
    tls: ssl.SSLContext | None
    allowed: Sequence[Network]
    limits: Limits


def build(name: str, options: Options) -> BeatsInput:
    """Return the input called ``name``. Raises ``UsageError`` for settings that are wrong."""
    settings = BeatsSettings(
        where=options.where,
        addresses=options.addresses("listen", port=5044),
        tls=server_tls(options),
        allowed=options.networks("allow"),
        limits=read_limits(options, connections=64, each=16, idle=300),
    )
    options.done()
    if not settings.addresses:
        raise options.fault("listen", "is missing", 'write listen = "0.0.0.0:5044"')
    return BeatsInput(name, settings)


class BeatsInput:
    """Run the sockets of one configured input."""

    kind: str = "beats"

    def __init__(self, name: str, settings: BeatsSettings, epoch: bytes | None = None) -> None:
        """``epoch`` names this run of the input; a random one is made where none is given."""
        self.name = name
        self.counters = Counters()
        self.addresses: list[tuple[str, int]] = []
        """Where Beats are served, once they are."""
        self._settings = settings
        self._reader = DocumentReader(name, epoch or os.urandom(16), self.counters)

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Serve until ``stop``; acknowledge what is under way and return."""
        settings = self._settings
        listeners = listen_all(settings.addresses, settings.where)
        self.addresses = [listener.getsockname()[:2] for listener in listeners]
        delivery = Delivery(self.name, self._reader, outlet, self.counters)
        gate = Gate(self.counters, settings.limits, settings.allowed)

        budget = Budget(_HELD_BYTES_OF_ALL)

        def serve(client: socket.socket, sender: str) -> None:
            _Session(client, sender, delivery, budget).run()

        Server(listeners, settings.tls, gate, settings.limits, self.counters, serve).run(stop)


class _Session:
    """Hold one connection: what was acknowledged, and what waits to be delivered."""

    def __init__(self, client: socket.socket, sender: str, delivery: Delivery, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0
        self._client = client
        self._sender = sender
        self._delivery = delivery
        self._frames = FrameReader()
        self._waiting: list[Sent] = []
        self._bytes = 0
        self._left = 0
        self._acknowledged = 0
        self._sending = threading.Lock()

    def run(self) -> None:
        """Read until the sender ends the connection, or a batch can't be stored: then it comes again."""
        try:
            while data := self._client.recv(_CHUNK):
                for item in self._frames.feed(data):
                    self._take(item)
        except ProtocolError:
            self._delivery.counters.add("refused")
        except StoreError:
            return
        finally:
            self._budget.give(self._taken)

    def _take(self, item: Window | Sent) -> None:
        if isinstance(item, Window):
            if self._left:
                raise ProtocolError("window within a window")
            self._left = item.documents
            self._acknowledged = 0
            return
        if not self._left:
            raise ProtocolError("document outside a window")
        self._left -= 1
        if self._budget.take(len(item.raw)):
            self._taken += len(item.raw)
        elif self._waiting:
            self._deliver()
        self._waiting.append(item)
        self._bytes += len(item.raw)
        if not self._left or len(self._waiting) >= BATCH_EVENTS or self._bytes >= _HELD_BYTES:
            self._deliver()

    def _deliver(self) -> None:
        """Deliver what waits, then acknowledge it; a window may be acknowledged in parts."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        done = threading.Event()
        alive = threading.Timer(_SAY_SECONDS, self._say_again, (done,))
        alive.daemon = True
        alive.start()
        try:
            documents = [Document(sent.raw, fault=sent.fault) for sent in waiting]
            self._delivery.deliver(documents, self._sender)
        finally:
            with self._sending:
                done.set()
            alive.cancel()
            self._budget.give(self._taken)
            self._taken = 0
        self._acknowledged = waiting[-1].sequence
        with self._sending:
            self._client.sendall(acknowledgement(self._acknowledged))

    def _say_again(self, done: threading.Event) -> None:
        """Say what was acknowledged last again and again, while the next batch waits for room."""
        while not done.is_set():
            try:
                with self._sending:
                    if not done.is_set():
                        self._client.sendall(acknowledgement(self._acknowledged))
            except (OSError, ValueError):
                return
            done.wait(_SAY_SECONDS)
