from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import socket
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from collectors.opening import find_inputs, open_bytes, open_source
from soc_core.errors import InputError

TEXT = b"".join(b"line %d of the text\n" % number for number in range(20_000))


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "zstd": _zstd, "xz": lzma.compress, "bzip2": bz2.compress,
}  # fmt: skip


def _drain(data: bytes) -> tuple[bytes, str]:
    """Return what can be read and the error, if any."""
    parts = []
    with open_bytes(data, name="x") as source:
        try:
            while chunk := source.read(1 << 16):
                parts.append(chunk)
        except InputError as fault:
            return b"".join(parts), str(fault)
        assert source.offset == sum(map(len, parts))
    return b"".join(parts), ""


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_is_opened_by_content(kind: str) -> None:
    pack = PACKERS[kind]
    half = len(TEXT) // 2
    assert _drain(pack(TEXT)) == (TEXT, "")
    assert _drain(pack(TEXT[:half]) + pack(TEXT[half:])) == (TEXT, ""), "several members"
    assert _drain(pack(TEXT) + b"\0" * 600) == (TEXT, ""), "padding"
    assert _drain(pack(TEXT) + b"trailing garbage")[0] == TEXT
    assert _drain(gzip.compress(pack(TEXT))) == (TEXT, ""), "nested once"


@pytest.mark.parametrize("kind", PACKERS)
def test_truncated_gives_the_good_part_and_an_error(kind: str) -> None:
    noise = random.Random(5).randbytes(300_000)
    packed = PACKERS[kind](noise)
    good, fault = _drain(packed[: len(packed) * 2 // 3])
    assert "ends too early" in fault
    assert noise.startswith(good)
    # bzip2 works in blocks of 900 kB: nothing can be had from half a block.
    assert kind == "bzip2" or len(good) > 100_000


@pytest.mark.parametrize("kind", PACKERS)
def test_flipped_bits_never_raise_anything_else(kind: str) -> None:
    packed = PACKERS[kind](TEXT)
    chooser = random.Random(7)
    for _ in range(40):
        place = chooser.randrange(len(packed))
        damaged = bytearray(packed)
        damaged[place] ^= 1 << chooser.randrange(8)
        _drain(bytes(damaged))


def test_small_gzip_gives_all_up_to_the_damage() -> None:
    noise = random.Random(6).randbytes(4_000)
    damaged = gzip.compress(noise)
    good, fault = _drain(damaged[:-8] + b"\0" * 8)
    assert good == noise
    assert "damaged gzip" in fault


def test_three_layers_are_refused() -> None:
    with pytest.raises(InputError, match="packed more than twice"):
        open_bytes(gzip.compress(gzip.compress(gzip.compress(b"x"))))


@pytest.mark.parametrize("kind", PACKERS)
def test_bombs_stay_small(kind: str) -> None:
    packed = PACKERS[kind](b"\0" * (1 << 26))
    tracemalloc.start()
    total = 0
    with open_bytes(packed) as source:
        while chunk := source.read(1 << 16):
            total += len(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 1 << 26
    assert peak < 80 << 20


def test_plain_file_may_be_mapped_packed_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(TEXT)
    (tmp_path / "b").write_bytes(gzip.compress(TEXT))
    with open_source(str(tmp_path / "a")) as plain, open_source(str(tmp_path / "b")) as packed:
        assert plain.local_path == str(tmp_path / "a")
        assert plain.head == TEXT[: 1 << 16]
        assert packed.local_path is None
        assert packed.compression == ("gzip",)


def test_folders_are_walked_in_order_without_loops(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.log", "a.log", ".hidden", "b/x.log"):
        (tmp_path / name).write_text("x")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = find_inputs([str(tmp_path)])
    assert [Path(item.path).name for item in found] == ["a.log", "x.log", "broken", "c.log", "pipe"]
    assert [Path(item.path).name for item in found if item.problem] == ["broken", "pipe"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(gzip.compress(b"")), "empty"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    make(tmp_path / "x")
    with pytest.raises(InputError, match=reason):
        open_source(str(tmp_path / "x"))


def test_devices_and_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="device"):
        open_source("/dev/zero")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(InputError, match="socket"):
            open_source("s")


def test_names_with_nul_are_refused() -> None:
    with pytest.raises(InputError):
        open_source("a\0b")
    assert find_inputs(["a\0b"])[0].problem is not None


def test_a_pipe_named_directly_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(TEXT),))
    writer.start()
    with open_source(str(pipe)) as source:
        parts = []
        while chunk := source.read(1 << 16):
            parts.append(chunk)
    writer.join()
    assert b"".join(parts) == TEXT
    assert source.local_path is None
