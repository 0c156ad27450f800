"""Say how the packets that an order asked for travel: a capture (pcap), packed, one signed request an order."""

from __future__ import annotations

from typing import Final

import zstandard

from soc_core.errors import InputError, UsageError
from soc_core.uplink.wire import MAX_BODY

PACKETS: Final = "/uplink/v1/packets"
"""Followed by the order's number, so that the number is signed too."""
MAX_CAPTURE: Final = 64 << 20
"""Bytes of a capture before it is packed."""
_MAGIC: Final = b"\xd4\xc3\xb2\xa1"
_LEVEL: Final = 3


def packets_path(number: int) -> str:
    """Return the path of the packets of an order."""
    return f"{PACKETS}/{number}"


def pack_capture(plain: bytes) -> bytes:
    """Return the body of a capture. Raises ``UsageError`` when it is too large to be sent."""
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(plain) if len(plain) <= MAX_CAPTURE else b""
    if not 0 < len(packed) <= MAX_BODY:
        raise UsageError(f"the packets have more than {MAX_BODY} bytes", todo="ask for fewer")
    return packed


def unpack_capture(body: bytes) -> bytes:
    """Return the capture of a body; raise ``InputError`` for what is no packed capture or unfolds too far."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_BODY).stream_reader(body) as reader:
            plain = reader.read(MAX_CAPTURE + 1)
    except zstandard.ZstdError as error:
        raise InputError(f"the packets are damaged: {error}") from error
    if len(plain) > MAX_CAPTURE or not plain.startswith(_MAGIC):
        raise InputError("this is no capture")
    return plain
