"""Write TLS handshakes as browsers, Windows, phones and devices send them (RFC 5246, 8446), with real certificates.

After the handshake only the sizes of records matter: their bytes are ciphertext and are left out of the capture.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pcaps.wire.tcp import CLIENT, SERVER, Connection

NOT_BEFORE: Final = datetime(2026, 6, 1, tzinfo=UTC)
CHANGE_CIPHER_SPEC: Final = bytes.fromhex("140303000101")


@dataclass(frozen=True, slots=True)
class Client:
    """Describe how one kind of program opens TLS: cipher suites and extensions in its order, and its newest version.

    The lists follow what these programs send in public captures; they are shapes, not exact copies of a release.
    """

    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    groups: tuple[int, ...]
    alpn: tuple[str, ...]
    newest: int
    grease: bool = False


BROWSER: Final = Client(
    (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35),
    (0, 23, 65281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43, 27, 21),
    (29, 23, 24),
    ("h2", "http/1.1"),
    0x0304,
    grease=True,
)  # fmt: skip
FIREFOX: Final = Client(
    (0x1301, 0x1303, 0x1302, 0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC02C, 0xC030, 0xC00A, 0xC009, 0xC013, 0xC014, 0x9C,
     0x9D, 0x2F, 0x35),
    (0, 23, 65281, 10, 11, 35, 16, 5, 34, 51, 43, 13, 45, 28),
    (29, 23, 24, 25, 256, 257),
    ("h2", "http/1.1"),
    0x0304,
)  # fmt: skip
WINDOWS: Final = Client(
    (0xC02C, 0xC02B, 0xC030, 0xC02F, 0xC024, 0xC023, 0xC028, 0xC027, 0xC00A, 0xC009, 0xC014, 0xC013, 0x9D, 0x9C,
     0x3D, 0x3C, 0x35, 0x2F),
    (0, 5, 10, 11, 13, 35, 16, 23, 65281),
    (29, 23, 24),
    ("http/1.1",),
    0x0303,
)  # fmt: skip
PHONE: Final = Client(
    (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02C, 0xCCA9, 0xC02F, 0xC030, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35),
    (0, 23, 65281, 10, 11, 35, 16, 5, 13, 51, 45, 43),
    (29, 23, 24),
    ("h2", "http/1.1"),
    0x0304,
)  # fmt: skip
DEVICE: Final = Client(
    (0xC02C, 0xC030, 0xC02B, 0xC02F, 0x9D, 0x9C, 0x35, 0x2F, 0xFF),
    (0, 11, 10, 35, 13, 23),
    (23, 24, 25),
    (),
    0x0303,
)  # fmt: skip


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def _short(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def _long(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f"!{len(values)}H", *values)


def _handshake(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    """Return one TLS record."""
    return struct.pack("!BHH", kind, version, len(body)) + body


def _client_extension(kind: int, client: Client, name: str, rng: random.Random, grease: int) -> bytes:
    first = (grease,) if client.grease else ()
    key_share = (_numbers(first) + b"\0\x01\0" if first else b"") + _numbers((29,)) + _long(rng.randbytes(32))
    versions = (*first, 0x0304, 0x0303)
    data = {
        0: _long(b"\0" + _long(name.encode())),
        5: b"\x01\0\0\0\0",
        10: _long(_numbers((*first, *client.groups))),
        11: b"\x01\0",
        13: _long(_numbers((0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601))),
        16: _long(b"".join(_short(protocol.encode()) for protocol in client.alpn)),
        27: b"\x02\0\x02",
        28: b"\x40\x01",
        34: _long(_numbers((0x0403, 0x0503, 0x0603, 0x0203))),
        43: _short(_numbers(versions)),
        45: b"\x01\x01",
        51: _long(key_share),
        65281: b"\0",
    }
    return _extension(kind, data.get(kind, b""))


def client_hello(client: Client, name: str, rng: random.Random) -> bytes:
    """Return the record of a ClientHello; without ``name`` there is no server name in it."""
    grease = 0x0A0A + 0x1010 * rng.randrange(16)
    wanted = [kind for kind in client.extensions if (kind != 0 or name) and (kind != 16 or client.alpn)]
    extensions = _extension(grease, b"") if client.grease else b""
    for kind in wanted:
        if kind != 21:
            extensions += _client_extension(kind, client, name, rng, grease)
    ciphers = ((grease,) if client.grease else ()) + client.ciphers
    body = b"\x03\x03" + rng.randbytes(32) + _short(rng.randbytes(32) if client.newest == 0x0304 else b"")
    body += _long(_numbers(ciphers)) + b"\x01\0"
    if 21 in wanted:
        # Padding to 512 bytes of handshake (RFC 7685).
        extensions += _extension(21, bytes(max(0, 512 - 4 - len(body) - 2 - len(extensions) - 4)))
    return record(22, _handshake(1, body + _long(extensions)), 0x0301)


def _server_hello(client: Client, rng: random.Random) -> bytes:
    modern = client.newest == 0x0304
    cipher = client.ciphers[0]
    extensions = _extension(65281, b"\0") + (_extension(23, b"") if 23 in client.extensions else b"")
    if modern:
        extensions = _extension(51, _numbers((29,)) + _long(rng.randbytes(32))) + _extension(43, b"\x03\x04")
    elif client.alpn:
        extensions += _extension(16, _long(_short(client.alpn[-1].encode())))
    body = b"\x03\x03" + rng.randbytes(32) + _short(rng.randbytes(32) if modern else b"")
    return _handshake(2, body + struct.pack("!HB", cipher, 0) + _long(extensions))


@cache
def certificate(name: str, issuer: str) -> bytes:
    """Return the DER of a certificate for ``name`` by ``issuer`` (itself when equal); always the same bytes."""
    key, signer = _key(name), _key(issuer)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(random.Random(f"serial:{name}").randbytes(16), "big") >> 1)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_BEFORE + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    made = builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(serialization.Encoding.DER)


@cache
def _key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return a key that anybody can compute from ``name``: it protects nothing."""
    secret = int.from_bytes(random.Random(f"key:{name}").randbytes(31), "big") + 1
    return ec.derive_private_key(secret, ec.SECP256R1())


