"""Follow a log through anything that may happen to it, and compare with what was written."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from soc_core.errors import StoreError
from tests.collectors.live.files.following import Follower, Store, add, line

OPERATIONS = (
    "add", "add", "add", "add many", "add half", "rename", "rename open", "copy", "truncate", "pack", "remove",
    "turn", "turn", "turn", "restart", "kill", "refuse",
)  # fmt: skip


class Log:
    """Write a log as programs and logrotate do; ``wanted`` holds the numbers of each content in order."""

    def __init__(self, folder: Path, follower: Follower, *, narrow: bool) -> None:
        self.folder, self.follower, self.narrow = folder, follower, narrow
        self.path = folder / "app.log"
        self.number = 0
        self.half = b""
        self.wanted: list[list[int]] = [[]]
        self.disturbed = False

    def do(self, operation: str) -> None:
        getattr(self, operation.replace(" ", "_"))()

    def line(self) -> bytes:
        self.number += 1
        self.wanted[-1].append(self.number)
        return line(self.number, "x" * (self.number * 7 % 120)) + b"\n"

    def add(self, amount: int = 1) -> None:
        data, self.half = self.half, b""
        add(self.path, data + b"".join(self.line() for _ in range(amount)))

    def add_many(self) -> None:
        self.add(300)

    def add_half(self) -> None:
        data = self.half + self.line()
        add(self.path, data[:-9])
        self.half = data[-9:]

    def turn(self) -> None:
        try:
            self.follower.turn()
        except StoreError:
            self.disturbed = True
            self.follower.start()

    def settle(self) -> None:
        """What is only found by its content must have been begun; see what ``files`` promises."""
        self.add()
        if self.narrow:
            self.follower.store.refuse = 0
            self.turn()

    def shift(self) -> Path:
        for number in range(9, 0, -1):
            for end in ("", ".gz"):
                old = self.folder / f"app.log.{number}{end}"
                if old.exists():
                    old.rename(self.folder / f"app.log.{number + 1}{end}")
        return self.folder / "app.log.1"

    def rename(self) -> None:
        self.settle()
        self.add(3)
        self.path.rename(self.shift())
        self.wanted.append([])

    def rename_open(self) -> None:
        """The program writes to the renamed file for a while, and its last line has no end."""
        self.settle()
        old = self.shift()
        self.path.rename(old)
        self.turn()
        add(old, self.line() + self.line()[:-1])
        self.wanted.append([])

    def copy(self) -> None:
        self.settle()
        self.add(2)
        shutil.copyfile(self.path, self.shift())
        os.truncate(self.path, 0)
        self.wanted.append([])

    def truncate(self) -> None:
        self.add()
        self.follower.store.refuse = 0
        self.turn()
        os.truncate(self.path, 0)
        self.wanted.append([])

    def pack(self) -> None:
        for number in range(9, 0, -1):
            old = self.folder / f"app.log.{number}"
            if old.exists():
                (self.folder / f"app.log.{number}.gz").write_bytes(gzip.compress(old.read_bytes()))
                old.unlink()
                return

    def remove(self) -> None:
        """Remove the oldest after it was read."""
        self.add()
        self.follower.store.refuse = 0
        self.follower.turn(15)
        self.follower.now += 2 * self.follower.settings.idle  # its last line may have no end
        self.follower.turn(3)
        for number in range(10, 0, -1):
            for end in ("", ".gz"):
                old = self.folder / f"app.log.{number}{end}"
                if old.exists():
                    old.unlink()
                    return

    def restart(self) -> None:
        self.disturbed = True
        self.follower.stop()
        self.follower.start()

    def kill(self) -> None:
        self.disturbed = True
        self.follower.start()

    def refuse(self) -> None:
        self.follower.store.refuse = 1


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(OPERATIONS), min_size=3, max_size=40), st.booleans())
def test_every_line_comes_exactly_once_and_in_order(operations: list[str], narrow: bool) -> None:
    store = Store()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        follower = Follower(store, folder, str(folder / ("app.log" if narrow else "app.log*")))
        log = Log(folder, follower, narrow=narrow)
        try:
            for operation in operations:
                log.do(operation)
            log.add()
            store.refuse = 0
            follower.turn(50)
            follower.now += (
                2 * follower.settings.idle
            )  # who saw no rotation waits longer for the end of a line
            follower.turn(3)
        finally:
            follower.kill()
    found = [int(str(event["process.pid"])) for event in store.events]
    assert sorted(set(found)) == list(range(1, log.number + 1))
    # One line has one id, so what came twice, after a kill or from a copy, is stored once.
    assert len(set(store.ids())) == log.number
    if not log.disturbed and not {"pack", "copy"} & set(operations):
        assert Counter(found).most_common(1)[0][1] == 1
    first = {number: place for place, number in reversed(list(enumerate(found)))}
    for content in log.wanted:
        assert sorted(content, key=first.__getitem__) == content
    assert follower.count("lost_bytes") == 0
    assert store.bad == []
