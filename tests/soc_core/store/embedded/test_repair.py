"""Damage every part of a store: what is damaged is named, the rest is read, and a repair saves what can be saved."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from soc_core.clock import utc_now
from soc_core.errors import StoreBusyError, StoreError, UsageError
from soc_core.model.event import Event
from soc_core.query.tree import Text
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.embedded.repair import repair
from soc_core.store.embedded.tallies import delete_tallies
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation, Grouping
from tests.contract.samples import make, question

SMALL = Limits(reserve=0)
ALL = [make(n, day=19 + n % 3, organization=f"o{n % 2}") | {"user.name": f"u{n % 7}"} for n in range(900)]
SEALED = 600


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of two sealings, three days, and a tail in the log."""
    directory = tmp_path_factory.mktemp("whole") / "events"
    store = EmbeddedStore(directory, writer=True, limits=SMALL)
    store._need_writer()._max_file = 6_000  # so that the log lets go of what is sealed
    for start in range(0, SEALED, 300):
        store.append(ALL[start : start + 300])
        store.seal()
    for start in range(SEALED, 900, 50):
        store.append(ALL[start : start + 50])
    store._need_writer().drop_below(SEALED)  # as the next sealing would
    store.close()
    return directory


@pytest.fixture
def hurt(whole: Path, tmp_path: Path) -> Path:
    """Return a copy to damage."""
    shutil.copytree(whole, tmp_path / "events")
    return tmp_path / "events"


def read(directory: Path, *, writer: bool = False) -> dict[str, Event]:
    store = EmbeddedStore(directory, writer=writer, limits=SMALL)
    try:
        return {str(event["event.id"]): event for batch in store.scan(question()) for event in batch}
    finally:
        store.close()


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "segments").glob("*.parquet"))


def flip(path: Path, at: int) -> None:
    body = bytearray(path.read_bytes())
    body[at] ^= 0xFF
    path.write_bytes(body)


EXPECTED = {str(event["event.id"]): event for event in ALL}


def test_a_sound_store_needs_no_repair(hurt: Path) -> None:
    assert repair(hurt, utc_now) == []
    assert repair(hurt, utc_now, apply=True) == []
    assert read(hurt) == EXPECTED
    assert not (hurt / "damaged").exists()


def test_a_writer_is_not_disturbed(hurt: Path) -> None:
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    with pytest.raises(StoreBusyError):
        repair(hurt, utc_now, apply=True)
    assert repair(hurt, utc_now) == []
    store.close()


def test_the_rest_answers_and_says_what_it_lacks(hurt: Path) -> None:
    path = segments(hurt)[0]
    path.write_bytes(path.read_bytes()[:-200])
    store = EmbeddedStore(hurt, writer=False)
    try:
        page = store.search(question(limit=1_000))
        assert len(page.events) == 800
        assert page.partial == f"100 events of damaged segments are left out: {path.name}"
        for asked in (question(), question(query=Text("message", "contains", "record"))):
            buckets = store.aggregate(asked, Aggregation("terms", "organization.id"))
            assert (sum(bucket.count for bucket in buckets.buckets), buckets.partial) == (800, page.partial)
        assert store.count(question()) == 800
        assert (
            sum(
                group.events
                for batch in store.groups(question(), Grouping(("user.name",)))
                for group in batch
            )
            == 800
        )
        elsewhere = replace(question(), start=question().start.replace(day=25))
        assert store.search(elsewhere).partial == ""
        assert [finding.where for finding in store.verify()] == [path.name]
    finally:
        store.close()


def test_a_missing_segment_is_left_out_and_recorded(hurt: Path) -> None:
    path = segments(hurt)[0]
    path.unlink()
    assert len(read(hurt)) == 800
    (fault,) = repair(hurt, utc_now, apply=True)
    assert (fault.where, fault.what, fault.events) == (f"segments/{path.name}", "the file is missing", 100)
    assert (fault.day, fault.units) == ("20261119", ("o0", "o1"))
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    try:
        assert store.verify() == []
        assert path.name in store.search(question()).partial
        assert store.health().state == "degraded"
        assert store.append(ALL).accepted == 100  # what is sent again is welcome
        assert store.count(question()) == 900
    finally:
        store.close()
    assert repair(hurt, utc_now) == []


