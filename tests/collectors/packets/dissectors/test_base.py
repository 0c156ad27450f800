from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.packets.dissectors.base import ByteStream, printable


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), max_size=20))
def test_pieces_join_to_the_whole(data: bytes, sizes: list[int]) -> None:
    stream, at = ByteStream(), 0
    for size in [*sizes, len(data)]:
        assert stream.push(at, 1, data[at : at + size]) == 0
        at = min(len(data), at + size)
    assert stream.take(len(data) + 1) == data
    assert stream.position == len(data)


def test_repetition_is_left_out() -> None:
    stream = ByteStream()
    stream.push(0, 1, b"abcdef")
    assert stream.push(3, 2, b"defgh") == 0
    assert stream.push(0, 3, b"abc") == 0
    assert stream.take(20) == b"abcdefgh"
    assert stream.time_us == 2


def test_first_piece_begins_anywhere() -> None:
    stream = ByteStream()
    assert stream.push(1_000, 1, b"ab") == 0
    assert stream.position == 1_000


def test_gap_empties_and_says_how_much_is_missing() -> None:
    stream = ByteStream()
    stream.push(0, 1, b"abc")
    assert stream.push(10, 1, b"xyz") == 7
    assert (stream.position, stream.take(9)) == (10, b"xyz")


def test_gap_inside_what_is_skipped_is_no_loss() -> None:
    stream = ByteStream()
    stream.push(0, 1, b"abc")
    stream.skip(10)
    assert stream.end == 10
    assert stream.push(7, 1, b"defgh") == 0
    assert (stream.position, stream.take(9)) == (10, b"gh")


def test_gap_beyond_what_is_skipped_counts_from_its_end() -> None:
    stream = ByteStream()
    stream.push(0, 1, b"abc")
    stream.skip(10)
    assert stream.push(14, 1, b"x") == 4
    assert stream.skipping == 0


@given(st.binary(max_size=100), st.integers(0, 120), st.lists(st.integers(1, 30), max_size=10))
def test_skipping_leaves_the_rest(data: bytes, passed: int, sizes: list[int]) -> None:
    stream, at = ByteStream(), 0
    stream.push(0, 0, b"")
    stream.skip(passed)
    for size in [*sizes, len(data)]:
        stream.push(at, 1, data[at : at + size])
        at = min(len(data), at + size)
    assert stream.take(200) == data[passed:]


def test_printable_text() -> None:
    assert printable("学校".encode(), 100) == "学校"
    assert printable("学校".encode(), 4) == "学"
    assert printable(b"a\x00b\xffc", 100) == "a\\x00b\xffc"
    assert printable(b"\xe5\xad\xa6\xff\xff\xff\xff\xff", 100) == "å\\xad¦ÿÿÿÿÿ"
