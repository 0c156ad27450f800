"""Make, keep and use the keys of an installation.

Each key has a purpose and an algorithm id and lies in ``<state>/keys/<purpose>.key`` (mode 0600). Keys are made when
first needed and never logged.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Final

from soc_core.keys.files import secret_in

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
            path = self._directory / f"{purpose}.key"
            held = self._held[purpose] = secret_in(path, ALGORITHM, KEY_BYTES)
        return held