def test_one_damaged_field_costs_that_field_only(hurt: Path) -> None:
    import pyarrow.parquet as pq

    path = segments(hurt)[0]
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        (chunk,) = [
            group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "message"
        ]
    flip(path, chunk.data_page_offset + chunk.total_compressed_size // 2)
    (fault,) = repair(hurt, utc_now, apply=True)
    assert (fault.events, fault.remedy) == (0, "100 events are saved, some without message")
    found = read(hurt, writer=True)
    assert len(found) == 900
    without = [name for name, event in found.items() if "message" not in event]
    assert len(without) == 100
    assert all(
        event == {k: v for k, v in EXPECTED[name].items() if k in event} for name, event in found.items()
    )
    assert (hurt / "damaged" / path.name).exists()
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    assert store.verify() == []
    assert [link.kind for link in store.catalogue.links()][-1] == "repaired"
    store.close()


def test_removing_leaves_a_damaged_segment_and_says_so(hurt: Path) -> None:
    path = segments(hurt)[0]
    flip(path, path.stat().st_size // 3)
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    removed = store.remove({"packets.flow": "20261121"})
    assert removed.kept == (f"{path.name}: a damaged segment stays",)
    assert removed.events == 250
    store.close()


def test_sidecars_are_made_anew(hurt: Path) -> None:
    one, two, *_ = sorted((hurt / "segments").glob("*.index"))
    one.unlink()
    flip(two, two.stat().st_size // 2)
    faults = repair(hurt, utc_now, apply=True)
    assert [(fault.what, fault.events) for fault in faults] == [
        ("the file is missing", 0),
        ("the checksum differs", 0),
    ]
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    assert store.verify() == []
    assert store.append(ALL).duplicates == 900
    store.close()


@pytest.mark.parametrize("how", ["gone", "empty", "half", "torn", "no database"])
def test_a_lost_catalogue_is_made_anew(hurt: Path, how: str) -> None:
    path = hurt / "catalogue.sqlite"
    body = path.read_bytes()
    match how:
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "half":
            path.write_bytes(body[: len(body) // 2])
        case "torn":
            path.write_bytes(body[:4096] + os.urandom(len(body) - 4096))
        case _:
            path.write_bytes(b"not a database" * 1_000)
    with pytest.raises(StoreError):
        EmbeddedStore(hurt, writer=True, limits=SMALL)
    assert len(segments(hurt)) == 6
    faults = repair(hurt, utc_now, apply=True)
    assert faults[0].where == "catalogue.sqlite"
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    try:
        assert store.verify() == []
        assert store.count(question()) == 900
        assert sum(row.events for row in store.statistics(SYSTEM_SCOPE)) == 900
        assert store.append(ALL).duplicates == 900
        store.seal()
        assert store.read_from(0, 2_000)[0] == ALL
        assert next(store.catalogue.links()).kind == "genesis"
    finally:
        store.close()
    assert read(hurt) == EXPECTED


def test_a_rebuilt_catalogue_goes_on_with_the_chain(hurt: Path) -> None:
    with sqlite3.connect(hurt / "catalogue.sqlite") as connection:
        before = connection.execute("SELECT number, hash FROM links ORDER BY number").fetchall()
        connection.execute("DROP TABLE segments")
        connection.execute("CREATE TABLE segments (nonsense TEXT)")
    connection.close()
    (fault,) = repair(hurt, utc_now, apply=True)
    assert fault.where == "catalogue.sqlite"
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    links = list(store.catalogue.links())
    assert [(link.number, link.hash) for link in links[:-1]] == before
    assert (links[-1].kind, store.verify()) == ("repaired", [])
    store.close()


def test_what_sealing_left_half_done_is_not_taken_twice(hurt: Path) -> None:
    """Kill while sealing merges a day, then lose the catalogue: the log still has what the new file has too."""
    shutil.copytree(hurt, hurt.parent / "ahead")
    ahead = EmbeddedStore(hurt.parent / "ahead", writer=True, limits=SMALL)
    ahead.seal()
    ahead.close()
    new = [path for path in segments(hurt.parent / "ahead") if not (hurt / "segments" / path.name).exists()]
    shutil.copy2(new[0], hurt / "segments" / new[0].name)
    (hurt / "catalogue.sqlite").unlink()
    repair(hurt, utc_now, apply=True)
    assert read(hurt, writer=True) == EXPECTED
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    store.seal()
    assert (store.count(question()), store.verify()) == (900, [])
    store.close()


def test_a_segment_that_an_older_catalogue_forgot_is_entered_again(whole: Path, hurt: Path) -> None:
    store = EmbeddedStore(hurt, writer=True, limits=SMALL)
    last = segments(hurt)[-1]
    connection = sqlite3.connect(hurt / "catalogue.sqlite")
    connection.execute("DELETE FROM segments WHERE name = ?", (last.name,))
    delete_tallies(connection, last.name)
    connection.commit()
    connection.close()
    store.append([make(5_000)])
    store.seal()
    store.append([make(5_001)])
    store.seal()  # the log has nothing of it any more
    store.close()
    faults = repair(hurt, utc_now, apply=True)
    assert faults[0].remedy == "it is entered again"
    assert len(read(hurt, writer=True)) == 902
    assert repair(hurt, utc_now) == []


@pytest.mark.parametrize("part", ["middle", "header", "mark"])
def test_a_damaged_log_is_read_past(hurt: Path, part: str) -> None:
    (path, *_) = sorted((hurt / "log").glob("*.log"))[-1:]
    flip(
        {"mark": hurt / "log" / "committed"}.get(part, path),
        {"middle": path.stat().st_size * 2 // 3, "header": 9, "mark": 2}[part],
    )
    store = EmbeddedStore(hurt, writer=False)
    page = store.search(question(limit=1_000))
    lost = 900 - len(page.events)
    assert page.partial == (f"{lost} events of the log can't be read" if lost else "")
    assert lost == {"middle": 50, "header": 0, "mark": 0}[part]
    store.close()
    faults = repair(hurt, utc_now, apply=True)
    assert sum(fault.events for fault in faults) == lost
    assert all(fault.where.startswith("log/") for fault in faults)
    assert faults
    again = EmbeddedStore(hurt, writer=True, limits=SMALL)
    assert again.append(ALL).accepted == lost
    assert again.count(question()) == 900
    again.close()


def campaign(seed: int, count: int, directory: Path) -> Iterator[tuple[Path, int]]:
    """Yield files of the store and places in them, every file some times."""
    chance = random.Random(seed)
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.stat().st_size)
    for turn in range(count):
        path = files[turn % len(files)]
        yield path.relative_to(directory), chance.randrange(path.stat().st_size)


@pytest.mark.slow
def test_no_damaged_byte_anywhere_surprises(whole: Path, tmp_path: Path) -> None:
    """Flip single bytes all over the directory: errors are ours, a repair brings back what is proven, nothing else."""
    for number, (name, at) in enumerate(campaign(7, 48, whole)):
        directory = tmp_path / str(number)
        shutil.copytree(whole, directory)
        flip(directory / name, at)
        place = f"{name}:{at}"
        try:
            store = EmbeddedStore(directory, writer=False)
        except (StoreError, UsageError):
            pass
        else:
            for ask in (
                lambda s: s.search(question(limit=1_000)),
                lambda s: s.count(question(query=Text("message", "contains", "record 1"))),
                lambda s: s.aggregate(question(), Aggregation("terms", "user.name")),
                lambda s: list(s.groups(question(), Grouping(("user.name",), ("source.port",)))),
                lambda s: s.get([str(ALL[0]["event.id"])], SYSTEM_SCOPE),
                lambda s: s.days(SYSTEM_SCOPE),
                lambda s: s.read_from(0, 1_000),
                lambda s: s.health(),
                lambda s: s.verify(),
            ):
                with contextlib.suppress(StoreError, UsageError):
                    ask(store)
            store.close()
        told = repair(directory, utc_now)
        faults = repair(directory, utc_now, apply=True)
        assert len(told) <= len(faults), place
        found = read(directory, writer=True)
        for key, event in found.items():
            assert event == {field: EXPECTED[key][field] for field in event}, place
        lost = sum(max(0, fault.events) for fault in faults)
        assert len(found) >= 900 - max(lost, 300 if "log" in str(name) else lost), place
        checked = EmbeddedStore(directory, writer=True, limits=SMALL)
        assert checked.append(ALL).accepted == 900 - len(found), place
        assert checked.count(question()) == 900, place
        checked.seal()
        assert [finding for finding in checked.verify() if "log" not in finding.what] == [], place
        checked.close()
        shutil.rmtree(directory)


@pytest.fixture
def frozen(hurt: Path) -> Iterator[Path]:
    """Return the store in a file system that can't be written to; only root can make one."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(
        ["mount", "--bind", "-o", "ro", str(hurt), str(hurt)], capture_output=True, check=False
    )
    if done.returncode == 0:
        done = subprocess.run(["mount", "-o", "remount,ro,bind", str(hurt)], capture_output=True, check=False)
    if done.returncode != 0 or os.access(hurt, os.W_OK):
        subprocess.run(["umount", str(hurt)], capture_output=True, check=False)
        pytest.skip("mounting is not allowed here")
    yield hurt
    subprocess.run(["umount", str(hurt)], capture_output=True, check=True)


def test_a_read_only_file_system_is_read_and_named(frozen: Path) -> None:
    store = EmbeddedStore(frozen, writer=False)
    try:
        assert store.count(question()) == 900
        assert store.verify() == []
        health = store.health()
        assert (health.state, health.reasons[0]) == (
            "read_only",
            "the directory of the store can't be written to",
        )
    finally:
        store.close()
    with pytest.raises(StoreError, match="Read-only"):
        EmbeddedStore(frozen, writer=True, limits=SMALL)
    with pytest.raises(StoreError, match="Read-only"):
        repair(frozen, utc_now, apply=True)
    assert repair(frozen, utc_now) == []
