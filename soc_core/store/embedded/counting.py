"""Count: in SQL where the condition is exact, else over the events the evaluator let through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from soc_core.clock import epoch_us, format_epoch_us, parse_instant
from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import TIMESTAMP, Event, Scalar, values_of
from soc_core.store.embedded.batches import whole_numbers
from soc_core.store.embedded.sql import quote
from soc_core.store.interface import Aggregation, Bucket, Buckets, SourceStatistics

_SECOND: Final = 1_000_000
_KINDS: Final = frozenset({"count", "terms", "histogram", "distinct"})


class Counting:
    """Count one aggregation; raises ``UsageError`` for one that makes no sense."""

    def __init__(self, asked: Aggregation) -> None:
        """Check what is asked."""
        self._asked = asked
        self.field = asked.field if asked.kind in {"terms", "distinct"} else TIMESTAMP
        if asked.kind not in _KINDS or asked.size < 1 or asked.interval_seconds < 1:
            raise UsageError(f"aggregation '{asked.kind}' is not known, or its size or interval is below 1")
        if self.field not in FIELDS:
            raise UsageError(f"there is no field '{self.field}'")

    def sql(self, matching: str) -> str:
        """Return the statement over the statement of matching events; columns ``key`` and ``n``."""
        if self._asked.kind == "count":
            return f"SELECT count(*) AS n FROM ({matching})"  # noqa: S608 built from the dictionary
        if self._asked.kind == "histogram":
            return f"SELECT {self._bucket()} AS key, count(*) AS n FROM ({matching}) GROUP BY 1 ORDER BY 1"  # noqa: S608
        column = quote(self.field)
        values = f"unnest(list_distinct({column}))" if FIELDS[self.field].multi else column
        inner = f"SELECT {values} AS key FROM ({matching}) WHERE {column} IS NOT NULL"  # noqa: S608
        if self._asked.kind == "distinct":
            return f"SELECT count(DISTINCT key) AS n FROM ({inner})"  # noqa: S608
        return (
            f"SELECT key, count(*) AS n FROM ({inner}) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {self._asked.size}"  # noqa: S608
        )

    def _bucket(self) -> str:
        instant = f"epoch_us(CAST({quote(TIMESTAMP)} AS TIMESTAMP))"
        shift, width = self._asked.offset_seconds * _SECOND, self._asked.interval_seconds * _SECOND
        return f"CAST(floor(({instant} + {shift}) / {width}) AS BIGINT)"

    def _start(self, bucket: int) -> str:
        seconds = bucket * self._asked.interval_seconds - self._asked.offset_seconds
        return format_epoch_us(seconds * _SECOND)

    def nothing(self) -> Buckets:
        """Return the answer when no event has the field."""
        return Buckets([Bucket("", 0)] if self._asked.kind in {"count", "distinct"} else [])

    def result(self, table: pa.Table) -> Buckets:
        """Return the answer from the rows of the statement."""
        counts = whole_numbers(table["n"])
        if self._asked.kind in {"count", "distinct"}:
            return Buckets([Bucket("", counts[0])])
        if self._asked.kind == "histogram":
            keys: list[Scalar] = [self._start(number) for number in whole_numbers(table["key"])]
        else:
            keys = [key for key in table["key"].to_pylist() if key is not None]
        return Buckets([Bucket(key, count) for key, count in zip(keys, counts, strict=True)])

    def over(self, events: Iterable[Event]) -> Buckets:
        """Return the answer over events."""
        counted = Counter[Scalar](key for event in events for key in self._keys(event))
        match self._asked.kind:
            case "count":
                return Buckets([Bucket("", counted.total())])
            case "distinct":
                return Buckets([Bucket("", len(counted))])
            case "histogram":
                rows = sorted((int(key), count) for key, count in counted.items())
                return Buckets([Bucket(self._start(key), count) for key, count in rows])
        # Keys of one field are of one type, so they can be ordered.
        ordered = sorted(counted.items(), key=lambda item: item[0])
        ordered.sort(key=lambda item: -item[1])
        return Buckets([Bucket(key, count) for key, count in ordered[: self._asked.size]])

    def _keys(self, event: Event) -> Iterable[Scalar]:
        if self._asked.kind in {"terms", "distinct"}:
            return set(values_of(event, self.field))
        if self._asked.kind == "count":
            return (True,)
        shifted = epoch_us(parse_instant(str(event[TIMESTAMP]))) + self._asked.offset_seconds * _SECOND
        return (shifted // (self._asked.interval_seconds * _SECOND),)


def merge_statistics(rows: Iterable[SourceStatistics]) -> list[SourceStatistics]:
    """Return one row per unit and data set, ordered by both."""
    merged: dict[tuple[str, str], SourceStatistics] = {}
    for row in rows:
        key = (row.organization_id, row.dataset)
        known = merged.get(key, row)
        events = row.events if known is row else known.events + row.events
        merged[key] = SourceStatistics(*key, events, min(known.first, row.first), max(known.last, row.last))
    return [merged[key] for key in sorted(merged)]
