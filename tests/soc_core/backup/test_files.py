from __future__ import annotations

import os
import sqlite3
import tomllib
from pathlib import Path

import pytest

from soc_core.backup.events import size_of
from soc_core.backup.files import RULES, SETTINGS, copy_files, copy_settings, list_files, settings_text
from soc_core.backup.making import Order
from soc_core.backup.meter import SilentMeter
from soc_core.backup.package import FolderTarget, PackageWriter
from soc_core.config import Settings, load_settings
from tests.soc_core.backup.scenes import back_up, make_state, restore


def writer(directory: Path) -> PackageWriter:
    return PackageWriter(FolderTarget(directory, "edusoc-x"), None)


def test_all_that_is_not_passing_is_listed(tmp_path: Path) -> None:
    for name in (
        "models/a/model.skops",
        "events/log/damaged/00000000000000000000.log",
        "events/rollups.json",
        "keys/cursors.key",
        "restored/configuration.toml",
        "cut/x.pcap",
        "state.sqlite",
        "state.sqlite-wal",
        "events/catalogue.sqlite",
        "events/segments/a.parquet",
        "events/log/00000000000000000000.log",
        "demo.lock",
        "half.partial",
        "other/lock",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "link").symlink_to("/etc/passwd")
    expected = ["events/log/damaged/00000000000000000000.log", "events/rollups.json", "models/a/model.skops"]
    assert [item.name for item in list_files(tmp_path, with_keys=False)] == expected
    with_keys = [item.name for item in list_files(tmp_path, with_keys=True)]
    assert with_keys == sorted([*expected, "keys/cursors.key"])


def test_files_that_go_while_they_are_listed_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("events/segments/a", "events/segments/b", "models/a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    scan = os.scandir

    def vanishing(directory: Path) -> list[os.DirEntry[str]]:
        found = list(scan(directory))
        (Path(directory) / "a").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(os, "scandir", vanishing)
    assert size_of(tmp_path / "events") == 4
    assert list_files(tmp_path, with_keys=True) == []


def test_a_database_among_the_files_is_copied_whole(tmp_path: Path) -> None:
    path = tmp_path / "state" / "other.bin"
    path.parent.mkdir()
    live = sqlite3.connect(path)
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE t (n)")
    live.execute("INSERT INTO t VALUES (7)")
    live.commit()  # lies in the write-ahead log: the file itself does not hold it yet
    package = writer(tmp_path / "usb")
    damaged: list[str] = []
    copy_files(list_files(tmp_path / "state", with_keys=False), package, SilentMeter(), damaged)
    live.close()
    copied = sqlite3.connect(tmp_path / "usb" / "edusoc-x.partial" / "files" / "other.bin")
    assert copied.execute("SELECT n FROM t").fetchall() == [(7,)]
    copied.close()
    assert damaged == []


def test_settings_go_along_without_passwords(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "ours.yml").write_text("title: ours")
    settings = Settings(
        state="/var/lib/学安",
        port=9000,
        rules=str(rules),
        database_password='se"cret',
        elasticsearch_api_key="k",
    )
    package = writer(tmp_path / "usb")
    copy_settings(settings, package, with_secrets=False)
    there = tmp_path / "usb" / "edusoc-x.partial"
    said = tomllib.loads((there / SETTINGS).read_text(encoding="utf-8"))
    assert said == {"state": "/var/lib/学安", "port": 9000, "rules": str(rules)}
    assert (there / RULES / "ours.yml").read_text() == "title: ours"
    path = tmp_path / "all.toml"
    path.write_bytes(settings_text(settings, with_secrets=True))
    assert load_settings(path, {}) == settings


def test_a_restore_puts_settings_aside(tmp_path: Path) -> None:
    made = back_up(make_state(tmp_path / "state"), Order(tmp_path / "usb"))
    restore(made.path, tmp_path / "again")
    said = (tmp_path / "again" / "restored" / "configuration.toml").read_text(encoding="utf-8")
    assert tomllib.loads(said) == {"state": str(tmp_path / "state")}
    second = back_up(tmp_path / "again", Order(tmp_path / "usb"))
    assert not any(entry.path.startswith("files/restored") for entry in second.manifest.files)
