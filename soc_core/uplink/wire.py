"""Encode what an agent sends to its centre, and what it signs (``docs/reference/uplink.md``).

A request is a POST over TLS. It is signed by the agent's key over everything that matters: path, agent, epoch, its
number, time and the digest of the body. The digest is a header of its own (RFC 9530), so that the centre checks the
signature before it takes the body. The number rises with every request of an agent, whatever becomes of it, and is kept
on both sides: a recorded request sent again is refused, an honest retry has a number of its own.

Records carry the offsets of the agent's log. An epoch is one life of that log (a new one begins when it was lost); the
centre keeps the highest offset it has made durable of each agent and epoch and passes over what lies below it, so
batches may be cut anew at will. Offsets may jump where the agent had to shed; the centre keeps the gap.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import zstandard

from soc_core.errors import InputError
from soc_core.keys.signing import PublicKey, SigningKey
from soc_core.model.event import Event

ENROL: Final = "/uplink/v1/enrol"
RECORDS: Final = "/uplink/v1/records"
HEARTBEAT: Final = "/uplink/v1/heartbeat"
MAX_BODY: Final = 4 << 20
"""Bytes of a compressed body."""
MAX_PLAIN: Final = 16 << 20
"""Bytes it may unfold to."""
MAX_ITEMS: Final = 20_000
MAX_OFFSET: Final = 2**62
_LEVEL: Final = 3
_HEADERS: Final = ("Edusoc-Agent", "Edusoc-Epoch", "Edusoc-Number", "Edusoc-Time", "Edusoc-Signature")
_DIGEST: Final = "Content-Digest"
_NAME: Final = re.compile(r"[!-~]{1,64}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_MARK: Final = frozenset({"at"})
_KEPT: Final = 4_096


@dataclass(frozen=True, slots=True)
class Envelope:
    """Hold what surrounds a body: who sends, in which life of its log, the request's number, canonical time."""

    agent: str
    epoch: str
    number: int
    time: str

    def signed_text(self, path: str, digest: bytes) -> bytes:
        """Return the bytes that are signed: one line each, so that no part can pass for another."""
        parts = ("edusoc-uplink-1", path, self.agent, self.epoch, str(self.number), self.time, digest.hex())
        return "\n".join(parts).encode()

    def headers(self, path: str, body: bytes, key: SigningKey) -> dict[str, str]:
        """Return the request's headers, signed with the agent's key."""
        digest = hashlib.sha256(body).digest()
        signature = key.sign(self.signed_text(path, digest))
        values = (self.agent, self.epoch, str(self.number), self.time, _base64(signature))
        return {**dict(zip(_HEADERS, values, strict=True)), _DIGEST: f"sha-256=:{_base64(digest)}:"}


@dataclass(frozen=True, slots=True)
class Sealed:
    """Hold an envelope as it came, with the digest it names and its signature."""

    envelope: Envelope
    digest: bytes
    signature: bytes

    def is_from(self, key: PublicKey, path: str) -> bool:
        """Tell whether the holder of ``key`` signed it, for this path."""
        return key.verifies(self.envelope.signed_text(path, self.digest), self.signature)

    def holds(self, body: bytes) -> bool:
        """Tell whether this is the body that was signed."""
        return hmac.compare_digest(hashlib.sha256(body).digest(), self.digest)


def read_envelope(headers: Mapping[str, str]) -> Sealed:
    """Return what a request's headers (any case) say. Raises ``InputError`` when one lacks or is malformed."""
    given = {name.lower(): value for name, value in headers.items()}
    agent, epoch, number, time, signature = (given.get(name.lower(), "") for name in _HEADERS)
    raw, digest = _bytes(signature), _digest(given.get(_DIGEST.lower(), ""))
    if not _NUMBER.fullmatch(number) or len(raw) != 64 or len(digest) != 32:
        raise InputError("the request is not signed as an agent signs", todo="update the agent")
    if not all(_NAME.fullmatch(text) for text in (agent, epoch, time)):
        raise InputError("the request's headers are malformed", todo="update the agent")
    return Sealed(Envelope(agent, epoch, int(number), time), digest, raw)


def _digest(text: str) -> bytes:
    """Return the SHA-256 that a ``Content-Digest`` names (RFC 9530, section 2), empty when it names none."""
    match = re.search(r"(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]{44}):", text[:1_000])
    return _bytes(match[1]) if match else b""


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


@dataclass(frozen=True, slots=True)
class Item:
    """Hold one record of the agent's log: its offset, how many events, and these as JSON lines."""

    offset: int
    lines: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Run:
    """Hold events at consecutive offsets from ``start``; a line that is no JSON object comes as its first bytes."""

    start: int
    events: Sequence[Event | bytes]

    @property
    def end(self) -> int:
        """Return the offset after the last event."""
        return self.start + len(self.events)

    def after(self, mark: int) -> Run:
        """Return the part at ``mark`` and above."""
        return self if self.start >= mark else Run(mark, self.events[mark - self.start :])


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


def decode_records(body: bytes) -> list[Run]:
    """Return the runs of a body, lowest first.

    Raises ``InputError`` for a body that is too large, damaged, of too many lines, or whose offsets don't rise.
    """
    plain = _unfolded(body)
    if plain.count(b"\n") >= 2 * MAX_ITEMS:
        raise InputError(f"a batch may have {MAX_ITEMS} events")
    runs: list[Run] = []
    events: list[Event | bytes] = []
    count, following = 0, 0
    for value in _values(plain):
        if isinstance(value, dict) and value.keys() == _MARK:
            following = _risen(value["at"], following + len(events))
            events = []
            runs.append(Run(following, events))
            continue
        if not runs or count >= MAX_ITEMS:
            raise InputError("a batch has no offsets or too many events", where=f"{count} events")
        events.append(value)
        count += 1
    return [run for run in runs if run.events]


def _risen(at: object, least: int) -> int:
    if isinstance(at, bool) or not isinstance(at, int) or not least <= at < MAX_OFFSET:
        raise InputError("the offsets of a batch don't rise", where=f"offset {least}")
    return at


def _values(plain: bytes) -> Sequence[Event | bytes]:
    """Return the objects of JSON lines, in their place the bytes of lines that are none.

    All lines are read as one JSON list where that works: it takes half the time. The line feed is no part of any JSON
    text but between its tokens, so lines that are sound by themselves come out the same.
    """
    lines = plain.split(b"\n")
    try:
        found = orjson.loads(b"[%b]" % plain.replace(b"\n", b","))
    except orjson.JSONDecodeError:
        return [_value(line) for line in lines]
    if len(found) == len(lines) and all(value.__class__ is dict for value in found):
        return found  # type: ignore[no-any-return] # dicts of a size that was looked at
    return [_value(line) for line in lines]


def _value(line: bytes) -> Event | bytes:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line[:_KEPT]
    return value if isinstance(value, dict) else line[:_KEPT]


def _unfolded(body: bytes) -> bytes:
    if len(body) > MAX_BODY:
        raise InputError(f"a batch may have {MAX_BODY} bytes", where=f"{len(body)} bytes")
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_BODY * 2).stream_reader(body) as reader:
            plain = reader.read(MAX_PLAIN + 1)
    except zstandard.ZstdError as error:
        raise InputError(f"a batch is damaged: {error}") from error
    if len(plain) > MAX_PLAIN:
        raise InputError(f"a batch may unfold to {MAX_PLAIN} bytes")
    return plain
