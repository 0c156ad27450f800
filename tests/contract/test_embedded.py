"""Run the contract on the embedded store, and hold what only it promises."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from soc_core.errors import StoreBusyError, StoreError, UsageError
from soc_core.model.event import Event
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.interface import SYSTEM_SCOPE
from tests.contract.samples import make, question
from tests.contract.store_contract import StoreContract, ids, pages

SMALL = Limits(reserve=0)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], EmbeddedStore]]:
    held: list[EmbeddedStore] = []

    def reopen() -> EmbeddedStore:
        for store in held:
            store.close()
        held[:] = [EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)]
        return held[0]

    yield reopen
    for store in held:
        store.close()


@pytest.fixture
def reopen(opened: Callable[[], EmbeddedStore]) -> Callable[[], EmbeddedStore]:
    return opened


@pytest.fixture
def store(opened: Callable[[], EmbeddedStore]) -> EmbeddedStore:
    return opened()


class TestEmbedded(StoreContract):
    """Run the contract."""


def test_allows_one_writer(store: EmbeddedStore) -> None:
    with pytest.raises(StoreBusyError, match=r"process \d+ writes"):
        EmbeddedStore(store.directory, writer=True)


def test_reader_sees_what_was_acknowledged(store: EmbeddedStore) -> None:
    reader = EmbeddedStore(store.directory, writer=False)
    try:
        for start in range(0, 100, 10):
            store.append([make(n) for n in range(start, start + 10)])
            assert reader.count(question()) == start + 10
            if start % 40 == 0:
                store.seal()
                assert reader.count(question()) == start + 10
        with pytest.raises(UsageError):
            reader.append([make(1)])
        assert reader.verify() == []
    finally:
        reader.close()


def test_reader_opens_before_the_first_writer(tmp_path: Path) -> None:
    reader = EmbeddedStore(tmp_path / "events", writer=False)
    assert reader.search(question()).events == []
    assert reader.statistics(SYSTEM_SCOPE) == []
    writer = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    writer.append([make(1)])
    assert ids(reader.search(question()).events) == ids([make(1)])
    writer.close()
    reader.close()


def test_merges_small_segments_and_removes_them_later(tmp_path: Path) -> None:
    now = [make_clock(0)]
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL, clock=lambda: now[0])
    for start in range(0, 200, 10):
        store.append([make(n) for n in range(start, start + 10)])
        store.seal()
    assert len(store.catalogue.snapshot().segments) < 10
    assert store.count(question()) == 200
    assert store.read_from(0, 1000)[1] == 200
    assert ids(store.read_from(0, 1000)[0]) == ids([make(n) for n in range(200)])
    now[0] = make_clock(600)
    store.append([make(1000)])
    store.seal()
    files = {path.name for path in store.segments_directory.glob("*.parquet")}
    assert files == {segment.name for segment in store.catalogue.snapshot().segments}
    assert store.verify() == []
    store.close()


def make_clock(seconds: int):  # type: ignore[no-untyped-def] # a datetime, as a clock gives
    from datetime import UTC, datetime, timedelta

    return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=seconds)


def wait_until(holds: Callable[[], bool]) -> None:
    """Poll for what another thread does, half a minute at most."""
    pause = threading.Event()
    for _ in range(3_000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


def test_seals_by_itself(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(seal_events=50, reserve=0))
    store.append([make(n) for n in range(60)])
    wait_until(lambda: store.catalogue.snapshot().sealed == 60)
    store.close()


def test_names_a_damaged_segment(store: EmbeddedStore) -> None:
    store.append([make(n) for n in range(100)])
    store.seal()
    (path,) = store.segments_directory.glob("*.parquet")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0xFF
    path.write_bytes(body)
    (found,) = store.verify()
    assert found.where == path.name
    assert "100 events" in found.what


def test_removes_orphans(store: EmbeddedStore, reopen: Callable[[], EmbeddedStore]) -> None:
    store.append([make(1)])
    store.seal()
    (path,) = store.segments_directory.glob("*.parquet")
    for name in ("20261120-x.parquet", "20261120-x.parquet.tmp"):  # as a crash while merging leaves them
        (store.segments_directory / name).write_bytes(path.read_bytes())
    again = reopen()
    assert sorted(p.suffix for p in again.segments_directory.iterdir()) == [".index", ".parquet"]
    assert again.count(question()) == 1


def test_keeps_what_only_the_catalogue_forgot(
    store: EmbeddedStore, reopen: Callable[[], EmbeddedStore]
) -> None:
    store.append([make(1)])
    store.seal()
    (store.segments_directory / "20261120-x.parquet").write_bytes(b"unreadable, but never ours to delete")
    again = reopen()
    assert (again.segments_directory / "20261120-x.parquet").exists()
    (found,) = again.verify()
    assert (found.what, found.where) == ("the catalogue does not know this file", "20261120-x.parquet")


def test_refuses_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=2**60))
    with pytest.raises(StoreError, match="free"):
        store.append([make(1)])
    store.close()
    again = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    assert again.count(question()) == 0
    assert again.append([make(1)]).accepted == 1
    again.close()


FULL = """
import resource, signal, sys
from pathlib import Path
from soc_core.errors import StoreError
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.contract.samples import make
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = EmbeddedStore(Path(sys.argv[1]), writer=True, limits=Limits(reserve=0))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
done = 0
try:
    for start in range(0, 1_000_000, 100):
        store.append([make(n) | {"message": str(n) * 50} for n in range(start, start + 100)])
        done = start + 100
