"""Hold that batches, however they are cut, carry every event once, in order."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.agent.spool import Limits, Spool
from collectors.uplink.cutting import Cut, Size, cut
from soc_core.log.files import list_files
from tests.collectors.agent.helpers import NOW, TCP, events


def sequences(batch: Cut) -> list[int]:
    return [orjson.loads(line)["event.sequence"] for item in batch.items for line in item.lines]


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    size=st.integers(1, 12),
    room=st.integers(1, 4_000),
)
def test_every_event_is_carried_once(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], size: int, room: int
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"), Limits(reserve=0), lambda: NOW)
    first = 0
    for count in counts:
        spool.store(events(count, first), TCP)
        first += count
    found: list[int] = []
    start = 0
    while start < spool.rest.log.end_offset:
        batch = cut(spool.rest.reader, start, Size(size, room))
        assert 1 <= batch.events <= size
        assert batch.events == 1 or batch.plain_bytes <= room + batch.events
        assert batch.items[0].offset == start
        found += sequences(batch)
        start = batch.end
    assert found == list(range(first))
    spool.close()


def test_passes_over_damage(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", Limits(reserve=0), lambda: NOW)
    for number in range(3):
        spool.store(events(2, number * 2), TCP)
    ((_, path),) = list_files(spool.rest.log_directory)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0xFF
    path.write_bytes(bytes(body))
    batch = cut(spool.rest.reader, 0, Size())
    assert sequences(batch) == [0, 1, 4, 5]
    assert [item.offset for item in batch.items] == [0, 4]
    assert batch.end == 6
    spool.close()


def test_sizes_halve_and_grow() -> None:
    size = Size()
    for _ in range(40):
        size.halve()
    assert (size.events, size.plain_bytes) == (1, 1)
    for _ in range(200):
        size.grow()
    assert size == Size()
