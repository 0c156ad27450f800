"""What is kept of sealed segments answers as counting anew does, whatever was sealed, merged or asked before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_core.query.tree import Exists, Or
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.embedded.aggregates import MOST_KEPT, SealedStatistics, SegmentCounts, can_be_kept
from soc_core.store.embedded.segments import Segment
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation, Bucket, Buckets, Scope
from tests.contract.samples import make, question

HOURS = Aggregation("histogram", interval_seconds=3_600, offset_seconds=28_800)


def segment(name: str) -> Segment:
    times = ("2026-11-20T01:00:00.000000Z", "2026-11-20T02:00:00.000000Z")
    return Segment(name, "20261120", 1, *times, 0, 0, 1, name, "", frozenset())


class Counter:
    """Count one event a segment, and note which segments were counted."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, segments: tuple[Segment, ...]) -> Buckets:
        self.seen.extend(item.name for item in segments)
        return Buckets([Bucket(item.name, 1) for item in segments])


def test_counts_each_segment_once_and_anew_when_one_is_gone() -> None:
    counts, counter = SegmentCounts(), Counter()
    a, b, c = (segment(name) for name in "abc")
    for segments, counted in (((a,), "a"), ((a, b), "b"), ((b, a), ""), ((c, b), "cb"), ((), "")):
        counter.seen.clear()
        found = counts.over(segments, question(), HOURS, counter)
        assert {bucket.key: bucket.count for bucket in found.buckets} == {item.name: 1 for item in segments}
        assert counter.seen == list(counted)


@given(names=st.lists(st.sets(st.sampled_from("abcd"), max_size=4), max_size=12))
def test_keeps_the_counts_of_exactly_the_segments_asked_for(names: list[set[str]]) -> None:
    counts = SegmentCounts()
    for asked in names:
        found = counts.over(tuple(segment(name) for name in sorted(asked)), question(), HOURS, Counter())
        assert {bucket.key: bucket.count for bucket in found.buckets} == dict.fromkeys(asked, 1)


def test_forgets_the_scope_that_was_asked_for_longest_ago() -> None:
    counts, counter = SegmentCounts(), Counter()
    for number in [*range(MOST_KEPT), 0, MOST_KEPT, 0, 1]:
        counts.over((segment("a"),), question(Scope(frozenset({f"o{number}"}))), HOURS, counter)
    assert len(counter.seen) == MOST_KEPT + 2  # 1 had to make room, 0 had been asked for again


def test_keeps_statistics_of_the_same_segments_only() -> None:
    kept = SealedStatistics()
    assert kept.of((segment("a"),), lambda: None) is None
    assert kept.of((segment("a"),), list) == []
    assert kept.of((segment("a"),), lambda: None) == []
    assert kept.of((segment("b"),), lambda: None) is None


def test_keeps_only_what_asks_of_time_and_scope_and_adds_up() -> None:
    assert can_be_kept(question(), HOURS)
    assert can_be_kept(question(), Aggregation("count"))
    assert not can_be_kept(question(query=Exists("user.name")), HOURS)
    assert not can_be_kept(question(), Aggregation("terms", "event.dataset"))
    assert not can_be_kept(question(), Aggregation("distinct", "event.dataset"))


def test_counts_only_new_segments_after_a_sealing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=0))
    reader = EmbeddedStore(tmp_path / "events", writer=False)
    for number in range(20):  # merges on the way
        store.append([make(n, day=18 + n % 3) for n in range(number * 9, number * 9 + 9)])
        if number % 4:
            store.seal()
        found = reader.aggregate(question(), HOURS)
        assert sum(bucket.count for bucket in found.buckets) == number * 9 + 9
        assert sum(row.events for row in reader.statistics(SYSTEM_SCOPE)) == number * 9 + 9
    assert len(store.catalogue.snapshot().segments) < 3 * 8
    reader.close()
    store.close()


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_answers_like_the_slow_path(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """The slow path is the same question with a condition that all events match, which is never kept."""
    store = EmbeddedStore(tmp_path_factory.mktemp("store") / "events", writer=True, limits=Limits(reserve=0))
    same = Or((Exists("event.id"), Exists("@timestamp")))
    units = [f"o{number}" for number in range(60)]
    moments = st.datetimes(datetime(2026, 11, 17), datetime(2026, 11, 23), timezones=st.just(UTC))
    try:
        for start in range(0, data.draw(st.integers(1, 12)) * 7, 7):
            days = data.draw(st.lists(st.integers(18, 21), min_size=7, max_size=7))
            chosen = data.draw(st.lists(st.sampled_from(units), min_size=7, max_size=7))
            store.append(
                [
                    make((start + n) * 997, day=day, organization=unit)
                    for n, (day, unit) in enumerate(zip(days, chosen, strict=True))
                ]
            )
            if data.draw(st.booleans()):
                store.seal()
            ids = data.draw(st.none() | st.frozensets(st.sampled_from(units)) | st.just(frozenset(units)))
            low, width = data.draw(moments), data.draw(st.integers(-1, 5 * 24 * 3_600))
            asked = question(Scope(ids))
            narrow = replace(asked, start=low, end=low + timedelta(seconds=width))
            shape = Aggregation(
                data.draw(st.sampled_from(("histogram", "count"))),
                interval_seconds=data.draw(st.sampled_from((7, 3_600, 86_400))),
                offset_seconds=data.draw(st.sampled_from((0, 28_800, -1_234))),
            )
            for request in (asked, narrow, asked):
                slow = store.aggregate(replace(request, query=same), shape)
                assert store.aggregate(request, shape) == slow
            assert sum(row.events for row in store.statistics(Scope(ids))) == store.count(
                replace(asked, query=same)
            )
    finally:
        store.close()
