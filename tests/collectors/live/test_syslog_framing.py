from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.base import MAX_RECORD_BYTES
from collectors.live.syslog_framing import CUT_OFF, TOO_LONG, Frame, Framer

ENDS = (b"\n", b"\r\n", b"\0")


def cut(pieces: list[bytes]) -> list[Frame]:
    framer = Framer()
    frames = [frame for piece in pieces for frame in framer.feed(piece)]
    return frames + framer.close()


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("end", [*ENDS, b"\r"])
def test_each_end_is_known(end: bytes) -> None:
    sent = b"<13>one" + end + b"<14>two" + end + b"<15>three" + end
    assert cut([sent]) == [Frame(b"<13>one"), Frame(b"<14>two"), Frame(b"<15>three")]


def test_counted_and_ended_messages_may_lie_side_by_side() -> None:
    sent = b"7 <13>one<14>two\n9 <15>thr\nee\n<16>four\r\n2026 is no length\n5 <1>x"
    assert cut([sent]) == [
        Frame(b"<13>one"),
        Frame(b"<14>two"),
        Frame(b"<15>thr\ne"),
        Frame(b"e"),
        Frame(b"<16>four"),
        Frame(b"2026 is no length"),
        Frame(b"5 <1>x", CUT_OFF),
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=60).map(lambda text: b"<13>" + text.replace(b"\0", b" ")), st.booleans()
        ),
        max_size=12,
    ),
    st.integers(1, 40),
)
def test_however_it_is_cut_up_the_messages_are_the_same(
    messages: list[tuple[bytes, bool]], size: int
) -> None:
    sent, wanted = b"", []
    for text, counted in messages:
        if counted:
            sent += b"%d %s" % (len(text), text)
        else:
            text = text.replace(b"\n", b" ").replace(b"\r", b" ")
            sent += text + b"\n"
        wanted.append(Frame(text))
    assert cut(pieces_of(sent, size)) == wanted


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_garbage_is_cut_the_same_way_whatever_the_pieces(junk: bytes, size: int) -> None:
    assert cut(pieces_of(junk, size)) == cut([junk])


def test_a_line_without_end_is_given_up_and_what_follows_is_read() -> None:
    framer = Framer()
    frames, most = [], 0
    for piece in pieces_of(b"<13>" + b"x" * (3 * MAX_RECORD_BYTES) + b"\n<14>next\n", 65_536):
        frames += framer.feed(piece)
        most = max(most, framer.waiting)
    assert [(len(frame.raw), frame.fault) for frame in frames] == [(4_096, TOO_LONG), (8, "")]
    assert most <= MAX_RECORD_BYTES + 2 * 65_536


def test_a_length_beyond_all_bounds_is_passed_over() -> None:
    size = 5 * MAX_RECORD_BYTES
    framer, frames = Framer(), []
    for piece in pieces_of(b"%d <13>%s" % (size, b"y" * (size - 4)) + b"7 <14>two", 100_000):
        frames += framer.feed(piece)
        assert framer.waiting < 200_000
    assert [(frame.raw[:7], frame.fault) for frame in frames] == [(b"<13>yyy", TOO_LONG), (b"<14>two", "")]


def test_a_length_that_is_too_small_loses_no_more_than_its_message() -> None:
    assert cut([b"5 <13>hello\n7 <14>two\n"]) == [Frame(b"<13>h"), Frame(b"ello"), Frame(b"<14>two")]


def test_small_pieces_of_a_long_message_are_not_looked_at_again() -> None:
    framer = Framer()
    framer.feed(b"<13>" + b"x" * 8_000)
    for _ in range(20_000):
        assert framer.feed(b"y\r") == []
    assert framer.feed(b"<14>") == [Frame(b"<13>" + b"x" * 8_000 + b"y\r" * 19_999 + b"y")]
