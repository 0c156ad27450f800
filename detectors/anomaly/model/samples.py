"""Choose the flows a model learns from or judges, and say whose they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import Final, TypeAlias

from detectors.anomaly.flows import FLOW_DATASETS, FlowRecord, SensorFilter, is_group_address, read_flow
from detectors.anomaly.model.features import Numbers, Usual, direction_of, matrix
from soc_core.model.event import DATASET, ORGANIZATION_ID, ZONE, Event
from soc_core.model.organisation import AddressPlan

Plans: TypeAlias = Callable[[str, str], AddressPlan]
"""Returns the address plan of a unit id and network zone."""
MAX_FLOWS: Final = 100_000
BLOCKS: Final = 48
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 86_400_000_000
MIN_BLOCK_US: Final = 10_000_000


def private_ranges(_organization_id: str, _zone: str) -> AddressPlan:
    """Return the plan that holds everywhere: private addresses are inside."""
    return AddressPlan()


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold one flow with its place and direction; ``device`` is the side that is ours."""

    unit: str
    zone: str
    direction: str
    flow: FlowRecord

    @property
    def device(self) -> str:
        """Return the address of our side: who called, when both are ours."""
        return self.flow.destination if self.direction == "inbound" else self.flow.source


@dataclass(slots=True)
class _Heap:
    """Keep the samples with the smallest hashes of their event ids: a fair choice that order doesn't change."""

    rows: list[tuple[int, str, Sample]] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        digest = hashlib.blake2b(sample.flow.event_id.encode(), digest_size=8).digest()
        row = (-int.from_bytes(digest, "big"), sample.flow.event_id, sample)
        if len(self.rows) < MAX_FLOWS:
            heappush(self.rows, row)
        else:
            heappushpop(self.rows, row)


def gather(events: Iterable[Event], plans: Plans) -> list[Sample]:
    """Return the flows among ``events`` that have a side inside, at most ``MAX_FLOWS``, by time."""
    sensors, heap = SensorFilter(), _Heap()
    known: dict[tuple[str, str], AddressPlan] = {}
    for event in events:
        if event.get(DATASET) not in FLOW_DATASETS or not sensors.admits(event):
            continue
        flow = read_flow(event)
        if flow is None or flow.part > 1 or is_group_address(flow.destination):
            continue
        unit, zone = str(event.get(ORGANIZATION_ID, "")), str(event.get(ZONE, "default"))
        plan = known.get((unit, zone)) or known.setdefault((unit, zone), plans(unit, zone))
        direction = direction_of(flow, plan)
        if direction:
            heap.add(Sample(unit, zone, direction, flow))
    samples = [sample for _, _, sample in heap.rows]
    return sorted(samples, key=lambda sample: (sample.flow.time_us, sample.flow.event_id))


def rows_of(samples: Sequence[Sample], usual: Usual) -> Numbers:
    """Return the feature rows of samples."""
    return matrix([sample.flow for sample in samples], [sample.direction for sample in samples], usual)


def block_us(samples: Sequence[Sample]) -> int:
    """Return the length of a 48th of the time that samples (by time) span, at least ten seconds."""
    span = samples[-1].flow.time_us - samples[0].flow.time_us
    return max(MIN_BLOCK_US, span // BLOCKS + 1)


def unit_days(samples: Sequence[Sample]) -> float:
    """Return for how many days of units there are samples: spans of a 48th in which a unit's zone has any."""
    if not samples:
        return 0.0
    block = block_us(samples)
    seen = {(sample.unit, sample.zone, sample.flow.time_us // block) for sample in samples}
    return len(seen) * block / DAY_US


def greatest_scores(samples: Sequence[Sample], scores: Numbers, span_us: int) -> list[float]:
    """Return the greatest score of each (unit, zone, device) in each span of time, greatest first."""
    greatest: dict[tuple[str, str, str, int], float] = {}
    for sample, score in zip(samples, scores.tolist(), strict=True):
        key = (sample.unit, sample.zone, sample.device, sample.flow.time_us // span_us)
        greatest[key] = max(score, greatest.get(key, 0.0))
    return sorted(greatest.values(), reverse=True)
