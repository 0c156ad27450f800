"""Hash many texts at once: what filters and the index of ids go by.

Not a cryptographic hash: whoever chooses texts so that they collide makes answers slower, never wrong, since whatever
a hash finds is confirmed in the segment itself. The hash of a text never changes: it is in files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_RUN: Final = 16_384


def hash_column(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> Hashes:
    """Return the 64-bit hashes of a text column without nulls, in its order."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_hash_array(chunk) for chunk in chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def hash_texts(texts: Sequence[str]) -> Hashes:
    """Return the 64-bit hashes of texts, in their order; half a surrogate pair counts as a question mark."""
    return hash_column(pa.array([text.encode("utf-8", "replace") for text in texts], pa.binary()))


def _hash_array(array: pa.Array[Any]) -> Hashes:
    offsets, data = text_buffers(array)
    lengths = np.diff(offsets)
    order = np.argsort(lengths, kind="stable")
    hashes = np.empty(len(array), np.uint64)
    edges = np.flatnonzero(np.diff(lengths[order])) + 1
    for alike in np.split(order, edges):
        length = int(lengths[alike[0]])
        for start in range(0, len(alike), _RUN):  # what is gathered is eight times the text
            run = alike[start : start + _RUN]
            hashes[run] = _hash_equally_long(data, offsets[run], length)
    return hashes


def text_buffers(array: pa.Array[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return where each text of an array (not an empty one) begins and the last ends, and the bytes of all texts."""
    _, ends, content = array.buffers()
    size = len(array) + 1
    offsets = np.frombuffer(memoryview(ends or b""), np.int32, size, array.offset * 4).astype(np.int64)
    return offsets, np.frombuffer(memoryview(content or b""), np.uint8)


def _hash_equally_long(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], length: int) -> Hashes:
    words = -(-length // 8)
    letters = np.zeros((len(starts), words * 8), np.uint8)
    if length:
        letters[:, :length] = data[starts[:, None] + np.arange(length)]
    values = np.full(len(starts), length * int(_PRIME) % 2**64, np.uint64)
    for column in letters.view("<u8").astype(np.uint64, copy=False).T:
        values = (values ^ column) * _PRIME
        values ^= values >> np.uint64(32)
    for factor in _MIX:
        values = (values ^ (values >> np.uint64(29))) * factor
    return values ^ (values >> np.uint64(32))
