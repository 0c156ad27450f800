"""Make, keep and use the keys of an installation.

Each key has a purpose and an algorithm id and lies in ``<state>/keys/<purpose>.key`` (mode 0600). Keys are made when
first needed and never logged.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from soc_core.errors import StoreError

ALGORITHM: Final = "hmac-sha256"
KEY_BYTES: Final = 32


class KeyStore:
    """Give keys by purpose, e.g. ``cursors``."""

    def __init__(self, directory: Path) -> None:
        """Take the directory; it is made (mode 0700) with the first key."""
        self._directory = directory
        self._held: dict[str, bytes] = {}

    def sign(self, purpose: str, message: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA256 (RFC 2104) of ``message`` under the purpose's key."""
        return hmac.new(self._key(purpose), message, hashlib.sha256).digest()

    def verify(self, purpose: str, message: bytes, signature: bytes) -> bool:
        """Tell in constant time whether ``signature`` (or its first bytes, at least 16) belongs to ``message``."""
        wanted = self.sign(purpose, message)[: max(16, len(signature))]
        return hmac.compare_digest(wanted, signature)

    def _key(self, purpose: str) -> bytes:
        held = self._held.get(purpose)
        if held is None:
            held = self._held[purpose] = self._read_or_make(purpose)
        return held

    def _read_or_make(self, purpose: str) -> bytes:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / f"{purpose}.key"
        try:
            # O_EXCL: of two processes that start together, one makes the key and the other reads it.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read(path)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{ALGORITHM} {secrets.token_hex(KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        return _read(path)


def _read(path: Path) -> bytes:
    algorithm, _, text = path.read_text(encoding="ascii").strip().partition(" ")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if algorithm != ALGORITHM or len(key) != KEY_BYTES:
        raise StoreError(
            "the key file is damaged", where=str(path), todo="restore it from the backup, or remove it"
        )
    return key
