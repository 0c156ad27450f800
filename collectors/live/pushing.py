"""Hold what the inputs that documents are pushed to by HTTP have in common: settings, tokens, delivery in parts."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from collectors.base import BATCH_EVENTS, MAX_RECORD_BYTES, Batch
from collectors.live.base import Counters, Origin, Outlet
from collectors.live.connections import Budget, Server
from collectors.live.documents import Document, DocumentReader
from collectors.live.http_server import Handler, Head, HttpConnections, RefusedError
from collectors.live.listening import Gate, Limits, Network, listen, read_limits, read_token, server_tls
from collectors.live.options import Options
from soc_core.errors import StoreError, UsageError

NO_TOKEN: Final = "token is missing or wrong"  # noqa: S105 - a sentence
TOKEN_IN_URL: Final = "tokens belong into the Authorization header, not into the address"  # noqa: S105 - a sentence
NOT_STORED: Final = "can't be stored now, come again"
_AT_ONCE: Final = 8
"""How many batches are made and delivered at once: enough to share fsyncs, few enough to bound memory."""
_SECRET_NAMES: Final = re.compile(
    r"(?:^|&)(?:access_?token|token|api_?key|key|password|secret|auth)=", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class PushSettings:
    """Hold what an input of pushes was told."""

    where: str
    addresses: Sequence[tuple[str, int]]
    tls: ssl.SSLContext | None
    allowed: Sequence[Network]
    limits: Limits
    token: str
    largest: int


def read_settings(options: Options, *, port: int) -> PushSettings:
    """Return the settings ``listen``, those of TLS and limits, ``allow``, ``token`` and ``request_mib``.

    Raises ``UsageError`` where nothing says who may push: a token, or certificates of clients.
    """
    tls = server_tls(options)
    token = read_token(options)
    if not token and (tls is None or tls.verify_mode != ssl.CERT_REQUIRED):
        raise options.fault(
            "token", "is missing", 'write token_file = "/etc/edusoc/push.token", or client_authority'
        )
    return PushSettings(
        where=options.where,
        addresses=options.addresses("listen", port=port),
        tls=tls,
        allowed=options.networks("allow"),
        limits=read_limits(options, connections=128, each=32, idle=300),
        token=token,
        largest=options.number("request_mib", 16, least=1, most=256) << 20,
    )


class PushInput:
    """Run the HTTP server of one configured input. ``kind`` and ``handler`` are set by who makes it."""

    def __init__(
        self,
        name: str,
        kind: str,
        settings: PushSettings,
        handler: Callable[[Delivery], Handler],
        epoch: bytes | None = None,
    ) -> None:
        """Take what answers requests; ``epoch`` names this run of the input, a random one where none is given."""
        self.name = name
        self.kind = kind
        self.counters = Counters()
        self.addresses: list[tuple[str, int]] = []
        """Where requests are taken, once they are."""
        self._settings = settings
        self._handler = handler
        self._reader = DocumentReader(name, epoch or os.urandom(16), self.counters)

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Serve until ``stop``; finish what is under way and return."""
        settings = self._settings
        listeners = listen_all(settings.addresses, settings.where)
        self.addresses = [listener.getsockname()[:2] for listener in listeners]
        handler = self._handler(Delivery(self.name, self._reader, outlet, self.counters))
        budget = Budget(3 * settings.largest)
        connections = HttpConnections(handler, largest=settings.largest, budget=budget)
        gate = Gate(self.counters, settings.limits, settings.allowed)
        Server(listeners, settings.tls, gate, settings.limits, self.counters, connections.serve).run(stop)


def listen_all(addresses: Sequence[tuple[str, int]], where: str) -> list[socket.socket]:
    """Return sockets listening on all addresses, or none: raises ``UsageError`` where one can't be had."""
    opened: list[socket.socket] = []
    try:
        opened.extend(listen(address, socket.SOCK_STREAM, where) for address in addresses)
    except UsageError:
        for listener in opened:
            listener.close()
        raise
    return opened


class Delivery:
    """Make batches of documents and deliver them. Safe from several threads."""

    def __init__(self, name: str, reader: DocumentReader, outlet: Outlet, counters: Counters) -> None:
        """Take the input's name and what it reads and delivers with."""
        self._name = name
        self._reader = reader
        self._outlet = outlet
        self.counters = counters
        self._turns = threading.Semaphore(_AT_ONCE)

    def deliver(self, documents: Sequence[Document], sender: str) -> list[str]:
        """Deliver at most a batch of documents; return why each can't be used, empty for those that can.

        Raises ``StoreError``: nothing of them is acknowledged then.
        """
        with self._turns:
            batch, faults = self.make(documents, sender)
            self.hand_over(batch, sender)
        return faults

    def make(self, documents: Sequence[Document], sender: str) -> tuple[Batch, list[str]]:
        """Return the batch of documents that arrive now, and why each can't be used."""
        return self._reader.read(documents, self._outlet.context(Origin(self._name, sender)), sender)

    def hand_over(self, batch: Batch, sender: str) -> None:
        """Return when a batch is durable. Raises ``StoreError``; the same batch may be handed over again."""
        self._outlet.deliver(batch, Origin(self._name, sender))
        self.counters.add("delivered", len(batch.events))
        if batch.bad:
            self.counters.add("bad", len(batch.bad))

    def deliver_all(self, documents: Iterable[Document], sender: str) -> list[str]:
        """Deliver any number of documents in parts; return faults, ``NOT_STORED`` for what has to come again."""
        faults: list[str] = []
        waiting = iter(documents)
        while part := list(islice(waiting, BATCH_EVENTS)):
            try:
                faults += self.deliver(part, sender)
            except StoreError:
                # What follows would be stored out of order or not at all: it comes again too.
                faults += [NOT_STORED] * (len(part) + sum(1 for _ in waiting))
        return faults


def check_token(head: Head, token: str) -> None:
    """Refuse a request that doesn't show the token: as Bearer, as password (Basic) or as key (ApiKey).

    A token in the address is refused too, whatever it is: addresses end up in logs.
    """
    if _SECRET_NAMES.search(head.query):
        raise RefusedError(400, TOKEN_IN_URL)
    if not token:
        return
    scheme, _, value = head.headers.get("authorization", "").strip().partition(" ")
    shown = value.strip()
    if scheme.lower() in ("basic", "apikey"):
        with suppress(binascii.Error, ValueError):  # an API key may be written as it is
            shown = base64.b64decode(shown, validate=True).decode("utf-8", "replace").partition(":")[2]
    if not hmac.compare_digest(shown.encode(), token.encode()):
        raise RefusedError(401, NO_TOKEN)


def too_long(raw: bytes) -> str:
    """Return why a document is too long, else nothing."""
    return "object is longer than 1 MiB" if len(raw) > MAX_RECORD_BYTES else ""
