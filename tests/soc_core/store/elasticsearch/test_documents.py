"""Hold that documents carry events through unchanged."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.clock import epoch_us, format_instant
from soc_core.store.elasticsearch.documents import Document, chunked, event_of, micros_of, open_line
from soc_core.store.elasticsearch.templates import DAY, EPOCH, OFFSET, TIME
from tests.contract.samples import make

CALENDAR = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59, 999_999))


@given(CALENDAR)
def test_counts_microseconds_of_any_instant(naive: datetime) -> None:
    instant = naive.replace(tzinfo=UTC)
    assert micros_of(format_instant(instant)) == epoch_us(instant)


@pytest.mark.parametrize("text", ["2026-13-01T00:00:00.000000Z", "2026-02-30T00:00:00.000000Z"])
def test_refuses_days_of_no_calendar(text: str) -> None:
    with pytest.raises(ValueError):
        micros_of(text)


def test_a_document_is_the_event_and_what_the_log_knows() -> None:
    event = make(1) | {"tags": [], "message": 'a "quoted" } text'}
    line, dataset = open_line(event)
    document = Document("x", "i", line, 0, offset=7)
    source = orjson.loads(document.line(3))
    assert dataset == "packets.flow"
    stamps = {OFFSET: 7, EPOCH: 3, TIME: micros_of(str(event["@timestamp"])), DAY: 20261120}
    assert {name: source[name] for name in stamps} == stamps
    assert event_of(source) == event


def test_days_before_the_year_1000_are_numbers_too() -> None:
    line, _ = open_line(make(1) | {"event.id": "00010101-x"})
    assert orjson.loads(Document("x", "i", line, 0, 1).line(1))[DAY] == 10101


def test_runs_are_within_their_bounds() -> None:
    documents = [Document(str(n), "i", b"x" * size, n) for n, size in enumerate([10, 10, 5_000, 10, 10, 10])]
    runs = list(chunked(documents, most_bytes=1_000, most=2))
    assert [[document.place for document in run] for run in runs] == [[0, 1], [2], [3, 4], [5]]
    assert list(chunked([], 1, 1)) == []
