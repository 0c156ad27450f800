"""Tell which rows of a block can match by the few columns that say most, before the others are read.

Addresses, names and hashes (``FILTERED``) that are asked for one by one are rare: comparing them in place costs less
than handing all rows to DuckDB, and of the other columns only the rows that are left need be read, often none. What is
left out never matches; what is kept DuckDB decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from soc_core.fields import FIELDS
from soc_core.query.evaluate import fold, text_of
from soc_core.query.tree import OneOf, Query
from soc_core.store.embedded.filters import FILTERED, Mask, combined

_MOST_VALUES: Final = 256


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Hold the columns looked at first, and how to tell from them which rows may match."""

    fields: frozenset[str]
    mask: Callable[[pa.Table], Mask]


def compile_narrowing(query: Query) -> Narrowing | None:
    """Return how rows that can't match are told; ``None`` where nothing in a query tells them."""
    return combined(query, _leaf, _joined)


def _leaf(query: Query) -> Narrowing | None:
    match query:
        case OneOf(name) if name in FILTERED and 0 < len(query.values) <= _MOST_VALUES:
            return None if FIELDS[name].multi else Narrowing(frozenset({name}), _equal_to(query))
        case _:
            return None


def _joined(parts: Sequence[Narrowing], join: np.ufunc) -> Narrowing:
    fields = frozenset[str]().union(*(part.fields for part in parts))
    return Narrowing(
        fields, lambda table: np.asarray(join.reduce([part.mask(table) for part in parts]), np.bool_)
    )


def _equal_to(query: OneOf) -> Callable[[pa.Table], Mask]:
    """Return a test on the column of a field: equal but for case, or beyond ASCII, where DuckDB decides."""
    wanted = pa.array(sorted({fold(text_of(value), cased=False) for value in query.values}), pa.string())
    is_address = FIELDS[query.field].type == "ip"

    def mask(table: pa.Table) -> Mask:
        if query.field not in table.column_names:
            return np.zeros(table.num_rows, np.bool_)
        column = table[query.field]
        if is_address:  # they are kept in one form
            return _among(column, wanted)
        plain = pc.fill_null(pc.string_is_ascii(column), pa.scalar(True))
        return _among(pc.ascii_lower(column), wanted) | ~_told(plain)

    return mask


def _among(column: pa.ChunkedArray[pa.StringScalar], wanted: pa.StringArray) -> Mask:
    if len(wanted) > 1:
        return _told(pc.is_in(column, value_set=wanted))
    return _told(pc.fill_null(pc.equal(column, wanted[0]), pa.scalar(False)))


def _told(column: object) -> Mask:
    return np.asarray(column, np.bool_)
