"""Hold which index an event goes to, and how large it is made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from elasticsearch import Elasticsearch

from soc_core.store.elasticsearch.indices import (
    MOST_DATASETS,
    MOST_SHARDS,
    SHARD_BYTES,
    Indices,
    parts_of,
    shards_for,
)
from soc_core.store.elasticsearch.place import Place


@pytest.fixture
def indices() -> Indices:
    nobody = Place(Elasticsearch("http://127.0.0.1:9"), "p")
    found = Indices(nobody, 0, lambda: datetime(2026, 11, 24, tzinfo=UTC))
    found.look_at_clock()
    return found


@pytest.mark.parametrize(
    ("event_id", "dataset", "name"),
    [
        ("20261130-a", "packets.flow", "p-events-packets.flow-2026.11"),
        ("20261201-a", "packets.flow", "p-events-packets.flow-2026.12"),
        ("20270101-a", "packets.flow", "p-events-packets.flow-overflow"),
        ("20251001-a", "packets.flow", "p-events-packets.flow-2025.10"),
        ("20250930-a", "packets.flow", "p-events-packets.flow-overflow"),
        ("00010101-a", "packets.flow", "p-events-packets.flow-overflow"),
        ("99991231-a", "packets.flow", "p-events-packets.flow-overflow"),
        ("20261101-a", "", "p-events-other-2026.11"),
        ("20261101-a", "Upper Case", "p-events-other-2026.11"),
        ("20261101-a", "../x", "p-events-other-2026.11"),
        ("20261101-a", "*", "p-events-other-2026.11"),
        ("20261101-a", "x" * 300, "p-events-other-2026.11"),
    ],
)
def test_names_the_index_of_an_event(indices: Indices, event_id: str, dataset: str, name: str) -> None:
    assert indices.name_of(event_id, dataset) == name
    assert indices.name_of(event_id, dataset) == name
    assert parts_of(name, "p")[0] in {"packets.flow", "other"}


def test_bounds_the_data_sets(indices: Indices) -> None:
    names = {indices.name_of("20261101-a", f"made.up{n}") for n in range(10_000)}
    assert len(names) <= MOST_DATASETS + 1
    assert indices.name_of("20261201-a", "made.up0") == "p-events-made.up0-2026.12"


def test_makes_indices_for_what_came_the_month_before() -> None:
    assert [shards_for(size) for size in (0, SHARD_BYTES, SHARD_BYTES + 1, 10 * SHARD_BYTES)] == [1, 1, 2, 10]
    assert shards_for(10**18) == MOST_SHARDS
