"""Follow Zeek logs that others recorded, written and rotated as Zeek does: hourly, each with its own header."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from collectors.opening import find_inputs, open_source
from tests.collectors.live.files.following import Follower, Store, imported
from tests.shared_data import SHARED, needs

pytestmark = needs(SHARED)
MOST_ROWS = 4_000


def _log(path: str) -> tuple[list[bytes], list[bytes]]:
    """Return the header lines of a log and its first rows."""
    with open_source(path) as source:
        data = source.read(1 << 20)
        while len(data) < 1 << 20 and (more := source.read(1 << 18)):
            data += more
    lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
    head = [line for line in lines[:10] if line.lstrip().startswith(b"#")]
    return head, [line for line in lines if line.strip() and not line.lstrip().startswith(b"#")][:MOST_ROWS]


def _logs() -> list[str]:
    if not SHARED.is_dir():
        return []
    found = find_inputs([str(SHARED / "anomaly" / "zeek")])
    return [item.path for item in found if ".log" in Path(item.path).name]


@pytest.mark.parametrize("path", _logs(), ids=lambda path: Path(path).name)
def test_a_rotated_log_gives_each_row_once(path: str, tmp_path: Path) -> None:
    head, rows = _log(path)
    if not any(line.lstrip().startswith(b"#fields") for line in head):
        head = []
    chooser = random.Random(Path(path).name)
    log, old = tmp_path / "spool" / "conn.log", tmp_path / "logs" / "2026-11-24"
    log.parent.mkdir()
    old.mkdir(parents=True)
    store = Store()
    follower = Follower(
        store, tmp_path, str(log), rotated=(str(tmp_path / "logs" / "*" / "*"),), search=600.0
    )
    try:
        hours = sorted(chooser.sample(range(len(rows) + 1), k=min(4, len(rows)))) or [len(rows)]
        for hour, (start, end) in enumerate(zip([0, *hours], [*hours, len(rows)], strict=True)):
            _hour(follower, log, head, rows[start:end], chooser)
            if chooser.random() < 0.5:
                follower.start()  # killed
            packed = old / f"conn.{hour:02}:00:00-{hour + 1:02}:00:00.log.gz"
            if chooser.random() < 0.5 or not log.stat().st_size:
                log.rename(packed.with_suffix(""))
            else:
                packed.write_bytes(gzip.compress(log.read_bytes()))
                log.unlink()
        follower.turn(30)
    finally:
        follower.kill()
    events, bad = imported(*sorted(old.iterdir()))
    assert {*store.ids()} == {str(event["event.id"]) for event in events}
    assert {one.reason for one in store.bad} == {one.reason for one in bad}
    assert len(events) + len(bad) == len(rows) or len(bad) == 100
    assert follower.count("lost_bytes") == 0


def _hour(
    follower: Follower, log: Path, head: list[bytes], rows: list[bytes], chooser: random.Random
) -> None:
    """Write one hour's log as Zeek does, a buffer at a time, while it is followed."""
    data = b"".join(line + b"\n" for line in [*head, *rows, *([b"#close\t2026-11-24"] if head else [])])
    with log.open("ab") as file:
        while data:
            size = chooser.randrange(1, 60_000)
            file.write(data[:size])
            file.flush()
            data = data[size:]
            if data:
                follower.turn()
    follower.turn()
