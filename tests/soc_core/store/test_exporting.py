"""Hold that an export is what others can read, whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.dataset as pd
import pyarrow.parquet as pq
import pytest

from soc_core.errors import StoreError, UsageError
from soc_core.store import exporting
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.exporting import about_export, check_export, export_events
from soc_core.store.interface import Scope
from tests.contract.samples import END, make, question


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=0))
    opened.append([make(n, day=19 + n % 3, organization=f"o{n % 2}") for n in range(300)])
    opened.seal()
    opened.append(
        [make(n, day=21) | {"user.name": "张老师", "related.ip": ["10.0.0.1"]} for n in range(300, 310)]
    )
    yield opened
    opened.close()


def test_others_read_all_of_it(store: EmbeddedStore, tmp_path: Path) -> None:
    target = tmp_path / "out"
    done = export_events(store, question(), target, about_export(question(), "", END, None))
    assert done.rows == 310
    table = pd.dataset(target, format="parquet", partitioning="hive", exclude_invalid_files=True).to_table()
    assert table.num_rows == 310
    assert set(table["dataset"].to_pylist()) == {"packets.flow", "packets.dns"}
    assert {day: table["day"].to_pylist().count(day) for day in set(table["day"].to_pylist())} == {
        "2026-11-19": 100,
        "2026-11-20": 100,
        "2026-11-21": 110,
    }
    (row,) = [row for row in table.to_pylist() if row["source.port"] == 1024 + 305]
    assert row["@timestamp"] == datetime(2026, 11, 21, 0, 5, 5, 305, tzinfo=UTC)
    assert (row["user.name"], row["related.ip"]) == ("张老师", ["10.0.0.1"])
    assert sum(name is not None for name in table["user.name"].to_pylist()) == 10


def test_an_instant_that_is_none_goes_along_as_text(store: EmbeddedStore, tmp_path: Path) -> None:
    odd = {"event.start": "2026-02-30T00:00:00.000000Z", "event.end": "2026-11-21T00:00:00.000000Z"}
    store.append([make(400, day=21) | odd, make(401, day=21) | {"event.start": odd["event.end"]}])
    assert export_events(store, question(), tmp_path / "out", {}).rows == 312
    rows = [row for path in (tmp_path / "out").rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    found = {row.get("event.start"): row for row in rows if row.get("event.start") or row.get("event.end")}
    assert set(found) == {None, datetime(2026, 11, 21, tzinfo=UTC)}
    assert found[None]["edusoc.extra"] == ["event.start=2026-02-30T00:00:00.000000Z"]
    assert found[None]["event.end"] == datetime(2026, 11, 21, tzinfo=UTC)


def test_files_of_a_data_set_have_the_same_columns(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST_HELD", 20)
    done = export_events(store, question(), tmp_path / "out", {})
    assert len(done.files) > 12
    assert max(file.rows for file in done.files) <= 20
    for dataset in ("packets.flow", "packets.dns"):
        schemas = {
            tuple(pq.read_schema(tmp_path / "out" / file.path).names)
            for file in done.files
            if file.dataset == dataset
        }
        assert len(schemas) == 1


def test_the_manifest_names_every_file(store: EmbeddedStore, tmp_path: Path) -> None:
    target = tmp_path / "out"
    asked = replace(question(Scope(frozenset({"o1"}))))
    export_events(store, asked, target, about_export(asked, "x", END, {"number": 2}))
    body = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    assert body["rows"] == sum(file["rows"] for file in body["files"]) == 160
    assert body["organisation_ids"] == ["o1"]
    assert body["chain_head"] == {"number": 2}
    there = {path.relative_to(target).as_posix() for path in target.rglob("*.parquet")}
    assert there == {file["path"] for file in body["files"]}
    assert list(check_export(target)) == []
    hurt = target / body["files"][0]["path"]
    hurt.write_bytes(hurt.read_bytes()[:-1])
    assert list(check_export(target)) == [body["files"][0]["path"]]


def test_strange_data_sets_are_safe_names(store: EmbeddedStore, tmp_path: Path) -> None:
    names = ["../../up", "a/b", "长" * 500, ".."]
    store.append([make(400 + n) | {"event.dataset": name} for n, name in enumerate(names)])
    nameless = make(500)
    del nameless["event.dataset"]
    store.append([nameless])
    done = export_events(store, question(), tmp_path / "out", {})
    assert done.rows == 315
    assert len({file.path.split("/")[0] for file in done.files}) == 7
    assert all((tmp_path / "out" / file.path).is_file() for file in done.files)
    assert not (tmp_path.parent / "up").exists()


def test_what_is_there_is_not_touched(store: EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(UsageError, match="something already"):
        export_events(store, question(), tmp_path / "out", {})
    with pytest.raises(UsageError):
        export_events(store, question(), tmp_path / "out" / "mine", {})


def test_a_failed_export_leaves_nothing_and_a_killed_one_is_begun_anew(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".out.partial" / "dataset=old").mkdir(parents=True)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(exporting, "_save", full)
        with pytest.raises(StoreError, match="No space left"):
            export_events(store, question(), tmp_path / "out", {})
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.partial").exists()
    export_events(store, question(), tmp_path / "out", {})
    assert not (tmp_path / "out" / "dataset=old").exists()


def test_nothing_found_is_an_empty_folder_with_a_manifest(store: EmbeddedStore, tmp_path: Path) -> None:
    done = export_events(store, question(Scope(frozenset())), tmp_path / "out", {})
    assert (done.rows, [path.name for path in (tmp_path / "out").iterdir()]) == (0, ["manifest.json"])
