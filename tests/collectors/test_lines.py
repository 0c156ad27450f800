from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.base import MAX_RECORD_BYTES
from collectors.lines import decode_text, read_lines
from collectors.opening import open_bytes


def _lines(data: bytes) -> list[tuple[int, int, bytes]]:
    with open_bytes(data) as source:
        return [(line.position, line.number, line.raw) for line in read_lines(source)]


@given(
    st.lists(st.binary(max_size=40).filter(lambda raw: b"\n" not in raw and b"\0" not in raw), max_size=20)
)
def test_offsets_point_at_the_lines(raws: list[bytes]) -> None:
    # A mark or a packed start would be taken off; neither is what this test is about.
    data = b"x\n" + b"\n".join(raws)
    for position, number, raw in _lines(data):
        assert data[position:].startswith(raw)
        assert data[:position].count(b"\n") == number - 1


def test_every_line_end_and_none() -> None:
    assert _lines(b"a\r\n\n  \nb\nc") == [(0, 1, b"a"), (7, 4, b"b"), (9, 5, b"c")]


def test_too_long_lines_are_skipped_to_the_next() -> None:
    data = b"first\n" + b"x" * (3 * MAX_RECORD_BYTES) + b"\nlast\n"
    with open_bytes(data) as source:
        lines = list(read_lines(source))
    assert [(line.number, line.too_long) for line in lines] == [(1, False), (2, True), (3, False)]
    assert lines[2].raw == b"last"
    assert data[lines[2].position :].startswith(b"last")
    assert len(lines[1].raw) == 4096


def test_holes_of_nul_bytes_do_not_hide_lines() -> None:
    data = b"before\n" + b"\0" * (2 * MAX_RECORD_BYTES) + b"after\n"
    assert [raw for _, _, raw in _lines(data)] == [b"before", b"after"]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_becomes_utf8(codec: str) -> None:
    text = "\ufeff学校 one\r\n二\n"
    assert [raw.decode() for _, _, raw in _lines(text.encode(codec))] == ["学校 one", "二"]


def test_decode_text_knows_both_encodings() -> None:
    assert decode_text("学校".encode()) == "学校"
    assert decode_text("学校的网络".encode("gb18030")) == "学校的网络"
    assert decode_text(b"a\xff") == "a\\xff"
