"""Compaction changes nothing that can be asked, survives being killed, and takes in segments of old stores."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_core.errors import StoreError
from soc_core.query.tree import OneOf
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.embedded.catalogue import VERSION, Catalogue
from soc_core.store.embedded.compaction import FEW, FULL, LATENESS, MERGE_COUNT, MOST_INPUTS, due
from soc_core.store.embedded.sealing import ROW_GROUP
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sidecars import hash_ids, old_sidecar, sidecar
from soc_core.store.embedded.tallies import sum_tallies
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation
from tests.contract.samples import make, question
from tests.contract.store_contract import pages

SMALL = Limits(reserve=0)
ROOT = Path(__file__).resolve().parents[4]
LATER = datetime(2026, 12, 1, tzinfo=UTC)


def segment(
    number: int, *, day: str = "20261120", events: int = 10, created: float = 0.0, form: int = 2
) -> Segment:
    times = ("2026-11-20T01:00:00.000000Z", "2026-11-20T02:00:00.000000Z")
    return Segment(
        f"{day}-{number}", day, events, *times, number, number, 1, "", "", frozenset(), form, created
    )


def names(groups: list[list[Segment]]) -> list[list[int]]:
    return [[item.low for item in group] for group in groups]


def test_a_day_that_is_over_becomes_one_segment_when_it_is_quiet() -> None:
    end = datetime(2026, 11, 21, tzinfo=UTC)
    numbers = list(range(FEW + 1))
    many = [segment(number) for number in numbers]
    assert names(list(due(many, end + LATENESS))) == [numbers]
    assert names(list(due(many, end + LATENESS - timedelta(seconds=1)))) == []
    fresh = [*many[:-1], segment(FEW, created=LATER.timestamp())]
    assert names(list(due(fresh, LATER))) == []
    assert names(list(due(fresh, LATER, at_once=True))) == [numbers]
    assert names(list(due(many[:-1], LATER))) == []
    assert names(list(due([segment(1, form=1), segment(2)], LATER))) == [[1]]


@pytest.mark.parametrize("day", ["99991231", "00010101"])
def test_the_ends_of_the_calendar_hinder_nothing(tmp_path: Path, day: str) -> None:
    store = EmbeddedStore(tmp_path / "store", writer=True, limits=SMALL)
    time = f"{day[:4]}-{day[4:6]}-{day[6:]}T23:00:00.000000Z"
    for number in range(MERGE_COUNT + 1):
        store.append([make(number) | {"event.id": f"{day}-{number}", "@timestamp": time}])
        assert store.seal() == 1
    assert sum(row.events for row in store.days(SYSTEM_SCOPE)) == MERGE_COUNT + 1
    store.close()


def test_small_ones_are_merged_before_the_day_is_over() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    many = [segment(number) for number in range(MERGE_COUNT)]
    assert names(list(due(many[1:], now))) == []
    assert names(list(due(many, now))) == [list(range(MERGE_COUNT))]


def test_inputs_and_outputs_are_bounded() -> None:
    halves = [segment(number, events=FULL // 2) for number in range(3)]
    assert names(list(due(halves, LATER))) == []
    parts = [segment(number, events=FULL // 3) for number in range(5)]
    assert names(list(due(parts, LATER))) == [[0, 1, 2], [3, 4]]
    crumbs = [segment(number, events=1) for number in range(MOST_INPUTS + 5)]
    assert [len(group) for group in due(crumbs, LATER)] == [MOST_INPUTS, 5]


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_answers_stay_the_same(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    store = EmbeddedStore(tmp_path_factory.mktemp("store") / "events", writer=True, limits=SMALL)
    numbers = st.lists(st.integers(0, 5_000), min_size=1, max_size=30)
    try:
        for _ in range(data.draw(st.integers(2, 12))):
            chosen = data.draw(numbers)
            extra = {"tags": ["late"]} if data.draw(st.booleans()) else {"user.name": "who"}
            store.append([make(n, day=18 + n % 2, organization=f"o{n % 3}") | extra for n in chosen])
            if data.draw(st.booleans()):
                store.seal()
        store.seal()
        before = answers(store)
        store.compact(at_once=True)
        assert len(store.catalogue.snapshot().segments) <= 2 * FEW
        assert answers(store) == before
        assert store.compact(at_once=True) == 0
        assert store.verify() == []
    finally:
        store.close()


def answers(store: EmbeddedStore) -> list[object]:
    hours = Aggregation("histogram", interval_seconds=3_600)
    found = store.search(question(limit=1_000)).events
    return [
        pages(store, limit=7), pages(store, limit=9, ascending=True), found, store.aggregate(question(), hours),
        store.count(question(query=OneOf("user.name", ("WHO",)))), store.statistics(SYSTEM_SCOPE),
        store.aggregate(question(), Aggregation("terms", "source.ip")), store.read_from(0),
        store.get([str(event["event.id"]) for event in found], SYSTEM_SCOPE),
    ]  # fmt: skip


def test_large_days_keep_their_order_in_row_groups(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    for start in range(FEW + 1):  # every so many events: all inputs overlap
        store.append([make(n) for n in range(start, 20_000, FEW + 1)])
        store.seal()
    assert store.compact(at_once=True) == 1
    (made,) = store.catalogue.snapshot().segments
    with pq.ParquetFile(store.segments_directory / made.name) as file:
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert sum(sizes) == 20_000
    assert max(sizes) <= ROW_GROUP
    spans = store.sidecars.of(made).arrays["spans"]
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    assert spans[:, 2].tolist() == sizes
    assert pages(store, limit=5_000, ascending=True) == [make(n)["event.id"] for n in range(20_000)]
    assert store.catalogue.links().__next__().kind == "genesis"
    store.close()


def test_a_second_process_goes_on_reading_what_was_compacted_away(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    reader = EmbeddedStore(tmp_path / "events", writer=False)
    for start in range(0, 100, 10):
        store.append([make(n) for n in range(start, start + 10)])
        store.seal()
        assert reader.count(question()) == start + 10
    scan = reader.scan(question())
    store.compact(at_once=True)
    assert sum(map(len, scan)) == 100
    assert reader.count(question(query=OneOf("source.ip", ("10.0.0.7",)))) == 1
    reader.close()
    store.close()


COMPACTOR = """
import sys
from pathlib import Path
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.contract.samples import make
store = EmbeddedStore(Path(sys.argv[1]), writer=True, limits=Limits(reserve=0))
start = int(sys.argv[2])
while True:
    store.append([make(n, day=18 + n % 2) for n in range(start, start + 40)])
    store.seal()
    start += 40
    print(start, flush=True)
    store.compact(at_once=True)
    print(start, flush=True)
