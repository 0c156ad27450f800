"""What was backed up comes back, in every form a backup can have."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from edusoc.migrating import upgrade
from soc_core.backup import encryption
from soc_core.backup import package as package_module
from soc_core.backup.events import read_blocks
from soc_core.backup.making import Order, Source, latest, leftovers, make_backup, remove_old
from soc_core.backup.meter import SilentMeter
from soc_core.backup.package import MANIFEST, PARTIAL, FolderTarget, PackageReader, PackageWriter
from soc_core.backup.restoring import Means, restore_backup
from soc_core.clock import utc_now
from soc_core.errors import StoreBusyError, StoreError, UsageError
from soc_core.log.lock import WriterLock
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.contract.samples import make
from tests.soc_core.backup.scenes import (
    SECRET,
    back_up,
    events_of,
    fill_store,
    make_state,
    restore,
    settings_in,
)


@pytest.fixture(autouse=True)
def cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys with less work: here it is not about guessing."""
    monkeypatch.setattr(encryption, "_COST", (10, 8, 1))


@pytest.fixture(scope="module")
def made_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("made") / "state")


@pytest.fixture
def state(made_state: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "state"
    shutil.copytree(made_state, copy)
    return copy


@pytest.mark.parametrize("passphrase", [None, SECRET])
@pytest.mark.parametrize("archive", [False, True])
def test_everything_comes_back(state: Path, tmp_path: Path, passphrase: bytes | None, archive: bool) -> None:
    order = Order(tmp_path / "usb", archive=archive, passphrase=passphrase, with_keys=True)
    made = back_up(state, order)
    assert made.found == []
    assert made.manifest.damaged == []
    assert made.manifest.events.events == 260
    restored = restore(made.path, tmp_path / "again", passphrase)
    assert (restored.events, restored.end_offset) == (260, made.manifest.events.end_offset)
    assert events_of(tmp_path / "again") == events_of(state)
    for name in ("models/flows/model.skops", "keys/cursors.key"):
        assert (tmp_path / "again" / name).read_text() == (state / name).read_text()
    for name in ("cut", "demo.lock"):
        assert not (tmp_path / "again" / name).exists()
    assert (tmp_path / "again").stat().st_mode & 0o777 == 0o700


def test_what_came_back_takes_more(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    again = tmp_path / "again"
    restore(made.path, again)
    store = EmbeddedStore(again / "events", writer=True, limits=Limits(reserve=0))
    ack = store.append([make(number, day=20 + number % 3) for number in range(250, 270)])
    assert (ack.accepted, ack.duplicates, ack.end_offset) == (10, 10, 270)
    assert store.seal() == 70
    store.close()
    assert len(events_of(again)) == 270


def test_an_encrypted_backup_holds_nothing_to_be_read(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb", passphrase=SECRET, with_keys=True))
    for path in made.path.rglob("*"):
        body = path.read_bytes() if path.is_file() else b""
        assert b"a model" not in body
        assert b"record 1" not in body
        assert b"PAR1" not in body
        assert b"ab" * 32 not in body
    with pytest.raises(UsageError, match="encrypted"):
        PackageReader(made.path, None)
    with pytest.raises(StoreError, match="passphrase is another"):
        PackageReader(made.path, SECRET + b"!")


def test_keys_and_passwords_stay_at_home_unless_wanted(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    assert not any("key" in entry.path for entry in made.manifest.files)
    assert {item.what for item in made.manifest.left_out} >= {"keys", "secrets"}
    restore(made.path, tmp_path / "again")
    assert not (tmp_path / "again" / "keys").exists()


@pytest.mark.parametrize("passphrase", [None, SECRET])
def test_the_next_backup_writes_only_what_is_new(
    state: Path, tmp_path: Path, passphrase: bytes | None
) -> None:
    usb = tmp_path / "usb"
    first = back_up(state, Order(usb, passphrase=passphrase))
    fill_store(state, range(300, 400), range(400, 410))
    base = PackageReader(first.path, passphrase)
    second = back_up(state, Order(usb, passphrase=passphrase, base=base))
    base.close()
    old = {entry.path for entry in first.manifest.files if "/segments/" in entry.path}
    new = {entry.path for entry in second.manifest.files if "/segments/" in entry.path}
    assert second.reused == len(old & new) > 0
    assert new - old
    shutil.rmtree(first.path)  # each backup is whole without the others
    assert restore(second.path, tmp_path / "again", passphrase).events == 370
    assert events_of(tmp_path / "again") == events_of(state)


def test_a_base_of_another_kind_is_not_used(state: Path, tmp_path: Path) -> None:
    first = back_up(state, Order(tmp_path / "usb"))
    base = PackageReader(first.path, None)
    second = back_up(state, Order(tmp_path / "usb", passphrase=SECRET, base=base))
    base.close()
    assert second.reused == 0
    assert second.found == []


def flip(position: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        body = bytearray(path.read_bytes())
        body[min(len(body) - 1, int(len(body) * position))] ^= 0x10
        path.unlink()  # it may share its bytes with the state directory
        path.write_bytes(body)

    return change


def cut(path: Path) -> None:
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body[:-1])


def lengthen(path: Path) -> None:
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body + b"\0")


@pytest.mark.parametrize("passphrase", [None, SECRET])
@pytest.mark.parametrize(
    "harm", [flip(0), flip(0.5), flip(1), cut, lengthen, Path.unlink], ids=lambda harm: harm.__name__
)
def test_harm_to_any_file_is_named_and_nothing_is_restored(
    state: Path, tmp_path: Path, passphrase: bytes | None, harm: Callable[[Path], None]
) -> None:
    made = back_up(state, Order(tmp_path / "usb", passphrase=passphrase, verify=False))
    whole = tmp_path / "whole"
    made.path.rename(whole)
    kinds = {
        path.suffixes[0] if path.suffixes else path.name: path
        for path in sorted(whole.rglob("*.*"))
        if path.is_file()
    }
    assert len(kinds) >= 5
    for kind, path in kinds.items():
        hurt = tmp_path / f"hurt{kind.replace('/', '')}"
        shutil.copytree(whole, hurt)
        harm(hurt / path.relative_to(whole))
        with pytest.raises((StoreError, UsageError)) as raised:
            restore(hurt, tmp_path / "again", passphrase)
        assert hurt.name in raised.value.where
        assert not (tmp_path / "again").exists()


def test_a_harmed_archive_is_refused_or_gives_what_was_written(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb", archive=True))
    body = made.path.read_bytes()
    whole = {entry.path: entry.sha256 for entry in made.manifest.files}
    for step in range(60):
        hurt = bytearray(body)
        hurt[(len(body) - 1) * step // 59] ^= 0x81
        made.path.write_bytes(hurt)
        with suppress(StoreError, UsageError):
            package = PackageReader(made.path, None)
            for entry in package.manifest.files:
                content = b"".join(package.blocks(entry))
                assert hashlib.sha256(content).hexdigest() == entry.sha256 == whole[entry.path]
            package.close()


def test_a_file_nobody_named_is_told(state: Path, tmp_path: Path) -> None:
    from soc_core.backup.checking import check_backup
    from soc_core.backup.meter import SilentMeter

    made = back_up(state, Order(tmp_path / "usb"))
    (made.path / "files" / "strange.txt").write_text("strange")
    package = PackageReader(made.path, None)
    found = check_backup(package, SilentMeter())
    assert [finding.where for finding in found] == ["files/strange.txt"]


def test_a_manifest_can_not_lead_outside(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    body = orjson.loads((made.path / MANIFEST).read_bytes())
    for path in ("../../etc/passwd", "/etc/passwd", ""):
        body["files"][0]["path"] = path
        changed = orjson.dumps(body)
        (made.path / MANIFEST).write_bytes(changed)
        (made.path / "manifest.sha256").write_text(f"{hashlib.sha256(changed).hexdigest()}  manifest.json\n")
        with pytest.raises(StoreError, match="outside"):
            PackageReader(made.path, None)


def test_damage_in_the_source_is_named_and_the_rest_is_there(state: Path, tmp_path: Path) -> None:
    segment, lost, *_ = sorted((state / "events" / "segments").glob("*.parquet"))
    body = bytearray(segment.read_bytes())
    body[len(body) // 2] ^= 1
    segment.write_bytes(body)
    lost.unlink()
    made = back_up(state, Order(tmp_path / "usb"))
    assert made.found == []
    assert any(segment.name in item for item in made.manifest.damaged)
    assert any(lost.name in item for item in made.manifest.damaged)
    restored = restore(made.path, tmp_path / "again")
    assert restored.events == 260  # as the catalogue counts them; verify names the two


def test_a_restore_touches_nothing_that_is_there(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    there = tmp_path / "there"
    there.mkdir()
    (there / "mine").write_text("mine")
    with pytest.raises(UsageError, match="something here already"):
        restore(made.path, there)
    restored = restore(made.path, there, replace=True)
    assert restored.aside is not None
    assert (restored.aside / "mine").read_text() == "mine"
    assert not (there / "mine").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert restore(made.path, empty).aside is None


def test_a_directory_in_use_is_not_replaced(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    store = EmbeddedStore(state / "events", writer=True)
    with pytest.raises(StoreBusyError):
        restore(made.path, state, replace=True)
    store.close()


def test_a_directory_that_comes_into_use_meanwhile_is_not_replaced(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    opened: list[EmbeddedStore] = []

    class Starting(SilentMeter):
        def begin(self, stage: str, total: int) -> None:
            if stage == "restore":
                opened.append(EmbeddedStore(state / "events", writer=True))

    package = PackageReader(made.path, None)
    with pytest.raises(StoreBusyError):
        restore_backup(package, state, Means(Database.in_directory, upgrade), Starting(), replace=True)
    assert opened[0].append([make(9_000)]).accepted == 1
    opened[0].close()
    assert len(events_of(state)) == 261


def test_a_file_that_is_gone_when_it_is_read_leaves_nothing(state: Path, tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "usb", "edusoc-x")
    package = PackageWriter(target, None)
    with pytest.raises(FileNotFoundError):
        package.add("files/gone", read_blocks(state / "gone"))
    assert list(target.path.rglob("gone")) == []
    package.add("files/gone", [b"there again"])


def test_what_state_refers_to_is_in_the_backup(state: Path, tmp_path: Path) -> None:
    class Learning(SilentMeter):
        def begin(self, stage: str, total: int) -> None:
            if stage == "state":  # a model is trained just before the tables that name it are read
                (state / "models" / "new.skops").write_text("a model")

    settings = settings_in(state)
    database = Database.of(settings)
    made = make_backup(Source(settings, database), Order(tmp_path / "usb"), utc_now, Learning())
    database.close()
    assert "files/models/new.skops" in made.manifest.named()


def test_a_manifest_that_never_ends_is_refused(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    monkeypatch.setattr(package_module, "_LARGEST_MANIFEST", 100)
    with pytest.raises(StoreError, match="manifest is damaged"):
        PackageReader(made.path, None)


def test_what_a_killed_restore_left_is_no_hindrance(state: Path, tmp_path: Path) -> None:
    made = back_up(state, Order(tmp_path / "usb"))
    left = tmp_path / "again.restoring" / "events"
    left.mkdir(parents=True)
    (left / "catalogue.sqlite").write_text("half")
    restore(made.path, tmp_path / "again")
    assert not (tmp_path / "again.restoring").exists()
    assert events_of(tmp_path / "again") == events_of(state)


def test_a_backup_that_fails_leaves_nothing(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soc_core.backup import making

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, "copy_files", full)
    with pytest.raises(OSError, match="No space"):
        back_up(state, Order(tmp_path / "usb"))
    assert list((tmp_path / "usb").glob("edusoc-*")) == []


def test_places_are_checked(state: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inside"):
        back_up(state, Order(state / "backups"))
    usb = tmp_path / "usb"
    usb.mkdir()
    lock = WriterLock(usb / ".edusoc-backup.lock")
    with pytest.raises(StoreBusyError):
        back_up(state, Order(usb))
    lock.release()
    partial = usb / f"edusoc-20261124T020000Z-00000000{PARTIAL}"
    partial.mkdir()
    with pytest.raises(UsageError, match="never completed"):
        PackageReader(partial, None)
    assert leftovers(usb) == [partial]


def test_old_backups_go_and_strangers_stay(state: Path, tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    names = [f"edusoc-2026110{day}T020000Z-0000000{day}" for day in range(1, 6)]
    for name in [*names, "edusoc-photos", "holiday"]:
        (usb / name).mkdir(parents=True)
    assert latest(usb) == usb / names[-1]
    assert remove_old(usb, 2) == [usb / name for name in names[:3]]
    left = {path.name for path in usb.iterdir() if path.is_dir()}
    assert left == {*names[3:], "edusoc-photos", "holiday"}


def test_a_backup_that_does_not_stand_its_check_is_not_used_further(state: Path, tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    first = back_up(state, Order(usb))
    segment = next(first.path.rglob("*.parquet"))
    flip(0.5)(segment)
    base = PackageReader(first.path, None)
    second = back_up(state, Order(usb, base=base))
    base.close()
    assert [finding.what for finding in second.found] == ["the file is not what was written"]
    assert second.path.name.endswith(".damaged")
    assert latest(usb) == first.path
    assert remove_old(usb, 1) == []
    assert back_up(state, Order(usb)).found == []
