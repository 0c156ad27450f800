"""Build files of indicators: one of a list, or one of all lists from the files of each."""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from detectors.indicators.layout import (
    BUCKETS,
    IPV6,
    MAGIC,
    MOST_ENTRIES,
    SECTIONS,
    VERSION,
    aligned,
)
from detectors.indicators.model import TLPS, Head, Indicator, Kind
from detectors.indicators.table import Table
from detectors.indicators.values import url_host
from soc_core.errors import StoreError
from soc_core.log.files import write_whole

Numbers: TypeAlias = npt.NDArray[np.generic]
_META: Final = ("lists", "confidences", "tlps", "since", "expires", "reasons", "references")


class Builder:
    """Gather entries in memory, about 150 bytes each, and write them sorted."""

    def __init__(self) -> None:
        """Begin without entries."""
        self._keys: list[bytes] = []
        self._meta = {name: array(SECTIONS[name]) for name in _META}
        self._texts: dict[str, int] = {"": 0}
        self._heads: list[Head] = []
        self.stamp = ""
        """What the file was built from, so that somebody can see whether it has to be built anew."""

    def __len__(self) -> int:
        """Return how many entries were added."""
        return len(self._keys)

    def begin(self, head: Head) -> None:
        """Let the entries that follow belong to a list."""
        self._heads.append(head)

    def add(self, item: Indicator) -> None:
        """Add an entry of the list begun last; raise ``StoreError`` when there are too many."""
        self._room()
        self._keys.append(item.key)
        values = (
            len(self._heads) - 1,
            item.confidence,
            TLPS.index(item.tlp),
            item.since,
            item.expires,
            self._text(item.reason),
            self._text(item.reference),
        )
        for name, value in zip(_META, values, strict=True):
            self._meta[name].append(value)

    def add_table(self, head: Head, table: Table, now: int) -> None:
        """Add all entries of a list's own file that have not expired at ``now``, under today's ``head``."""
        self.begin(head)
        number = len(self._heads) - 1
        texts = array("I", (self._text(text) for text in table.all_texts()))
        meta = self._meta
        for at, (key, expires) in enumerate(zip(table.all_keys(), table.expires, strict=True)):
            if expires and expires <= now:
                continue
            self._room()
            self._keys.append(key)
            meta["lists"].append(number)
            for name in ("confidences", "tlps", "since", "expires"):
                meta[name].append(table.section(name)[at])
            meta["reasons"].append(texts[table.section("reasons")[at]])
            meta["references"].append(texts[table.section("references")[at]])

    def _room(self) -> None:
        if len(self._keys) >= MOST_ENTRIES:
            raise StoreError(f"there are more than {MOST_ENTRIES} indicators", todo="remove a list")

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def write(self, path: Path) -> int:
        """Write the file durably, all or nothing; return how many entries it holds (doubles of a list are one)."""
        content, count = self.content()
        write_whole(path, content)
        return count

    def content(self) -> tuple[bytes, int]:
        """Return the file's bytes and how many entries it holds."""
        order = self._order()
        keys = self._keys
        sizes = np.fromiter((len(keys[at]) for at in order), np.uint64, len(order))
        keys_at = np.zeros(len(order) + 1, np.uint64)
        np.cumsum(sizes, out=keys_at[1:])
        if int(keys_at[-1]) >= 2**32:
            raise StoreError("the indicators take more than 4 GB", todo="remove a list")
        crcs = np.fromiter((zlib.crc32(keys[at]) for at in order), np.uint32, len(order))
        chosen = np.array(order, np.int64)
        texts = [text.encode("utf-8", "replace") for text in self._texts]
        sections: dict[str, Numbers | bytes] = {
            "buckets": np.searchsorted(crcs >> np.uint32(16), np.arange(BUCKETS + 1)).astype(np.uint32),
            "crcs": crcs,
            "keys_at": keys_at.astype(np.uint32),
            "texts_at": np.cumsum([0, *map(len, texts)]).astype(np.uint32),
            "lengths": np.array(_lengths(keys), np.uint8),
            "hosts": np.array(_hosts(keys), np.uint32),
            "keys": b"".join(keys[at] for at in order),
            "texts": b"".join(texts),
        }
        for name in _META:
            sections[name] = np.frombuffer(self._meta[name], _dtype(name))[chosen]
        return _file(sections, self._heads, len(order), self.stamp), len(order)

    def _order(self) -> Sequence[int]:
        """Return the entries in the file's order, of doubles within a list that with most confidence."""
        keys, lists, confidences = self._keys, self._meta["lists"], self._meta["confidences"]
        crcs = np.fromiter(map(zlib.crc32, keys), np.uint32, len(keys))
        rough = np.argsort(crcs, kind="stable").tolist()
        found: list[int] = []
        for group in _equal(rough, crcs):
            if len(group) > 1:
                group.sort(key=lambda at: (keys[at], lists[at], -confidences[at]))
            last: tuple[bytes, int] | None = None
            for at in group:
                if (keys[at], lists[at]) != last:
                    found.append(at)
                    last = keys[at], lists[at]
        return found


def _equal(order: Sequence[int], crcs: npt.NDArray[np.uint32]) -> Iterable[list[int]]:
    """Yield runs of equal CRCs."""
    values = crcs[order] if len(order) else crcs
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(order)]
    return (list(order[start:end]) for start, end in pairwise(edges) if end > start)


def _lengths(keys: Iterable[bytes]) -> list[int]:
    found = set()
    for key in keys:
        if key[:1] == Kind.NETWORK.letter:
            network = ip_network(key[1:].decode())
            found.add(network.prefixlen + (IPV6 if network.version == 6 else 0))
    return sorted(found, reverse=True)


def _hosts(keys: Iterable[bytes]) -> list[int]:
    letter = Kind.URL.letter
    hosts = (url_host(key[1:].decode()).encode() for key in keys if key[:1] == letter)
    return sorted({zlib.crc32(host) for host in hosts})


def _dtype(name: str) -> np.dtype[np.generic]:
    return np.dtype({"I": "<u4", "H": "<u2", "B": "u1"}[SECTIONS[name]])


def _file(sections: dict[str, Numbers | bytes], heads: Sequence[Head], count: int, stamp: str) -> bytes:
    body, places, at = [], {}, 0
    for name in SECTIONS:
        part = sections[name]
        raw = part if isinstance(part, bytes) else part.astype(_dtype(name)).tobytes()
        places[name] = [at, len(raw)]
        padding = aligned(len(raw)) - len(raw)
        body += [raw, bytes(padding)]
        at += len(raw) + padding
    digest = hashlib.sha256()
    for part in body:
        digest.update(part)
    header = orjson.dumps(
        {
            "version": VERSION,
            "count": count,
            "stamp": stamp,
            "sections": places,
            "lists": [asdict(head) for head in heads],
            "sha256": digest.hexdigest(),
        }
    )
    header += b" " * (aligned(12 + len(header)) - 12 - len(header))
    return b"".join([MAGIC, len(header).to_bytes(4, "little"), header, *body])


def build(head: Head, items: Iterable[Indicator], path: Path) -> int:
    """Write the file of one list; return how many entries it holds."""
    builder = Builder()
    builder.begin(head)
    for item in items:
        builder.add(item)
    return builder.write(path)
