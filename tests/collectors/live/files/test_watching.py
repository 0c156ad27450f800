from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from collectors.live.files import watching
from soc_core.errors import StoreError
from tests.collectors.live.files.conftest import Follow
from tests.collectors.live.files.following import Store, add, imported, line, lines, numbers


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
