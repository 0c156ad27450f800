"""Tell which event ids are stored already, and where: exactly, whatever the batches of a retry look like.

Beside each segment lie sorted numbers, one an id: 44 bits of its hash, then its row in 20 bits (which bounds a segment
to ``MOST_ROWS`` events). A hash that is not there is a new event; one that is there is confirmed in the segment itself.
Segments of format 1 have sorted 64-bit hashes (BLAKE2b) and no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.model.event import EVENT_ID
from soc_core.store.embedded.hashing import Hashes, hash_texts
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import Sidecars, hash_ids

MOST_ROWS: Final = 1 << 20
_ROW_BITS: Final = np.uint64(20)
_ROW: Final = np.uint64(MOST_ROWS - 1)


def index_ids(hashes: Hashes) -> Hashes:
    """Return the sorted numbers for the hashes of a segment's ids in the order of its rows."""
    rows = np.arange(len(hashes), dtype=np.uint64)
    return np.sort(hashes & ~_ROW | rows)


class IdIndex:
    """Look ids up beside segments."""

    def __init__(self, sidecars: Sidecars) -> None:
        """Take what lies beside the segments."""
        self._sidecars = sidecars

    def rows(self, segment: Segment, ids: Sequence[str], hashes: Hashes) -> dict[str, list[int]]:
        """Return the ids that may be in a segment, each with the rows where it may be (none for format 1).

        ``hashes`` are those of ``hash_texts``. Wrong ones are one in ten million.
        """
        arrays = self._sidecars.of(segment).arrays
        if segment.format == 1:
            known = arrays["hashes"]
            wanted = hash_ids(ids)
            if not len(known):
                return {}
            at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            return {ids[index]: [] for index in np.flatnonzero(known[at] == wanted).tolist()}
        return _rows(arrays["ids"], ids, hashes)

    def candidates(self, segment: Segment, ids: Sequence[str], hashes: Hashes) -> list[str]:
        """Return the ids that may be in the segment."""
        return list(self.rows(segment, ids, hashes))

    def confirmed(self, segment: Segment, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are in the segment."""
        try:
            hits = self.candidates(segment, ids, hash_texts(ids))
            return self._confirmed(segment, hits) if hits else set()
        except (OSError, pa.ArrowException, ValueError):
            return set()  # lost or damaged: what comes again is welcome

    def _confirmed(self, segment: Segment, hits: Sequence[str]) -> set[str]:
        wanted = pa.array(sorted(hits), pa.string())
        found: set[str] = set()
        try:
            with pq.ParquetFile(self._sidecars.directory / segment.name) as file:
                for batch in file.iter_batches(columns=[EVENT_ID], batch_size=65_536):
                    column = batch.column(0)
                    mask = pc.is_in(column, value_set=wanted)
                    found.update(str(item) for item in column.filter(mask).to_pylist())
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException, ValueError):
            return set(hits)  # damaged: the hashes are right but for one in ten million
        return found


def _rows(known: npt.NDArray[np.uint64], ids: Sequence[str], hashes: Hashes) -> dict[str, list[int]]:
    wanted = hashes & ~_ROW
    low, high = np.searchsorted(known, wanted), np.searchsorted(known, wanted | _ROW, side="right")
    return {
        ids[index]: (known[low[index] : high[index]] & _ROW).astype(int).tolist()
        for index in np.flatnonzero(high > low).tolist()
    }
