# ruff: noqa: E501  (as in benchmarks.store)
"""Ask the questions of the goals at 100 million events: ``python -m benchmarks.store_large FROM TO [--copies 20]``.

``FROM`` is what ``python -m benchmarks.store --keep FROM`` made. Its segments are written anew for each copy with times
and ids moved to earlier days, so that 20 copies of 180 days make 3,600 days, by the store's own writer and catalogue.
Asks the same questions of both stores, whose last 180 days are alike, in turn, and prints how many times longer the
large one takes. What exists of ``TO`` already is kept: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks._store_events import BEGIN, DAYS, end_of
from benchmarks._store_questions import Questions
from benchmarks.store import memory
from soc_core.model.event import EVENT_ID, TIMESTAMP
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.embedded.schema import SEQUENCE
from soc_core.store.embedded.sealing import Sealed, SegmentWriter
from soc_core.store.embedded.segments import Change, Segment
from soc_core.store.interface import SYSTEM_SCOPE, Search
from soc_core.system import sync_directory


def moved(table: pa.Table, days: int, offset: int) -> pa.Table:
    """Return rows moved to earlier days and to other offsets."""
    changed: dict[str, Any] = {
        TIMESTAMP: _earlier(table[TIMESTAMP], "%Y-%m-%d", 10, days),
        EVENT_ID: _earlier(table[EVENT_ID], "%Y%m%d", 8, days),
        SEQUENCE: pc.add(table[SEQUENCE], pa.scalar(offset)),
    }
    for name, column in changed.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _earlier(column: Any, form: str, length: int, days: int) -> Any:
    """Return texts that begin with a day, written in ``length`` letters, with an earlier day."""
    texts = column.combine_chunks()
    dates = pc.dictionary_encode(pc.utf8_slice_codeunits(texts, 0, length))
    shifted = [
        (datetime.strptime(str(day), form).replace(tzinfo=UTC) - timedelta(days=days)).strftime(form)
        for day in dates.dictionary.to_pylist()
    ]
    day = pa.array(shifted, pa.string()).take(dates.indices)
    return pc.binary_join_element_wise(day, pc.utf8_slice_codeunits(texts, length), "")


def copy_segment(source: Path, target: Path, segment: Segment, days: int, offset: int) -> Sealed:
    """Write a segment anew, moved to earlier days, a row group at a time."""
    day = _day(segment, days)
    with pq.ParquetFile(source / segment.name) as file, SegmentWriter(target, day, segment.columns) as writer:
        for group in range(file.num_row_groups):
            writer.add(moved(file.read_row_group(group), days, offset))
        return writer.finish()


def days_of(segments: Sequence[Segment]) -> int:
    """Return over how many days the events of a store that ``benchmarks.store`` made are spread."""
    last = max(segment.day for segment in segments)
    return (datetime.strptime(last, "%Y%m%d").replace(tzinfo=UTC) - BEGIN).days + 1


def enlarge(source: Path, target: Path, copies: int) -> int:
    """Make the large store as far as it is not there yet; return the days of one copy."""
    if not target.exists():
        shutil.copytree(source, target)
    small = EmbeddedStore(source, writer=False)
    segments = small.catalogue.snapshot().segments
    small.close()
    events, days = sum(segment.events for segment in segments), days_of(segments)
    if days < DAYS:
        raise SystemExit(
            f"{source} spans {days} days: questions go {DAYS} days back and would see the copies"
        )
    store = EmbeddedStore(target, writer=True)
    try:
        there = {segment.day for segment in store.catalogue.snapshot().segments}
        for turn in range(1, copies):
            fresh = [s for s in segments if _day(s, turn * days) not in there]
            made = [
                copy_segment(
                    small.segments_directory, store.segments_directory, s, turn * days, turn * events
                )
                for s in fresh
            ]
            sync_directory(store.segments_directory)
            if made:
                change = Change([(m.segment, m.statistics) for m in made], (), (turn + 1) * events)
                store.catalogue.apply(change, time.time())
            print(f"{(turn + 1) * events} events", flush=True)
    finally:
        store.close()
    return days


def _day(segment: Segment, earlier: int) -> str:
    moved_to = datetime.strptime(segment.day, "%Y%m%d").replace(tzinfo=UTC) - timedelta(days=earlier)
    return moved_to.strftime("%Y%m%d")


def main() -> None:
    """Make the large store and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--turns", type=int, default=9)
    arguments = parser.parse_args()
    days = enlarge(arguments.source / "events", arguments.target, arguments.copies)
    small = EmbeddedStore(arguments.source / "events", writer=False)
    begin = time.perf_counter()
    large = EmbeddedStore(arguments.target, writer=False)
    count = sum(segment.events for segment in large.catalogue.snapshot().segments)
    print(
        f"opened {count} events in {len(large.catalogue.snapshot().segments)} segments in {time.perf_counter() - begin:.2f} s"
    )
    found = small.search(Search(SYSTEM_SCOPE, BEGIN, end_of(days), limit=200)).events
    ids = [str(event["event.id"]) for event in found][::7]
    for question in Questions(days, ids).all():
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(arguments.turns):
            answers = []
            for store, taken in zip((small, large), times, strict=True):
                begin = time.perf_counter()
                answers.append(question.ours(store, turn))
                taken.append((time.perf_counter() - begin) * 1e3)
            if answers[0] != answers[1]:
                raise SystemExit(f"{question.name}: {answers[0]} and {answers[1]}")
        one, other = map(statistics.median, times)
        print(
            f"{question.name:38}{one:8.1f} ms, large {other:8.1f} ms, {other / one:.2f}× (goal 3×)",
            flush=True,
        )
    print(f"peak memory of this process   {memory()} MB")
    small.close()
    large.close()


if __name__ == "__main__":
    main()
