"""Make what lies beside a segment from its rows; made again from a segment it is the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.clock import epoch_us, parse_instant
from soc_core.model.event import EVENT_ID, TIMESTAMP
from soc_core.store.embedded.cells import CellsBuilder
from soc_core.store.embedded.filters import FilterBuilder
from soc_core.store.embedded.hashing import Hashes, hash_column
from soc_core.store.embedded.ids import index_ids
from soc_core.store.embedded.sidecars import Sidecar


class SidecarBuilder:
    """Collect what the row groups of a segment hold."""

    def __init__(self) -> None:
        """Begin with none."""
        self._filters, self._cells = FilterBuilder(), CellsBuilder()
        self._ids: list[Hashes] = []
        self._spans: list[tuple[int, int, int]] = []

    def add(self, table: pa.Table) -> None:
        """Take the next row group."""
        self._filters.add(table)
        self._cells.add(table)
        self._ids.append(hash_column(table[EVENT_ID]))
        first, last = str(pc.min(table[TIMESTAMP]).as_py()), str(pc.max(table[TIMESTAMP]).as_py())
        self._spans.append((_instant(first), _instant(last), len(table)))

    def content(self, columns: Sequence[str]) -> Sidecar:
        """Return what lies beside a segment of these columns.

        ``spans`` has for each row group first and last time (microseconds since 1970) and number of rows.
        """
        cells, texts = self._cells.content(sorted(columns))
        arrays = {
            "ids": index_ids(np.concatenate(self._ids)),
            "spans": np.array(self._spans, np.int64),
            **self._filters.arrays(),
            **cells,
        }
        return Sidecar(arrays, texts)


def rebuild_sidecar(path: Path) -> Sidecar:
    """Return what lies beside a segment, from the segment alone; raise ``OSError`` or Arrow's errors."""
    builder = SidecarBuilder()
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            builder.add(file.read_row_group(group))
        return builder.content(file.schema_arrow.names)


def _instant(text: str) -> int:
    return epoch_us(parse_instant(text))
