from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.embedded.asking import ALWAYS, Grown
from soc_core.store.embedded.blocks import FEW_ROWS, Block, Blocks
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import Sidecars
from tests.contract.samples import make, question


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=0))
    store.append([make(n) | {"tags": ["x", f"t{n % 3}"], "user.name": f"u{n % 5}"} for n in range(300)])
    store.seal()
    return store


@pytest.mark.parametrize("rows", [[7], [0, 3, 299], list(range(FEW_ROWS))])
@pytest.mark.parametrize("is_known", [False, True])
def test_few_rows_are_those_of_the_whole(store: EmbeddedStore, rows: Sequence[int], is_known: bool) -> None:
    (segment,) = store.catalogue.snapshot().segments
    blocks = Blocks(Sidecars(store.segments_directory, lambda _: pytest.fail("there is a sidecar")))
    (block,) = blocks.of(segment, ALWAYS, None)
    if is_known:
        blocks.read(block, {"user.name", "event.id"})
    found = blocks.rows(block, None, rows, alone=True)
    whole = blocks.read(block, None).take(rows)
    assert found.select(sorted(found.column_names)) == whole.select(sorted(whole.column_names))
    blocks.close()
    store.close()


def test_what_was_read_is_kept(store: EmbeddedStore) -> None:
    assert store.count(question()) == 300
    before = store.search(question()).events
    (segment,) = store.catalogue.snapshot().segments
    (store.segments_directory / segment.name).rename(store.directory / "away")
    assert store.search(question()).events == before
    (store.directory / "away").rename(store.segments_directory / segment.name)
    store.close()


def blocks_given(number: int, finds: int, wanted: int, *, filtered: bool) -> list[int]:
    """Return how many blocks are asked at a time where each holds ``finds`` rows that match."""
    segment = Segment("20260101-x.parquet", "20260101", 1, "", "", 0, 0, 0, "", "", frozenset())
    grown = Grown((Block(segment, at, 1, 0, 0) for at in range(number)), wanted, filtered=filtered)
    sizes = []
    for group, _ in grown:
        sizes.append(len(group))
        grown.found += len(group) * finds
        if grown.found >= wanted:
            break
    return sizes


def test_as_many_blocks_are_asked_as_are_likely_to_do() -> None:
    assert blocks_given(1_000, 100, 51, filtered=False) == [2]
    assert blocks_given(1_000, 1, 51, filtered=True) == [8, 55]
    assert blocks_given(1_000, 0, 51, filtered=False)[:7] == [2, 4, 8, 16, 32, 64, 64]
    assert blocks_given(3, 0, 51, filtered=True) == [3]
    assert blocks_given(0, 0, 51, filtered=True) == [0]
