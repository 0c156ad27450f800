"""``edusoc store backup`` and ``edusoc store restore``: as people use them, and killed."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.durability import ROOT, UNIT, UNITS, command
from edusoc.cli import main
from soc_core.backup import encryption
from soc_core.backup.making import leftovers
from soc_core.config import Settings
from soc_core.store.elasticsearch.client import connect
from tests.contract.elasticsearch_places import new_prefix

LOG = str(ROOT / "pcaps" / "logs" / "linux_server" / "auth.log")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory as a school has it: units, an account, an imported log, alerts."""
    state = tmp_path_factory.mktemp("school") / "state"
    at = ["--state", str(state)]
    assert main(["organisations", "import", str(UNITS), *at]) == 0
    assert main(["import", LOG, "--organisation", UNIT, *at]) == 0
    return state


@pytest.fixture
def state(school: Path, tmp_path: Path) -> Path:
    shutil.copytree(school, tmp_path / "state")
    return tmp_path / "state"


def run(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return orjson.loads(capsys.readouterr().out)


def stats(state: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["store", "stats", "--state", str(state)]) == 0
    return sorted(capsys.readouterr().out.splitlines())


def test_a_school_comes_back(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usb = str(tmp_path / "usb")
    made = run(["store", "backup", usb, "--state", str(state)], capsys)
    assert made["events"] > 300
    assert made["found"] == made["damaged"] == []
    assert {"what": "captures", "count": 1} in made["left_out"]
    again = run(["store", "backup", usb, "--base", "latest", "--keep", "1", "--state", str(state)], capsys)
    assert again["reused"] > 0
    assert again["removed"] == [made["path"]]
    assert run(["store", "backup", again["path"], "--check"], capsys)["found"] == []
    into = tmp_path / "again"
    restored = run(["store", "restore", again["path"], "--into", str(into)], capsys)
    assert (restored["events"], restored["rows"]) == (made["events"], made["rows"])
    assert stats(into, capsys) == stats(state, capsys)
    assert main(["import", LOG, "--organisation", UNIT, "--state", str(into)]) == 0
    assert stats(into, capsys) == stats(state, capsys)  # nothing of it is new
    assert main(["store", "verify", "--state", str(into)]) == 0


def test_it_is_said_in_words(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    monkeypatch.setattr(encryption, "_COST", (10, 8, 1))
    monkeypatch.setenv("EDUSOC_BACKUP_PASSPHRASE", "correct horse battery")
    usb = tmp_path / "usb"
    (usb / "edusoc-20261101T020000Z-00000000.partial").mkdir(parents=True)
    words = ["store", "backup", str(usb), "--archive", "--with-keys", "--state", str(state)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "已备份到" in said.out
    assert "导入过的 1 个" in said.out
    assert "没有做完" in said.err
    assert main([*words, "--clean"]) == 0
    assert "已清除" in capsys.readouterr().err
    assert leftovers(usb) == []
    archive = str(min(usb.glob("*.zip")))
    assert main(["store", "backup", archive, "--check"]) == 0
    assert "备份完好" in capsys.readouterr().out
    assert main(["store", "restore", archive, "--into", str(tmp_path / "again")]) == 0
    assert "核对无误" in capsys.readouterr().out
    assert main(["store", "restore", archive, "--into", str(tmp_path / "again")]) == 2
    assert "这里已有数据" in capsys.readouterr().err
    monkeypatch.setenv("EDUSOC_BACKUP_PASSPHRASE", "another passphrase")
    assert main(["store", "backup", archive, "--check"]) == 3
    assert "口令不对" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--with-keys"],
        ["--archive", "--base", "latest"],
        ["--passphrase-file", "/dev/null"],
        ["--passphrase-file", "/nowhere"],
        ["--base", "/nowhere"],
    ],
)
def test_wrong_use_is_said(state: Path, tmp_path: Path, options: list[str]) -> None:
    assert main(["store", "backup", str(tmp_path / "usb"), *options, "--state", str(state)]) == 2
    assert not list(tmp_path.glob("usb/edusoc-*"))


def test_a_state_directory_must_be_there(tmp_path: Path) -> None:
    assert main(["store", "backup", str(tmp_path / "usb"), "--state", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()
    assert main(["store", "restore", str(tmp_path), "--into", str(tmp_path / "none")]) == 2


def test_keys_in_the_clear_must_be_meant(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "keys").mkdir(exist_ok=True)
    (state / "keys" / "cursors.key").write_text("hmac-sha256 " + "0" * 64)
    words = [
        "store",
        "backup",
        str(tmp_path / "usb"),
        "--with-keys",
        "--keys-in-clear",
        "--state",
        str(state),
    ]
    made = run(words, capsys)
    assert made["with_keys"]
    assert not made["encrypted"]


def killed_at(words: list[str], state: Path, seconds: float) -> bool:
    """Run the command line and kill it; return whether it was still running."""
    process = subprocess.Popen(
        command(words, state), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


@pytest.mark.slow
def test_killed_backups_and_restores_do_no_harm(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usb, into, chance = tmp_path / "usb", tmp_path / "again", random.Random(4)
    before = stats(state, capsys)
    words = ["store", "backup", str(usb)]
    killed = sum(killed_at(words, state, chance.uniform(0.4, 1.2)) for _ in range(4))
    left = leftovers(usb) if usb.is_dir() else []
    complete = [path for path in usb.glob("edusoc-*") if path not in left]
    assert killed
    assert killed + len(complete) >= 4  # one killed while it was checked is complete
    for path in complete:  # whatever has its name is whole
        assert main(["store", "backup", str(path), "--check"]) == 0
    made = run([*words, "--clean", "--state", str(state)], capsys)
    assert leftovers(usb) == []
    for _ in range(3):
        killed_at(["store", "restore", made["path"], "--into", str(into)], state, chance.uniform(0.4, 1.5))
    if not into.exists():
        run(["store", "restore", made["path"], "--into", str(into)], capsys)
    assert not into.with_name("again.restoring").exists()
    assert stats(into, capsys) == stats(state, capsys) == before
    assert main(["store", "verify", "--state", str(into)]) == 0


@pytest.fixture
def prefixes(elasticsearch_url: str) -> Iterator[tuple[str, str]]:
    with new_prefix(elasticsearch_url) as prefix, new_prefix(elasticsearch_url) as other:
        yield prefix, other
        client = connect(Settings(elasticsearch_url=elasticsearch_url))
        gone = client.options(ignore_status=404)
        for name in (f"{prefix}-backup", f"{other}-backup"):
            for taken in gone.snapshot.get(repository=name, snapshot="*").body.get("snapshots", []):
                client.snapshot.delete(repository=name, snapshot=taken["snapshot"])
            gone.snapshot.delete_repository(name=name)
        client.close()


@pytest.mark.slow
def test_events_in_elasticsearch_come_back_by_its_snapshot(
    prefixes: tuple[str, str],
    elasticsearch_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prefix, other = prefixes
    for name, value in (("URL", elasticsearch_url), ("PREFIX", prefix), ("REPLICAS", "0")):
        monkeypatch.setenv(f"EDUSOC_ELASTICSEARCH_{name}", value)
    state, usb = tmp_path / "state", str(tmp_path / "usb")
    at = ["--state", str(state)]
    assert main(["organisations", "import", str(UNITS), *at]) == 0
    assert main(["import", LOG, "--organisation", UNIT, *at]) == 0
    assert main(["store", "backup", usb, *at]) == 2  # where shall the snapshot lie?
    client = connect(Settings(elasticsearch_url=elasticsearch_url))
    nodes: Any = client.nodes.info(metric="settings").body["nodes"]
    client.close()
    allowed = next(iter(nodes.values()))["settings"]["path"]["repo"]
    path = f"{allowed if isinstance(allowed, str) else allowed[0]}/{prefix}"
    made = run(["store", "backup", usb, "--snapshot-repository", path, *at], capsys)
    assert made["snapshot"]["documents"] > 300
    assert run(["store", "backup", made["path"], "--check"], capsys)["found"] == []
    before = stats(state, capsys)
    monkeypatch.setenv("EDUSOC_ELASTICSEARCH_PREFIX", other)
    restored = run(["store", "restore", made["path"], "--into", str(tmp_path / "again")], capsys)
    assert restored["events"] == made["snapshot"]["documents"]
    assert stats(tmp_path / "again", capsys) == before
    shutil.rmtree(path, ignore_errors=True)
