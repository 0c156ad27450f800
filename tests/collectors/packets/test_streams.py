"""Pieces of a conversation reach the dissector in order, once, with gaps where bytes are lost."""

from __future__ import annotations

from itertools import permutations

import pytest

from collectors.packets import layout
from collectors.packets.dissectors.base import Message
from collectors.packets.streams import MAX_WAIT_US, Conversation

TEXT = b"abcdefghijklmnopqrstuvwxyz"


class Recorder:
    """Write down what is fed."""

    def __init__(self) -> None:
        self.done = False
        self.fed: list[tuple[int, int, bytes]] = []

    def feed(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        self.fed.append((side, offset, data))
        return [Message("packets.test", time_us, offset, {}, side)]

    def close(self) -> list[Message]:
        return [Message("packets.test", 0, -1, {}, 0)]


def _item(
    start: int, *, sender: int = 0, hole: bool = False, time_us: int = 0, base: int = 1000
) -> list[int]:
    row = [0] * layout.ITEM_COLUMNS
    row[layout.IT_SENDER], row[layout.IT_TIME] = sender | hole << 1, time_us
    row[layout.IT_STREAM], row[layout.IT_BASE] = base + start, base
    return tuple(row)


def _conversation(origin: int = 0) -> tuple[Conversation, Recorder]:
    recorder = Recorder()
    return Conversation(layout.KIND_TLS, origin, recorder), recorder


def test_in_order() -> None:
    conversation, recorder = _conversation()
    conversation.add(_item(0), TEXT[:10], 100)
    conversation.add(_item(10), TEXT[10:], 100)
    assert recorder.fed == [(0, 0, TEXT[:10]), (0, 10, TEXT[10:])]


@pytest.mark.parametrize("origin", [0, 1])
def test_sides_are_counted_from_the_originator(origin: int) -> None:
    conversation, recorder = _conversation(origin)
    conversation.add(_item(0, sender=0), b"a", 100)
    conversation.add(_item(0, sender=1), b"b", 100)
    assert [side for side, _, _ in recorder.fed] == [origin, 1 - origin]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_any_order_with_overlaps_and_repetitions(order: tuple[int, ...]) -> None:
    pieces = [(0, 9), (7, 15), (15, 20), (18, 26)]
    conversation, recorder = _conversation()
    conversation.add(_item(0), b"", 1000)
    highest = 0
    for number in (*order, *order):
        start, end = pieces[number]
        conversation.add(_item(start, hole=start > highest), TEXT[start:end], 1000)
        highest = max(highest, end)
    conversation.close()
    assert b"".join(data for _, _, data in recorder.fed) == TEXT
    ends = [offset + len(data) for _, offset, data in recorder.fed]
    assert [offset for _, offset, _ in recorder.fed] == [0, *ends[:-1]]


def test_bytes_left_out_on_purpose_are_a_gap_at_once() -> None:
    conversation, recorder = _conversation()
    conversation.add(_item(0), b"abc", 100)
    conversation.add(_item(20), b"uvw", 100)
    assert recorder.fed == [(0, 0, b"abc"), (0, 20, b"uvw")]


def test_hole_waits_until_filled() -> None:
    conversation, recorder = _conversation()
    conversation.add(_item(0), b"abc", 100)
    assert conversation.add(_item(6, hole=True), b"ghi", 100) == []
    assert conversation.held == 3
    conversation.add(_item(3), b"def", 100)
    assert recorder.fed[1:] == [(0, 3, b"def"), (0, 6, b"ghi")]
    assert conversation.held == 0


@pytest.mark.parametrize("how", ["bytes", "time", "close"])
def test_hole_is_given_up(how: str) -> None:
    conversation, recorder = _conversation()
    conversation.add(_item(0), b"abc", 100)
    conversation.add(_item(6, hole=True), b"ghi", 100)
    if how == "bytes":
        conversation.add(_item(9), b"x" * 200, 100)
    elif how == "time":
        conversation.add(_item(9, time_us=MAX_WAIT_US + 1), b"x", 100)
    else:
        conversation.close()
    assert (0, 6, b"ghi") in recorder.fed


def test_undecided_conversation_keeps_a_bounded_amount_and_starts_later() -> None:
    recorder = Recorder()
    conversation = Conversation(layout.KIND_PENDING, 0, None)
    conversation.add(_item(0), b"SS", 100)
    conversation.add(_item(2), b"H-2", 100)
    for number in range(100):
        conversation.add(_item(5 + 90 * number), b"x" * 90, 100)
    assert conversation.held <= 100
    assert conversation.prefix(0, 5) == b"SSH-2"
    conversation.start(layout.KIND_SSH, recorder, 0, 1000)
    assert b"".join(data for _, _, data in recorder.fed).startswith(b"SSH-2xxx")
