from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.live.files import checkpoints
from collectors.live.files.checkpoints import Checkpoints
from collectors.live.files.marks import KINDS, Mark, from_json, to_json
from tests.collectors.live.files.conftest import Follow
from tests.collectors.live.files.following import Store, add, lines

NUMBERS = st.integers(0, 2**62)
MARKS = st.builds(
    Mark, key=st.integers(1, 50), path=st.text(max_size=20).filter(lambda text: text.isprintable()), device=NUMBERS,
    inode=NUMBERS, kind=st.sampled_from(KINDS), collector=st.sampled_from(["syslog", "zeek"]), head_size=NUMBERS,
    head=st.just("abc"), tail=st.just("def"), raw=NUMBERS, position=NUMBERS, line=NUMBERS, size=NUMBERS,
    modified=st.integers(-(2**62), 2**62), record=NUMBERS, seen=st.just(5),
    first=st.none() | st.tuples(NUMBERS, NUMBERS), headers=st.lists(st.tuples(NUMBERS, NUMBERS)).map(tuple),
    skipping=st.booleans(), finished=st.booleans(),
)  # fmt: skip


@given(MARKS)
def test_a_mark_comes_back(mark: Mark) -> None:
    assert from_json(to_json(mark)) == mark


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.booleans(), lambda inner: st.lists(inner, max_size=20)
    )
)
def test_what_is_no_mark_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"not|unknown"):
        from_json(value)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(MARKS, max_size=4), max_size=12), st.integers(0, 3), st.integers(0, 10_000))
def test_the_last_of_each_counts_and_a_torn_tail_costs_only_itself(
    puts: list[list[Mark]], restarts: int, cut: int
) -> None:
    with tempfile.TemporaryDirectory() as name, patch("os.fsync"):
        path = Path(name) / "deep" / "marks"
        states: list[dict[int, Mark]] = [{}]
        store = Checkpoints(path)
        assert store.fresh
        for number, marks in enumerate(puts):
            store.put(marks, float(number))
            states += [
                {**states[-1], **{mark.key: mark for mark in marks[: upto + 1]}} for upto in range(len(marks))
            ]
            if number % 4 < restarts:
                store.close(float(number))
                store = Checkpoints(path)
        store.close(99.0)
        store = Checkpoints(path)
        assert store.marks == states[-1]
        store.close(99.0)
        if path.exists():
            data = path.read_bytes()
            path.write_bytes(data[: max(0, len(data) - cut % 400)])
            torn = Checkpoints(path)
            # Writing anew at a start puts marks in another order, so only each mark's own history is compared.
            for key, mark in torn.marks.items():
                assert mark in [state[key] for state in states if key in state]
            torn.put([Mark(77)], 1.0)
            torn.close(2.0)
            again = Checkpoints(path)
            assert again.marks[77] == Mark(77)
            again.close(3.0)


def test_damage_in_the_middle_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    store = Checkpoints(path)
    for key in range(1, 6):
        store.put([Mark(key)], 0.0)
    store.close(0.0)
    data = bytearray(path.read_bytes())
    data[data.index(b"\n") + 15] ^= 1
    path.write_bytes(b"\xff\x00 junk\nzz zz\n" + bytes(data))
    found = Checkpoints(path)
    assert set(found.marks) == {1, 3, 4, 5}
    assert found.new_key() == 6
    found.close(0.0)


def test_it_is_written_anew_when_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    store = Checkpoints(path)
    for number in range(9_000):
        store.put([Mark(1, raw=number)], 0.0)
    assert path.read_bytes().count(b"\n") < 2_100
    store.close(0.0)
    again = Checkpoints(path)
    assert again.marks == {1: Mark(1, raw=8_999)}
    again.close(0.0)


def test_what_is_long_finished_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MOST_MARKS", 10)
    path = tmp_path / "marks"
    store = Checkpoints(path)
    store.put([Mark(key, seen=key, finished=key % 2 == 0) for key in range(1, 21)], 0.0)
    assert sorted(store.marks) == list(range(1, 21, 2))
    store.put([Mark(100, seen=100 * 86_400), replace(store.marks[1], finished=True)], 0.0)
    store.close(0.0)
    again = Checkpoints(path)
    again.put([Mark(101)], 0.0)
    assert 1 not in again.marks
    again.close(0.0)


def test_names_that_are_not_utf_8_are_remembered_and_shown(
    store: Store, tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / os.fsdecode("上网日志.log".encode("gbk"))
    add(path, lines(1))
    follower = follow(path)
    follower.turn()
    follower.stop()
    follower.start()
    add(path, lines(2))
    follower.turn()
    assert store.of("process.pid") == [1, 2]
    assert {Path(str(name)).name for name in store.of("log.file.path")} == {"上网日志.log"}


def test_a_full_disk_costs_no_line(
    store: Store, tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    follower = follow(path)
    follower.turn()
    really, room = os.write, 30

    def write(descriptor: int, data: bytes) -> int:
        """Write as much as there is room for, as a full disk does."""
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = really(descriptor, data[:room])
        room -= written
        return written

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        for number in range(2, 6):
            add(path, lines(number))
            follower.turn()
    assert follower.checkpoints.failures >= 3
    follower.start()  # killed while the disk was full: read again from the last mark on disk
    follower.turn()
    add(path, lines(6))
    follower.turn()
    assert store.of("process.pid") == [1, 2, 3, 4, 5, 2, 3, 4, 5, 6]
    assert len(set(store.ids())) == 6
    follower.stop()
    follower.start()
    assert [mark.raw for mark in follower.checkpoints.marks.values()] == [path.stat().st_size]
