"""Find the stretches of time in which a correlation holds: pure counting over the hits of one group.

A *stretch* is what lies within the timespan before an instant, that instant included. It is judged at each instant at
which something hit, once all that hit at that instant is in it, so no order among equal times matters.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final, Protocol, TypeAlias

from detectors.sigma.model import CorrelationRule, CorrelationType
from soc_core.model.event import Event
from soc_core.query.tree import And, Exists, Not, Or, Query

Number: TypeAlias = int | Fraction


@dataclass(frozen=True, slots=True)
class Hit:
    """Note that an event counts for a part of a correlation: since when, which part, with what.

    ``rule`` is the number of the rule that the event matched, ``value`` what is counted or measured.
    """

    time_us: int
    part: int
    rule: int
    value: str | Number
    event: Event


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hold the hits of a stretch in which a correlation holds, and what was counted or measured in it."""

    hits: Sequence[Hit]
    measure: float


@dataclass(frozen=True, slots=True)
class Held:
    """Name a stretch in which a correlation holds by its begin and end in the hits; ``rising``: it just began to."""

    low: int
    high: int
    measure: float
    rising: bool


@dataclass(frozen=True, slots=True)
class Told:
    """Say at an instant that a correlation holds: which hits take part since then, and whether it just began."""

    time_us: int
    fresh: Sequence[Hit]
    rising: bool


class Tally(Protocol):
    """Keep count of the hits in a stretch that moves on."""

    def add(self, hit: Hit) -> None:
        """Take a hit in."""
        ...

    def drop(self, hit: Hit) -> None:
        """Let the oldest hit go."""
        ...

    def measure(self) -> float | None:
        """Return what is counted or measured, ``None`` when there is nothing to measure."""
        ...


