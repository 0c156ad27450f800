"""Foreign rule sets come in whole or not at all, bounded, and never lead outside of their folder."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path
from random import Random

import pytest

from intake.rules import archives
from intake.rules.archives import collect
from intake.rules.sets import RuleSetInfo, RuleSets, check_name, name_for
from soc_core.errors import InputError, UsageError

RULE = b"title: x\n"
COMMIT = "a" * 40


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_of(path: Path, files: dict[str, bytes], link: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    return path


def test_a_folder_gives_rules_and_licences_only(tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "deep").mkdir(parents=True)
    for name in ("a.yml", "deep/b.yaml", "LICENSE", "AUTHORS.txt", "x.py", ".hidden.yml"):
        (root / name).write_bytes(RULE)
    (root / "link.yml").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe.yml")
    found = collect(root)
    assert sorted(found.files) == ["AUTHORS.txt", "LICENSE", "a.yml", "deep/b.yaml"]
    assert (found.kind, found.left_out) == ("folder", {"link": 2})


@pytest.mark.parametrize("packed", [False, True])
def test_the_commit_of_a_working_tree_is_read(tmp_path: Path, packed: bool) -> None:
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    if packed:
        (git / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n")
    else:
        (git / "refs/heads/main").write_text(COMMIT + "\n")
    (tmp_path / "a.yml").write_bytes(RULE)
    found = collect(tmp_path)
    assert (found.kind, found.commit, list(found.files)) == ("git", COMMIT, ["a.yml"])
    (git / "HEAD").write_text("ref: ../../../etc/passwd\n")
    assert collect(tmp_path).commit == ""


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_archives(tmp_path: Path, mode: str) -> None:
    members = (
        (member("rules/a.yml"), RULE),
        (member("rules/link.yml", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (member("rules/hard.yml", tarfile.LNKTYPE, "rules/a.yml"), b""),
        (member("rules/null.yml", tarfile.CHRTYPE), b""),
    )
    found = collect(tar_of(tmp_path / "x", *members, mode=mode))
    assert (found.files, found.left_out) == ({"rules/a.yml": RULE}, {"link": 3})


def test_zip_archives(tmp_path: Path) -> None:
    found = collect(zip_of(tmp_path / "x.zip", {"r/a.yml": RULE, "r/b.exe": b""}, link="r/l.yml"))
    assert (found.files, found.left_out) == ({"r/a.yml": RULE}, {"link": 1})


@pytest.mark.parametrize("name", ["../a.yml", "/a.yml", "x/../../a.yml", "C:\\a.yml", "..\\a.yml"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    for archive in (
        tar_of(tmp_path / "x.tar.gz", (member(name), RULE)),
        zip_of(tmp_path / "x.zip", {name: RULE}),
    ):
        with pytest.raises(InputError, match="outside"):
            collect(archive)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 4_000_000)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 50)
    big = bytes(900_000)
    many = {f"{number}.yml": big for number in range(6)}
    with pytest.raises(InputError, match="more than"):
        collect(zip_of(tmp_path / "a.zip", many))
    with pytest.raises(InputError):
        collect(tar_of(tmp_path / "a.tgz", *((member(name), data) for name, data in many.items())))
    with pytest.raises(InputError, match="unpacks to too much"):
        collect(tar_of(tmp_path / "b.tgz", (member("x.bin"), bytes(9_000_000)), (member("a.yml"), RULE)))
    with pytest.raises(InputError, match="more than 50 files"):
        collect(zip_of(tmp_path / "c.zip", {f"{number}.txt": b"" for number in range(60)}))
    found = collect(zip_of(tmp_path / "d.zip", {"a.yml": RULE, "big.yml": bytes(2_000_000)}))
    assert (list(found.files), found.left_out) == (["a.yml"], {"too_big": 1})


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 nothing", b"\x1f\x8bnothing", b"BZhx", b"plain text", b"\xfd7zXZ\0"]
)
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises((InputError, UsageError)):
        collect(tmp_path / "x")
    with pytest.raises(UsageError, match="no such"):
        collect(tmp_path / "y")


def put(sets: RuleSets, source: Path, at: str = "2026-11-20") -> RuleSetInfo:
    digest, _folder = sets.stage("mine", collect(source))
    return sets.put(RuleSetInfo("mine", "folder", str(source), digest, at, "x"))


def test_sets_are_swapped_set_back_and_removed(tmp_path: Path) -> None:
    source, sets = tmp_path / "source", RuleSets(tmp_path / "state")
    source.mkdir()
    digests = []
    for number in range(3):
        (source / "a.yml").write_bytes(b"title: %d\n" % number)
        before = sets.state()
        digests.append(put(sets, source).digest)
        assert sets.state() != before
    versions = tmp_path / "state/rules/mine/versions"
    assert sorted(path.name for path in versions.iterdir()) == sorted(digests[1:])  # the last two
    assert [path.name for path in sets.directories()] == [digests[2]]
    assert sets.back("mine").digest == digests[1]
    assert (sets.directories()[0] / "a.yml").read_bytes() == b"title: 1\n"
    again = put(sets, source)
    assert (again.digest, again.previous) == (digests[2], digests[1])
    sets.remove("mine")
    assert (sets.all(), versions.exists()) == ([], False)
    with pytest.raises(UsageError, match="no rule set"):
        sets.back("mine")


def test_damaged_manifests_are_no_sets(tmp_path: Path) -> None:
    source, sets = tmp_path / "source", RuleSets(tmp_path)
    source.mkdir()
    (source / "a.yml").write_bytes(RULE)
    put(sets, source)
    for text in (
        "{",
        "[]",
        '{"name":"other","digest":"' + "a" * 32 + '"}',
        '{"name":"mine","digest":"../.."}',
    ):
        (tmp_path / "rules/mine/set.json").write_text(text)
        assert sets.all() == []


def test_names(tmp_path: Path) -> None:
    assert name_for(tmp_path / "SigmaHQ Rules.tar.gz") == "sigmahq-rules"
    for name in ("", "../x", "A", "cache", "x" * 41, "a/b"):
        with pytest.raises(UsageError, match="a rule set's name"):
            check_name(name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no rule files"):
        RuleSets(tmp_path).stage("mine", collect(tmp_path / "empty"))


def test_archives_damaged_in_the_middle_are_refused(tmp_path: Path) -> None:
    random = Random(7)
    files = {f"{number}.yml": random.randbytes(3_000).hex().encode() for number in range(5)}
    whole = [
        zip_of(tmp_path / "set.zip", files).read_bytes(),
        tar_of(tmp_path / "set.tgz", *((member(name), text) for name, text in files.items())).read_bytes(),
    ]
    broken = tmp_path / "broken"
    for content in whole:
        for _ in range(60):
            hurt = bytearray(content)
            for _ in range(40):
                hurt[random.randrange(100, len(hurt) - 400)] ^= 1 + random.randrange(255)
            broken.write_bytes(hurt)
            with pytest.raises(InputError):
                collect(broken)


def test_files_that_are_too_big_use_up_the_bound_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LONGEST_FILE", 1_000)
    monkeypatch.setattr(archives, "MOST_BYTES", 5_000)
    with pytest.raises(InputError, match="more than"):
        collect(zip_of(tmp_path / "bomb.zip", {f"{number}.yml": bytes(100_000) for number in range(9)}))


def test_what_a_killed_import_left_behind_goes(tmp_path: Path) -> None:
    sets = RuleSets(tmp_path)
    left, other = (tmp_path / "rules/a/versions" / name for name in (".new-left", ".new-now"))
    for path in (left, other):
        path.mkdir(parents=True)
    os.utime(left, (1_000, 1_000))
    found = archives.Collected("folder", {"a.yml": RULE})
    digest, folder = sets.stage("a", found)
    sets.put(RuleSetInfo("a", "folder", "here", digest, "2026-11-20T00:00:00.000000Z", "me"))
    assert sorted(path.name for path in folder.parent.iterdir()) == [".new-now", digest]
