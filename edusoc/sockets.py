"""Listen on addresses. Imports nothing heavy: the supervisor stays small."""

from __future__ import annotations

import socket

from soc_core.errors import UsageError


def bind(host: str, port: int, todo: str = "choose another --port") -> socket.socket:
    """Return a listening socket; raise ``UsageError`` when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol said, asyncio sets TCP_NODELAY on connections; without it each answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(f"can't listen on {host}:{port}: {error.strerror}", todo=todo) from error
    listener.listen(256)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return ``host:port`` of a listening socket, as an address is written."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
