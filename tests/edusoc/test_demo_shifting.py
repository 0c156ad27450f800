"""Moving a capture or log by whole days changes its times and nothing else."""

from __future__ import annotations

import gzip
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.reading import collect, read_paths
from edusoc.demo.shifting import copy_moved, moved
from soc_core.errors import InputError
from tests.collectors.evtx_maker import make_evtx

END = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


def pcap(order: str, magic: int, times: list[tuple[int, int]]) -> bytes:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65_535, 1)
    return head + b"".join(
        struct.pack(f"{order}IIII", seconds, part, 4, 60) + bytes([index] * 4)
        for index, (seconds, part) in enumerate(times)
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap_seconds_move_and_fractions_stay(order: str, magic: int) -> None:
    times = [(1_700_000_000, 5), (1_700_000_001, 999_999)]
    later = [(seconds + 3 * 86_400, part) for seconds, part in times]
    assert moved(pcap(order, magic, times), 3, year=2026) == pcap(order, magic, later)


def test_a_cut_off_pcap_record_is_left_alone() -> None:
    whole = pcap("<", 0xA1B2C3D4, [(100_000, 0), (200_000, 0)])
    cut = whole[:-12]
    assert moved(cut, 1, year=2026) == pcap("<", 0xA1B2C3D4, [(186_400, 0), (200_000, 0)])[:-12]


def test_a_pcap_time_before_1970_is_refused() -> None:
    with pytest.raises(InputError, match="leaves what a pcap file can hold"):
        moved(pcap("<", 0xA1B2C3D4, [(100, 0)]), -1, year=2026)


def block(order: str, kind: int, body: bytes) -> bytes:
    padded = body + bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(padded) + 12)
    return struct.pack(f"{order}I", kind) + length + padded + length


def pcapng(order: str, stamps: list[tuple[int, int]]) -> bytes:
    """Make two interfaces, one counting microseconds, one nanoseconds, and a packet for each (interface, time)."""
    section = struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)
    plain = struct.pack(f"{order}HHI", 1, 0, 65_535)
    nanos = plain + struct.pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0)
    made = block(order, 0x0A0D0D0A, section) + block(order, 1, plain) + block(order, 1, nanos)
    for interface, stamp in stamps:
        head = struct.pack(f"{order}IIIII", interface, stamp >> 32, stamp & 0xFFFFFFFF, 4, 60)
        made += block(order, 6, head + b"\1\2\3\4")
    return made + block(order, 0xBAD, b"custom")


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_moves_by_each_interface_s_own_unit(order: str) -> None:
    day = 86_400
    before = pcapng(order, [(0, 1_700_000_000_000_001), (1, 1_700_000_000_000_000_002)])
    after = pcapng(
        order, [(0, 1_700_000_000_000_001 - day * 10**6), (1, 1_700_000_000_000_000_002 - day * 10**9)]
    )
    assert moved(before, -1, year=2026) == after


LINES = """\
<38>Nov  6 08:00:01 web sshd[7]: Failed password for root from 203.0.113.9 port 1 ssh2
Nov 30 23:59:59 web CRON[8]: nothing
<30>1 2026-11-16T08:00:01+08:00 gw app - - - on 2026-11-16 nothing, at 2026-11-16T09:00:00Z much
203.0.113.9 - - [31/Dec/2026:23:00:00 +0800] "GET /a/01/Jan/2026 HTTP/1.1" 200 5
{"@timestamp":"2026-11-16T00:00:01.123Z","winlog":{"event_data":{"x":"2026-99-16T00:00:00"}}}
1763251200.123456\tCabc\t192.168.1.10
{"ts":1763251200.5,"uid":"C1"}
Nox 16 08:00:01 not a month
"""
MOVED = """\
<38>Nov  8 08:00:01 web sshd[7]: Failed password for root from 203.0.113.9 port 1 ssh2
Dec  2 23:59:59 web CRON[8]: nothing
<30>1 2026-11-18T08:00:01+08:00 gw app - - - on 2026-11-16 nothing, at 2026-11-18T09:00:00Z much
203.0.113.9 - - [02/Jan/2027:23:00:00 +0800] "GET /a/01/Jan/2026 HTTP/1.1" 200 5
{"@timestamp":"2026-11-18T00:00:01.123Z","winlog":{"event_data":{"x":"2026-99-16T00:00:00"}}}
1763424000.123456\tCabc\t192.168.1.10
{"ts":1763424000.5,"uid":"C1"}
Nox 16 08:00:01 not a month
"""


def test_dates_of_text_logs_move_and_everything_else_stays() -> None:
    assert moved(LINES.encode(), 2, year=2026).decode() == MOVED


@given(st.integers(-20_000, 20_000), st.binary(max_size=300))
def test_moving_there_and_back_gives_the_same_text(days: int, tail: bytes) -> None:
    tail = tail.replace(b"\0", b" ").decode("latin-1").translate({ord(c): " " for c in "0123456789"}).encode()
    text = b"2026-11-16T08:00:01Z " + tail + b" [16/Nov/2026:08:00:00 +0800]"
    assert moved(moved(text, days, year=2026), -days, year=2026) == text


def test_other_binary_files_are_refused() -> None:
    with pytest.raises(InputError, match="can't be moved"):
        moved(b"MZ\0\0", 1, year=2026)


def test_windows_event_logs_move_with_their_checksums() -> None:
    event = {
        "Channel": "Security",
        "EventID": "4625",
        "TargetUserName": "a",
        "When": "on 2026-11-16T08:00:00Z",
    }
    later = {**event, "When": "on 2026-12-31T08:00:00Z"}
    before = make_evtx([[event, event], [event]], END)
    after = make_evtx([[later, later], [later]], END + timedelta(days=45))
    assert moved(before, 45, year=2026) == after


def test_the_copy_is_unpacked_and_read_as_moved(tmp_path: Path) -> None:
    source = tmp_path / "auth.log.gz"
    source.write_bytes(
        gzip.compress(b"Nov 16 17:59:59 web sshd[7]: Accepted password for a from 10.0.0.1 port 1 ssh2\n")
    )
    target = tmp_path / "new" / "auth.log"
    copy_moved(source, target, 60, END)
    assert target.stat().st_mtime == (END + timedelta(days=60)).timestamp()
    events, statistics = collect(read_paths([str(target)]))
    assert statistics.bad == 0
    assert [event["@timestamp"] for event in events] == ["2027-01-15T09:59:59.000000Z"]
    assert [path.name for path in target.parent.iterdir()] == ["auth.log"]