"""


@pytest.mark.slow
def test_killed_while_compacting_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    acknowledged = 0
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", COMPACTOR, str(tmp_path / "events"), str(acknowledged)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(5 + 2 * turn):
            acknowledged = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split("\n")
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        process.wait()
        process.stdout.close()
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    found = pages(store, limit=5_000)
    assert len(found) == len(set(found)) == store.count(question())
    assert {make(n, day=18 + n % 2)["event.id"] for n in range(acknowledged)} <= set(found)
    assert store.verify() == []
    store.close()


def with_texts(connection: sqlite3.Connection, version: int) -> None:
    """Turn a catalogue into one of an earlier version, which kept counts as texts."""
    connection.executescript(
        "CREATE TABLE statistics (segment TEXT NOT NULL, organization_id TEXT NOT NULL, dataset TEXT NOT NULL,"
        " events INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,"
        " PRIMARY KEY (segment, organization_id, dataset)) WITHOUT ROWID;"
    )
    for (name,) in connection.execute("SELECT name FROM segments WHERE retired IS NULL").fetchall():
        rows = [
            (name, s.organization_id, s.dataset, s.events, s.first, s.last)
            for s in sum_tallies(connection, [name])
        ]
        connection.executemany("INSERT INTO statistics VALUES (?,?,?,?,?,?)", rows)
    connection.executescript(f"DROP TABLE tallies; DROP TABLE words; PRAGMA user_version = {version};")


def make_old(directory: Path) -> None:
    """Turn a store into one of the first version of the catalogue: no version, no formats, sorted hashes of ids."""
    with closing(sqlite3.connect(directory / "catalogue.sqlite")) as connection:
        rows = connection.execute("SELECT name FROM segments").fetchall()
        for (name,) in rows:
            path = directory / "segments" / name
            with pq.ParquetFile(path) as file:
                ids = file.read(columns=["event.id"])["event.id"].to_pylist()
            with old_sidecar(path).open("wb") as stream:
                np.save(stream, np.sort(hash_ids(ids)))
            sidecar(path).unlink()
        connection.executescript(
            "ALTER TABLE segments DROP COLUMN format; ALTER TABLE segments DROP COLUMN created;"
        )
        with_texts(connection, 0)


def test_an_old_store_is_read_taken_on_and_compacted(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    for start in (0, 50):
        store.append([make(n, day=18 + n % 2) for n in range(start, start + 50)])
        store.seal()
    before = answers(store)
    store.close()
    make_old(tmp_path / "events")
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    assert {item.format for item in store.catalogue.snapshot().segments} == {1}
    assert answers(store) == before
    assert store.append([make(n, day=18 + n % 2) for n in range(100)]).duplicates == 100
    store.compact(at_once=True)
    assert {item.format for item in store.catalogue.snapshot().segments} == {2}
    assert answers(store) == before
    assert store.append([make(n, day=18 + n % 2) for n in range(100)]).duplicates == 100
    store.close()


def test_a_catalogue_of_version_2_is_taken_over(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    for start in (0, 50):
        store.append([make(n, day=18 + n % 2) for n in range(start, start + 50)])
        store.seal()
    before = (answers(store), store.statistics(SYSTEM_SCOPE), store.days(SYSTEM_SCOPE))
    store.close()
    with closing(sqlite3.connect(tmp_path / "events" / "catalogue.sqlite")) as connection:
        with_texts(connection, 2)
    for writer in (False, True):
        store = EmbeddedStore(tmp_path / "events", writer=writer, limits=SMALL)
        assert (answers(store), store.statistics(SYSTEM_SCOPE), store.days(SYSTEM_SCOPE)) == before
        assert store.verify() == []
        store.close()
    with closing(sqlite3.connect(tmp_path / "events" / "catalogue.sqlite")) as connection:
        assert connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'statistics'"
        ).fetchone() == (0,)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    Catalogue(tmp_path / "catalogue.sqlite")
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StoreError, match="newer version"):
        Catalogue(tmp_path / "catalogue.sqlite")


def test_a_lost_sidecar_is_made_from_its_segment(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    store.append([make(n) for n in range(100)])
    store.seal()
    before = answers(store)
    store.close()
    (path,) = (tmp_path / "events" / "segments").glob("*.index")
    path.write_bytes(b"no index")
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=SMALL)
    assert answers(store) == before
    assert store.append([make(1)]).duplicates == 1
    assert "checksum" in store.verify()[0].what
    store.close()