except StoreError:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ack = store.append([make(n) for n in range(done, done + 100)])
assert ack.accepted == 100, ack
store.seal()
print(done + 100)
store.close()
"""


def test_goes_on_after_a_full_disk(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "events")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    done = int(ran.stdout)
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    assert done > 100
    assert store.count(question()) == done
    assert store.verify() == []
    store.close()


WRITER = """
import sys
from pathlib import Path
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.contract.samples import make
store = EmbeddedStore(Path(sys.argv[1]), writer=True, limits=Limits(seal_events=400, reserve=0))
start = int(sys.argv[2])
while True:
    store.append([make(n, day=18 + n % 4) for n in range(start, start + 50)])
    print(start + 50, flush=True)
    start += 37  # batches overlap: a retry with other boundaries
"""


def test_loses_and_doubles_nothing_when_killed(tmp_path: Path) -> None:
    acknowledged = 0
    for turn in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "events"), str(max(0, acknowledged - 100))],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(9 + 7 * turn):
            acknowledged = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split("\n")
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        process.wait()
        process.stdout.close()
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    found = pages(store, limit=5_000)
    assert len(found) == len(set(found)) == store.count(question())
    assert sum(row.events for row in store.statistics(SYSTEM_SCOPE)) == len(found)
    assert {make(n, day=18 + n % 4)["event.id"] for n in range(acknowledged)} <= set(found)
    assert store.verify() == []
    store.close()


def test_second_process_sees_each_acknowledged_event_once(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "events"), "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    reader = EmbeddedStore(tmp_path / "events", writer=False)
    try:
        for _ in range(60):
            acknowledged = int(process.stdout.readline())
            events: list[Event] = [
                event for batch in reader.scan(question(fields=("event.id",))) for event in batch
            ]
            found = ids(events)
            assert len(found) == len(set(found))
            assert len(found) >= acknowledged
            assert reader.count(question()) >= len(found)
            assert sum(row.events for row in reader.statistics(SYSTEM_SCOPE)) >= len(found)
    finally:
        process.kill()
        process.wait()
        whole = len([event for batch in reader.scan(question()) for event in batch])
        assert reader.count(question()) == whole  # what was kept while segments came and were merged
        assert sum(row.events for row in reader.statistics(SYSTEM_SCOPE)) == whole
        process.stdout.close()
        reader.close()
