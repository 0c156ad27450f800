"""Answer counts over whole hours, by unit and data set, from the cells that lie beside segments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from soc_core.clock import epoch_us
from soc_core.model.event import DATASET, ORGANIZATION_ID, Scalar
from soc_core.query.evaluate import fold, text_of
from soc_core.query.tree import And, Everything, OneOf, Query
from soc_core.store.counting import Counting
from soc_core.store.embedded.cells import HOUR, Cells
from soc_core.store.interface import Aggregation, Bucket, Buckets, Search

_HOUR_US: Final = HOUR * 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS: Final = frozenset({DATASET, ORGANIZATION_ID})


@dataclass(frozen=True, slots=True)
class Named:
    """Hold a condition that a unit or a data set is one of some names; folded unless ``cased``."""

    field: str
    names: frozenset[str]
    cased: bool
    known: dict[str, bool] = dataclass_field(default_factory=dict, compare=False)
    """What was found of names before: hundreds of segments have the same."""

    def of(self, cells: Cells) -> npt.NDArray[np.bool_]:
        """Tell of each cell whether it is meant."""
        names, number = (
            (cells.datasets, cells.dataset) if self.field == DATASET else (cells.units, cells.unit)
        )
        known = self.known
        for name in names:
            if name not in known:
                known[name] = fold(name, self.cased) in self.names
        meant: npt.NDArray[np.bool_] = np.array([known[name] for name in names], np.bool_)[number]
        return meant


@dataclass(frozen=True, slots=True)
class Hours:
    """Hold the whole hours in a time asked about."""

    start: datetime
    end: datetime

    @property
    def numbers(self) -> tuple[int, int]:
        """Return first and end as hours since 1970."""
        return epoch_us(self.start) // _HOUR_US, epoch_us(self.end) // _HOUR_US


def adds_up(asked: Aggregation) -> bool:
    """Tell whether cells can answer an aggregation."""
    if asked.kind == "histogram":
        return asked.interval_seconds % HOUR == 0 and asked.offset_seconds % HOUR == 0
    return asked.kind == "count" or (asked.kind == "terms" and asked.field in _KEYS)


def selection_of(request: Search) -> list[Named] | None:
    """Return the conditions of a question that asks of units and data sets only, else ``None``."""
    found = _named(request.query)
    if found is not None and request.scope.ids is not None:
        found.append(Named(ORGANIZATION_ID, request.scope.ids, cased=True))
    # In cells an absent name and an empty one are the same.
    return None if found is None or any("" in item.names for item in found) else found


def _named(query: Query) -> list[Named] | None:
    match query:
        case Everything():
            return []
        case And(children):
            parts = [_named(child) for child in children]
            return None if None in parts else [item for part in parts for item in part or ()]
        case OneOf(field) if field in _KEYS:
            names = frozenset(fold(text_of(value), query.cased) for value in query.values)
            return [Named(field, names, query.cased)]
        case _:
            return None


def whole_hours(request: Search) -> Hours | None:
    """Return the whole hours that lie in the time of a question, if there are any."""
    start = -(-epoch_us(request.start) // _HOUR_US)
    end = epoch_us(request.end) // _HOUR_US
    if end <= start:
        return None
    return Hours(_EPOCH + timedelta(hours=start), _EPOCH + timedelta(hours=end))


def sum_cells(
    parts: Iterable[Cells], selection: Sequence[Named], hours: Hours, counting: Counting
) -> dict[Scalar, int] | None:
    """Return the counts by bucket; ``None`` where an absent name can't be told from an empty one."""
    low, high = hours.numbers
    total: dict[int | str, int] = {}
    for cells in parts:
        meant = (cells.hour >= low) & (cells.hour < high)
        for condition in selection:
            meant &= condition.of(cells)
        counts = cells.count[meant]
        if not len(counts):
            continue
        found = _by_key(cells, meant, counts, counting)
        if found is None:
            return None
        for key, number in found.items():
            total[key] = total.get(key, 0) + number
    return {counting.start(key) if isinstance(key, int) else key: number for key, number in total.items()}


def _by_key(
    cells: Cells, meant: npt.NDArray[np.bool_], counts: npt.NDArray[np.int64], counting: Counting
) -> dict[int | str, int] | None:
    """Return the counts of one segment's cells, of a histogram by the numbers of its buckets."""
    asked = counting.asked
    if asked.kind == "count":
        return {"": int(counts.sum())}
    if asked.kind == "histogram":
        buckets = (cells.hour[meant].astype(np.int64) * HOUR + asked.offset_seconds) // asked.interval_seconds
        first = int(buckets.min())
        sums = np.bincount(buckets - first, counts).astype(np.int64)
        return {first + int(at): int(sums[at]) for at in np.flatnonzero(sums)}
    names, number = (cells.datasets, cells.dataset) if asked.field == DATASET else (cells.units, cells.unit)
    sums = np.bincount(number[meant], counts, len(names)).astype(np.int64)
    found: dict[int | str, int] = {names[int(at)]: int(sums[at]) for at in np.flatnonzero(sums)}
    return None if "" in found else found


def add_counts(counts: dict[Scalar, int], more: Buckets) -> None:
    """Add the counts of buckets."""
    for bucket in more.buckets:
        counts[bucket.key] = counts.get(bucket.key, 0) + bucket.count


def as_buckets(counts: dict[Scalar, int], asked: Aggregation) -> Buckets:
    """Return counts in the order an aggregation has them."""
    if asked.kind == "count":
        return Buckets([Bucket("", counts.get("", 0))])
    ordered = sorted(counts.items(), key=lambda item: str(item[0]))
    if asked.kind == "terms":
        ordered.sort(key=lambda item: -item[1])
        ordered = ordered[: asked.size]
    return Buckets([Bucket(key, number) for key, number in ordered])
