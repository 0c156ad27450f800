"""Decide what may be removed when: pure functions of the time, the settings and what there is.

Data sets are *guaranteed* (security, audit and authentication logs, alerts, whatever is not named otherwise), *detail*
(flows and the like, which are rolled up first) or *summary* (those roll-ups); ``retention_classes.tsv`` says which.

Guaranteed logs stay ``retention_months`` calendar months, never below six: the Cybersecurity Law has network operators
keep network logs for no less than six months (网络安全法第二十三条, 2025 年修正前为第二十一条). A month is counted by
the installation's calendar: what happened on 31 August stays until the end of February. Partitions are UTC days, so
the cut is the UTC day in which the first local day to keep begins: nothing inside the local period goes.

``latest_cut`` alone bounds every removal, whatever asks for it: age, size or a full disk.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.store.interface import SourceDay

LEAST_MONTHS: Final = 6
MOST_MONTHS: Final = 1_200
FLOOR_DAYS: Final = 3
"""Days of detail that stay even on a full disk: today's investigation needs them."""
_TABLE: Final = Path(__file__).with_name("retention_classes.tsv")

Kind = Literal["guaranteed", "detail", "summary"]


@dataclass(frozen=True, slots=True)
class DatasetClass:
    """Say how a data set is kept, by which roll-up it is replaced (if any), and why."""

    kind: Kind
    rollup: str
    zh: str
    en: str


GUARANTEED: Final = DatasetClass(
    "guaranteed",
    "",
    "安全相关日志，依法留存不少于六个月（网络安全法第二十三条，2025 年修正前为第二十一条）",
    "a security log: the Cybersecurity Law (article 23, before 2026 article 21) has it kept for six months at least",
)


@lru_cache(maxsize=1)
def classes() -> dict[str, DatasetClass]:
    """Return the classes by data set; a name ending in a star stands for all that begin so."""
    found: dict[str, DatasetClass] = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, kind, rollup, zh, en = line.split("\t")
            found[name] = DatasetClass(kind, rollup, zh, en)  # type: ignore[arg-type] # a test holds the words
    return found


def class_of(dataset: str) -> DatasetClass:
    """Return how a data set is kept; one that nobody knows is guaranteed."""
    known = classes()
    if dataset in known:
        return known[dataset]
    prefixes = [name for name in known if name.endswith("*") and dataset.startswith(name[:-1])]
    return known[max(prefixes, key=len)] if prefixes else GUARANTEED


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold how long what is kept: calendar months, days of detail, and the zone whose calendar counts."""

    months: int
    detail_days: int
    zone: ZoneInfo

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy of the settings; less than the law asks for is not taken."""
        return cls(
            months=min(max(settings.retention_months, LEAST_MONTHS), MOST_MONTHS),
            detail_days=min(max(settings.retention_detail_days, FLOOR_DAYS), 31 * MOST_MONTHS),
            zone=ZoneInfo(settings.time_zone),
        )

    def first_kept(self, kind: Kind, now: datetime) -> date:
        """Return the earliest local day to keep of a class."""
        today = now.astimezone(self.zone).date()
        return days_before(today, self.detail_days) if kind == "detail" else months_before(today, self.months)

    def cut(self, kind: Kind, now: datetime) -> str:
        """Return the partition before which a class may go by its age."""
        return partition_at(self.first_kept(kind, now), self.zone)

    def latest_cut(self, kind: Kind, now: datetime) -> str:
        """Return the partition before which a class may go at all: the one bound of every removal."""
        if kind != "detail":
            return self.cut(kind, now)
        today = now.astimezone(self.zone).date()
        return partition_at(days_before(today, min(self.detail_days, FLOOR_DAYS)), self.zone)


def months_before(day: date, months: int) -> date:
    """Return the day that many calendar months earlier: of a month too short its last day."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1])) if year >= 1 else date.min


def months_after(day: date, months: int) -> date:
    """Return the day that many calendar months later: 31 August and six months is the end of February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1])) if year <= 9998 else date.max


def days_before(day: date, days: int) -> date:
    """Return the day that many days earlier, never before the calendar begins."""
    return day - timedelta(days=min(days, (day - date.min).days))


def partition_at(day: date, zone: ZoneInfo) -> str:
    """Return the partition (UTC day, YYYYMMDD) in which a local day begins."""
    try:
        begins = datetime.combine(day, time.min, zone).astimezone(UTC)
    except OverflowError:
        return "00010101"
    return f"{begins.year:04d}{begins.month:02d}{begins.day:02d}"


def after_partition(partition: str) -> str:
    """Return the partition of the day after."""
    following = date(int(partition[:4]), int(partition[4:6]), int(partition[6:])) + timedelta(days=1)
    return f"{following.year:04d}{following.month:02d}{following.day:02d}"


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """Say of one data set what goes: ``events`` of days before ``cut``; nothing goes of an empty ``cut``.

    ``first_kept`` is a local day. ``held`` names the partition at which removal stops because what lies there arrived
    only lately (an old record that was imported is kept as long as a new one).
    """

    dataset: str
    how: DatasetClass
    first_kept: date
    cut: str
    events: int
    held: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold what goes of each data set by its age."""

    datasets: tuple[DatasetPlan, ...]

    @property
    def cuts(self) -> dict[str, str]:
        """Return the cuts that remove anything."""
        return {item.dataset: item.cut for item in self.datasets if item.events}


def plan(
    now: datetime, policy: Policy, days: Iterable[SourceDay], held: Mapping[str, str] | None = None
) -> Plan:
    """Return what goes by age; ``held`` gives of data sets the first partition that must stay though it is old."""
    counts: dict[str, dict[str, int]] = {}
    for row in days:
        of_dataset = counts.setdefault(row.dataset, {})
        of_dataset[row.day] = of_dataset.get(row.day, 0) + row.events
    plans = []
    for dataset in sorted(counts):
        how = class_of(dataset)
        cut, stop = policy.cut(how.kind, now), (held or {}).get(dataset, "")
        stops = stop if stop and stop < cut else ""
        cut = min(cut, stop) if stop else cut
        events = sum(number for day, number in counts[dataset].items() if day < cut)
        plans.append(DatasetPlan(dataset, how, policy.first_kept(how.kind, now), cut, events, stops))
    return Plan(tuple(plans))


def pressure_cuts(now: datetime, policy: Policy, days: Sequence[SourceDay]) -> Iterator[dict[str, str]]:
    """Yield cuts for a disk that fills: detail only, oldest day first, a day at a time, down to the floor."""
    detail = [row for row in days if class_of(row.dataset).kind == "detail"]
    latest = policy.latest_cut("detail", now)
    for day in sorted({row.day for row in detail if row.day < latest}):
        yield {row.dataset: after_partition(day) for row in detail if row.day <= day}


def check_cuts(cuts: Mapping[str, str], policy: Policy, now: datetime) -> None:
    """Raise ``StoreError`` when a cut reaches into what must be kept: whoever removes asks this first."""
    for dataset, cut in cuts.items():
        if cut > policy.latest_cut(class_of(dataset).kind, now):
            raise StoreError(
                f"data set '{dataset}' must be kept from {policy.first_kept(class_of(dataset).kind, now)} on",
                todo="nothing was removed; make room in another way",
            )
