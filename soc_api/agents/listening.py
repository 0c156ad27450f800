"""Listen for agents: TLS, and bounds for whoever comes.

Connections are accepted one by one, so that half-open and idle ones can't take all there are: a handshake has ten
seconds, a request's head twenty, one address has a share. What is beyond waits in the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 1_000
MOST_OF_ADDRESS: Final = 200
"""Many schools may come from one address of their provider."""
HANDSHAKE_SECONDS: Final = 10.0
HEAD_SECONDS: Final = 20.0
KEPT_SECONDS: Final = 120
"""So long a connection is kept between two requests: an agent's heartbeat comes every minute."""
LOOK_SECONDS: Final = 5.0
HEAD_BYTES: Final = 16_384


class _Protocol(H11Protocol):
    """Close connections that begin a request and don't end its head; count them out when they are gone."""

    def __init__(
        self, server: IntakeServer, address: str, **parts: Any
    ) -> None:  # what uvicorn gives its protocols
        super().__init__(**parts)
        self._intake_server, self._address = server, address
        self._since = self.loop.time()
        self._answered = 0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to look at the connection now and then."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_at_it)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        super().connection_lost(exc)
        if self._look is not None:
            self._look.cancel()
        self._intake_server.leave(self._address)

    def on_response_complete(self) -> None:
        """Note when the connection became idle."""
        self._since = self.loop.time()
        self._answered += 1
        super().on_response_complete()

    def _look_at_it(self) -> None:
        at_work = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr] # None at first
        idle = self.loop.time() - self._since
        if not at_work and idle > (KEPT_SECONDS if self._answered else HEAD_SECONDS):
            self.transport.abort()
            return
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_at_it)


class IntakeServer(uvicorn.Server):
    """Serve the application for agents on sockets that listen already."""

    def __init__(self, app: ASGIApp, context: ssl.SSLContext, *, most: int = MOST_CONNECTIONS) -> None:
        """Take the application and the context, which may get a new certificate while it runs."""
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            server_header=False,
            lifespan="off",
            http=H11Protocol,
            ws="none",
            timeout_keep_alive=KEPT_SECONDS,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
        super().__init__(config)
        self._context = context
        self._free = asyncio.Semaphore(most)
        self._of_address: Counter[str] = Counter()
        self._accepting: list[asyncio.Task[None]] = []
        self._coming: set[asyncio.Task[None]] = set()
        self.refused = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self.servers = []
        for listener in sockets or []:
            listener.setblocking(False)
            self._accepting.append(asyncio.create_task(self._accept(listener)))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, let running requests end."""
        for task in (*self._accepting, *self._coming):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._coming, return_exceptions=True)
        await super().shutdown(sockets)

    def leave(self, address: str) -> None:
        """Free the place of a connection that is gone."""
        self._free.release()
        self._of_address[address] -= 1
        if self._of_address[address] <= 0:
            del self._of_address[address]

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                connection, peer = await loop.sock_accept(listener)
            except asyncio.CancelledError:
                self._free.release()
                raise
            except OSError:  # no descriptors left, or the peer gave up
                self._free.release()
                await asyncio.sleep(0.2)
                continue
            address = str(peer[0])
            self._of_address[address] += 1
            if self._of_address[address] > MOST_OF_ADDRESS:
                self.refused += 1
                connection.close()
                self.leave(address)
                continue
            task = asyncio.create_task(self._begin(connection, address))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _begin(self, connection: socket.socket, address: str) -> None:
        """Shake hands; from then on the protocol has the connection."""
        loop = asyncio.get_running_loop()
        made: list[_Protocol] = []

        def protocol() -> _Protocol:
            made.append(
                _Protocol(
                    self,
                    address,
                    config=self.config,
                    server_state=self.server_state,
                    app_state={},
                )
            )
            return made[0]

        try:
            await loop.connect_accepted_socket(
                protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=HANDSHAKE_SECONDS,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            with contextlib.suppress(OSError):
                connection.close()
            if not made or made[0].transport is None:  # else the protocol gave the place back itself
                self.refused += 1
                self.leave(address)
