"""A backup made while another process appends, seals and merges holds all that was acknowledged before it began."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from soc_core.backup import events
from soc_core.backup.making import Order
from soc_core.backup.package import PackageReader
from soc_core.clock import utc_now
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.contract.samples import make
from tests.soc_core.backup.scenes import back_up, events_of, make_state, restore

ROOT = Path(__file__).parents[3]


class Writing:
    """Run the other process and follow what it acknowledged."""

    def __init__(self, state: Path, seed: int) -> None:
        command = [sys.executable, "-m", "tests.soc_core.backup.writing", str(state), str(seed)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.acknowledged = 0
        self._ended = False
        self._grown = threading.Condition()
        self._follower = threading.Thread(target=self._follow)
        self._follower.start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._grown:
                self.acknowledged = int(line)
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def wait_for(self, number: int) -> int:
        """Return how many are acknowledged once there are ``number``."""
        with self._grown:
            self._grown.wait_for(lambda: self.acknowledged >= number or self._ended, timeout=60)
            assert self.acknowledged >= number
            return self.acknowledged

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._follower.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    state = make_state(tmp_path / "state")
    running = Writing(state, seed=3)
    yield running
    running.end()


@pytest.mark.slow
def test_all_that_was_acknowledged_before_is_in_it(writing: Writing, tmp_path: Path) -> None:
    base = None
    for turn in range(1, 7):
        before = writing.wait_for(260 + turn * 150)
        made = back_up(tmp_path / "state", Order(tmp_path / "usb", base=base))
        assert made.found == []
        assert made.manifest.damaged == []
        into = tmp_path / f"again-{turn}"
        restored = restore(made.path, into)
        assert restored.events == restored.end_offset >= before
        there = events_of(into)
        assert set(there) == {
            str(make(n, day=20 + n % (3 if n < 260 else 4))["event.id"]) for n in range(restored.events)
        }
        base = PackageReader(made.path, None)
    writing.end()
    assert events_of(tmp_path / "state")


def test_files_that_go_away_while_they_are_copied_are_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_state(tmp_path / "state")
    moment = [utc_now()]
    store = EmbeddedStore(state / "events", writer=True, limits=Limits(reserve=0), clock=lambda: moment[0])
    copy, calls = events._copy_segments, []

    def interrupted(source: Path, *others: Any) -> None:
        """Let all segments be merged and removed before the first of them is copied."""
        calls.append({path.name for path in (source / "segments").iterdir()})
        if len(calls) == 1:
            for number in range(1_000, 1_032):
                store.append([make(number, day=20 + number % 3)])
                store.seal()
            moment[0] += timedelta(hours=1)
            store.seal()
            assert calls[0] - {path.name for path in (source / "segments").iterdir()}
        copy(source, *others)

    monkeypatch.setattr(events, "_copy_segments", interrupted)
    made = back_up(state, Order(tmp_path / "usb"))
    store.close()
    assert len(calls) == 2
    assert (made.found, made.manifest.damaged) == ([], [])
    assert made.manifest.events.events == 292
    restore(made.path, tmp_path / "again")
    assert events_of(tmp_path / "again") == events_of(state)
