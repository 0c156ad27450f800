"""Write the clear part of SSH connections (RFC 4253): banners, key exchange, then packets by their sizes."""

from __future__ import annotations

import random
import struct
from typing import Final

from pcaps.wire.tcp import CLIENT, SERVER, Connection

_KEX: Final = (
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha256"
)
_HOST_KEYS: Final = "rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519"
_CIPHERS: Final = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes256-gcm@openssh.com"
_MACS: Final = "umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-256,hmac-sha1"


def _packet(body: bytes) -> bytes:
    padding = 8 - (5 + len(body)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack("!IB", 1 + len(body) + padding, padding) + body + bytes(padding)


def _kex_init(kex: str, rng: random.Random) -> bytes:
    names = (kex, _HOST_KEYS, _CIPHERS, _CIPHERS, _MACS, _MACS, "none,zlib@openssh.com", "none", "", "")
    lists = b"".join(struct.pack("!I", len(name)) + name.encode() for name in names)
    return _packet(b"\x14" + rng.randbytes(16) + lists + bytes(5))


def greet(connection: Connection, *, client: str = "SSH-2.0-OpenSSH_9.6", kex: str = _KEX) -> None:
    """Play banners, key exchange and new keys on an open connection."""
    rng = connection.capture.rng
    connection.send(CLIENT, client.encode() + b"\r\n")
    connection.send(SERVER, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", think=0.01)
    connection.send(CLIENT, _kex_init(kex, rng))
    connection.send(SERVER, _kex_init(_KEX, rng))
    connection.send(CLIENT, _packet(b"\x1e" + struct.pack("!I", 32) + rng.randbytes(32)))
    reply = b"\x1f" + struct.pack("!I", 51) + b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + _host_key()
    reply += (
        struct.pack("!I", 32) + rng.randbytes(32) + struct.pack("!I", 83) + b"\0\0\0\x0bssh-ed25519\0\0\0\x40"
    )
    connection.send(SERVER, _packet(reply + rng.randbytes(64)) + _packet(b"\x15"), think=0.003)
    connection.send(CLIENT, _packet(b"\x15"))


def _host_key() -> bytes:
    return random.Random("ssh host key").randbytes(32)


def talk(connection: Connection, sizes: tuple[tuple[int, int], ...], *, think: float = 0.02) -> None:
    """Play encrypted packets: pairs of bytes sent and received."""
    for sent, received in sizes:
        connection.send_cut(CLIENT, sent, think=think)
        connection.send_cut(SERVER, received, think=0.002)


def refused_login(connection: Connection, *, client: str) -> None:
    """Play one connection that tries one password, is refused and leaves."""
    greet(connection, client=client)
    # Service request, user without password, password: 1.5–2 s of delay by PAM on failure are usual.
    talk(connection, ((64, 64), (80, 80)))
    connection.send_cut(CLIENT, 144, think=0.01)
    connection.send_cut(SERVER, 80, think=1.2 + connection.capture.rng.random())
    connection.close(CLIENT)
