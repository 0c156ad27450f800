"""Carry out retention: roll up, then remove. Nothing else in the product removes events of a store.

Killed at any point and repeated it ends the same: roll-ups are idempotent, and detail goes only once they are durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from soc_core.clock import format_instant
from soc_core.model.event import DATASET
from soc_core.query.tree import And, OneOf, Range
from soc_core.store.interface import (
    SYSTEM_SCOPE,
    Aggregation,
    EventReader,
    EventStore,
    Removal,
    Search,
    SourceDay,
)
from soc_core.store.retention import Plan, Policy, check_cuts, class_of, plan, pressure_cuts
from soc_core.store.rollup import BEGINNING, roll_up

_DAY_SECONDS: Final = 86_400
_FIRST: Final = "00010101"


@dataclass(frozen=True, slots=True)
class Kept:
    """Say what retention did: the plan it followed, roll-up rows made, what was removed."""

    plan: Plan
    rollups: int
    removal: Removal


def plan_now(reader: EventReader, policy: Policy, now: datetime) -> Plan:
    """Return what goes by age, with what arrived only lately left out."""
    days = reader.days(SYSTEM_SCOPE)
    due = plan(now, policy, days)
    return plan(now, policy, days, _held(reader, policy, now, due)) if due.cuts else due


def _held(reader: EventReader, policy: Policy, now: datetime, due: Plan) -> dict[str, str]:
    """Return of data sets the first day that holds events which arrived within the time they must be kept."""
    held = {}
    for dataset, cut in due.cuts.items():
        since = policy.first_kept(class_of(dataset).kind, now)
        arrived = datetime(since.year, since.month, since.day, tzinfo=policy.zone)
        lately = Range("event.ingested", gte=format_instant(arrived))
        end = datetime.fromisoformat(f"{cut}T000000+00:00")
        asked = Search(SYSTEM_SCOPE, BEGINNING, end, And((OneOf(DATASET, (dataset,), cased=True), lately)))
        number = reader.count(asked)  # which an answer without all its parts can't be
        if number:
            found = reader.aggregate(asked, Aggregation("histogram", interval_seconds=_DAY_SECONDS)).buckets
            whole = sum(day.count for day in found) == number
            held[dataset] = str(found[0].key)[:10].replace("-", "") if whole else _FIRST
    return held


def apply_retention(store: EventStore, policy: Policy, now: datetime) -> Kept:
    """Remove what is old enough, after rolling it up."""
    planned = plan_now(store, policy, now)
    rollups, removal = _carry_out(store, policy, now, planned.cuts)
    return Kept(planned, rollups, removal)


def relieve(store: EventStore, policy: Policy, now: datetime, enough: Callable[[Removal], bool]) -> Removal:
    """Remove detail, oldest day first, until ``enough`` (given what went so far) or the floor is reached."""
    total = Removal(0, 0)
    days = store.days(SYSTEM_SCOPE)
    for cuts in pressure_cuts(now, policy, days):
        if enough(total):
            break
        _, removed = _carry_out(store, policy, now, cuts)
        total = Removal(total.events + removed.events, total.bytes + removed.bytes, removed.kept)
    return total


def _carry_out(
    store: EventStore, policy: Policy, now: datetime, cuts: Mapping[str, str]
) -> tuple[int, Removal]:
    check_cuts(cuts, policy, now)
    if not cuts:
        return 0, Removal(0, 0)
    days = store.days(SYSTEM_SCOPE)
    rollups = roll_up(store, [row for row in days if _goes(row, cuts)], days)
    return rollups, store.remove(cuts)


def _goes(row: SourceDay, cuts: Mapping[str, str]) -> bool:
    return bool(class_of(row.dataset).rollup) and row.day < cuts.get(row.dataset, "")
