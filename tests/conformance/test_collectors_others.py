"""Read what other people recorded: Zeek logs, Windows events, syslog samples. Skipped where the data is not there."""

from __future__ import annotations

import csv
import gzip
import random
import tarfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.base import ReadContext
from collectors.opening import OpenSource, find_inputs, open_source
from collectors.reading import collect, read_paths
from soc_core.errors import InputError
from soc_core.model.event import Event
from tests.collectors.base import assert_fits_dictionary
from tests.shared_data import SHARED, needs

pytestmark = needs(SHARED)


def _context(_source: OpenSource) -> ReadContext:
    return ReadContext(datetime(2026, 11, 23, tzinfo=UTC), organization_id="u", keep_original=False)


def _check(events: list[Event]) -> None:
    for event in events[:: max(1, len(events) // 3000)]:
        assert_fits_dictionary(event)
    assert len({event["event.id"] for event in events}) == len(events)


def _rows(path: str) -> int:
    """Count the data rows of a Zeek log."""
    with open_source(path) as source:
        rest, rows = b"", 0
        while chunk := source.read(1 << 20):
            *lines, rest = (rest + chunk).split(b"\n")
            rows += sum(bool(line.strip()) and not line.lstrip().startswith(b"#") for line in lines)
        return rows + bool(rest.strip() and not rest.lstrip().startswith(b"#"))


def _zeek_logs() -> list[str]:
    return [
        item.path
        for item in find_inputs([str(SHARED / "anomaly" / "zeek")])
        if ".log" in Path(item.path).name
    ]


@pytest.mark.parametrize("path", _zeek_logs() if SHARED.is_dir() else [], ids=lambda path: Path(path).name)
def test_zeek_logs_give_an_event_a_row(path: str) -> None:
    events, statistics = collect(read_paths([path], _context))
    _check(events)
    rows = _rows(path)
    assert statistics.collectors == {"zeek": 1}
    # A few of these logs were edited by hand (labels added) and hold rows with too many or too few columns.
    assert len(events) + statistics.bad == rows
    assert statistics.bad <= max(2, rows // 20), [bad.reason for bad in statistics.bad_samples[:3]]


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    for name in ("regression", "evtx-attack-samples"):
        with tarfile.open(SHARED / "sigma" / f"{name}.tar.xz") as archive:
            archive.extractall(folder / name, filter="data")
    return folder


def test_every_windows_sample_is_read(windows: Path) -> None:
    paths = [str(path) for path in sorted(windows.rglob("*")) if path.suffix in (".evtx", ".json")]
    events, statistics = collect(read_paths(paths, _context))
    _check(events)
    assert statistics.bad_samples == []
    assert statistics.files == len(paths) > 300
    assert statistics.counters["records"] == statistics.events
    assert {"windows.security", "windows.sysmon", "windows.system"} <= statistics.datasets.keys()
    assert all(event["event.code"] and event["winlog.provider_name"] for event in events)


def test_damaged_evtx_gives_the_rest(windows: Path, tmp_path: Path) -> None:
    chooser = random.Random(11)
    paths = sorted(windows.rglob("*.evtx"))[::7]
    for path in paths:
        data = bytearray(path.read_bytes())
        for _ in range(20):
            data[chooser.randrange(4096, len(data))] ^= 1 << chooser.randrange(8)
        (tmp_path / "damaged").write_bytes(data[: len(data) * 9 // 10])
        events, statistics = collect(read_paths([str(tmp_path / "damaged")], _context))
        for event in events:
            assert_fits_dictionary(event)
        assert statistics.collectors == {"evtx": 1}


def _loghub(name: str) -> list[dict[str, str]]:
    (path,) = (SHARED / "anomaly" / "loghub").glob(f"{name}__*.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_openssh_log_is_understood(tmp_path: Path) -> None:
    rows = _loghub("OpenSSH")
    lines = [
        f"{row['Date']} {row['Day']} {row['Time']} {row['Component']} sshd[{row['Pid']}]: {row['Content']}"
        for row in rows
    ]
    (tmp_path / "auth.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    events, statistics = collect(read_paths([str(tmp_path / "auth.log")], _context))
    assert statistics.bad == 0
    _check(events)
    failed = [row for row in rows if row["Content"].startswith("Failed ")]
    counts = Counter((event.get("event.action"), event.get("event.outcome")) for event in events)
    repeated = sum(
        "Failed " in row["Content"][8:] for row in rows if row["Content"].startswith("message repeated")
    )
    assert counts["ssh_login", "failure"] == len(failed) + repeated
    assert counts["ssh_login", "success"] == sum(row["Content"].startswith("Accepted") for row in rows)
    assert all("source.ip" in event for event in events if event.get("event.action") == "ssh_login")
    understood = sum("event.action" in event for event in events)
    assert understood > 0.9 * len(events)


def test_apache_error_log_is_understood(tmp_path: Path) -> None:
    rows = _loghub("Apache")
    lines = [f"[{row['Time']}] [{row['Level']}] {row['Content']}" for row in rows]
    (tmp_path / "error.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    events, statistics = collect(read_paths([str(tmp_path / "error.log")], _context))
    assert (statistics.bad, statistics.collectors) == (0, {"web_error": 1})
    _check(events)
    assert [event["log.level"] for event in events] == [row["Level"] for row in rows]
    clients = [row["Content"] for row in rows if row["Content"].startswith("[client ")]
    assert len(clients) > 10
    assert sum("source.ip" in event for event in events) == len(clients)


def test_no_file_of_any_kind_makes_it_fail(tmp_path: Path) -> None:
    """Bit-flipped and truncated copies of every Zeek sample under a wrong name."""
    chooser = random.Random(13)
    for path in _zeek_logs():
        data = bytearray(Path(path).read_bytes()[:200_000])
        for _ in range(10):
            data[chooser.randrange(len(data))] ^= 1 << chooser.randrange(8)
        (tmp_path / "x.pcap").write_bytes(data)
        events, _ = collect(read_paths([str(tmp_path / "x.pcap")], _context))
        for event in events[:50]:
            assert_fits_dictionary(event)
    with pytest.raises(InputError):
        open_source(str(tmp_path))
