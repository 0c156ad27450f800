"""Sign with keys whose public half others may hold: Ed25519 (RFC 8032), for agents, orders and parents.

A private key lies in a file of its own (mode 0600), is made when first needed and is never logged. A public key travels
as ``ed25519:`` and the base64 of its 32 bytes; people compare fingerprints instead.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from soc_core.errors import UsageError
from soc_core.keys.files import secret_in

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
        return cls(secret_in(path, ALGORITHM, _SEED_BYTES))
