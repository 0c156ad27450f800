from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors import registry
from collectors.base import Batch, ByteSource, ReadContext
from collectors.opening import OpenSource
from collectors.reading import Statistics, collect, read_paths
from tests.collectors.base import GOLDEN

_LINE = "Nov 20 10:03:04 gw app[5]: again and again\n"


def _context(_source: OpenSource) -> ReadContext:
    return ReadContext(datetime(2026, 11, 23, tzinfo=UTC))


def _ids(*paths: Path) -> set[str]:
    events, _ = collect(read_paths([str(path) for path in paths], _context))
    return {str(event["event.id"]) for event in events}


def test_renamed_packed_copied_and_grown_files_add_no_ids(tmp_path: Path) -> None:
    original = tmp_path / "messages"
    original.write_text(_LINE * 3)
    ids = _ids(original)
    assert len(ids) == 3
    (tmp_path / "copy.txt").write_text(_LINE * 3)
    (tmp_path / "messages.1.gz").write_bytes(gzip.compress((_LINE * 3).encode()))
    (tmp_path / "grown").write_text(_LINE * 5)
    assert _ids(tmp_path / "copy.txt") == ids
    assert _ids(tmp_path / "messages.1.gz") == ids
    assert _ids(tmp_path / "grown") > ids
    assert len(_ids(tmp_path)) == 5


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x01\x02\x03")
    (tmp_path / "b.log").write_text(_LINE)
    (tmp_path / "c.log").write_bytes(b"")
    (tmp_path / "d.log.gz").write_bytes(gzip.compress((_LINE * 5000).encode())[:-20])
    events, statistics = collect(read_paths([str(tmp_path), str(tmp_path / "nowhere")], _context))
    assert statistics.files == 5
    assert statistics.files_failed == 3
    reasons = {Path(bad.source).name: bad.reason for bad in statistics.bad_samples}
    assert list(reasons) == ["a.bin", "c.log", "d.log.gz", "nowhere"]
    assert "ends too early" in reasons["d.log.gz"]
    assert len(events) > 4000


def test_only_keeps_data_sets_and_counts_the_rest() -> None:
    events, statistics = collect(read_paths([str(GOLDEN / "suricata.json")], _context, only=["suricata.dns"]))
    assert {event["event.dataset"] for event in events} == {"suricata.dns"}
    assert statistics.counters["events_left_out"] == 9
    everything, _ = collect(read_paths([str(GOLDEN / "suricata.json")], _context, only=["suricata"]))
    assert len(everything) == 12


def test_statistics_tell_what_was_read() -> None:
    _, statistics = collect(read_paths([str(GOLDEN / "syslog.log")], _context))
    report = statistics.as_json()
    assert report["files"] == 1
    assert report["collectors"] == {"syslog": 1}
    assert report["bad"] == 1
    assert report["conserved"] is True
    statistics.counters["packets"] = 5
    assert not statistics.conserved


def test_progress_ends_at_the_size_on_disk(tmp_path: Path) -> None:
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress((_LINE * 20_000).encode()))
    done = [batch.done for batch in read_paths([str(packed)], _context)]
    assert done == sorted(done)
    assert done[-1] == packed.stat().st_size
    assert len(done) > 10


class _Failing:
    name: str = "failing"
    datasets: tuple[str, ...] = ("failing",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        return 100 * head.startswith(b"FAIL")

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        yield Batch(counters={"records": 1})
        raise RuntimeError("a fault of the plug-in")


def test_a_failing_plugin_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_foreign_collectors", lambda: (_Failing(),))
    (tmp_path / "a").write_text("FAIL")
    (tmp_path / "b").write_text(_LINE)
    events, statistics = collect(read_paths([str(tmp_path)], _context))
    assert len(events) == 1
    assert statistics.counters["records"] == 2
    assert "a fault of the plug-in" in statistics.bad_samples[0].reason


def test_statistics_add_up() -> None:
    statistics = Statistics()
    for batch in read_paths([str(GOLDEN)], _context):
        statistics.add(batch)
    assert statistics.events == sum(statistics.datasets.values())
    assert statistics.bad >= len(statistics.bad_samples)
