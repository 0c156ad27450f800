"""Keep for each segment how many events each unit and data set has in each hour: what most counts are made of.

The cells of a segment lie packed beside it: numbers of (unit, data set, hour) that occur as differences, and counts.
Counts over whole hours, by unit and data set, are sums of cells and read no events.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from soc_core.model.event import DATASET, ORGANIZATION_ID, TIMESTAMP
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import Array, Sidecar, Sidecars

HOUR: Final = 3_600
_KEPT_BYTES: Final = 48 * 1024 * 1024
_NUMBERS: Final = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Cells:
    """Hold the cells of a segment: for each its unit and data set (places in the lists), hour (since 1970), count."""

    units: Sequence[str]
    datasets: Sequence[str]
    unit: npt.NDArray[np.int32]
    dataset: npt.NDArray[np.int32]
    hour: npt.NDArray[np.int32]
    count: npt.NDArray[np.int64]


class CellsBuilder:
    """Count the events of a segment by unit, data set and hour."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._parts: list[pa.Table] = []
        self._present: dict[str, set[str]] = {}

    def add(self, table: pa.Table) -> None:
        """Count the next rows, and note which columns the events of each data set have."""
        keys = {
            "unit": text_column(table, ORGANIZATION_ID),
            "dataset": text_column(table, DATASET),
            "hour": pc.utf8_slice_codeunits(table[TIMESTAMP], 0, 13),
        }
        counted = pa.table(keys).group_by(list(keys)).aggregate([([], "count_all")])
        self._parts.append(counted)
        self._note(table, keys["dataset"])

    def _note(self, table: pa.Table, dataset: pa.ChunkedArray[Any]) -> None:
        runs = pc.run_end_encode(dataset.combine_chunks())  # type: ignore[attr-defined] # the stubs lack it
        start = 0
        for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            there = self._present.setdefault(str(name), set())
            for column, values in zip(table.column_names, table.columns, strict=True):
                if column not in there and values.slice(start, end - start).null_count < end - start:
                    there.add(column)
            start = end

    def content(self, columns: Sequence[str]) -> tuple[dict[str, Array], dict[str, list[str]]]:
        """Return arrays and texts for the sidecar; ``present`` has a bit for each of ``columns``."""
        table = pa.concat_tables(self._parts).group_by(["unit", "dataset", "hour"])
        cells = table.aggregate([("count_all", "sum")])
        units, unit = _numbered(cells["unit"])
        datasets, dataset = _numbered(cells["dataset"])
        hour = _hours(cells["hour"])
        first, hours = int(hour.min()), int(hour.max() - hour.min()) + 1
        number = (unit * len(datasets) + dataset) * hours + hour - first
        order = np.argsort(number)
        steps = np.diff(number[order], prepend=0)
        counts = cells["count_all_sum"].to_numpy()[order]
        arrays: dict[str, Array] = {
            "cells": _packed(steps),
            "counts": _packed(counts),
            "hours": np.array([first, hours], np.int64),
            "present": np.packbits(
                [[column in self._present[name] for column in columns] for name in datasets],
                axis=1,
                bitorder="little",
            ),
        }
        return arrays, {"units": units, "datasets": datasets}


def text_column(table: pa.Table, name: str) -> pa.ChunkedArray[Any]:
    """Return a text column, with empty texts where there is none."""
    if name in table.column_names:
        filled: pa.ChunkedArray[Any] = pc.fill_null(table[name], "")  # type: ignore[arg-type] # the stubs lack text
        return filled
    return pa.chunked_array([[""] * len(table)], pa.string())


def _numbered(column: pa.ChunkedArray[Any]) -> tuple[list[str], npt.NDArray[np.int64]]:
    encoded = column.combine_chunks().dictionary_encode()
    return [str(item) for item in encoded.dictionary.to_pylist()], encoded.indices.to_numpy().astype(np.int64)


def _hours(column: pa.ChunkedArray[Any]) -> npt.NDArray[np.int64]:
    """Return hours since 1970 from the first 13 letters of canonical times."""
    hours = np.array(column.to_pylist(), "datetime64[h]")
    return hours.astype(np.int64)


def _packed(numbers: npt.NDArray[np.int64]) -> Array:
    """Return small numbers compressed; what does not fit 32 bits is written in 64."""
    wide = bool(len(numbers)) and int(numbers.max()) >= 2**32
    raw = numbers.astype("<u8" if wide else _NUMBERS)
    body = zstandard.ZstdCompressor(level=6).compress(bytes([wide]) + raw.tobytes())
    return np.frombuffer(body, np.uint8)


def _unpacked(body: Array) -> npt.NDArray[np.int64]:
    raw = zstandard.ZstdDecompressor().decompress(body.tobytes())
    return np.frombuffer(raw, "<u8" if raw[0] else _NUMBERS, offset=1).astype(np.int64)


def unpack_cells(beside: Sidecar) -> Cells:
    """Return the cells of a segment."""
    arrays, texts = beside.arrays, beside.texts
    first, hours = (int(number) for number in arrays["hours"])
    number = np.cumsum(_unpacked(arrays["cells"]))
    names, hour = np.divmod(number, hours)
    unit, dataset = np.divmod(names, len(texts["datasets"]))
    return Cells(
        texts["units"],
        texts["datasets"],
        unit.astype(np.int32),
        dataset.astype(np.int32),
        (hour + first).astype(np.int32),
        _unpacked(arrays["counts"]),
    )


class CellsCache:
    """Keep the cells of the segments asked about last, within some memory; safe for threads."""

    def __init__(self, sidecars: Sidecars) -> None:
        """Take what lies beside the segments."""
        self._sidecars = sidecars
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Cells] = OrderedDict()
        self._bytes = 0

    def of(self, segment: Segment) -> Cells:
        """Return the cells of a segment of format 2."""
        with self._lock:
            known = self._kept.get(segment.name)
            if known is not None:
                self._kept.move_to_end(segment.name)
                return known
        cells = unpack_cells(self._sidecars.of(segment))
        with self._lock:
            if segment.name not in self._kept:
                self._bytes += _size(cells)
            self._kept[segment.name] = cells
            while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
        return cells


def _size(cells: Cells) -> int:
    return cells.unit.nbytes + cells.dataset.nbytes + cells.hour.nbytes + cells.count.nbytes
