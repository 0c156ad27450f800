"""Open a file of indicators and find entries in it. It is mapped into memory, verified at opening and never changes."""

from __future__ import annotations

import hashlib
import mmap
import sys
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import orjson

from detectors.indicators.layout import BUCKETS, IPV6, MAGIC, MOST_LISTS, SECTIONS, VERSION, aligned
from detectors.indicators.model import KINDS, TLPS, Head, Indicator
from soc_core.errors import StoreError

_CHUNK: Final = 1 << 20
_Read: TypeAlias = Callable[[int], bytes]
_PER_ENTRY: Final = ("crcs", "lists", "confidences", "tlps", "since", "expires", "reasons", "references")
NONE: Final = range(0)
ANEW: Final = "import the list again, or: edusoc indicators list --rebuild"


class Table:
    """Find entries by key. Safe for any number of threads; lives as long as something refers to it."""

    def __init__(self, path: Path) -> None:
        """Open and verify; raise ``StoreError`` for a file that is missing, damaged or of another version."""
        self.path = path
        if sys.byteorder != "little":
            raise StoreError("files of indicators need a little-endian machine", where=str(path))
        try:
            with path.open("rb") as file:
                header, start = _header(file.read(12), file.read, path)
                _verify(header, file.read, path)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "can't be read"
            raise StoreError(reason, where=str(path), todo=ANEW) from error
        self.digest = str(header["sha256"])
        self.stamp = str(header.get("stamp", ""))
        self.count = int(str(header["count"]))
        self.heads = tuple(_head(item) for item in _listed(header.get("lists")))
        self._sections = _sections(memoryview(self._map), header, start, path)
        self._check(path)
        self._buckets, self._crcs = self._sections["buckets"], self._sections["crcs"]
        self._keys_at, self._keys = self._sections["keys_at"], self._sections["keys"]
        self.expires = self._sections["expires"]
        lengths = self._sections["lengths"]
        self.ipv4_lengths = tuple(length for length in lengths if length < IPV6)
        self.ipv6_lengths = tuple(length - IPV6 for length in lengths if length >= IPV6)
        self._hosts = self._sections["hosts"]

    def __len__(self) -> int:
        """Return how many entries there are."""
        return self.count

    def section(self, name: str) -> memoryview[int]:
        """Return the numbers of a section."""
        return self._sections[name]

    def find(self, key: bytes) -> range:
        """Return the numbers of the entries with ``key``: compared byte by byte, so nothing else is found."""
        crc = zlib.crc32(key)
        high = crc >> 16
        first, last = self._buckets[high], self._buckets[high + 1]
        if first == last:
            return NONE
        at = bisect_left(self._crcs, crc, first, last)
        if at == last or self._crcs[at] != crc:
            return NONE
        return self._exactly(key, at, bisect_left(self._crcs, crc + 1, at, last))

    def may_hold_host(self, host: bytes) -> bool:
        """Tell whether a URL of this host may be listed; that is asked before a URL is written in its one form."""
        crc = zlib.crc32(host)
        at = bisect_left(self._hosts, crc)
        return at < len(self._hosts) and self._hosts[at] == crc

    def _exactly(self, key: bytes, start: int, end: int) -> range:
        """Return the entries with ``key`` among those whose CRC is equal, which are in the order of their keys."""
        found = range(start, end)
        first = start + bisect_left(found, key, key=self.key)
        last = first
        while last < end and self.key(last) == key:
            last += 1
        return range(first, last)

    def key(self, number: int) -> bytes:
        """Return the key of an entry."""
        return bytes(self._keys[self._keys_at[number] : self._keys_at[number + 1]])

    def head(self, number: int) -> Head:
        """Return the list an entry belongs to."""
        return self.heads[self._sections["lists"][number]]

    def entry(self, number: int) -> Indicator:
        """Return an entry whole."""
        key, sections = self.key(number), self._sections
        return Indicator(
            KINDS[key[:1]],
            key[1:].decode("utf-8", "replace"),
            sections["confidences"][number],
            TLPS[sections["tlps"][number]],
            sections["since"][number],
            sections["expires"][number],
            self._text(sections["reasons"][number]),
            self._text(sections["references"][number]),
        )

    def all_keys(self) -> Iterator[bytes]:
        """Yield the keys of all entries in order."""
        for start, end in pairwise(self._keys_at):
            yield bytes(self._keys[start:end])

    def all_texts(self) -> Iterator[str]:
        """Yield all reasons and references in the order of their numbers."""
        return (self._text(number) for number in range(len(self._sections["texts_at"]) - 1))

    def _text(self, number: int) -> str:
        at = self._sections["texts_at"]
        return bytes(self._sections["texts"][at[number] : at[number + 1]]).decode("utf-8", "replace")

    def _check(self, path: Path) -> None:
        """Raise ``StoreError`` unless every number points to something: nothing is checked when asking."""
        sizes = {name: len(part) for name, part in self._sections.items()}
        wrong = any(sizes[name] != self.count for name in _PER_ENTRY)
        wrong |= (
            sizes["buckets"] != BUCKETS + 1 or sizes["keys_at"] != self.count + 1 or not sizes["texts_at"]
        )
        wrong |= len(self.heads) > MOST_LISTS
        if not wrong:
            wrong = not all(
                (
                    self._rises("buckets", self.count),
                    self._rises("keys_at", sizes["keys"]),
                    self._rises("texts_at", sizes["texts"]),
                    self._below("lists", len(self.heads)),
                    self._below("tlps", len(TLPS)),
                    self._below("reasons", sizes["texts_at"] - 1),
                    self._below("references", sizes["texts_at"] - 1),
                )
            )
        if wrong:
            raise StoreError("the file of indicators is damaged", where=str(path), todo=ANEW)

    def _rises(self, name: str, end: int) -> bool:
        values = np.frombuffer(self._sections[name], np.dtype("<u4"))
        return bool(values[0] == 0 and values[-1] == end and np.all(values[1:] >= values[:-1]))

    def _below(self, name: str, bound: int) -> bool:
        kind = {"I": "<u4", "H": "<u2", "B": "u1"}[SECTIONS[name]]
        values = np.frombuffer(self._sections[name], np.dtype(kind))
        return not len(values) or bool(values.max() < bound)


