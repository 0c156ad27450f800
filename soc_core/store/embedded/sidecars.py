"""Keep what is known of a segment beside it: one small file of arrays, mapped into memory as far as it is touched.

A file is a magic number, a header that says where each array lies and what it holds, and the arrays. The catalogue
knows its checksum (``ids_sha256``), ``edusoc store verify`` compares it. Segments written by version 1 of the
catalogue have only sorted hashes of their ids beside them (``.ids.npy``); compaction writes them anew.
"""

from __future__ import annotations

import mmap
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow.parquet as pq

from soc_core.errors import StoreError
from soc_core.model.event import EVENT_ID
from soc_core.store.embedded.segments import Segment

MAGIC: Final = b"EDUSOC02"
_ALIGNED: Final = 64
_KEPT: Final = 1_024
"""Files held open; each costs a mapping and a few hundred bytes, and what of it was touched the system may drop."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Hold what lies beside a segment: arrays and short lists of texts, by name."""

    arrays: Mapping[str, Array]
    texts: Mapping[str, Sequence[str]]


def sidecar(path: Path) -> Path:
    """Return the path of what lies beside a segment."""
    return path.with_suffix(".index")


def old_sidecar(path: Path) -> Path:
    """Return the path of what lies beside a segment of format 1."""
    return path.with_suffix(".ids.npy")


def sidecar_of(directory: Path, segment: Segment) -> Path:
    """Return the path of what lies beside a segment of any format."""
    path = directory / segment.name
    return old_sidecar(path) if segment.format == 1 else sidecar(path)


def unlink_segment(path: Path) -> None:
    """Remove a segment and what lies beside it, as far as they are there."""
    for file in (path, sidecar(path), old_sidecar(path)):
        file.unlink(missing_ok=True)


def save_sidecar(target: Path, content: Sidecar) -> None:
    """Write a file."""
    places: dict[str, list[object]] = {}
    at = 0
    for name, array in content.arrays.items():
        places[name] = [at, array.dtype.str, list(array.shape)]
        at += -(-array.nbytes // _ALIGNED) * _ALIGNED
    header = orjson.dumps({"arrays": places, "texts": {k: list(v) for k, v in content.texts.items()}})
    with target.open("wb") as stream:
        stream.write(MAGIC + len(header).to_bytes(8, "little") + header)
        stream.write(bytes(-stream.tell() % _ALIGNED))
        for array in content.arrays.values():
            stream.write(np.ascontiguousarray(array).data if array.size else b"")
            stream.write(bytes(-stream.tell() % _ALIGNED))


def load_sidecar(path: Path) -> Sidecar:
    """Map a file; raise ``FileNotFoundError`` when it is gone and ``StoreError`` when it is none of ours."""
    with path.open("rb") as stream:
        try:
            memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            size = int.from_bytes(memory[8:16], "little")
            if memory[:8] != MAGIC:
                raise ValueError("no sidecar")
            header = orjson.loads(memory[16 : 16 + size])
            begin = -(-(16 + size) // _ALIGNED) * _ALIGNED
            arrays = {
                name: _array(memory, begin + at, *shape) for name, (at, *shape) in header["arrays"].items()
            }
            return Sidecar(arrays, header["texts"])
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                "the index of a segment can't be read", where=path.name, todo="run: edusoc store verify"
            ) from error


def _array(memory: mmap.mmap, at: int, kind: str, shape: Sequence[int]) -> Array:
    count = int(np.prod(shape))
    if not count:
        return np.zeros(shape, kind)
    return np.frombuffer(memory, kind, count, at).reshape(shape)


class Sidecars:
    """Open what lies beside segments, and keep it open; safe for threads."""

    def __init__(self, directory: Path, rebuild: Callable[[Path], Sidecar]) -> None:
        """Take the directory of the segments and how to make a sidecar that is lost or damaged from its segment."""
        self.directory, self._rebuild = directory, rebuild
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Sidecar] = OrderedDict()

    def of(self, segment: Segment) -> Sidecar:
        """Return what lies beside a segment; of one of format 1 that is its array ``hashes``.

        Raises ``FileNotFoundError`` when the segment was merged away since the snapshot that names it.
        """
        with self._lock:
            known = self._open.get(segment.name)
            if known is not None:
                self._open.move_to_end(segment.name)
                return known
        known = self._load(segment)
        with self._lock:
            self._open[segment.name] = known
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)
        return known

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            self._open.clear()

    def _load(self, segment: Segment) -> Sidecar:
        path = self.directory / segment.name
        if segment.format == 1:
            return Sidecar({"hashes": _load_hashes(path)}, {})
        try:
            return load_sidecar(sidecar(path))
        except (OSError, StoreError):
            return self._rebuild(path)


def _load_hashes(path: Path) -> Array:
    """Return what lies beside a segment of format 1, or makes it anew from the segment."""
    try:
        known: Array = np.load(old_sidecar(path), mmap_mode="r")
        if known.dtype == np.uint64 and known.ndim == 1:
            return known
    except (OSError, ValueError, EOFError):
        pass
    with pq.ParquetFile(path) as file:
        return np.sort(hash_ids(str(name) for name in file.read(columns=[EVENT_ID])[EVENT_ID].to_pylist()))


def hash_ids(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return the 64-bit hashes that segments of format 1 know ids by, in their order."""
    digests = b"".join([blake2b(name.encode(), digest_size=8).digest() for name in ids])
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64, copy=False)
