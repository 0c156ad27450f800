"""Report how completely logs are kept: of each source the days that are there and every gap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise

from soc_core.clock import format_instant, local_time, parse_instant
from soc_core.config import Settings
from soc_core.store.interface import EventReader, Scope, SourceDay, SourceStatistics
from soc_core.store.retention import DatasetClass, Policy, class_of


@dataclass(frozen=True, slots=True)
class Gap:
    """Name a time without any event: canonical instants, ``end`` exclusive, and how many partition days it is."""

    start: str
    end: str
    days: int


@dataclass(frozen=True, slots=True)
class SourceCoverage:
    """Tell of one (unit, data set) what is kept.

    ``required_from`` is the local day from which on it must be there. ``short`` says that it begins later although the
    unit was there already. ``days`` counts partition days with events, since ``required_from``.
    """

    organization_id: str
    dataset: str
    how: DatasetClass
    events: int
    first: str
    last: str
    required_from: date
    days: int
    gaps: tuple[Gap, ...]
    short: bool

    @property
    def sound(self) -> bool:
        """Tell whether nothing is missing that must be there."""
        return self.how.kind != "guaranteed" or not (self.gaps or self.short)


def retention_report(
    reader: EventReader,
    settings: Settings,
    now: datetime,
    scope: Scope,
    since: Mapping[str, date] | None = None,
) -> list[SourceCoverage]:
    """Return what is kept of each source in the scope, ordered by unit and data set.

    ``since`` gives of units the local day from which on they are known: a source of theirs that begins later than
    ``required_from`` is short.
    """
    policy = Policy.of(settings)
    days: dict[tuple[str, str], list[SourceDay]] = {}
    for row in reader.days(scope):
        days.setdefault((row.organization_id, row.dataset), []).append(row)
    return [
        _coverage(source, days.get((source.organization_id, source.dataset), []), policy, now, since or {})
        for source in reader.statistics(scope)
    ]


def _coverage(
    source: SourceStatistics, days: list[SourceDay], policy: Policy, now: datetime, since: Mapping[str, date]
) -> SourceCoverage:
    how = class_of(source.dataset)
    required = policy.first_kept(how.kind, now)
    cut = policy.cut(how.kind, now)
    there = sorted(_day(row.day) for row in days if row.day >= cut)
    known = since.get(source.organization_id)
    first = local_time(parse_instant(source.first), policy.zone).date()
    return SourceCoverage(
        organization_id=source.organization_id,
        dataset=source.dataset,
        how=how,
        events=source.events,
        first=source.first,
        last=source.last,
        required_from=required,
        days=len(there),
        gaps=()
        if how.kind == "summary"
        else tuple(_gaps(there, any(row.day < cut for row in days), cut, now)),
        short=known is not None and known <= required < first,
    )


def _gaps(there: list[date], before: bool, cut: str, now: datetime) -> Iterable[Gap]:
    """Yield the runs of days without events: from the first day there is, or the cut if there are older ones, to now.

    The day that is not over yet is no gap, and neither is the one before: what a school sends at night comes later.
    """
    today = now.astimezone(UTC).date()
    marks = [*([_day(cut) - timedelta(days=1)] if before else []), *there]
    marks = [mark for mark in marks if mark < today]
    if not marks:
        return
    for earlier, later in pairwise([*marks, max(today - timedelta(days=1), marks[-1])]):
        missing = (later - earlier).days - 1
        if missing > 0:
            yield Gap(_instant(earlier + timedelta(days=1)), _instant(later), missing)


def _day(partition: str) -> date:
    return date(int(partition[:4]), int(partition[4:6]), int(partition[6:]))


def _instant(day: date) -> str:
    return format_instant(datetime(day.year, day.month, day.day, tzinfo=UTC))


def gap_days(gaps: Iterable[Gap]) -> int:
    """Return how many days gaps are together."""
    return sum(gap.days for gap in gaps)


def by_unit(report: Iterable[SourceCoverage]) -> list[tuple[str, list[SourceCoverage]]]:
    """Return the sources of a report unit by unit, in its order."""
    return [(unit, list(rows)) for unit, rows in groupby(report, key=lambda row: row.organization_id)]
