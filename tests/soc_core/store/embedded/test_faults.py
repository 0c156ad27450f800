"""Pin down faults that a campaign of random ones found (``benchmarks/faults.py``), and run that campaign in short."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks._fault_bytes import spoil_bytes
from benchmarks._fault_disks import small_disk
from benchmarks._fault_kills import kill_often
from benchmarks._fault_report import Report
from soc_core.errors import StoreError
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.contract.samples import make, question

SMALL = Limits(reserve=0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a store of a segment and a tail in the log."""
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    store.append([make(number) for number in range(60)])
    store.seal()
    store.append([make(number) for number in range(60, 80)])
    store.close()
    return tmp_path / "events"


def findings(directory: Path) -> list[str]:
    store = EmbeddedStore(directory, writer=False)
    try:
        return [finding.what for finding in store.verify()]
    finally:
        store.close()


def change(directory: Path, statement: str) -> None:
    with sqlite3.connect(directory / "catalogue.sqlite") as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE segments SET last = '2020-01-01T00:00:00.000000Z'", "than its file"),
        ("UPDATE segments SET low = low + 1", "than its file"),
        ("UPDATE state SET value = value - 5 WHERE name = 'sealed'", "sealed offset"),
    ],
)
def test_what_the_catalogue_says_wrongly_is_named(directory: Path, statement: str, said: str) -> None:
    assert findings(directory) == []
    change(directory, statement)
    assert any(said in what for what in findings(directory))


def test_an_index_of_the_catalogue_that_lies_is_named_and_costs_nothing(directory: Path) -> None:
    path = directory / "catalogue.sqlite"
    name = next((directory / "segments").glob("*.parquet")).name.encode()
    body = path.read_bytes()
    places = [at for at in range(len(body)) if body.startswith(name, at)]
    assert len(places) >= 2  # the table's row, its index, the chain's link
    for at in places:
        path.write_bytes(body[:at] + b"3" + body[at + 1 :])
        for left in directory.glob("catalogue.sqlite-*"):
            left.unlink()
        try:
            assert findings(directory), at
        except StoreError as error:
            assert "catalogue" in str(error)  # noqa: PT017 either will do


def test_a_log_that_is_gone_is_said_and_the_rest_is_read(directory: Path) -> None:
    for path in (directory / "log").glob("*.log"):
        path.unlink()
    writer = EmbeddedStore(directory, writer=True, limits=SMALL)
    writer.append([make(number) for number in range(200, 205)])
    reader = EmbeddedStore(directory, writer=False)
    page = reader.search(question(limit=200))
    assert len(page.events) == 65
    assert "20 events of the log can't be read" in page.partial
    reader.close()
    writer.close()


def fill_up(path: Path) -> None:
    """Leave not one page of the disk free."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(descriptor, bytes(4_096))
    os.close(descriptor)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_whatever_fails_beside_appends_sealing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(seal_events=5, reserve=0))

    def surprised() -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(store, "_compact_due", surprised)
        for number in range(40):
            store.append([make(number)])
        wait_until(lambda: bool(store.sealing_fault))
    assert "MemoryError" in store.sealing_fault
    store.append([make(100)])
    for number in range(101, 110):
        store.append([make(number)])
    wait_until(lambda: not store.sealing_fault)
    store.close()


def test_room_is_made_although_nothing_can_be_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [datetime(2026, 11, 24, tzinfo=UTC)]
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL, clock=lambda: moment[0])
    for number in range(9):
        store.append([make(number)])
        store.seal()
    before = len(list((tmp_path / "events" / "segments").iterdir()))
    store.append([make(number) for number in range(20, 30)])
    moment[0] += timedelta(days=3)

    def full() -> None:
        raise StoreError("no room")

    monkeypatch.setattr(store, "_compact_due", full)
    with pytest.raises(StoreError, match="no room"):
        store.seal()
    assert len(list((tmp_path / "events" / "segments").iterdir())) < before  # what was merged away is gone
    store.append([make(number) for number in range(30, 40)])
    assert store.remove({"packets.flow": "20271124", "packets.dns": "20271124"}).events == 29
    store.close()


def wait_until(reached: Callable[[], bool]) -> None:
    """Return when something is so; fail when it does not come about."""
    ended = threading.Event()
    for _ in range(600):
        if reached():
            return
        ended.wait(0.05)
    pytest.fail("it never came about")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_a_disk_without_one_free_byte_is_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        store = EmbeddedStore(disk / "events", writer=True, limits=SMALL)
        store.append([make(number) for number in range(50)])
        store.seal()
        store.append([make(number) for number in range(50, 60)])
        store.close()
        fill_up(disk / "ballast")
        reader = EmbeddedStore(disk / "events", writer=False)
        assert reader.count(question()) == 60
        assert reader.health().state == "read_only"
        reader.close()
        (disk / "ballast").unlink()
        store = EmbeddedStore(disk / "events", writer=True, limits=SMALL)
        assert store.append([make(number) for number in range(55, 70)]).accepted == 10
        store.close()


@pytest.mark.slow
def test_the_campaign_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDUSOC_TEST_ELASTICSEARCH_URL", raising=False)
    report = Report()
    kill_often(tmp_path, 4, 11, report)
    spoil_bytes(tmp_path, 11, report)
    assert report.held, [(row.name, row.lost, row.doubled, row.strange, row.wrong) for row in report.rows]
    assert sum(row.acknowledged for row in report.rows) > 500
