from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.live.files import build
from collectors.live.files.settings import Settings
from collectors.live.files.tailing import FilesInput, checkpoint_path
from collectors.live.options import Options
from collectors.live.registry import build as build_kind
from collectors.reasons import reason_text
from soc_core.errors import StoreError, UsageError
from tests.collectors.live.files.following import Store, add, line, lines

WAIT_SECONDS = 60.0


def wait(done: Callable[[], bool]) -> None:
    """Wait until ``done``, within a bound."""
    until = time.monotonic() + WAIT_SECONDS
    while not done():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.005)


def test_an_input_runs_until_it_is_stopped_and_goes_on_later(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    for first in (1, 3):
        input_ = FilesInput("school/log", Settings((str(path),), tmp_path, poll=0.01))
        stop = threading.Event()
        thread = threading.Thread(target=input_.run, args=(store, stop))
        thread.start()
        add(path, lines(first))
        wait(lambda first=first: len(store.events) >= first)  # type: ignore[misc]  # bound now
        add(path, lines(first + 1))
        wait(lambda first=first: len(store.events) >= first + 1)  # type: ignore[misc]
        stop.set()
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()
        assert input_.counters.snapshot()["delivered"] == 2
        assert input_.counters.snapshot()["files_open"] == 0
    assert store.of("process.pid") == [1, 2, 3, 4]
    assert checkpoint_path(Settings((), tmp_path), "school/log").exists()


def test_what_the_store_refuses_ends_the_run_and_comes_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(1))
    input_ = FilesInput("log", Settings((str(path),), tmp_path, poll=0.01))
    store.refuse = 1
    with pytest.raises(StoreError):
        input_.run(store, threading.Event())
    stop = threading.Event()
    thread = threading.Thread(target=input_.run, args=(store, stop))
    thread.start()
    wait(lambda: bool(store.events))
    stop.set()
    thread.join(WAIT_SECONDS)
    assert store.of("process.pid") == [1]


def test_slow_delivery_holds_reading_back(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    add(path, lines(*range(30_000)))
    free = threading.Event()
    delivered: list[int] = []

    class Slow(Store):
        def deliver(self, batch: object, origin: object) -> None:
            free.wait(WAIT_SECONDS)
            delivered.append(len(batch.events))  # type: ignore[attr-defined]

    input_ = FilesInput("log", Settings((str(path),), tmp_path, poll=0.01))
    stop = threading.Event()
    thread = threading.Thread(target=input_.run, args=(Slow(), stop))
    thread.start()
    wait(lambda: input_.counters.snapshot().get("received", 0) > 0)
    assert input_.counters.snapshot()["received"] <= 2_000
    free.set()
    wait(lambda: sum(delivered) == 30_000)
    stop.set()
    thread.join(WAIT_SECONDS)
    assert max(delivered) <= 1_000


def test_a_folder_that_cannot_be_used_is_said(store: Store, tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    input_ = FilesInput("log", Settings((str(tmp_path / "*.log"),), tmp_path))
    with pytest.raises(UsageError, match="the folder for checkpoints can't be used"):
        input_.run(store, threading.Event())


def test_settings_are_read_and_checked(tmp_path: Path) -> None:
    table: dict[str, object] = {
        "paths": "/var/log/*.log",
        "from": "end",
        "exclude": ["*.gz"],
        "format": "zeek",
    }
    assert build("x", Options(table, "agent.toml: x", tmp_path)).kind == "files"
    assert build_kind("files", "x", Options({"paths": ["a"]}, "agent.toml: x", tmp_path)).name == "x"
    for wrong, what in (
        ({"paths": []}, "names no files"),
        ({}, "names no files"),
        ({"paths": "a", "from": "middle"}, "'middle' is unknown"),
        ({"paths": "a", "format": "nothing"}, "'nothing' is no known format"),
        ({"paths": "a", "path": "b"}, "'path' is unknown"),
        ({"paths": "a", "poll_seconds": 0}, "is not a number that fits"),
    ):
        with pytest.raises(UsageError, match=what):
            build("x", Options(wrong, "agent.toml: x", tmp_path))
    with pytest.raises(UsageError, match="needs a folder to remember in"):
        build("x", Options({"paths": "a"}, "agent.toml: x"))


@pytest.mark.slow
def test_killed_again_and_again_while_the_log_grows_and_rotates(tmp_path: Path) -> None:
    path, output = tmp_path / "app.log", tmp_path / "output"
    command = [sys.executable, "-m", "tests.collectors.live.files.child"]
    arguments = [str(tmp_path / "app.log*"), str(tmp_path / "memory"), str(output)]
    chooser = random.Random(5)
    number = rotations = 0

    def write(amount: int) -> None:
        nonlocal number, rotations
        for _ in range(amount):
            number += 1
            data = line(number, "x" * chooser.randrange(100)) + b"\n"
            cut = chooser.randrange(len(data))
            add(path, data[:cut])
            add(path, data[cut:])
        if chooser.random() < 0.3:
            rotations += 1
            path.rename(tmp_path / f"app.log.{rotations}")

    def rows() -> list[list[str]]:
        return [row.split() for row in output.read_text().splitlines()] if output.exists() else []

    for _ in range(5):
        process = subprocess.Popen([*command, *arguments], cwd=Path(__file__).parents[4])
        before = len(rows())
        write(60)
        wait(lambda before=before: len(rows()) > before)  # type: ignore[misc]  # bound now
        write(chooser.randrange(60))
        os.kill(process.pid, 9)
        process.wait()
        write(20)
    process = subprocess.Popen([*command, *arguments], cwd=Path(__file__).parents[4])
    wait(lambda: len({row[1] for row in rows()}) >= number)
    process.kill()
    process.wait()
    found = rows()
    assert {int(row[1]) for row in found} == set(range(1, number + 1))
    assert len({row[0] for row in found}) == number  # one id a line, however often it came


@pytest.mark.parametrize(
    "sentence",
    [
        "setting 'paths' names no files",
        "setting 'format' 'x' is no known format — known: syslog, zeek",
        "the folder for checkpoints can't be used: Permission denied — make it ours to read and write",
        "this kind of input needs a folder to remember in",
        "collector syslog failed: ZeroDivisionError()",
    ],
)
def test_what_is_said_is_said_in_chinese(sentence: str) -> None:
    said = reason_text(sentence, "zh")
    assert all(re.search("[\u4e00-\u9fff]", part) for part in said.split("；"))
    assert reason_text(sentence, "en") == sentence
