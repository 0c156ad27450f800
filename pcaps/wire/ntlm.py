"""Write NTLM messages inside SPNEGO tokens (MS-NLMP 2.2.1, RFC 4178)."""

from __future__ import annotations

import random
import struct
from typing import Final

_SPNEGO: Final = bytes.fromhex("06062b0601050502")
_NTLM: Final = bytes.fromhex("060a2b06010401823702020a")
_FLAGS: Final = 0xE2898215  # Unicode, extended session security, target info, version, 128 and 56 bit
_VERSION: Final = bytes.fromhex("0a00614a0000000f")  # Windows 10 build 19041


def _der(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    if size < 0x100:
        return bytes((tag, 0x81, size)) + body
    return bytes((tag, 0x82)) + struct.pack("!H", size) + body


def hint() -> bytes:
    """Return the server's first token: it speaks NTLM."""
    return _first(b"")


def _first(token: bytes) -> bytes:
    body = _der(0xA0, _der(0x30, _NTLM)) + (_der(0xA2, _der(0x04, token)) if token else b"")
    return _der(0x60, _SPNEGO + _der(0xA0, _der(0x30, body)))


def _later(token: bytes, state: int = 1) -> bytes:
    body = _der(0xA0, _der(0x0A, bytes((state,)))) + (_der(0xA1, _NTLM) if state == 1 and token else b"")
    return _der(0xA1, _der(0x30, body + (_der(0xA2, _der(0x04, token)) if token else b"")))


def negotiate() -> bytes:
    """Return the client's first token."""
    return _first(b"NTLMSSP\0" + struct.pack("<II", 1, _FLAGS) + bytes(16) + _VERSION)


def _target_info(server: str) -> bytes:
    """Return the names of a server as attribute pairs (MS-NLMP 2.2.2.1)."""
    name = server.encode("utf-16-le")
    return b"".join(struct.pack("<HH", kind, len(name)) + name for kind in (2, 1, 4, 3)) + bytes(4)


def challenge(server: str, rng: random.Random) -> bytes:
    """Return the server's challenge; it names itself."""
    name, info = server.encode("utf-16-le"), _target_info(server)
    head = b"NTLMSSP\0" + struct.pack("<IHHI", 2, len(name), len(name), 56) + struct.pack("<I", _FLAGS)
    head += rng.randbytes(8) + bytes(8) + struct.pack("<HHI", len(info), len(info), 56 + len(name)) + _VERSION
    return _later(head + name + info)


def authenticate(user: str, workstation: str, server: str, rng: random.Random) -> bytes:
    """Return the client's NTLMv2 proof for ``user`` at ``workstation`` (MS-NLMP 2.2.2.8); its hash is chance."""
    stamp = struct.pack("<Q", 134_088_480_000_000_000)
    proof = rng.randbytes(16) + bytes.fromhex("0101000000000000") + stamp + rng.randbytes(8) + bytes(4)
    parts = (
        bytes(24),
        proof + _target_info(server) + bytes(4),
        "WORKGROUP".encode("utf-16-le"),
        user.encode("utf-16-le"),
        workstation.encode("utf-16-le"),
        rng.randbytes(16),
    )
    offset, fields = 88, b""
    for part in parts:
        fields += struct.pack("<HHI", len(part), len(part), offset)
        offset += len(part)
    head = b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<I", _FLAGS) + _VERSION + bytes(16)
    return _later(head + b"".join(parts))


def accepted() -> bytes:
    """Return the server's last token."""
    return _later(b"", state=0)
