"""Tell which rows of a block can match by the few columns that say most, before the others are read.

Addresses, names and hashes (``FILTERED``) that are asked for one by one are rare: comparing them in place costs less
than handing all rows to DuckDB, and where no row is left the other columns need not be read. What is left out never
matches; what is kept DuckDB decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from soc_core.fields import FIELDS
from soc_core.query.evaluate import fold, text_of
from soc_core.query.tree import And, OneOf, Or, Query
from soc_core.store.embedded.filters import FILTERED, Mask

_MOST_VALUES: Final = 256
_Join: TypeAlias = Callable[[list[Mask]], Mask]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Hold the columns looked at first, and how to tell from them which rows may match."""

    fields: frozenset[str]
    mask: Callable[[pa.Table], Mask]


def compile_narrowing(query: Query) -> Narrowing | None:
    """Return how rows that can't match are told; ``None`` where nothing in a query tells them."""
    match query:
        case And(children):
            useful = [found for found in map(compile_narrowing, children) if found is not None]
            return _joined(useful, np.logical_and.reduce) if useful else None
        case Or(children):
            parts = [compile_narrowing(child) for child in children]
            useful = [found for found in parts if found is not None]
            return _joined(useful, np.logical_or.reduce) if useful and len(useful) == len(parts) else None
        case OneOf(field) if field in FILTERED and 0 < len(query.values) <= _MOST_VALUES:
            return None if FIELDS[field].multi else Narrowing(frozenset({field}), _equal_to(query))
        case _:
            return None


def _joined(parts: Sequence[Narrowing], join: _Join) -> Narrowing:
    fields = frozenset[str]().union(*(part.fields for part in parts))
    return Narrowing(fields, lambda table: join([part.mask(table) for part in parts]))


def _equal_to(query: OneOf) -> Callable[[pa.Table], Mask]:
    """Return a test on the column of a field: equal but for case, or beyond ASCII, where DuckDB decides."""
    wanted = pa.array([fold(text_of(value), cased=False) for value in query.values], pa.string())
    is_address = FIELDS[query.field].type == "ip"

    def mask(table: pa.Table) -> Mask:
        if query.field not in table.column_names:
            return np.zeros(table.num_rows, np.bool_)
        column = table[query.field]
        if is_address:  # they are kept in one form
            return _told(pc.is_in(column, value_set=wanted))
        same = _told(pc.is_in(pc.ascii_lower(column), value_set=wanted))
        return same | ~_told(pc.fill_null(pc.string_is_ascii(column), pa.scalar(True)))

    return mask


def _told(column: object) -> Mask:
    return np.asarray(column, np.bool_)
