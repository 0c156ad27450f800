"""Hold what goes when the disk fills, and that it is never a guaranteed log."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.store.embedded import EmbeddedStore, Limits, condition, disk
from soc_core.store.embedded.disk import MOST_RESERVE, pressure_of, relieve_disk, reserve_of
from soc_core.store.interface import SYSTEM_SCOPE, Removal
from soc_core.store.retention import Policy
from tests.soc_core.store.test_keeping import flow

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
POLICY = Policy.of(Settings())
MB = 2**20
Disk = namedtuple("Disk", "f_blocks f_bavail f_frsize")


class Filling:
    """Pretend how much of a disk is free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 1_000 * MB
        monkeypatch.setattr("os.statvfs", lambda _path: Disk(2_000, self.free // MB, MB))


@pytest.fixture
def filling(monkeypatch: pytest.MonkeyPatch) -> Filling:
    return Filling(monkeypatch)


@pytest.fixture
def store(tmp_path: Path, filling: Filling) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=100 * MB))
    days = [f"202611{day}" for day in range(10, 25)]
    opened.append([flow(n, day=day) for n, day in enumerate(days)])
    opened.append([flow(100 + n, day=day, **{"event.dataset": "syslog.auth"}) for n, day in enumerate(days)])
    opened.seal()
    yield opened
    opened.close()


def flows(store: EmbeddedStore) -> int:
    return sum(row.events for row in store.days(SYSTEM_SCOPE) if row.dataset == "packets.flow")


def test_nothing_goes_while_there_is_room(store: EmbeddedStore, filling: Filling) -> None:
    filling.free = pressure_of(100 * MB)
    assert relieve_disk(store, POLICY, NOW) == Removal(0, 0)
    assert store.health().state == "ok"


def test_detail_goes_early_even_when_appends_are_refused(store: EmbeddedStore, filling: Filling) -> None:
    filling.free = 120 * MB
    health = store.health()
    assert (health.state, health.reasons[0][:14]) == ("degraded", "the disk fills")
    filling.free = 50 * MB
    assert store.health().state == "read_only"
    with pytest.raises(StoreError, match="free"):
        store.append([flow(500)])
    assert relieve_disk(store, POLICY, NOW).events == 10
    assert flows(store) == 5
    days = {row.day for row in store.days(SYSTEM_SCOPE) if row.dataset == "rollup.flow"}
    assert len(days) == 10
    assert sum(row.events for row in store.days(SYSTEM_SCOPE) if row.dataset == "syslog.auth") == 15
    with pytest.raises(StoreError, match="free"):
        store.append([flow(500)])  # the reserve is closed again
    filling.free = 1_000 * MB
    assert store.append([flow(500)]).accepted == 1
    assert store.verify() == []


def test_stops_when_it_is_enough(
    store: EmbeddedStore, filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    filling.free = 149 * MB
    monkeypatch.setattr(disk, "pressure_of", lambda reserve: 149 * MB + 1)
    removed = relieve_disk(store, POLICY, NOW)
    assert removed.bytes > 0
    assert flows(store) == 14


def test_the_reserve_is_a_share_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 1_000
    monkeypatch.setattr("os.statvfs", lambda _path: Disk(size, size, 2**30))
    assert reserve_of(tmp_path / "events", 5) == MOST_RESERVE
    assert reserve_of(tmp_path / "events", 0) == 80 * MB
    size = 100
    assert reserve_of(tmp_path / "events", 5) == 5 * 2**30
    (tmp_path / "events" / "segments").mkdir(parents=True)
    with (tmp_path / "events" / "segments" / "large").open("wb") as stream:
        stream.truncate(500 * MB)
    assert reserve_of(tmp_path / "events", 0) == 1_080 * MB
    assert reserve_of(tmp_path / "events", -5) == 1_080 * MB


def test_health_survives_a_disk_that_does_not_answer(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(condition.os, "statvfs", broken)
    assert store.health().state == "read_only"
