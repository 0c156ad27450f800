from __future__ import annotations

from collections.abc import Sequence

from collectors.base import MAX_RECORD_BYTES
from collectors.groups import MAX_RECORD_LINES, TOO_LONG, Gatherer
from collectors.lines import Line
from collectors.making import RecordError
from soc_core.model.event import Event


def gatherer() -> Gatherer:
    def parse(raw: bytes) -> Sequence[Event]:
        if b"bad" in raw:
            raise RecordError("bad record")
        return ({"message": raw.decode()},)

    return Gatherer(parse, lambda line, _held: not line.startswith(b" "))


def test_lines_are_gathered_until_the_next_record_starts() -> None:
    lines = gatherer()
    assert list(lines.parse(Line(0, 1, b"one"))) == []
    assert list(lines.parse(Line(4, 2, b" more"))) == []
    assert lines.held() == 0
    (group,) = lines.parse(Line(10, 3, b"two"))
    assert (group.first.position, group.events, group.original) == (
        0,
        ({"message": "one\n more"},),
        "one\n more",
    )
    assert lines.held() == 10
    (last,) = lines.rest()
    assert last.events == ({"message": "two"},)
    assert lines.held() is None
    assert list(lines.rest()) == []


def test_a_record_that_is_bad_or_too_long_says_so_and_the_next_is_read() -> None:
    lines = gatherer()
    lines.parse(Line(0, 1, b"bad"))
    (bad,) = lines.parse(Line(4, 2, b"long"))
    assert bad.fault == "bad record"
    for number in range(3):
        lines.parse(Line(9, 3 + number, b" " + b"x" * (MAX_RECORD_BYTES // 2)))
    (long,) = lines.parse(Line(99, 9, b"good"))
    assert (long.fault, long.events) == (TOO_LONG, ())
    (good,) = lines.rest()
    assert good.events == ({"message": "good"},)


def test_a_record_of_very_many_lines_is_bounded() -> None:
    lines = gatherer()
    lines.parse(Line(0, 1, b"one"))
    for number in range(MAX_RECORD_LINES + 5):
        lines.parse(Line(number, number, b" x"))
    (group,) = lines.rest()
    assert group.fault == TOO_LONG
