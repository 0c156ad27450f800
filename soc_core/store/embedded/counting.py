"""Count in SQL, where the condition is exact."""

from __future__ import annotations

import pyarrow as pa

from soc_core.fields import FIELDS
from soc_core.model.event import TIMESTAMP, Scalar
from soc_core.store.counting import SECOND, Counting
from soc_core.store.embedded.batches import whole_numbers
from soc_core.store.embedded.sql import quote
from soc_core.store.interface import Bucket, Buckets


class SqlCounting(Counting):
    """Count one aggregation by a statement; raises ``UsageError`` for one that makes no sense."""

    def sql(self, matching: str) -> str:
        """Return the statement over the statement of matching events; columns ``key`` and ``n``."""
        if self.asked.kind == "count":
            return f"SELECT count(*) AS n FROM ({matching})"  # noqa: S608 built from the dictionary
        if self.asked.kind == "histogram":
            return f"SELECT {self._bucket()} AS key, count(*) AS n FROM ({matching}) GROUP BY 1 ORDER BY 1"  # noqa: S608
        column = quote(self.field)
        values = f"unnest(list_distinct({column}))" if FIELDS[self.field].multi else column
        inner = f"SELECT {values} AS key FROM ({matching}) WHERE {column} IS NOT NULL"  # noqa: S608
        if self.asked.kind == "distinct":
            return f"SELECT count(DISTINCT key) AS n FROM ({inner})"  # noqa: S608
        return (
            f"SELECT key, count(*) AS n FROM ({inner}) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {self.asked.size}"  # noqa: S608
        )

    def _bucket(self) -> str:
        instant = f"epoch_us(CAST({quote(TIMESTAMP)} AS TIMESTAMP))"
        shift, width = self.asked.offset_seconds * SECOND, self.asked.interval_seconds * SECOND
        return f"CAST(floor(({instant} + {shift}) / {width}) AS BIGINT)"

    def result(self, table: pa.Table) -> Buckets:
        """Return the answer from the rows of the statement."""
        counts = whole_numbers(table["n"])
        if self.asked.kind in {"count", "distinct"}:
            return Buckets([Bucket("", counts[0])])
        if self.asked.kind == "histogram":
            keys: list[Scalar] = [self.start(number) for number in whole_numbers(table["key"])]
        else:
            keys = [key for key in table["key"].to_pylist() if key is not None]
        return Buckets([Bucket(key, count) for key, count in zip(keys, counts, strict=True)])
