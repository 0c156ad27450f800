"""Read files with the collector that fits: the one driver behind ``edusoc read`` and ``edusoc import``.

Nothing here raises for an input: a file that can't be read, or a collector that fails, becomes a bad record of that
file, and reading goes on with the next one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from collectors.base import Batch, Collector, ReadContext
from collectors.making import fault_reason
from collectors.opening import Input, OpenSource, find_inputs, open_source
from collectors.registry import recognise
from soc_core.errors import InputError
from soc_core.model.event import DATASET, BadRecord, Event

ContextFor: TypeAlias = Callable[[OpenSource], ReadContext]
_LOGGER: Final = logging.getLogger("edusoc.collectors")
_BAD_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Hold one batch of one file.

    ``done`` counts bytes of the file as it lies on disk, for progress; ``failed`` says the file could not be read to
    its end; ``last`` marks the file's last batch. ``collector`` is empty when no collector was found.
    """

    file: str
    collector: str
    events: list[Event]
    bad: list[BadRecord]
    counters: dict[str, int]
    done: int = 0
    failed: bool = False
    last: bool = False


def default_context(source: OpenSource) -> ReadContext:
    """Return the context of ``edusoc read``: years are guessed from the age of the file."""
    return ReadContext(reference=source.modified)


def read_paths(
    paths: Sequence[str | Input], context_for: ContextFor = default_context, *, only: Collection[str] = ()
) -> Iterator[ReadBatch]:
    """Yield the batches of all files under ``paths``, file after file, each in source order.

    ``only`` keeps events of these data sets (``zeek`` stands for all of ``zeek.*``); what is left out is counted as
    ``events_left_out``.
    """
    wanted = frozenset(only)
    for item in paths:
        for input_ in [item] if isinstance(item, Input) else find_inputs([item]):
            yield from _read_input(input_, context_for, wanted)


def _read_input(input_: Input, context_for: ContextFor, wanted: frozenset[str]) -> Iterator[ReadBatch]:
    if input_.problem is not None:
        yield _failure(input_.path, "", input_.problem)
        return
    try:
        source = open_source(input_.path)
    except InputError as fault:
        yield _failure(input_.path, "", fault)
        return
    with source:
        try:
            collector = recognise(source)
        except InputError as fault:
            yield _failure(input_.path, "", fault)
            return
        # The context comes from the caller: its faults (a full disk, say) are not the file's and end the reading.
        context = context_for(source)
        yield from _read_source(source, collector, context, wanted)


def _read_source(
    source: OpenSource, collector: Collector, context: ReadContext, wanted: frozenset[str]
) -> Iterator[ReadBatch]:
    name = collector.name
    try:
        for batch in collector.read(source, context):
            yield _chosen(source, name, batch, wanted)
    except InputError as fault:
        yield _failure(source.name, name, fault)
        return
    except Exception as fault:
        _LOGGER.debug("collector %s failed on %s", name, source.name, exc_info=True)
        reason = InputError(f"collector {name} failed: {fault!r}", where=source.name)
        yield _failure(source.name, name, reason)
        return
    yield ReadBatch(source.name, name, [], [], {}, done=source.size, last=True)


def _failure(path: str, collector: str, fault: InputError) -> ReadBatch:
    """Return the batch that says why a file could not be read."""
    bad = BadRecord(path, 0, 0, fault_reason(fault, path))
    return ReadBatch(path, collector, [], [bad], {}, failed=True, last=True)


def _chosen(source: OpenSource, collector: str, batch: Batch, wanted: frozenset[str]) -> ReadBatch:
    """Return ``batch`` with the wanted data sets only."""
    events, counters = batch.events, batch.counters
    if wanted:
        datasets = [str(event.get(DATASET, "")) for event in events]
        chosen = {name for name in set(datasets) if _is_wanted(name, wanted)}
        events = [event for event, name in zip(events, datasets, strict=True) if name in chosen]
        if left_out := len(batch.events) - len(events):
            counters = {**counters, "events_left_out": counters.get("events_left_out", 0) + left_out}
    done = max(source.consumed, batch.position) if source.local_path else source.consumed
    return ReadBatch(source.name, collector, events, batch.bad, counters, done=done)


def _is_wanted(dataset: str, wanted: frozenset[str]) -> bool:
    return dataset in wanted or dataset.partition(".")[0] in wanted


@dataclass(slots=True)
class Statistics:
    """Add up what was read. ``bad_samples`` keeps the first hundred bad records, ``bad`` counts all."""

    files: int = 0
    files_failed: int = 0
    events: int = 0
    bad: int = 0
    datasets: dict[str, int] = field(default_factory=dict)
    collectors: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    bad_samples: list[BadRecord] = field(default_factory=list)

    def add(self, batch: ReadBatch) -> None:
        """Add one batch."""
        self.events += len(batch.events)
        self.bad += len(batch.bad)
        if batch.last:
            self.files += 1
            self.files_failed += batch.failed
            if batch.collector:
                _add(self.collectors, batch.collector, 1)
        for dataset, amount in Counter([str(event.get(DATASET, "")) for event in batch.events]).items():
            _add(self.datasets, dataset, amount)
        for name, amount in batch.counters.items():
            _add(self.counters, name, amount)
        self.bad_samples.extend(batch.bad[: _BAD_KEPT - len(self.bad_samples)])

    @property
    def conserved(self) -> bool:
        """Tell whether every packet is accounted for: in flows, not IP, or malformed."""
        counts = self.counters
        parts = ("packets_in_flows", "packets_non_ip", "packets_malformed")
        return counts.get("packets", 0) == sum(counts.get(part, 0) for part in parts)

    def as_json(self) -> dict[str, object]:
        """Return the statistics as ``--stats`` writes them; names are a contract."""
        return {
            "files": self.files,
            "files_failed": self.files_failed,
            "packets": self.counters.get("packets", 0),
            "events": self.events,
            "bad": self.bad,
            "datasets": dict(sorted(self.datasets.items())),
            "collectors": dict(sorted(self.collectors.items())),
            "counters": dict(sorted(self.counters.items())),
            "conserved": self.conserved,
            "bad_records": [
                {"file": bad.source, "offset": bad.position, "line": bad.line, "reason": bad.reason}
                for bad in self.bad_samples
            ],
        }


def _add(counts: dict[str, int], name: str, amount: int) -> None:
    counts[name] = counts.get(name, 0) + amount


def collect(batches: Iterable[ReadBatch]) -> tuple[list[Event], Statistics]:
    """Return all events and the statistics of ``batches``: for small inputs and tests, it holds everything."""
    events: list[Event] = []
    statistics = Statistics()
    for batch in batches:
        statistics.add(batch)
        events.extend(batch.events)
    return events, statistics
