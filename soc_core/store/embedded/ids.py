"""Tell which event ids are stored already: exactly, whatever the batches of a retry look like.

Each segment has a sidecar of sorted 64-bit hashes of its ids (8 bytes an event, memory-mapped, so that only touched
pages are in memory). A hash that is not there is a new event; one that is there is confirmed in the segment itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.model.event import EVENT_ID
from soc_core.store.embedded.catalogue import Segment

Hashes = npt.NDArray[np.uint64]
_KEPT: Final = 256


def hash_ids(ids: Iterable[str]) -> Hashes:
    """Return the 64-bit hashes of ids, in their order."""
    digests = b"".join([blake2b(name.encode(), digest_size=8).digest() for name in ids])
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64, copy=False)


class IdIndex:
    """Look ids up in the sidecars of segments."""

    def __init__(self, directory: Path) -> None:
        """Take the directory of the segments."""
        self._directory = directory
        self._open: OrderedDict[str, Hashes] = OrderedDict()

    def candidates(self, segment: Segment, ids: Sequence[str], hashes: Hashes) -> list[str]:
        """Return the ids that may be in the segment (one wrong in some 10^14)."""
        known = self._hashes(segment)
        if not len(known):
            return []
        at = np.searchsorted(known, hashes)
        at[at == len(known)] = 0
        return [ids[index] for index in np.flatnonzero(known[at] == hashes).tolist()]

    def confirmed(self, segment: Segment, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are in the segment."""
        hits = self.candidates(segment, ids, hash_ids(ids))
        if not hits:
            return set()
        wanted = set(hits)
        found: set[str] = set()
        try:
            with pq.ParquetFile(self._directory / segment.name) as file:
                for batch in file.iter_batches(columns=[EVENT_ID], batch_size=65_536):
                    column = batch.column(0)
                    mask = pc.is_in(column, value_set=pa.array(sorted(wanted), column.type))
                    found.update(str(item) for item in column.filter(mask).to_pylist())
        except FileNotFoundError:
            return set()  # lost: what comes again is welcome
        except (OSError, pa.ArrowException, ValueError):
            return wanted  # damaged: the hashes are right but for one in some 10^14
        return found

    @staticmethod
    def _load(path: Path) -> Hashes:
        try:
            known: Hashes = np.load(sidecar(path), mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return _read_ids(path)
        return known if known.dtype == np.uint64 and known.ndim == 1 else _read_ids(path)

    def _hashes(self, segment: Segment) -> Hashes:
        known = self._open.get(segment.name)
        if known is None:
            known = self._load(self._directory / segment.name)
            self._open[segment.name] = known
            if len(self._open) > _KEPT:
                self._open.popitem(last=False)
        self._open.move_to_end(segment.name)
        return known


def _read_ids(path: Path) -> Hashes:
    """Return the sorted hashes of the ids in a segment whose sidecar is no use; none where it can't be read either."""
    try:
        with pq.ParquetFile(path) as file:
            names = file.read(columns=[EVENT_ID])[EVENT_ID].to_pylist()
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return np.array([], np.uint64)
    return np.sort(hash_ids(str(name) for name in names))


def sidecar(path: Path) -> Path:
    """Return the path of a segment's id sidecar."""
    return path.with_suffix(".ids.npy")
