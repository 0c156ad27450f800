"""Run the web role: one process that reads events and writes operational state only."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from soc_api.app import create_app
from soc_api.services import Services
from soc_core.errors import UsageError


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise ``UsageError`` when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"can't listen on {host}:{port}: {error.strerror}", todo="choose another --port"
        ) from error
    listener.listen(256)
    return listener


def serve(services: Services, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; ``ready`` is called with the address once the socket accepts connections."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        create_app(services),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    ready(f"http://{shown}:{port}")
    uvicorn.Server(config).run(sockets=[listener])
