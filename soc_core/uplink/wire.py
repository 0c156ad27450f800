"""Encode what an agent sends to its centre, and what it signs (``docs/reference/uplink.md``).

A request is a POST over TLS. It is signed by the agent's key over everything that matters: path, agent, epoch, its
number, time and the digest of the body. The number rises with every request of an agent, whatever becomes of it, and is
kept on both sides: a recorded request sent again is refused, an honest retry has a number of its own.

Records carry the offsets of the agent's log. An epoch is one life of that log (a new one begins when it was lost); the
centre keeps the highest offset it has made durable of each agent and epoch and passes over what lies below it, so
batches may be cut anew at will. Offsets may jump where the agent had to shed; the centre keeps the gap.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import zstandard

from soc_core.errors import InputError
from soc_core.model.event import Event

ENROL: Final = "/uplink/v1/enrol"
RECORDS: Final = "/uplink/v1/records"
HEARTBEAT: Final = "/uplink/v1/heartbeat"
MAX_BODY: Final = 8 << 20
"""Bytes of a compressed body."""
MAX_PLAIN: Final = 64 << 20
"""Bytes it may unfold to."""
MAX_ITEMS: Final = 20_000
_LEVEL: Final = 3
_HEADERS: Final = ("Edusoc-Agent", "Edusoc-Epoch", "Edusoc-Number", "Edusoc-Time", "Edusoc-Signature")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Hold what surrounds a body: who sends, in which life of its log, the request's number, canonical time."""

    agent: str
    epoch: str
    number: int
    time: str

    def signed_text(self, path: str, body: bytes) -> bytes:
        """Return the bytes that are signed: one line each, so that no part can pass for another."""
        digest = hashlib.sha256(body).hexdigest()
        return "\n".join(
            ("edusoc-uplink-1", path, self.agent, self.epoch, str(self.number), self.time, digest)
        ).encode()

    def headers(self, signature: bytes) -> dict[str, str]:
        """Return the request's headers."""
        values = (
            self.agent,
            self.epoch,
            str(self.number),
            self.time,
            base64.b64encode(signature).decode("ascii"),
        )
        return dict(zip(_HEADERS, values, strict=True))


def read_envelope(headers: Mapping[str, str]) -> tuple[Envelope, bytes]:
    """Return envelope and signature of a request's headers. Raises ``InputError`` when one lacks or is malformed."""
    found = [headers.get(name, headers.get(name.lower(), "")) for name in _HEADERS]
    agent, epoch, number, time, signature = found
    try:
        raw = base64.b64decode(signature, validate=True)
    except binascii.Error:
        raw = b""
    if not all(found) or not (number.isascii() and number.isdigit()) or len(number) > 18 or len(raw) != 64:
        raise InputError("the request is not signed as an agent signs", todo="update the agent")
    if not all(len(text) <= 64 and text.isascii() and text.isprintable() for text in found[:4]):
        raise InputError("the request's headers are malformed", todo="update the agent")
    return Envelope(agent, epoch, int(number), time), raw


@dataclass(frozen=True, slots=True)
class Item:
    """Hold one record of the agent's log: its offset, how many events, and these as JSON lines."""

    offset: int
    lines: Sequence[bytes]


def encode_records(items: Iterable[Item]) -> bytes:
    """Return a compressed body: for each run of consecutive offsets a line ``{"at": offset}``, then its events."""
    parts: list[bytes] = []
    expected = -1
    for item in items:
        if item.offset != expected:
            parts.append(b'{"at":%d}' % item.offset)
        parts.extend(item.lines)
        expected = item.offset + len(item.lines)
    return zstandard.ZstdCompressor(level=_LEVEL).compress(b"\n".join(parts))


def decode_records(body: bytes) -> list[tuple[int, Event | bytes]]:
    """Return (offset, event) of a body in order; a line that is no JSON object comes as its bytes.

    Raises ``InputError`` for a body that is too large, damaged, of too many lines, or whose offsets don't rise.
    """
    found: list[tuple[int, Event | bytes]] = []
    following = -1
    for line in _unfolded(body).split(b"\n"):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict) and value.keys() == {"at"}:
            if not isinstance(value["at"], int) or value["at"] < max(following, 0):
                raise InputError("the offsets of a batch don't rise", where=f"offset {following}")
            following = value["at"]
            continue
        if following < 0 or len(found) >= MAX_ITEMS:
            raise InputError("a batch has no offsets or too many events", where=f"{len(found)} events")
        found.append((following, value if isinstance(value, dict) else line[:4_096]))
        following += 1
    return found


def _unfolded(body: bytes) -> bytes:
    if len(body) > MAX_BODY:
        raise InputError(f"a batch may have {MAX_BODY} bytes", where=f"{len(body)} bytes")
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_BODY).stream_reader(body) as reader:
            plain = reader.read(MAX_PLAIN + 1)
    except zstandard.ZstdError as error:
        raise InputError(f"a batch is damaged: {error}") from error
    if len(plain) > MAX_PLAIN:
        raise InputError(f"a batch may unfold to {MAX_PLAIN} bytes")
    return plain