def _server_flight(client: Client, name: str, issuer: str, rng: random.Random) -> bytes:
    """Return the server's handshake of TLS 1.2: hello, certificate, key exchange, done."""
    der = certificate(name, issuer)
    entry = len(der).to_bytes(3, "big") + der
    point = b"\x04" + rng.randbytes(64)
    exchange = b"\x03" + _numbers((23,)) + _short(point) + b"\x04\x03" + _long(rng.randbytes(71))
    body = _server_hello(client, rng) + _handshake(11, len(entry).to_bytes(3, "big") + entry)
    return record(22, body + _handshake(12, exchange) + _handshake(14, b""))


def handshake(
    connection: Connection,
    client: Client,
    name: str,
    *,
    issuer: str = "Example Trust CA 1",
    subject: str = "",
) -> None:
    """Play the handshake on an open ``connection``; ``name`` is the server name asked for."""
    rng = connection.capture.rng
    connection.send(CLIENT, client_hello(client, name, rng))
    if client.newest == 0x0304:
        hello = record(22, _server_hello(client, rng)) + CHANGE_CIPHER_SPEC
        connection.send(SERVER, hello)
        connection.send_cut(SERVER, rng.randrange(1_900, 4_200))
        connection.send(CLIENT, CHANGE_CIPHER_SPEC)
        connection.send_cut(CLIENT, 58)
        return
    connection.send(SERVER, _server_flight(client, subject or name, issuer, rng))
    exchange = record(22, _handshake(16, _short(b"\x04" + rng.randbytes(64))))
    connection.send(CLIENT, exchange + CHANGE_CIPHER_SPEC + record(22, rng.randbytes(40)))
    connection.send(SERVER, CHANGE_CIPHER_SPEC + record(22, rng.randbytes(40)))


def exchange(connection: Connection, sent: int, received: int, *, think: float = 0.02) -> None:
    """Play one request and its answer inside TLS: bytes of application data each way, not recorded."""
    connection.send_cut(CLIENT, sent, think=think)
    connection.send_cut(SERVER, received, think=0.005 + connection.capture.rng.random() * 0.04)
