from __future__ import annotations

import errno
import gzip
import os
import random
import shutil
from pathlib import Path

import pytest

from collectors.live.files import watching
from collectors.live.files.generations import names_before
from soc_core.errors import StoreError
from tests.collectors.live.files.conftest import Follow
from tests.collectors.live.files.following import Store, add, imported, line, lines


def numbers(store: Store) -> list[int]:
    return [int(str(event["process.pid"])) for event in store.events]


def test_what_is_added_is_read_once_and_with_the_ids_of_an_import(
    store: Store, tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1, 2))
    follower = follow(path)
    follower.turn(2)
    add(path, lines(3) + line(4)[:10])
    follower.turn()
    assert numbers(store) == [1, 2, 3]
    add(path, line(4)[10:] + b"\n")
    follower.turn(2)
    events, bad = imported(path)
    assert store.ids() == [event["event.id"] for event in events]
    assert store.bad == bad == []
    assert {event["log.file.path"] for event in store.events} == {str(path)}


def test_bad_records_name_their_place_as_an_import_does(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    follower = follow(path)
    for part in (lines(1), b"no syslog at all\n\n", lines(2) + b"neither this\n"):
        add(path, part)
        follower.turn()
    _, bad = imported(path)
    assert store.bad == bad
    assert [record.line for record in bad] == [2, 5]


def test_a_restart_goes_on_where_it_was(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(*range(50)))
    follower = follow(path)
    follower.turn()
    follower.stop()
    add(path, lines(*range(50, 60)))
    follower.start()
    follower.turn()
    assert numbers(store) == list(range(60))
    assert store.ids() == [event["event.id"] for event in imported(path)[0]]


def test_after_a_failed_delivery_the_same_ids_come_again(
    store: Store, tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1, 2, 3))
    follower = follow(path)
    store.refuse = 1
    with pytest.raises(StoreError):
        follower.turn()
    follower.start()
    follower.turn()
    assert store.ids() == [event["event.id"] for event in imported(path)[0]]


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


def test_room_taken_in_advance_is_filled_later(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1) + b"\0" * (1 << 20))
    follower = follow(path)
    follower.turn()
    with path.open("r+b") as file:
        file.seek(len(lines(1)))
        file.write(lines(2))
    os.utime(path, (5, 5))
    follower.turn()
    assert numbers(store) == [1, 2]


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


def test_links_and_names_of_one_file_are_one(store: Store, tmp_path: Path, follow: Follow) -> None:
    path, dated = tmp_path / "current.log", tmp_path / "app-2026-11-24.log"
    add(dated, lines(1))
    path.symlink_to(dated)
    os.link(dated, tmp_path / "hard.log")
    follower = follow(tmp_path / "*.log")
    follower.turn(2)
    assert numbers(store) == [1]
    path.unlink()
    other = tmp_path / "app-2026-11-25.log"
    add(other, lines(2))
    path.symlink_to(other)
    add(dated, lines(3))
    follower.turn()
    assert sorted(numbers(store)) == [1, 2, 3]


