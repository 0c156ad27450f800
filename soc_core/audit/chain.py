"""Make the links of a chain: each holds the hash of the one before it.

What is hashed is the UTF-8 of the JSON list ``[algorithm, stream, number, at, kind, previous, body]`` without blanks,
non-ASCII characters as they are; ``body`` is itself JSON text with sorted keys. So anyone can check a chain with a
dozen lines of any language. Numbers in bodies are whole: floats are written differently by different programs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeAlias

from soc_core.clock import format_instant
from soc_core.errors import UsageError

ALGORITHMS: Final = ("sha256", "sm3")
"""``sm3`` (GB/T 32905-2016) is there where OpenSSL has it."""
Plain: TypeAlias = str | int | bool | Sequence["Plain"] | Mapping[str, "Plain"] | None


@dataclass(frozen=True, slots=True)
class Head:
    """Name the last link of a stream: its number (1 is the first, 0 none yet), time, algorithm and hash."""

    stream: str
    number: int
    at: str
    algorithm: str
    hash: str


@dataclass(frozen=True, slots=True)
class Link:
    """Hold one record: ``at`` is canonical, ``body`` canonical JSON text, ``previous`` the hash before it."""

    stream: str
    number: int
    at: str
    algorithm: str
    kind: str
    body: str
    previous: str
    hash: str

    @property
    def head(self) -> Head:
        """Return what names this link from outside."""
        return Head(self.stream, self.number, self.at, self.algorithm, self.hash)


def beginning(stream: str) -> Head:
    """Return the head of a stream that has no links yet."""
    return Head(stream, 0, "", ALGORITHMS[0], "")


def link(
    previous: Head, kind: str, body: Mapping[str, Plain], at: datetime, algorithm: str = "sha256"
) -> Link:
    """Return the link that follows ``previous``; raise ``UsageError`` for floats or an algorithm we don't have."""
    text = canonical(body)
    number, moment = previous.number + 1, format_instant(at)
    bare = Link(previous.stream, number, moment, algorithm, kind, text, previous.hash, "")
    return replace(bare, hash=hash_of(bare))


def hash_of(item: Link) -> str:
    """Return the hash a link must have, by its own algorithm; raise ``UsageError`` when we don't have that."""
    parts = [item.algorithm, item.stream, item.number, item.at, item.kind, item.previous, item.body]
    return digest(item.algorithm, _dump(parts).encode("utf-8", "surrogatepass"))


def digest(algorithm: str, data: bytes) -> str:
    """Return a hash in hexadecimal; raise ``UsageError`` for an algorithm that is not there."""
    if algorithm in ALGORITHMS:
        try:
            return hashlib.new(algorithm, data).hexdigest()
        except ValueError:
            pass  # an OpenSSL built without it
    raise UsageError(f"hash algorithm '{algorithm}' is not available here")


def canonical(body: Mapping[str, Plain]) -> str:
    """Return the JSON text of a body; raise ``UsageError`` for numbers that are not whole."""
    _refuse_floats(body)
    return _dump(body)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise UsageError("a chained record may hold whole numbers only")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