def _header(start: bytes, read: _Read, path: Path) -> tuple[Mapping[str, object], int]:
    """Return the header and where the sections begin."""
    size = int.from_bytes(start[8:12], "little")
    if start[:8] != MAGIC or not 0 < size < 64 * _CHUNK:
        raise StoreError("this is no file of indicators", where=str(path), todo=ANEW)
    header = orjson.loads(read(size))
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise StoreError("the file of indicators is of another version", where=str(path), todo=ANEW)
    count = header.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise StoreError("the file of indicators is damaged", where=str(path), todo=ANEW)
    return header, 12 + size


def _verify(header: Mapping[str, object], read: _Read, path: Path) -> None:
    """Read what is behind the header in pieces, so that verifying takes no memory, and compare its digest."""
    digest = hashlib.sha256()
    while part := read(_CHUNK):
        digest.update(part)
    if digest.hexdigest() != header.get("sha256"):
        raise StoreError("the file of indicators is damaged", where=str(path), todo=ANEW)


def _sections(
    whole: memoryview[int], header: Mapping[str, object], start: int, path: Path
) -> dict[str, memoryview[int]]:
    places = header.get("sections")
    found: dict[str, memoryview[int]] = {}
    at = 0
    for name, kind in SECTIONS.items():
        place = places.get(name) if isinstance(places, dict) else None
        size = place[1] if isinstance(place, list) and len(place) == 2 and place[0] == at else -1
        if not isinstance(size, int) or size < 0 or start + at + size > len(whole) or start % 8:
            raise StoreError("the file of indicators is damaged", where=str(path), todo=ANEW)
        part = whole[start + at : start + at + size]
        found[name] = part if kind == "B" else part.cast("I") if kind == "I" else part.cast("H")
        at += aligned(size)
    return found


def _listed(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _head(item: Mapping[str, object]) -> Head:
    texts = {name: str(item.get(name, "")) for name in ("id", "name", "source", "severity", "at")}
    version = item.get("version")
    return Head(**texts, allow=item.get("allow") is True, version=version if isinstance(version, int) else 0)
