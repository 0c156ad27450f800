"""Open what network inputs listen on, and keep count of who is connected: sockets, TLS, allowed networks, limits."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Final, TypeAlias

from collectors.coerce import ip_text
from collectors.live.base import Counters
from collectors.live.options import Options
from soc_core.errors import UsageError

Network: TypeAlias = IPv4Network | IPv6Network
_BACKLOG: Final = 512
_SENDERS_KEPT: Final = 1 << 14
_SELECTED: Final = 400 if sys.platform == "win32" else 60_000
"""How many connections one thread can watch: select() of Windows takes 512 sockets."""


def listen(address: tuple[str, int], kind: socket.SocketKind, where: str) -> socket.socket:
    """Return a socket bound to ``address``; one of IPv6 takes IPv6 only, so that both can be listened on side by side.

    Raises ``UsageError`` where the address can't be had.
    """
    host, port = address
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host, port, type=kind, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        server = socket.socket(family, kind)
    except OSError as error:
        raise _taken(address, where, error) from error
    try:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM and sys.platform != "win32":  # there it would let others take the port
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(place)
        if kind == socket.SOCK_STREAM:
            server.listen(_BACKLOG)
        server.setblocking(False)
    except OSError as error:
        server.close()
        raise _taken(address, where, error) from error
    return server


def _taken(address: tuple[str, int], where: str, error: OSError) -> UsageError:
    shown = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return UsageError(
        f"can't listen on {shown}: {error.strerror or error}",
        where=where,
        todo="choose another port, stop the program that has it, or allow ports below 1024",
    )


def sender_text(place: object) -> str:
    """Return the canonical address of a peer as sockets give it, empty for one without (Unix sockets)."""
    if not isinstance(place, tuple) or not place:
        return ""
    return ip_text(str(place[0])) or str(place[0])


def server_tls(options: Options, *, needed: bool = False) -> ssl.SSLContext | None:
    """Return how connections are encrypted, ``None`` where no ``certificate`` is set.

    Settings: ``certificate`` and ``key`` are PEM files; with ``client_authority`` only clients with a certificate of
    that authority are let in. TLS 1.2 is the least. Raises ``UsageError`` for files that don't fit.
    """
    certificate, key = options.text("certificate", ""), options.text("key", "")
    authority = options.text("client_authority", "")
    if not certificate:
        if needed or key or authority:
            raise options.fault("certificate", "is missing", 'write certificate = "/etc/edusoc/server.pem"')
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Senders of syslog never read. A session ticket they leave unread would turn their end of the connection into a
    # reset, and what they sent last would be lost.
    context.num_tickets = 0
    try:
        context.load_cert_chain(Path(certificate).expanduser(), Path(key).expanduser() if key else None)
        if authority:
            context.load_verify_locations(Path(authority).expanduser())
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        # An encrypted key would have the library ask a person who isn't there: that ends here too.
        raise UsageError(
            f"certificate or key can't be used: {error.strerror or error}",
            where=options.where,
            todo="give PEM files that belong together, the key without a password",
        ) from error
    return context


def read_token(options: Options) -> str:
    """Return the secret that senders must show, from ``token`` or the first line of ``token_file``; empty if unset."""
    token, file = options.text("token", ""), options.text("token_file", "")
    if file:
        try:
            token = Path(file).expanduser().read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise options.fault(
                "token_file", "can't be read", "name a text file that the agent may read"
            ) from error
        if not token:
            raise options.fault("token_file", "is empty", "write the token into its first line")
    return token


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what connections may take.

    ``connections`` in all and ``each`` sender, ``idle`` seconds without a byte, ``handshake`` seconds for TLS.
    """

    connections: int
    each: int
    idle: float
    handshake: float = 10.0


def read_limits(options: Options, *, connections: int, each: int, idle: int) -> Limits:
    """Return the limits of an input: ``connections``, ``connections_each``, ``idle_seconds``, with usual values."""
    return Limits(
        min(options.number("connections", connections, least=1, most=60_000), _SELECTED),
        options.number("connections_each", each, least=1, most=60_000),
        options.number("idle_seconds", idle, least=1, most=1 << 20),
    )


class Gate:
    """Decide who comes in: allowed networks, connections in all and of each sender. Safe from several threads."""

    def __init__(self, counters: Counters, limits: Limits, allowed: Sequence[Network] = ()) -> None:
        """Without allowed networks everyone may come. Counts ``connections`` and ``refused``."""
        self._counters = counters
        self._limits = limits
        self._allowed = tuple(allowed)
        self._open: dict[str, int] = {}
        self._count = 0
        self._lock = threading.Lock()
        self.allows = lru_cache(maxsize=_SENDERS_KEPT)(self._allows)

    def _allows(self, sender: str) -> bool:
        """Tell whether a sender is in one of the networks."""
        if not self._allowed:
            return True
        try:
            address = ip_address(sender)
        except ValueError:
            return not sender  # a Unix socket: its file says who may
        return any(address in network for network in self._allowed)

    def enter(self, sender: str) -> bool:
        """Let one connection in and tell so, or count it as refused."""
        with self._lock:
            mine = self._open.get(sender, 0)
            fits = self._count < self._limits.connections and mine < self._limits.each and self.allows(sender)
            if fits:
                self._open[sender] = mine + 1
                self._count += 1
        self._counters.add("connections" if fits else "refused")
        return fits

    def leave(self, sender: str) -> None:
        """Note that one connection has ended."""
        with self._lock:
            left = self._open.get(sender, 0) - 1
            if left > 0:
                self._open[sender] = left
            else:
                self._open.pop(sender, None)
            self._count -= 1
        self._counters.add("connections", -1)
