"""Hold what the log promises: offsets, durability order, torn tails, damage, rotation, full disks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_core import system
from soc_core.errors import StoreBusyError, StoreError
from soc_core.log import LogReader, LogWriter
from soc_core.log import writer as log_writer
from soc_core.log.files import list_files
from soc_core.log.frames import FILE_HEADER


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    opened = LogWriter(tmp_path / "log", max_file=400, reserve=0)
    yield opened
    opened.close()


def payloads(directory: Path, start: int = 0) -> list[tuple[int, bytes]]:
    return [(record.offset, record.payload) for record in LogReader(directory).records(start)]


def newest(directory: Path) -> Path:
    return list_files(directory)[-1][1]


def test_gives_offsets_by_items(tmp_path: Path, log: LogWriter) -> None:
    assert [log.append(b"a"), log.append(b"bcd", 3), log.append(b"e")] == [0, 1, 4]
    assert log.end_offset == LogReader(tmp_path / "log").end_offset() == 5
    assert payloads(tmp_path / "log") == [(0, b"a"), (1, b"bcd"), (4, b"e")]
    assert payloads(tmp_path / "log", 2) == [(1, b"bcd"), (4, b"e")]
    assert payloads(tmp_path / "log", 5) == []


def test_rotates_and_drops(tmp_path: Path, log: LogWriter) -> None:
    for number in range(50):
        log.append(b"%03d" % number * 10)
    files = list_files(tmp_path / "log")
    assert len(files) > 5
    assert log.drop_below(files[3][0]) == 3
    reader = LogReader(tmp_path / "log")
    assert reader.start_offset() == files[3][0]
    assert [record.offset for record in reader.records(40)] == list(range(40, 50))
    assert log.drop_below(10**9) == len(files) - 4  # the newest file stays
    log.append(b"x")
    assert payloads(tmp_path / "log", 50) == [(50, b"x")]


def test_files_that_others_have_open_go_with_a_later_call(
    tmp_path: Path, log: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        log.append(b"%03d" % number * 10)
    files = list_files(tmp_path / "log")
    real = Path.unlink

    def held(path: Path, missing_ok: bool = False) -> None:
        if path == files[1][1]:
            raise PermissionError(13, "The process cannot access the file", str(path))
        real(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", held)
        assert log.drop_below(files[3][0]) == 1
    assert LogReader(tmp_path / "log").start_offset() == files[1][0]
    assert log.drop_below(files[3][0]) == 2
    assert LogReader(tmp_path / "log").start_offset() == files[3][0]


def test_allows_one_writer(tmp_path: Path, log: LogWriter) -> None:
    with pytest.raises(StoreBusyError, match=f"process {os.getpid()} "):
        LogWriter(tmp_path / "log")
    assert log.append(b"x") == 0


def test_reader_sees_only_what_is_committed(tmp_path: Path, log: LogWriter) -> None:
    log.append(b"first")
    body = newest(tmp_path / "log").read_bytes()
    log.append(b"second")
    whole = newest(tmp_path / "log").read_bytes()
    log.close()
    directory = tmp_path / "half"
    directory.mkdir()
    (directory / newest(tmp_path / "log").name).write_bytes(whole)
    reader = LogReader(directory)
    assert list(reader.records(0)) == []  # nothing was published there
    writer = LogWriter(directory, reserve=0)
    assert [record.payload for record in reader.records(0)] == [b"first", b"second"]
    writer.close()
    assert len(whole) > len(body)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 200), junk=st.binary(max_size=20))
def test_mends_a_torn_tail(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    directory = tmp_path_factory.mktemp("log")
    writer = LogWriter(directory, reserve=0)
    for number in range(4):
        writer.append(b"%d" % number * 20)
    writer.close()
    (directory / "committed").unlink()  # as if the last records were never acknowledged
    path = newest(directory)
    body = path.read_bytes()
    path.write_bytes(body[: max(0, len(body) - cut)] + junk)
    again = LogWriter(directory, reserve=0)
    kept = payloads(directory)
    assert kept == [(number, b"%d" % number * 20) for number in range(len(kept))]
    assert len(kept) == max(0, 4 - -(-cut // 44)) if cut <= 176 else len(kept) == 0
    assert again.append(b"next") == len(kept)
    assert payloads(directory)[-1] == (len(kept), b"next")
    again.close()


def test_keeps_damage_in_the_middle_aside_and_reads_on(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    writer = LogWriter(directory, reserve=0)
    for number in range(5):
        writer.append(b"%d" % number * 20)
    writer.close()
    path = newest(directory)
    body = bytearray(path.read_bytes())
    body[FILE_HEADER + 44 * 2 + 30] ^= 1
    path.write_bytes(body)
    again = LogWriter(directory, reserve=0)
    assert [offset for offset, _ in payloads(directory)] == [0, 1, 3, 4]
    assert [(item.position, item.length) for item in again.damage] == [(FILE_HEADER + 88, 44)]
    assert [(item.position, item.length) for item in LogReader(directory).damage()] == [
        (FILE_HEADER + 88, 44)
    ]
    assert (directory / "damaged" / path.name).read_bytes() == bytes(body)
    assert again.append(b"x") == 5
    again.close()


def test_never_reuses_offsets_that_were_acknowledged(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    writer = LogWriter(directory, reserve=0)
    for number in range(3):
        writer.append(b"%d" % number * 20)
    writer.close()
    path = newest(directory)
    path.write_bytes(path.read_bytes()[:-10])
    again = LogWriter(directory, reserve=0)
    assert again.append(b"new") == 3
    assert [offset for offset, _ in payloads(directory)] == [0, 1, 3]
    assert len(again.damage) == 1
    assert (directory / "damaged" / path.name).exists()
    again.close()


def test_threads_share_the_disk(tmp_path: Path, log: LogWriter) -> None:
    found: list[int] = []

    def work(name: bytes) -> None:
        found.extend(log.append(name) for _ in range(50))

    threads = [threading.Thread(target=work, args=(b"%d" % n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(200))
    assert [offset for offset, _ in payloads(tmp_path / "log")] == list(range(200))


def test_group_commit_fails_together_and_goes_on(
    tmp_path: Path, log: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(b"kept")

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(log_writer, "sync_data", broken)
        with pytest.raises(StoreError, match="refused"):
            log.append(b"lost")
    assert log.append(b"again") == 1
    assert payloads(tmp_path / "log") == [(0, b"kept"), (1, b"again")]


def test_leaves_no_half_record_when_the_disk_is_full(
    tmp_path: Path, log: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(b"kept")
    real = system.write_at

    def short(descriptor: int, body: bytes, position: int) -> int:
        if len(body) > 20 and position > FILE_HEADER:
            return real(descriptor, bytes(body)[:20], position)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log_writer, "write_at", short)
        with pytest.raises(StoreError, match="No space left"):
            log.append(b"x")
    assert log.append(b"again") == 1
    assert payloads(tmp_path / "log") == [(0, b"kept"), (1, b"again")]


def test_refuses_below_the_reserve(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", reserve=2**60)
    with pytest.raises(StoreError, match="free"):
        writer.append(b"x")
    assert writer.end_offset == 0
    writer.close()


def test_refuses_a_newer_version(tmp_path: Path) -> None:
    import struct
    import zlib

    directory = tmp_path / "log"
    directory.mkdir()
    head = struct.pack("<8sIQ", b"edusocLG", 2, 0)
    (directory / f"{0:020d}.log").write_bytes(head + struct.pack("<I", zlib.crc32(head)))
    with pytest.raises(StoreError, match="version 2"):
        LogWriter(directory)
    writer = LogWriter(tmp_path / "other", reserve=0)  # the lock of the refused one is free again
    writer.close()


def test_a_hurt_header_hides_no_record_and_is_mended(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    writer = LogWriter(directory, reserve=0)
    writer.append(b"one")
    writer.append(b"two")
    writer.close()
    path = list_files(directory)[0][1]
    body = bytearray(path.read_bytes())
    body[3] ^= 1
    path.write_bytes(body)
    assert payloads(directory) == [(0, b"one"), (1, b"two")]
    assert [(hurt.position, hurt.length) for hurt in LogReader(directory).damage()] == [(0, FILE_HEADER)]
    again = LogWriter(directory, reserve=0)
    again.append(b"three")
    assert payloads(directory) == [(0, b"one"), (1, b"two"), (2, b"three")]
    assert LogReader(directory).damage() == []
    assert (directory / "damaged" / path.name).read_bytes() == bytes(body)
    again.close()


def test_threads_share_fsyncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, real = [0], system.sync_data

    def counted(descriptor: int) -> None:
        synced[0] += 1
        real(descriptor)

    monkeypatch.setattr(log_writer, "sync_data", counted)
    writer = LogWriter(tmp_path / "shared", reserve=0)

    def work() -> None:
        for _ in range(30):
            writer.append(b"x" * 50)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.end_offset == 600
    assert synced[0] < 400
    writer.close()


def test_a_failed_fsync_fails_all_who_waited_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter(tmp_path / "failing", reserve=0)
    writer.append(b"kept")
    inside, go_on, faults = threading.Event(), threading.Event(), list[StoreError]()

    def failing(_descriptor: int) -> None:
        inside.set()
        go_on.wait(20)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(log_writer, "sync_data", failing)

    def work() -> None:
        try:
            writer.append(b"lost")
        except StoreError as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    threads[0].start()
    assert inside.wait(20)
    for thread in threads[1:]:
        thread.start()
    while writer._next < 6:
        threading.Event().wait(0.01)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert len(faults) == 5
    monkeypatch.undo()
    assert writer.append(b"again") == 1
    assert [payload for _, payload in payloads(tmp_path / "failing")] == [b"kept", b"again"]
    writer.close()
