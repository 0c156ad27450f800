"""Run the web role: one process that reads events and writes operational state only."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn

from edusoc.sockets import address_of, bind
from soc_api.app import create_app
from soc_api.services import Services

__all__ = ["address_of", "bind", "serve"]


class _Server(uvicorn.Server):
    """Tell the application that the server stops: live streams would otherwise hold it up."""

    def __init__(self, config: uvicorn.Config, closing: threading.Event) -> None:
        """Take the application's sign that it is closing."""
        super().__init__(config)
        self._closing = closing

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        self._closing.set()
        super().handle_exit(sig, frame)


def serve(services: Services, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until interrupted (SIGINT or SIGTERM); ``ready`` gets the address: the socket accepts connections."""
    app = create_app(services)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    # uvicorn sends the signal it stopped for once more when it is done; both shall end the program in order.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    ready(f"http://{address_of(listener)}")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _Server(config, app.state.closing).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()