class _Events:
    """Count hits."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, _hit: Hit) -> None:
        self._count += 1

    def drop(self, _hit: Hit) -> None:
        self._count -= 1

    def measure(self) -> float:
        return self._count


class _Values:
    """Count different values."""

    def __init__(self) -> None:
        self._seen: Counter[str | Number] = Counter()

    def add(self, hit: Hit) -> None:
        self._seen[hit.value] += 1

    def drop(self, hit: Hit) -> None:
        self._seen[hit.value] -= 1
        if not self._seen[hit.value]:
            del self._seen[hit.value]

    def measure(self) -> float:
        return len(self._seen)


class _Parts:
    """Count different parts, or tell (1 or 0) whether those are there that the condition names."""

    def __init__(self, rule: CorrelationRule) -> None:
        self._seen = [0] * len(rule.parts)
        self._needs = rule.needs
        self._numbers = {part.id: number for number, part in enumerate(rule.parts)}

    def add(self, hit: Hit) -> None:
        self._seen[hit.part] += 1

    def drop(self, hit: Hit) -> None:
        self._seen[hit.part] -= 1

    def measure(self) -> float:
        if self._needs is None:
            return sum(1 for count in self._seen if count)
        return float(self._is_there(self._needs))

    def _is_there(self, needs: Query) -> bool:
        match needs:
            case And(children):
                return all(map(self._is_there, children))
            case Or(children):
                return any(map(self._is_there, children))
            case Not(child):
                return not self._is_there(child)
            case Exists(name):
                return bool(self._seen[self._numbers[name]])
            case _:
                raise TypeError(f"{type(needs).__name__} is no condition on parts")


class _Sum:
    """Add numbers, exactly; ``mean`` divides by how many there are."""

    def __init__(self, *, mean: bool) -> None:
        self._mean = mean
        self._sum: Number = 0
        self._count = 0

    def add(self, hit: Hit) -> None:
        self._sum += _number(hit)
        self._count += 1

    def drop(self, hit: Hit) -> None:
        self._sum -= _number(hit)
        self._count -= 1

    def measure(self) -> float | None:
        if not self._count:
            return None
        return _plain(Fraction(self._sum, self._count) if self._mean else self._sum)


class _Quantile:
    """Keep numbers in order, for the one that a share of them does not exceed.

    Between two numbers lies the line between them (as in ``statistics.quantiles``, inclusive): so 0 is the least, 50
    the median, 100 the greatest.
    """

    def __init__(self, percentile: float) -> None:
        self._share = Fraction(percentile) / 100
        self._sorted: list[Number] = []

    def add(self, hit: Hit) -> None:
        insort(self._sorted, _number(hit))

    def drop(self, hit: Hit) -> None:
        del self._sorted[bisect_left(self._sorted, _number(hit))]

    def measure(self) -> float | None:
        if not self._sorted:
            return None
        place = self._share * (len(self._sorted) - 1)
        low = int(place)
        high = min(low + 1, len(self._sorted) - 1)
        return _plain(self._sorted[low] + (self._sorted[high] - self._sorted[low]) * (place - low))


def _number(hit: Hit) -> Number:
    if isinstance(hit.value, str):
        raise TypeError("only numbers are measured")
    return hit.value


def _plain(value: Number) -> float:
    """Return a measure as a number that compares as it should: whole ones stay whole."""
    if value.denominator == 1:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return int(value)


_SHARES: Final = {
    CorrelationType.VALUE_MIN: 0.0,
    CorrelationType.VALUE_MAX: 100.0,
    CorrelationType.VALUE_MEDIAN: 50.0,
}


def tally_of(rule: CorrelationRule) -> Tally:
    """Return an empty tally of what the correlation counts."""
    match rule.type:
        case CorrelationType.EVENT_COUNT:
            return _Events()
        case CorrelationType.VALUE_COUNT:
            return _Values()
        case CorrelationType.TEMPORAL | CorrelationType.TEMPORAL_ORDERED:
            return _Parts(rule)
        case CorrelationType.VALUE_SUM | CorrelationType.VALUE_AVG:
            return _Sum(mean=rule.type is CorrelationType.VALUE_AVG)
        case _:
            return _Quantile(_SHARES.get(rule.type, rule.percentile))


def held(rule: CorrelationRule, hits: Sequence[Hit]) -> Iterator[Held]:
    """Yield the stretches in which the correlation holds, in time order."""
    tally, span_us = tally_of(rule), span_of(rule)
    low, last = 0, len(hits)
    before_us = held_us = -1
    for high, hit in enumerate(hits, start=1):
        tally.add(hit)
        while hit.time_us - hits[low].time_us > span_us:
            tally.drop(hits[low])
            low += 1
        if high < last and hits[high].time_us == hit.time_us:
            continue
        measure = tally.measure()
        if measure is not None and rule.threshold.holds(measure):
            rising = held_us < 0 or held_us != before_us or hit.time_us - held_us > span_us
            yield Held(low, high, measure, rising)
            held_us = hit.time_us
        before_us = hit.time_us


def chains(rule: CorrelationRule, hits: Sequence[Hit]) -> Iterator[list[Hit]]:
    """Yield whenever the hits of all parts have followed each other in their order: one hit of each part.

    The latest start of each beginning is kept, so one pass is enough: ``open_[n]`` is the youngest chain of the first
    n + 1 parts seen so far. Hits of one instant may follow each other either way.
    """
    span_us = span_of(rule)
    open_: list[list[Hit]] = [[] for _ in rule.parts]
    for hit in sorted(hits, key=lambda hit: (hit.time_us, hit.part)):
        before = open_[hit.part - 1] if hit.part else []
        if hit.part and not (before and hit.time_us - before[0].time_us <= span_us):
            continue
        open_[hit.part] = [*before, hit]
        if hit.part == len(open_) - 1:
            yield open_[hit.part]


def best(rule: CorrelationRule, hits: Sequence[Hit]) -> Stretch | None:
    """Return the stretch with the greatest measure of those in which the correlation holds; of orders the first."""
    if rule.type is CorrelationType.TEMPORAL_ORDERED:
        first = next(chains(rule, hits), None)
        return None if first is None else Stretch(first, len(first))
    # The first of the greatest; one pass, nothing is kept but it.
    found = max(held(rule, hits), key=lambda one: one.measure, default=None)
    return None if found is None else Stretch(hits[found.low : found.high], found.measure)


def tell(rule: CorrelationRule, hits: Sequence[Hit]) -> Iterator[Told]:
    """Yield each instant at which the correlation holds, with the hits that did not take part before."""
    if rule.type is CorrelationType.TEMPORAL_ORDERED:
        yield from _tell_chains(rule, hits)
        return
    told = 0
    for one in held(rule, hits):
        yield Told(hits[one.high - 1].time_us, hits[max(one.low, told) : one.high], one.rising)
        told = one.high


def _tell_chains(rule: CorrelationRule, hits: Sequence[Hit]) -> Iterator[Told]:
    told: set[int] = set()
    for chain in chains(rule, hits):
        fresh = [hit for hit in chain if id(hit) not in told]
        told.update(map(id, fresh))
        yield Told(chain[-1].time_us, fresh, rising=len(fresh) == len(chain))


def span_of(rule: CorrelationRule) -> int:
    """Return the timespan in µs."""
    return rule.timespan // timedelta(microseconds=1)


def is_growing(rule: CorrelationRule) -> bool:
    """Tell whether a stretch in which the correlation holds keeps holding when more hits are known.

    Only then can parts of a stretch be judged for the whole; else whole stretches alone count.
    """
    counts = not rule.type.measures and rule.threshold.growing
    return counts and (rule.needs is None or not _denies(rule.needs))


def _denies(needs: Query) -> bool:
    if isinstance(needs, And | Or):
        return any(map(_denies, needs.children))
    return isinstance(needs, Not)


def look_back(rule: CorrelationRule) -> timedelta:
    """Return how far before a window its events begin: what may decide about the window's first instant.

    That is the sum of the timespans along the chain. Where it matters whether the correlation held before, its
    timespan counts twice.
    """
    below = timedelta()
    for part in rule.parts:
        if isinstance(part, CorrelationRule):
            pulses = rule.type is CorrelationType.EVENT_COUNT and is_growing(part)
            below = max(below, look_back(part) + (part.timespan if pulses else timedelta()))
    return rule.timespan * (1 if is_growing(rule) else 2) + below
