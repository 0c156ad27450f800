"""Files that are renamed, packed, truncated or replaced while they are followed."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

from collectors.live.files.generations import names_before
from tests.collectors.live.files.conftest import Follow
from tests.collectors.live.files.following import Store, add, imported, line, lines, numbers


@pytest.mark.parametrize("pattern", ["auth.log", "auth.log*"])
def test_a_renamed_file_is_read_to_its_end(
    store: Store, tmp_path: Path, follow: Follow, pattern: str
) -> None:
    path, old = tmp_path / "auth.log", tmp_path / "auth.log.1"
    add(path, lines(1))
    follower = follow(tmp_path / pattern)
    follower.turn()
    add(path, lines(2))
    path.rename(old)
    add(path, lines(3))
    follower.turn()
    add(old, lines(4) + line(5))  # the program has it open still, and ends without a line end
    follower.turn(9)
    assert sorted(numbers(store)) == [1, 2, 3, 4, 5]
    assert len(set(store.ids())) == 5
    assert {*store.ids()} == {str(event["event.id"]) for event in imported(path, old)[0]}


@pytest.mark.parametrize("pattern", ["auth.log", "auth.log*"])
@pytest.mark.parametrize("down", [False, True])
def test_a_file_packed_before_it_was_read_is_read_from_the_packed_one(
    store: Store, tmp_path: Path, follow: Follow, pattern: str, down: bool
) -> None:
    path, packed = tmp_path / "auth.log", tmp_path / "auth.log.1.gz"
    add(path, lines(1, 2))
    follower = follow(tmp_path / pattern)
    follower.turn()
    if down:
        follower.stop()
    add(path, lines(3))
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    add(path, lines(4))
    if down:
        follower.start()
    follower.turn(12)
    assert sorted(numbers(store)) == [1, 2, 3, 4]
    assert follower.count("lost_bytes") == 0


@pytest.mark.parametrize("pattern", ["auth.log", "auth.log*"])
def test_copy_and_truncate_loses_nothing_that_was_copied(
    store: Store, tmp_path: Path, follow: Follow, pattern: str
) -> None:
    path, copy = tmp_path / "auth.log", tmp_path / "auth.log.1"
    add(path, lines(1, 2))
    follower = follow(tmp_path / pattern)
    follower.turn()
    add(path, lines(3))
    shutil.copyfile(path, copy)
    os.truncate(path, 0)
    add(path, lines(*range(4, 12)))  # longer than what was read before
    follower.turn(12)
    assert sorted(numbers(store)) == list(range(1, 12))
    assert len(set(store.ids())) == 11
    assert follower.count("truncated") == 1
    assert follower.count("lost_bytes") == 0


def test_what_truncation_took_is_counted(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1) + b"cut off")
    follower = follow(path)
    follower.turn()
    os.truncate(path, 0)
    add(path, lines(2))
    follower.turn(40)
    assert numbers(store) == [1, 2]
    assert (follower.count("truncated"), follower.count("lost_bytes")) == (1, len(b"cut off"))


def test_a_hole_left_by_truncation_is_passed_over(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(*range(5_000)))
    follower = follow(path)
    follower.turn()
    with path.open("r+b") as file:
        file.truncate(0)
        file.seek(3 << 30)  # a program that does not append writes where it was
        file.write(lines(5_000, 5_001))
    follower.turn(2)
    assert numbers(store) == list(range(5_002))
    assert store.bad == []


def test_an_inode_used_again_is_another_file(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1, 2, 3))
    follower = follow(path)
    follower.turn()
    with path.open("r+b") as file:  # the same inode, and longer than what was read
        file.write(lines(7, 8, 9, 10))
    follower.turn()
    assert numbers(store) == [1, 2, 3, 7, 8, 9, 10]


def test_a_file_replaced_by_a_longer_copy_of_itself_goes_on(
    store: Store, tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1, 2, 3))
    follower = follow(path)
    follower.turn()
    (tmp_path / "new").write_bytes(path.read_bytes() + lines(4))
    (tmp_path / "new").replace(path)
    follower.turn(2)
    assert numbers(store) == [1, 2, 3, 4]


def test_a_file_removed_while_open_is_read_to_its_end(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    follower = follow(path)
    follower.turn()
    with path.open("ab") as file:
        path.unlink()
        file.write(lines(2) + line(3))
    follower.turn(10)
    assert numbers(store) == [1, 2, 3]
    assert follower.count("files") == 0


def test_rotated_files_elsewhere_are_found(store: Store, tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "old").mkdir()
    path, packed = tmp_path / "conn.log", tmp_path / "old" / "conn.10_00.log.gz"
    add(path, lines(1))
    follower = follow(path, rotated=(str(tmp_path / "old" / "*"),))
    follower.turn()
    follower.stop()
    add(path, lines(2))
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    follower.start()
    follower.turn(10)
    assert numbers(store) == [1, 2]


def test_rewritten_in_place_with_the_same_beginning(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "DhcpSrvLog-Mon.log"  # Windows writes last week's file anew, under the same heading
    head = lines(*range(20))
    add(path, head + lines(100, 101))
    follower = follow(path)
    follower.turn()
    path.write_bytes(head + lines(200, 201, 202))
    follower.turn()
    assert {*numbers(store)} == {*range(20), 100, 101, 200, 201, 202}
    assert {str(event["event.id"]) for event in imported(path)[0]} <= {*store.ids()}


@pytest.mark.parametrize("away", ["down", "killed", "blocked"])
@pytest.mark.parametrize("packed", [False, True])
def test_generations_that_came_and_went_unseen_are_read(
    store: Store, tmp_path: Path, follow: Follow, away: str, packed: bool
) -> None:
    """The agent was off over the weekend, or its spool was full: the log was rotated more than once."""
    path = tmp_path / "auth.log"
    add(tmp_path / "auth.log.7", lines(90, 91))  # from before the first start: not asked for
    os.utime(tmp_path / "auth.log.7", (1_000, 1_000))
    add(path, lines(1, 2))
    follower = follow(path)
    follower.turn()
    if away == "down":
        follower.stop()
    add(path, lines(3))
    for number in (3, 2, 1):
        path.rename(tmp_path / f"auth.log.{number}")
        add(path, lines(10 * number, 10 * number + 1))
    if packed:
        for number in (3, 2):
            old = tmp_path / f"auth.log.{number}"
            (tmp_path / f"auth.log.{number}.gz").write_bytes(gzip.compress(old.read_bytes()))
            old.unlink()
    if away != "blocked":
        follower.start()
    follower.turn(9)
    assert sorted(numbers(store)) == [1, 2, 3, 10, 11, 20, 21, 30, 31]
    follower.start()
    follower.turn(9)
    assert len(set(store.ids())) == 9
    assert follower.count("lost_bytes") == 0


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("auth.log.1", {"auth.log"}),
        ("auth.log.12.gz", {"auth.log"}),
        ("auth.log-20261124.xz", {"auth.log"}),
        ("access-2026-11-24.log", {"access.log"}),
        ("conn.10:00:00-11:00:00.log.gz", {"conn.log"}),
        ("auth.log", set()),
        ("auth.log.gz", set()),
        ("web2.log", set()),
        ("auth.log.old", set()),
    ],
)
def test_rotated_names(name: str, before: set[str]) -> None:
    assert names_before(name) == before
