"""Sign with keys whose public half others may hold: Ed25519 (RFC 8032), for agents, orders and parents.

A private key lies in a file of its own (mode 0600), is made when first needed and is never logged. A public key travels
as ``ed25519:`` and the base64 of its 32 bytes; people compare fingerprints instead.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from soc_core.errors import StoreError, UsageError
from soc_core.log.files import sync_directory

ALGORITHM: Final = "ed25519"
_PREFIX: Final = ALGORITHM + ":"
_SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Hold a public key: its 32 bytes."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Return the key of its text. Raises ``UsageError`` when it is none."""
        try:
            raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):  # the latter for what is no ASCII
            raw = b""
        if not text.startswith(_PREFIX) or len(raw) != _SEED_BYTES:
            raise UsageError("this is no public key", todo="it is 'ed25519:' and 44 characters")
        return cls(raw)

    @property
    def text(self) -> str:
        """Return the key as it travels."""
        return _PREFIX + base64.b64encode(self.raw).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """Return the first 16 hex digits of its SHA-256, in groups of four, for people to compare."""
        digest = hashlib.sha256(self.raw).hexdigest()
        return "-".join(digest[start : start + 4] for start in range(0, 16, 4))

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is that of ``message`` under this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """Hold a private key."""

    def __init__(self, seed: bytes) -> None:
        """Take the 32 secret bytes (RFC 8032 section 5.1.5)."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of ``message``."""
        return self._key.sign(message)

    @classmethod
    def at(cls, path: Path) -> SigningKey:
        """Return the key in a file; one is made where there is none. Raises ``StoreError`` for a damaged file.

        The file appears whole or not at all, whenever the power goes; of processes that start together one makes it.
        """
        if not path.exists():
            _make(path)
        return cls(_read(path))


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{ALGORITHM} {os.urandom(_SEED_BYTES).hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another was quicker: its key is the one
            os.link(beside, path)
        sync_directory(path.parent)
    finally:
        beside.unlink()


def _read(path: Path) -> bytes:
    try:
        algorithm, _, text = path.read_text(encoding="ascii").strip().partition(" ")
        seed = bytes.fromhex(text)
    except ValueError:  # also what is no ASCII
        algorithm, seed = "", b""
    except OSError as error:
        raise StoreError(error.strerror or "can't be read", where=str(path)) from error
    if algorithm != ALGORITHM or len(seed) != _SEED_BYTES:
        raise StoreError(
            "the key file is damaged", where=str(path), todo="restore it from the backup, or remove it"
        )
    return seed
