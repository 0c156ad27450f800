from __future__ import annotations

import pyarrow as pa

from soc_core.store.embedded.columns import Columns


def column(size: int) -> pa.ChunkedArray[pa.Int64Scalar]:
    return pa.chunked_array([pa.array(range(size), pa.int64())])


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = Columns(3 * (8_000 + 400))
    for name in ("a", "b", "c"):
        kept.keep("s", 0, {name: column(1_000)})
    assert set(kept.known("s", 0, ["a"])) == {"a"}
    kept.keep("s", 1, {"a": column(1_000)})
    assert set(kept.known("s", 0, ["a", "b", "c"])) == {"a", "c"}
    assert kept.known("s", 1, ["a"])["a"].to_pylist() == list(range(1_000))
    assert kept.known("other", 1, ["a"]) == {}


def test_no_more_is_held_than_may_be() -> None:
    kept = Columns(10_000)
    kept.keep("s", 0, {"large": column(5_000), "small": column(10)})
    kept.keep("s", 0, {"small": column(10)})
    assert set(kept.known("s", 0, ["large", "small"])) == {"small"}
    kept.clear()
    assert kept.known("s", 0, ["small"]) == {}
