"""Keep the columns of row groups that were read last, within some memory: people ask of the same days again and again.

Decoding a column of a row group takes a tenth to half a millisecond, comparing its values in memory a tenth of that.
Sealed segments never change, so nothing kept can be wrong; what is merged away is soon forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import pyarrow as pa

Column: TypeAlias = "pa.ChunkedArray[Any]"
_ENTRY: Final = 400
"""Bytes that keeping a column takes beside its values."""


class Columns:
    """Hold columns by segment, row group and name; the longest unused go first. Safe for threads."""

    def __init__(self, most_bytes: int) -> None:
        """Take how much may be held."""
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str], tuple[Column, int]] = OrderedDict()
        self._bytes = 0

    def known(self, segment: str, group: int, names: Iterable[str]) -> dict[str, Column]:
        """Return those of the columns that are held."""
        found: dict[str, Column] = {}
        with self._lock:
            for name in names:
                key = (segment, group, name)
                kept = self._kept.get(key)
                if kept is not None:
                    self._kept.move_to_end(key)
                    found[name] = kept[0]
        return found

    def keep(self, segment: str, group: int, columns: Mapping[str, Column]) -> None:
        """Hold columns from now on."""
        sized = [(name, column, column.nbytes + _ENTRY) for name, column in columns.items()]
        with self._lock:
            for name, column, size in sized:
                key = (segment, group, name)
                if key not in self._kept and size < self._most:
                    self._kept[key] = (column, size)
                    self._bytes += size
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0
