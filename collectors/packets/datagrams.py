"""Read datagrams, each wording of a message once: the same names are asked for and answered again and again.

All our datagrams are DNS or take after it (RFC 1035 §4.1.1): two bytes that tell messages apart, then what is said.
"""

from __future__ import annotations

from typing import Final

from collectors.packets.dissectors.base import Fields
from collectors.packets.dissectors.registry import DATAGRAMS

MAX_KEPT: Final = 2_048
MAX_BYTES: Final = 512
# A name that points into the two bytes would change with them.
_POINTERS: Final = (b"\xc0\x00", b"\xc0\x01")


class DatagramReader:
    """Read datagrams of one reading. At most ``MAX_KEPT`` messages of ``MAX_BYTES`` are remembered."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: dict[tuple[str, bytes], Fields] = {}

    def __call__(self, protocol: str, payload: bytes) -> Fields | None:
        """Return the fields of one message, ``None`` if it is not of ``protocol``; they must not be changed."""
        said = (protocol, payload[2:])
        known = self._known.get(said)
        if known is not None:
            return {**known, "dns.id": str(payload[0] << 8 | payload[1])}
        fields = DATAGRAMS[protocol](payload)
        if fields is not None and len(payload) <= MAX_BYTES and not any(at in payload for at in _POINTERS):
            if len(self._known) >= MAX_KEPT:
                self._known.clear()
            self._known[said] = fields
        return fields
