"""Define the event: a flat mapping from ECS dotted name to a scalar or a list of scalars (DESIGN §3).

Dates are canonical text (``soc_core.clock``), addresses canonical text, durations integer nanoseconds as ECS has it.
There are no ``None`` values and no nested objects; lists of objects become parallel lists of equal length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | list[str] | list[int] | list[float] | list[bool]
Event: TypeAlias = dict[str, Value]

TIMESTAMP = "@timestamp"
EVENT_ID = "event.id"
ORGANIZATION_ID = "organization.id"
ZONE = "edusoc.zone"
EXTRA = "edusoc.extra"
DATASET = "event.dataset"

# base32hex (RFC 4648 section 7) in lower case, three letters at a time: the standard library's takes six times as long.
_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [one + two for one in _ALPHABET for two in _ALPHABET]
_TRIPLES: list[str] = []  # made when the first id is: not every command needs them
_PLACE = Struct(">qI")
_HALVES = Struct(">QQ")


@dataclass(frozen=True, slots=True)
class BadRecord:
    """Describe a record that could not be read: it is counted and kept aside, never fatal.

    ``position`` is the decompressed byte offset, ``line`` the 1-based line number where lines exist (else 0),
    ``raw`` at most the first 4,096 bytes of the record.
    """

    source: str
    position: int
    line: int
    reason: str
    raw: bytes = b""


def make_source_identity(organization_id: str, zone: str, collector: str, fingerprint: bytes) -> bytes:
    """Return the 16-byte identity of one source of records.

    ``fingerprint`` must be stable when the source is renamed, compressed, copied or grown: collectors use the bytes
    of the first data record.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (organization_id.encode(), zone.encode(), collector.encode(), fingerprint):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def make_event_id(
    timestamp: str, source_identity: bytes, position: int, record: bytes, ordinal: int = 0
) -> str:
    """Return ``YYYYMMDD-`` and 26 base32hex characters: the same record always gets the same id.

    ``timestamp`` is canonical text, its UTC day is the event's partition. ``position`` is the record's decompressed
    offset, so two equal lines are two events and the same line read twice is one. ``ordinal`` counts events made
    from one record. 128 bits: a collision among 10^12 events has probability below 10^-14.
    """
    if not _TRIPLES:
        # All at once, for other threads.
        _TRIPLES[:] = [pair + letter for pair in _PAIRS for letter in _ALPHABET]
    named = source_identity + _PLACE.pack(position, ordinal) + record
    high, low = _HALVES.unpack(hashlib.blake2b(named, digest_size=16).digest())
    # 130 bits with two zeros at the end, 26 letters of five bits: 12, 6 across the halves' border, 8.
    middle, low, triples = (high & 15) << 26 | low >> 38, (low & 0x3F_FFFF_FFFF) << 2, _TRIPLES
    return (
        f"{timestamp[:4]}{timestamp[5:7]}{timestamp[8:10]}-"
        f"{triples[high >> 49]}{triples[high >> 34 & 32_767]}{triples[high >> 19 & 32_767]}"
        f"{triples[high >> 4 & 32_767]}{triples[middle >> 15]}{triples[middle & 32_767]}"
        f"{_PAIRS[low >> 30]}{triples[low >> 15 & 32_767]}{triples[low & 32_767]}"
    )


def partition_of(event_id: str) -> str:
    """Return the partition (UTC day, ``YYYYMMDD``) that an event id carries."""
    return event_id[:8]


def extra_values(event: Event, field: str) -> list[str]:
    """Return the values of a field that the dictionary does not hold: collectors keep it in ``edusoc.extra``."""
    prefix = field + "="
    size = len(prefix)
    return [text[size:] for item in values_of(event, EXTRA) if (text := str(item)).startswith(prefix)]


def values_of(event: Event, field: str) -> Sequence[Scalar]:
    """Return the values of ``field`` as a sequence: empty when absent, one item for a scalar."""
    value = event.get(field)
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)
