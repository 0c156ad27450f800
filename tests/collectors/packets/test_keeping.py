"""Packets kept on disk: within the budget, the oldest go first, sessions come out whole over several files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.opening import open_bytes
from collectors.packets.keeping import PacketKeep
from collectors.packets.machine import load_kernel
from collectors.packets.reader import CaptureReader
from tests.collectors.packets.making import BEGIN, Timed, connection, dns_query, flows, pcap, udp_frame

WEB = connection(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")
START = datetime.fromtimestamp(BEGIN, UTC) - timedelta(minutes=1)
END = START + timedelta(hours=1)


def keep_all(keep: PacketKeep, packets: list[Timed], at_once: int = 1_000) -> None:
    """Write packets a few at a time, as blocks of a ring bring them."""
    for start in range(0, len(packets), at_once):
        reader = CaptureReader(open_bytes(pcap(packets[start : start + at_once])), load_kernel())
        for count in reader.chunks():
            keep.write(reader, memoryview(reader.index).cast("q"), count)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_session_is_cut_over_several_files(tmp_path: Path) -> None:
    keep = PacketKeep(tmp_path / "kept", load_kernel(), budget=1 << 20, file_bytes=600)
    noise = [(BEGIN + number / 100, udp_frame(dns_query(), sport=1 + number)) for number in range(40)]
    packets = sorted(WEB + noise, key=lambda packet: packet[0])
    keep_all(keep, packets, at_once=3)
    assert len(names(tmp_path / "kept")) > 5
    (flow,) = flows(pcap(WEB))
    target = tmp_path / "cut.pcap"
    cut = keep.cut(str(flow["network.community_id"]), START, END, target)
    assert (cut.packets, cut.more) == (len(WEB), False)
    assert target.read_bytes()[24:] == pcap(WEB)[24:]
    assert keep.cut(str(flow["network.community_id"]), START, END, target, max_packets=3).more
    assert keep.cut("1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=", START, END, tmp_path / "none").packets == 0
    assert not (tmp_path / "none").exists()
    keep.close()


def test_the_budget_holds_and_the_newest_stay(tmp_path: Path) -> None:
    directory, budget = tmp_path / "kept", 20_000
    keep = PacketKeep(directory, load_kernel(), budget=budget, file_bytes=4_000)
    packets = [
        (BEGIN + number, udp_frame(dns_query() + bytes(900), sport=1 + number)) for number in range(200)
    ]
    for start in range(0, len(packets), 10):
        keep_all(keep, packets[start : start + 10], at_once=2)
        total, _ = keep.span()
        assert total <= budget + 2 * 1_000  # the block that fills a file is written whole
    assert int(names(directory)[-1].partition(".")[0]) > (BEGIN + 190) * 1_000_000
    assert keep.span()[1] > BEGIN * 1_000_000
    keep.close()


def test_files_end_with_age(tmp_path: Path) -> None:
    keep = PacketKeep(tmp_path / "kept", load_kernel(), budget=1 << 20, seconds=60)
    keep_all(keep, [(BEGIN + seconds, udp_frame(dns_query())) for seconds in (0, 59, 61, 200)], at_once=1)
    assert len(names(tmp_path / "kept")) == 3
    keep.close()


def test_a_full_disk_is_counted_and_over_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = PacketKeep(tmp_path / "kept", load_kernel(), budget=1 << 20)
    real = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if mode == "wb":
            raise OSError(28, "No space left on device")
        return real(path, mode, *rest, **more)  # type: ignore[call-overload]  # passed on as it came

    monkeypatch.setattr(Path, "open", full)
    keep_all(keep, [(BEGIN, udp_frame(dns_query()))])
    assert keep.failed == 1
    monkeypatch.undo()
    keep_all(keep, [(BEGIN, udp_frame(dns_query()))])
    assert len(names(tmp_path / "kept")) == 1
    keep.close()


def test_what_others_put_there_is_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    directory.mkdir()
    (directory / "notes.pcap").write_bytes(b"mine")
    keep = PacketKeep(directory, load_kernel(), budget=4_000, file_bytes=1_000)
    keep_all(
        keep, [(BEGIN + n, udp_frame(dns_query() + bytes(500), sport=1 + n)) for n in range(40)], at_once=1
    )
    assert (directory / "notes.pcap").read_bytes() == b"mine"
    keep.close()
