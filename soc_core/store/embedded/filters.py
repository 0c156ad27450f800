"""Tell which parts of a segment can't hold what is asked for, without reading them.

Beside each segment lies, for each of its row groups, a Bloom filter over the values of ``FILTERED`` (addresses, names,
hashes; whichever field they are in) and a bitmap of the groups of three bytes in the texts of ``GRAMMED``. Both are of
texts as they are compared without regard to case. Where they say no, nothing matches; where they say yes, the rows
decide. ``tests`` hold that nothing is lost by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from soc_core.fields import FIELDS
from soc_core.query.evaluate import fold, text_of, wildcard_tokens
from soc_core.query.tree import And, OneOf, Or, Query, Text
from soc_core.store.embedded.hashing import Hashes, hash_column, hash_texts, text_buffers
from soc_core.store.embedded.sidecars import Sidecar

FILTERED: Final = frozenset(name for name, field in FIELDS.items() if field.type == "ip") | {
    name
    for name in FIELDS
    if name.endswith((".hash.md5", ".hash.sha1", ".hash.sha256", ".hash.imphash", "user.name"))
    or name in {
        "host.name", "host.hostname", "user.target.name", "user.effective.name", "user.email", "dns.question.name",
        "dns.question.registered_domain", "url.domain", "tls.client.server_name", "tls.client.ja3", "tls.client.ja4",
        "related.user", "related.hosts", "related.hash", "winlog.computer_name", "log.syslog.hostname",
        "winlog.event_data.TargetUserName", "winlog.event_data.SubjectUserName", "zeek.uid",
    }
}  # fmt: skip
GRAMMED: Final = frozenset(
    name for name, field in FIELDS.items() if field.type == "text" and name != "event.original"
) | {
    "url.full", "url.original", "url.path", "url.query", "url.domain", "dns.question.name", "user_agent.original",
    "process.executable", "process.name", "process.parent.executable", "process.parent.name", "file.path", "file.name",
    "registry.path", "winlog.event_data.TargetFilename", "winlog.event_data.ImageLoaded",
}  # fmt: skip
BITS: Final = 12
"""Bits a value of a Bloom filter: with seven of them asked, three in a thousand are wrong."""
_ASKED: Final = 7
_GRAMS: Final = 1 << 16
_MOST_VALUES: Final = 256
_CJK: Final = range(0x2E80, 0xA000)  # writing without upper and lower case
_FOREIGN: Final = (
    "\u212a".encode(),
    "\u0130".encode(),
)  # the letters beyond ASCII that fold to ASCII: K and I

T = TypeVar("T")
Mask: TypeAlias = npt.NDArray[np.bool_]
Prune: TypeAlias = Callable[[Sidecar], Mask]
_Bits: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]


def _letters() -> npt.NDArray[np.uint16]:
    """Return for each of three places the number of each byte; a group of bytes has the sum of its numbers."""
    numbers = np.arange(3 * 256, dtype=np.uint64).reshape(3, 256) + np.uint64(1)
    numbers *= np.uint64(0x9E3779B97F4A7C15)
    for factor in (
        0xBF58476D1CE4E5B9,
        0x94D049BB133111EB,
    ):  # Steele and others, SplitMix64: no pattern may remain
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(factor)
    numbers[:, ord("A") : ord("Z") + 1] = numbers[:, ord("a") : ord("z") + 1]
    return (numbers >> np.uint64(40)).astype(np.uint16)


_LETTERS: Final = _letters()


def _grams(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    one, two, three = _LETTERS
    numbers: npt.NDArray[np.uint16] = one[data[:-2]] + two[data[1:-1]] + three[data[2:]]
    return numbers


class FilterBuilder:
    """Collect what the row groups of a segment hold."""

    def __init__(self) -> None:
        """Begin with none."""
        self._values: list[Hashes] = []
        self._grams: list[npt.NDArray[np.uint8]] = []

    def add(self, table: pa.Table) -> None:
        """Take the next row group."""
        names = set(table.column_names)
        values = [_hashes(table[name]) for name in sorted(FILTERED & names)]
        self._values.append(np.unique(np.concatenate(values)) if values else np.zeros(0, np.uint64))
        seen = np.zeros(_GRAMS, np.bool_)
        for name in sorted(GRAMMED & names):
            for data in _texts(table[name]):
                seen[_grams(data)] = True
                seen |= _holds_foreign(data)
        self._grams.append(np.packbits(seen, bitorder="little"))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what goes into the sidecar: a row of bits for each row group."""
        most = max(map(len, self._values), default=0)
        bits = 512 * max(1, -(-BITS * most // 512))
        rows = [_bloom(values, bits) for values in self._values]
        return {"values": np.stack(rows), "grams": np.stack(self._grams)}


def _flat(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    if not pa.types.is_list(column.type):
        return column
    flat: pa.ChunkedArray[Any] = pc.list_flatten(column)  # type: ignore[assignment] # of chunks it makes chunks
    return flat


def _hashes(column: pa.ChunkedArray[Any]) -> Hashes:
    """Return the hashes of the distinct values of a column as they are compared without regard to case."""
    values = pc.drop_null(pc.unique(_flat(column)))
    if not len(values):
        return np.zeros(0, np.uint64)
    plain = pc.string_is_ascii(values)
    folded = pc.ascii_lower(values.filter(plain))
    others = [fold(str(item), cased=False) for item in values.filter(pc.invert(plain)).to_pylist()]
    return np.concatenate([hash_column(folded), hash_column(pa.array(others, pa.string()))])


def _texts(column: pa.ChunkedArray[Any]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the bytes of the distinct texts of a column, one behind the other."""
    for chunk in _flat(column).chunks:
        array = pc.unique(chunk) if chunk.null_count < len(chunk) else chunk.slice(0, 0)
        if not len(array):
            continue
        offsets, content = text_buffers(array)
        data = content[offsets[0] : offsets[-1]]
        if len(data) >= 3:
            yield data


def _holds_foreign(data: npt.NDArray[np.uint8]) -> bool:
    if data.max() < 128:
        return False
    text = data.tobytes()
    return any(letter in text for letter in _FOREIGN)


def _places(hashes: Hashes, bits: int) -> npt.NDArray[np.int64]:
    step = (hashes >> np.uint64(32)) | np.uint64(1)
    turns = np.arange(_ASKED, dtype=np.uint64)
    return ((hashes[:, None] + turns * step[:, None]) % np.uint64(bits)).astype(np.int64)


def _bloom(hashes: Hashes, bits: int) -> npt.NDArray[np.uint8]:
    seen = np.zeros(bits, np.bool_)
    seen[_places(hashes, bits).ravel()] = True
    return np.packbits(seen, bitorder="little")


def _bits(places: npt.NDArray[np.int64]) -> _Bits:
    """Return bytes and the bits in them that places mean."""
    return places >> 3, (1 << (places & 7)).astype(np.uint8)


def _all_set(matrix: npt.NDArray[np.uint8], asked: _Bits) -> Mask:
    """Tell of each row whether all bits asked for are set."""
    there, bits = asked
    return np.asarray(np.logical_and.reduce(matrix[:, there] & bits, axis=1), np.bool_)


def combined(
    query: Query, leaf: Callable[[Query], T | None], join: Callable[[Sequence[T], np.ufunc], T]
) -> T | None:
    """Return what the leaves of a query tell, joined as the query joins them; ``None`` where they tell nothing."""
    match query:
        case And(children):
            useful = [found for child in children if (found := combined(child, leaf, join)) is not None]
            return join(useful, np.logical_and) if useful else None
        case Or(children):
            parts = [combined(child, leaf, join) for child in children]
            useful = [found for found in parts if found is not None]
            return join(useful, np.logical_or) if useful and len(useful) == len(parts) else None
        case _:
            return leaf(query)


def compile_filter(query: Query) -> Prune | None:
    """Return a function that tells which row groups may hold matches; ``None`` where that can't be told."""
    return combined(query, _leaf, _joined)


def _leaf(query: Query) -> Prune | None:
    match query:
        case OneOf(name) if name in FILTERED and 0 < len(query.values) <= _MOST_VALUES:
            return _Values(tuple(sorted({fold(text_of(value), cased=False) for value in query.values})))
        case Text(name) if name in GRAMMED:
            texts = tuple(sorted({text for text in literals(query) if len(text.encode()) >= 3}))
            return _Grams(texts) if texts else None
        case _:
            return None


def _joined(prunes: Sequence[Prune], join: np.ufunc) -> Prune:
    """Return what asks several filters, each once: of two fields the same value is one question to a filter."""
    distinct = list(dict.fromkeys(prunes))
    if len(distinct) == 1:
        return distinct[0]
    return lambda beside: np.asarray(join.reduce([prune(beside) for prune in distinct]), np.bool_)


@dataclass(frozen=True, slots=True)
class _Values:
    """Ask the Bloom filters for texts; ``places`` are kept by size, for filters of many days are of a few sizes."""

    texts: tuple[str, ...]
    hashes: list[Hashes] = field(default_factory=list, compare=False)
    places: dict[int, list[_Bits]] = field(default_factory=dict, compare=False)

    def __call__(self, beside: Sidecar) -> Mask:
        matrix = beside.arrays["values"]
        bits = matrix.shape[1] * 8
        if bits not in self.places:
            if not self.hashes:
                self.hashes.append(hash_texts(self.texts))
            self.places[bits] = [_bits(row) for row in _places(self.hashes[0], bits)]
        masks = [_all_set(matrix, item) for item in self.places[bits]]
        return masks[0] if len(masks) == 1 else np.asarray(np.logical_or.reduce(masks), np.bool_)


@dataclass(frozen=True, slots=True)
class _Grams:
    """Ask the bitmaps for all groups of three bytes in texts."""

    texts: tuple[str, ...]
    places: list[_Bits] = field(default_factory=list, compare=False)

    def __call__(self, beside: Sidecar) -> Mask:
        if not self.places:
            numbers = [_grams(np.frombuffer(text.encode(), np.uint8)) for text in self.texts]
            self.places.append(_bits(np.unique(np.concatenate(numbers)).astype(np.int64)))
        return _all_set(beside.arrays["grams"], self.places[0])


def literals(query: Text) -> list[str]:
    """Return texts that each stand, as bytes and but for the case of ASCII, in whatever matches."""
    wild = query.how == "wildcard"
    tokens = wildcard_tokens(query.value) if wild else (("literal", letter) for letter in query.value)
    found = [""]
    for kind, letter in tokens:
        if kind == "literal" and (letter.isascii() or ord(letter) in _CJK):
            found[-1] += letter
        else:
            found.append("")
    return [text for text in found if text]
