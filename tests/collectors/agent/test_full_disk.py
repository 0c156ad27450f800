"""Hold that a disk that is really full loses nothing that was taken, and that the agent goes on by itself."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from collectors.agent.spool import Limits, Spool, lines_of
from soc_core.log import LogReader
from tests.collectors.agent.helpers import NOW, TCP, UDP, event, wait_for

MB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 4 MB; only root may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root and mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def noise(number: int) -> str:
    return os.urandom(30_000).hex() + str(number)


def test_a_disk_that_is_really_full(disk: Path) -> None:
    spool = Spool(disk / "spool", Limits(size=64 * MB, reserve=0), lambda: NOW)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(MB))
    taken, stuck = [0], threading.Event()

    def deliver() -> None:
        for number in range(160):
            spool.store([event(number, category="iam", text=noise(number))], TCP)
            taken[0] = number + 1
        stuck.set()

    thread = threading.Thread(target=deliver, daemon=True)
    thread.start()
    wait_for(lambda: spool.waiting == 1 or stuck.is_set())
    assert not stuck.is_set()
    assert taken[0] > 50
    assert spool.store([event(1_000, category="iam", text=noise(1))], UDP) == 0
    held = found(spool)
    assert held == list(range(taken[0]))
    ballast.unlink()
    before = taken[0]
    wait_for(lambda: taken[0] > before + 20)
    while not stuck.is_set():  # the centre takes what is there
        spool.acknowledge(spool.urgent, spool.urgent.log.end_offset)
        stuck.wait(0.05)
    thread.join(20)
    assert taken[0] == 160
    assert spool.trouble == ""
    spool.close()
    again = Spool(disk / "spool", Limits(size=64 * MB, reserve=0), lambda: NOW)
    assert again.urgent.log.damage == []
    again.close()


def found(spool: Spool) -> list[int]:
    records = LogReader(spool.urgent.log_directory).records(0)
    return [int(orjson.loads(line)["event.sequence"]) for record in records for line in lines_of(record)]
