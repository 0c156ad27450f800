"""Captures of every layout give the same packets; damage costs as little as possible."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import pytest
import zstandard

from collectors.opening import open_bytes, open_source
from collectors.packets import layout
from collectors.packets.machine import load_kernel
from collectors.packets.reader import CaptureReader
from tests.collectors.packets.making import (
    BEGIN,
    Timed,
    block,
    enhanced,
    interface,
    pcap,
    pcapng,
    section,
    udp_frame,
)

PACKETS: list[Timed] = [
    (BEGIN + number / 8, udp_frame(bytes([number]) * (20 + number))) for number in range(40)
]


def _read(
    capture: bytes | Path, window: int = 1 << 16
) -> tuple[list[tuple[float, bytes]], list[tuple[int, str]]]:
    source = open_source(str(capture)) if isinstance(capture, Path) else open_bytes(capture)
    found, problems = [], []
    with source:
        reader = CaptureReader(source, load_kernel(), window=window)
        for count in reader.chunks():
            words = memoryview(reader.index).cast("q")
            for row in range(count):
                at, captured, _, time_us, _ = words[row * 5 : row * 5 + 5].tolist()
                found.append((time_us / 1_000_000, reader.buffer[at : at + captured]))
        problems = [(problem.position, problem.reason) for problem in reader.problems]
    return found, problems


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("nanos", "modified"), [(False, False), (True, False), (False, True)])
def test_pcap_layouts(order: str, nanos: bool, modified: bool) -> None:
    assert _read(pcap(PACKETS, order=order, nanos=nanos, modified=modified)) == (PACKETS, [])


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_byte_orders(order: str) -> None:
    assert _read(pcapng(PACKETS, order=order)) == (PACKETS, [])


@pytest.mark.parametrize("window", [700, 1024, 4096, 1 << 22])
@pytest.mark.parametrize("make", [pcap, pcapng])
def test_windows_do_not_matter(make, window: int) -> None:
    assert _read(make(PACKETS), window) == (PACKETS, [])


def test_record_larger_than_the_window() -> None:
    packets = [*PACKETS, (BEGIN + 9, b"\0" * 100_000), *[(moment + 10, data) for moment, data in PACKETS]]
    assert _read(pcap(packets), 4096) == (packets, [])


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.compress])
def test_packed(pack, tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.pcap", tmp_path / "b.pcap"
    plain.write_bytes(pcap(PACKETS))
    packed.write_bytes(pack(pcap(PACKETS)))
    assert _read(plain) == _read(packed) == (PACKETS, [])


@pytest.mark.parametrize(
    ("resolution", "units_per_second"),
    [
        (None, 10**6),
        (3, 10**3),
        (0, 1),
        (9, 10**9),
        (12, 10**12),
        (0x80 | 10, 1 << 10),
        (0x80 | 32, 1 << 32),
        (0x80 | 50, 1 << 50),
    ],
)
def test_time_resolution(resolution: int | None, units_per_second: int) -> None:
    seconds = 1_700_000_000 if units_per_second < 1 << 33 else 5000
    capture = section() + interface(resolution=resolution) + enhanced(seconds * units_per_second, b"x" * 60)
    assert _read(capture) == ([(float(seconds), b"x" * 60)], [])


def test_time_offset_and_second_interface() -> None:
    blocks = [interface(101), interface(1, offset=1_000_000_000), enhanced(5_000_000, b"y" * 30, number=1)]
    assert _read(section() + b"".join(blocks)) == ([(1_000_000_005.0, b"y" * 30)], [])


def test_all_block_types() -> None:
    old = block(2, struct.pack("<HHIIII", 0, 0, 0, 7_000_000, 4, 4) + b"old!")
    simple = block(3, struct.pack("<I", 6) + b"simple")
    others = [block(kind, b"\0" * 16) for kind in (4, 5, 9, 10, 0xBAD, 0x40000BAD, 0x7777)]
    capture = section() + interface() + old + b"".join(others) + simple
    assert _read(capture) == ([(7.0, b"old!"), (7.0, b"simple")], [])


def test_simple_packet_is_cut_by_the_snap_length() -> None:
    capture = section() + interface(snap=4) + block(3, struct.pack("<I", 600) + b"head")
    assert _read(capture) == ([(0.0, b"head")], [])


def test_sections_of_different_byte_order() -> None:
    assert _read(pcapng(PACKETS[:5]) + pcapng(PACKETS[5:], order=">")) == (PACKETS, [])


def test_packet_of_an_unknown_interface_is_kept_without_link_type() -> None:
    with open_bytes(section() + interface() + enhanced(1, b"z" * 20, number=3)) as source:
        reader = CaptureReader(source, load_kernel())
        assert list(reader.chunks()) == [1]
        assert memoryview(reader.index).cast("q")[layout.IX_LINK] == -1


def test_captures_put_together() -> None:
    assert _read(pcap(PACKETS[:5]) + pcap(PACKETS[5:])) == (PACKETS, [])


def test_growing_capture(tmp_path: Path) -> None:
    whole, file = pcap(PACKETS), tmp_path / "growing.pcap"
    for size in (24, 200, 1000, len(whole)):
        file.write_bytes(whole[:size])
        found, _ = _read(file)
        assert found == PACKETS[: len(found)]
    assert found == PACKETS


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_truncated_at_every_byte(make) -> None:
    whole = make(PACKETS[:6])
    ends = [len(make(PACKETS[:number])) for number in range(7)]
    for size in range(4, len(whole)):
        found, problems = _read(whole[:size])
        assert found == PACKETS[: sum(end <= size for end in ends[1:])]
        inside = size not in ends and not (make is pcapng and size == len(section()))
        assert bool(problems) == inside, size


@pytest.mark.parametrize("make", [pcap, pcapng])
@pytest.mark.parametrize("window", [2048, 1 << 20])
def test_damaged_length_costs_one_packet(make, window: int) -> None:
    whole = bytearray(make(PACKETS))
    start = len(make(PACKETS[:10]))
    place = start + (8 if make is pcap else 4)
    whole[place : place + 4] = b"\xff\xff\xff\x7f"
    found, problems = _read(bytes(whole), window)
    assert found == PACKETS[:10] + PACKETS[11:]
    assert problems == [(start, "damaged record, looked for the next good one")]


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_hole_in_the_middle(make) -> None:
    whole = make(PACKETS)
    start, end = len(make(PACKETS[:10])) + 5, len(make(PACKETS[:15])) + 3
    found, problems = _read(whole[:start] + b"\xee" * (end - start) + whole[end:])
    assert found[:10] == PACKETS[:10]
    assert found[-24:] == PACKETS[-24:]
    assert problems


def test_strange_fraction_costs_no_packet() -> None:
    whole = bytearray(pcap(PACKETS[:3]))
    struct.pack_into("<I", whole, len(pcap(PACKETS[:1])) + 4, 3_000_000_000)
    found, problems = _read(bytes(whole))
    assert [data for _, data in found] == [data for _, data in PACKETS[:3]]
    assert not problems


@pytest.mark.parametrize("size", range(4, 24))
def test_header_cut_short(size: int) -> None:
    found, problems = _read(pcap([])[:size])
    assert (found, problems) == ([], [(0, "the header of the capture is cut short")])


def test_damaged_compression_keeps_the_good_part(tmp_path: Path) -> None:
    packed = gzip.compress(pcap(PACKETS * 200))
    file = tmp_path / "cut.pcap.gz"
    file.write_bytes(packed[: len(packed) // 2])
    found, problems = _read(file)
    assert len(found) > 100
    assert found == (PACKETS * 200)[: len(found)]
    assert any("gzip" in reason for _, reason in problems)