def test_times_that_lie_do_not_matter(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    follower = follow(path)
    follower.turn()
    for number, modified in enumerate((0, 1, 1 << 33), start=2):
        add(path, lines(number))
        os.utime(path, (modified, modified))
        follower.turn()
    assert numbers(store) == [1, 2, 3, 4]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission_lost_and_regained(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    follower = follow(path, max_open=1)
    path.chmod(0)
    follower.turn()
    assert (numbers(store), follower.count("files_unreadable")) == ([], 1)
    path.chmod(0o600)
    follower.turn(7)
    assert (numbers(store), follower.count("files_unreadable")) == ([1], 0)


def test_a_file_that_cannot_be_opened_is_tried_again(
    store: Store, tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    follower = follow(path)
    shut = True
    really = watching.Handles.get

    def get(handles: watching.Handles, identity: tuple[int, int], name: str) -> object:
        if shut:
            raise PermissionError(13, "Permission denied")
        return really(handles, identity, name)

    monkeypatch.setattr(watching.Handles, "get", get)
    follower.turn(2)
    assert (numbers(store), follower.count("files_unreadable")) == ([], 1)
    shut = False
    follower.turn(7)
    assert (numbers(store), follower.count("files_unreadable")) == ([1], 0)


def test_a_line_without_end_is_bounded(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    follower = follow(path)
    for _ in range(5):
        add(path, b"x" * (1 << 20))
        follower.turn()
    assert [record.reason for record in store.bad] == ["line is longer than 1 MiB"]
    add(path, b"the rest\n" + lines(2))
    follower.turn()
    assert numbers(store) == [1, 2]
    events, bad = imported(path)
    assert store.ids() == [event["event.id"] for event in events]
    assert [(one.position, one.line) for one in store.bad] == [(one.position, one.line) for one in bad]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "gb18030", "utf-8-sig"])
def test_every_encoding_gives_the_ids_of_an_import(
    store: Store, tmp_path: Path, follow: Follow, codec: str
) -> None:
    path = tmp_path / "auth.log"
    mark = "\ufeff" if codec.startswith("utf-16") else ""
    texts = [line(number, f"学校𠀀{'长' * number}").decode() + "\r\n" for number in range(40)]
    data = (mark + "".join(texts)).encode(codec)
    follower = follow(path)
    chooser = random.Random(7)
    while data:
        size = chooser.randrange(1, 400)
        add(path, data[:size])
        data = data[size:]
        follower.turn()
        if chooser.random() < 0.2:
            follower.start()
    events, bad = imported(path)
    assert store.ids() == [event["event.id"] for event in events]
    assert len(store.ids()) == 40
    assert store.bad == bad == []


def test_from_the_end_reads_what_comes_later_with_the_ids_of_an_import(
    store: Store, tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(*range(20)) + line(20)[:9])
    follower = follow(tmp_path / "*.log", from_end=True)
    follower.turn()
    assert numbers(store) == []
    add(path, line(20)[9:] + b"\n" + lines(21))
    add(tmp_path / "later.log", lines(100))  # files that come later are read whole
    follower.turn(2)
    assert sorted(numbers(store)) == [20, 21, 100]
    assert {*store.ids()} <= {str(event["event.id"]) for event in imported(path, tmp_path / "later.log")[0]}


def test_old_files_are_left_alone_until_they_grow(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "u_ex200101.log"
    add(path, lines(1, 2))
    os.utime(path, (1_577_836_800, 1_577_836_800))
    follower = follow(tmp_path / "u_ex*.log", ignore_older=30 * 86_400.0)
    follower.turn()
    assert numbers(store) == []
    add(path, lines(3))
    follower.turn()
    assert numbers(store) == [3]


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


def test_what_nothing_knows_is_said_once(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "strange.log"
    add(path, b"qwertz\n")
    follower = follow(path)
    follower.turn(10)
    assert [record.source for record in store.bad] == [str(path)]
    add(path, lines(*range(10)))
    follower.turn()
    assert numbers(store) == list(range(10))


def test_many_files_need_few_handles(store: Store, tmp_path: Path, follow: Follow) -> None:
    for number in range(120):
        add(tmp_path / f"{number}.log", lines(number))
    follower = follow(tmp_path / "*.log", max_open=8, max_files=100)
    follower.turn()
    assert len(numbers(store)) == 100
    assert follower.count("files_open") <= 8
    assert follower.count("files_left_out") == 20


def test_backlog_says_how_much_is_left(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(*range(20_000)))
    follower = follow(path)
    follower.watcher.scan(1.0)
    follower.watcher.work(1.0, lambda: False)
    size = path.stat().st_size
    assert follower.count("received_bytes") + follower.count("backlog_bytes") == size
    assert 0 < follower.count("backlog_bytes") < size
    follower.turn()
    assert (follower.count("backlog_bytes"), follower.count("received_bytes")) == (0, size)


def test_a_collector_that_fails_costs_its_part_only(
    store: Store, tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    follower = follow(path)
    follower.turn()
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        patch.setattr("collectors.syslog.Syslog.read", fail)
        add(path, lines(2))
        follower.turn()
    add(path, lines(3))
    follower.turn()
    assert numbers(store) == [1, 3]
    assert [record.reason for record in store.bad] == ["collector syslog failed: ZeroDivisionError()"]


def test_where_files_cannot_stay_open_they_are_followed_too(
    store: Store, tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HOLD", False)  # as on Windows
    path, old = tmp_path / "auth.log", tmp_path / "auth.log.1"
    add(path, lines(*range(9_000)))
    follower = follow(path)
    follower.turn()
    assert follower.count("files_open") == 0
    add(path, lines(9_000))
    path.rename(old)
    add(path, lines(9_001))
    follower.turn(10)
    assert sorted(numbers(store)) == list(range(9_002))
    assert len(set(store.ids())) == 9_002
    assert not list(follower.watcher._handles._open)


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


def test_folders_of_web_sites_and_headings_that_change(store: Store, tmp_path: Path, follow: Follow) -> None:
    def heading(fields: str) -> bytes:
        return b"#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n" + (
            f"#Date: 2026-11-23 16:00:00\r\n#Fields: {fields}\r\n".encode()
        )

    follower = follow(tmp_path / "LogFiles" / "W3SVC*" / "u_ex*.log", from_end=True)
    follower.turn()
    for site in (1, 2):
        path = tmp_path / "LogFiles" / f"W3SVC{site}" / "u_ex261123.log"
        path.parent.mkdir(parents=True)
        add(path, heading("date time cs-method cs-uri-stem c-ip sc-status"))
        add(path, b"2026-11-23 16:00:01 GET /a 10.1.1.1 200\r\n")
        follower.turn()
        add(path, heading("date time c-ip cs-method cs-uri-stem sc-status time-taken"))
        follower.turn()
        follower.stop()
        follower.start()
        add(path, f"2026-11-23 16:00:0{site} 10.1.1.2 POST /b 404 15\r\n".encode())
        follower.turn()
    assert store.of("source.ip") == ["10.1.1.1", "10.1.1.2"] * 2
    assert store.of("http.response.status_code") == [200, 404] * 2
    events, bad = imported(*sorted((tmp_path / "LogFiles").rglob("*.log")))
    assert {*store.ids()} == {str(event["event.id"]) for event in events}
    assert store.bad == bad == []


def test_a_server_that_is_away_for_a_while_takes_nothing_away(
    store: Store, tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "logs" / "auth.log"
    path.parent.mkdir()
    add(path, lines(1) + line(2)[:9])
    follower = follow(tmp_path / "logs" / "*.log")
    follower.turn()
    really = os.stat

    def stat(name: object, *arguments: object, **options: object) -> os.stat_result:
        if str(name).startswith(str(path.parent)):
            raise OSError(errno.ESTALE, "Stale file handle")
        return really(name, *arguments, **options)  # type: ignore[arg-type, call-overload, no-any-return]

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        follower.turn(100)
        assert (follower.count("files"), follower.count("files_unreadable")) == (1, 1)
    add(path, line(2)[9:] + b"\n" + lines(3))
    follower.turn(2)
    assert numbers(store) == [1, 2, 3]
    assert (follower.count("rotated"), follower.count("files_unreadable")) == (0, 0)


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
