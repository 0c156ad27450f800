"""Encrypt files so that nothing can be read, cut off, put in another order or changed without being noticed.

Construction: STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance", CRYPTO 2015) over AES-256-GCM. A file is a header and chunks; the nonce of a chunk is a
random prefix of 7 bytes, the chunk's number (u32, big endian) and a byte that is 1 for the last chunk alone. The
header is authenticated with every chunk. Neither side holds more than two chunks in memory.

Each file has a random key of its own, which the manifest names; the manifest's key comes from the passphrase by scrypt
(RFC 7914), whose parameters its header holds.

Header: an 8-byte magic, version, algorithm (1: AES-256-GCM), derivation (0: the manifest knows the key, 1: scrypt),
log2 of scrypt's N (one byte each), r, p, bytes in a chunk (u32 each, little endian), salt (16), nonce prefix (7).
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from soc_core.errors import StoreError, UsageError

MAGIC: Final = b"edusocEN"
CHUNK: Final = 1024 * 1024
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
SHORTEST_PASSPHRASE: Final = 12
"""In bytes."""
_HEADER: Final = struct.Struct("<8sBBBBIII16s7s")
HEADER_BYTES: Final = _HEADER.size
_VERSION: Final = 1
_AES_256_GCM: Final = 1
_KEY_IN_MANIFEST: Final = 0
_SCRYPT: Final = 1
# 128 MiB and about half a second for one guess: what OWASP's password storage cheat sheet asks of scrypt.
_COST: Final = (17, 8, 1)
_DEAREST: Final = (20, 16, 4)
"""Parameters come from a file that anybody may have made: above these, one guess could take all memory."""


@dataclass(frozen=True, slots=True)
class Header:
    """Hold what the beginning of an encrypted file says."""

    derivation: int
    cost: tuple[int, int, int]
    chunk: int
    salt: bytes
    prefix: bytes

    def encode(self) -> bytes:
        """Return the bytes that lie at the beginning of the file."""
        log_n, r, p = self.cost
        return _HEADER.pack(
            MAGIC,
            _VERSION,
            _AES_256_GCM,
            self.derivation,
            log_n,
            r,
            p,
            self.chunk,
            self.salt,
            self.prefix,
        )

    def nonce(self, number: int, *, last: bool) -> bytes:
        """Return the nonce of a chunk; raise ``StoreError`` past the last number."""
        if number >= 1 << 32:
            raise StoreError("the file is too large to be encrypted")
        return self.prefix + number.to_bytes(4, "big") + (b"\1" if last else b"\0")


class Sink(Protocol):
    """Take bytes."""

    def write(self, data: bytes, /) -> int | None:
        """Take bytes."""
        ...


def random_key() -> bytes:
    """Return a key for one file."""
    return secrets.token_bytes(KEY_BYTES)


def file_header() -> Header:
    """Return a fresh header of a file whose key the manifest will hold."""
    return Header(_KEY_IN_MANIFEST, (0, 0, 0), CHUNK, bytes(16), secrets.token_bytes(7))


def manifest_header() -> Header:
    """Return a fresh header of a file whose key comes from a passphrase."""
    return Header(_SCRYPT, _COST, CHUNK, secrets.token_bytes(16), secrets.token_bytes(7))


def derive(passphrase: bytes, header: Header) -> bytes:
    """Return the key that a passphrase gives with a header's salt and parameters."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError("the passphrase is too short", todo="use at least 12 letters and digits, better 20")
    log_n, r, p = header.cost
    return Scrypt(salt=header.salt, length=KEY_BYTES, n=1 << log_n, r=r, p=p).derive(passphrase)


def read_header(stream: BinaryIO, where: str) -> Header:
    """Read the header of an encrypted file; raise ``StoreError`` when it is none of ours or of a newer program."""
    head = stream.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        raise StoreError("this is no encrypted file of a backup", where=where)
    _, version, algorithm, derivation, *cost, chunk, salt, prefix = _HEADER.unpack(head)
    sound = (
        version == _VERSION
        and algorithm == _AES_256_GCM
        and derivation in (_KEY_IN_MANIFEST, _SCRYPT)
        and all(given <= most for given, most in zip(cost, _DEAREST, strict=True))
        and (derivation == _KEY_IN_MANIFEST or min(cost) >= 1)
        and 1 <= chunk <= 16 * CHUNK
    )
    if not sound:
        raise StoreError("the encrypted file's header is damaged or of a newer program", where=where)
    return Header(derivation, (cost[0], cost[1], cost[2]), chunk, salt, prefix)


class EncryptingWriter:
    """Encrypt what is written into another stream; without ``finish`` the file counts as cut off."""

    def __init__(self, sink: Sink, key: bytes, header: Header) -> None:
        """Write the header."""
        self._sink, self._cipher, self._header = sink, AESGCM(key), header
        self._associated = header.encode()
        self._held = bytearray()
        self._number = 0
        sink.write(self._associated)

    def write(self, data: bytes) -> int:
        """Take bytes; a full chunk leaves when more follows, since only the last one is marked as such."""
        self._held += data
        while len(self._held) > self._header.chunk:
            self._put(bytes(self._held[: self._header.chunk]), last=False)
            del self._held[: self._header.chunk]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk, which may be empty."""
        self._put(bytes(self._held), last=True)
        self._held.clear()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        nonce = self._header.nonce(self._number, last=last)
        self._sink.write(self._cipher.encrypt(nonce, chunk, self._associated))
        self._number += 1


def decrypted(stream: BinaryIO, key: bytes, header: Header, where: str) -> Iterator[bytes]:
    """Yield the plain chunks of a stream that stands behind its header, each proved before it is given out.

    Raises ``StoreError`` at the first chunk that isn't what was written there, a missing end included.
    """
    cipher, associated = AESGCM(key), header.encode()
    size = header.chunk + TAG_BYTES
    block, number = _read_fully(stream, size), 0
    while True:
        following = _read_fully(stream, size) if len(block) == size else b""
        try:
            yield cipher.decrypt(header.nonce(number, last=not following), block, associated)
        except InvalidTag:
            raise StoreError(
                "the encrypted content is damaged or the passphrase is another one",
                where=f"{where}@{HEADER_BYTES + number * size}",
            ) from None
        if not following:
            return
        block, number = following, number + 1


def _read_fully(stream: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
