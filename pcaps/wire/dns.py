"""Write DNS messages (RFC 1035), also for mDNS (RFC 6762), LLMNR (RFC 4795) and NetBIOS names (RFC 1002)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pcaps.wire.capture import Capture
from pcaps.wire.frames import Endpoint, packed

TYPES: Final = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33,
    "NB": 32, "HTTPS": 65,
}  # fmt: skip
NAME_ERROR: Final = 3


@dataclass(frozen=True, slots=True)
class Record:
    """Hold one resource record; ``data`` is an address, a name, or raw bytes for the types that carry them."""

    name: str
    kind: str
    data: str | bytes
    ttl: int = 300


def encode_name(name: str) -> bytes:
    """Return ``name`` as labels, uncompressed."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def txt(*texts: str) -> bytes:
    """Return the data of a TXT record."""
    return b"".join(bytes((len(text),)) + text.encode() for text in texts)


def _record(record: Record, question: str) -> bytes:
    name = b"\xc0\x0c" if record.name == question else encode_name(record.name)
    if isinstance(record.data, bytes):
        data = record.data
    elif record.kind in {"A", "AAAA"}:
        data = packed(record.data)
    else:
        data = encode_name(record.data)
    return name + struct.pack("!HHIH", TYPES[record.kind], 1, record.ttl, len(data)) + data


def question(ident: int, name: str, kind: str = "A", *, flags: int = 0x0100) -> bytes:
    """Return a question with recursion desired."""
    return struct.pack("!HHHHHH", ident, flags, 1, 0, 0, 0) + _asked(name, kind)


def _asked(name: str, kind: str) -> bytes:
    return encode_name(name) + struct.pack("!HH", TYPES[kind], 1)


def answer(
    ident: int, name: str, kind: str, records: Sequence[Record], *, code: int = 0, flags: int = 0x8180
) -> bytes:
    """Return the answer of a recursive resolver."""
    head = struct.pack("!HHHHHH", ident, flags | code, 1, len(records), 0, 0)
    return head + _asked(name, kind) + b"".join(_record(record, name) for record in records)


def announcement(records: Sequence[Record]) -> bytes:
    """Return an unasked mDNS answer: identification 0, authoritative."""
    head = struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0)
    return head + b"".join(_record(record, "") for record in records)


def netbios_name(name: str, suffix: int = 0x20) -> str:
    """Return a NetBIOS name in its first-level encoding: 16 bytes as 32 letters (RFC 1001, 14.1)."""
    padded = name.upper().encode("ascii").ljust(15) + bytes((suffix,))
    return "".join(chr(65 + (byte >> 4)) + chr(65 + (byte & 15)) for byte in padded)


def look_up(
    capture: Capture,
    ends: tuple[Endpoint, Endpoint],
    at_us: int,
    name: str,
    kind: str = "A",
    records: Sequence[Record] = (),
    *,
    code: int = 0,
) -> int:
    """Add a question by the first of ``ends`` and the second's answer; return the instant of the answer."""
    rng = capture.rng
    port, ident = rng.randrange(49_152, 65_536), rng.getrandbits(16)
    capture.udp(at_us, ends[0], ends[1], (port, 53), question(ident, name, kind))
    at_us += rng.choice((300, 450, 700, 9_000, 24_000)) + rng.randrange(250)
    capture.udp(at_us, ends[1], ends[0], (53, port), answer(ident, name, kind, records, code=code))
    return at_us
