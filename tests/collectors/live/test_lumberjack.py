from __future__ import annotations

import zlib
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.base import MAX_RECORD_BYTES
from collectors.live.lumberjack import (
    TOO_LONG,
    FrameReader,
    Item,
    ProtocolError,
    Sent,
    Window,
    acknowledgement,
)


def document(sequence: int, raw: bytes) -> bytes:
    return b"2J" + pack(">II", sequence, len(raw)) + raw


def window(count: int) -> bytes:
    return b"2W" + pack(">I", count)


def compressed(data: bytes, level: int = 6) -> bytes:
    packed = zlib.compress(data, level)
    return b"2C" + pack(">I", len(packed)) + packed


def read(data: bytes, size: int = 1 << 16) -> list[Item]:
    reader, found = FrameReader(), []
    for start in range(0, len(data), size):
        found += reader.feed(data[start : start + size])
    return found


def test_an_acknowledgement_looks_as_written() -> None:
    assert acknowledgement(258) == b"2A\x00\x00\x01\x02"


def test_what_follows_a_compressed_stream_in_its_frame_is_refused_and_not_kept() -> None:
    packed = zlib.compress(document(1, b"{}"))
    reader = FrameReader()
    assert list(reader.feed(window(1) + b"2C" + pack(">I", 100 << 20) + packed))[1:] == [Sent(1, b"{}")]
    with pytest.raises(ProtocolError):
        list(reader.feed(b"A" * 65_536))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 60), st.sets(st.integers(0, 9)))
def test_windows_and_documents_come_out_however_they_are_cut(
    texts: list[bytes], size: int, packed: set[int]
) -> None:
    data = window(len(texts))
    for number, text in enumerate(texts):
        frame = document(number + 1, text)
        data += compressed(frame) if number in packed else frame
    data += window(1) + compressed(document(1, b"x") + document(2, b"y"))
    wanted: list[Item] = [Window(len(texts)), *(Sent(number + 1, text) for number, text in enumerate(texts))]
    assert read(data, size) == [*wanted, Window(1), Sent(1, b"x"), Sent(2, b"y")]


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda junk: b"2C" + pack(">I", len(junk)) + junk)
)
def test_garbage_ends_or_waits(junk: bytes) -> None:
    with suppress(ProtocolError):
        assert all(isinstance(item, Window | Sent) for item in read(junk, 7))


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_compressed_frame_ends(place: int, byte: int) -> None:
    data = bytearray(
        window(3) + compressed(b"".join(document(number, b"hello %d" % number) for number in (1, 2, 3)))
    )
    data[place % len(data)] = byte
    with suppress(ProtocolError):
        read(bytes(data), 13)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"1W\x00\x00\x00\x01",
        b"2D\x00\x00\x00\x01",
        window(0xFFFFFFFF),
        b"2J" + pack(">II", 1, 0xFFFFFFFF),
        b"2C" + pack(">I", 0xFFFFFFFF),
        compressed(compressed(document(1, b"nested"))),
        compressed(window(1)),
        compressed(document(1, b"cut off")[:-2]),
    ],
)
def test_what_is_not_lumberjack_ends(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)


@pytest.mark.parametrize("pack_it", [False, True])
def test_a_document_that_is_too_long_is_passed_over(pack_it: bool) -> None:
    data = document(1, b"z" * (3 << 20)) + document(2, b"next")
    data = compressed(data) if pack_it else data
    reader, found, most = FrameReader(), [], 0
    for start in range(0, len(data), 10_000):
        for item in reader.feed(data[start : start + 10_000]):
            found.append(item)
            most = max(most, reader.waiting)
    assert found == [Sent(1, b"z" * 4_096, TOO_LONG), Sent(2, b"next")]
    assert most < MAX_RECORD_BYTES


def test_a_bomb_is_unpacked_in_pieces() -> None:
    bomb = compressed(document(1, b"0" * (40 << 20)) + document(2, b"after"), 9)
    assert len(bomb) < 100_000
    reader, most, found = FrameReader(), 0, []
    for item in reader.feed(bomb):
        found.append(item)
        most = max(most, reader.waiting)
    assert [item.sequence for item in found if isinstance(item, Sent)] == [1, 2]
    assert most < 1 << 20
