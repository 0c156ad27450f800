"""Hold by which calendar logs are kept, and that nothing inside the guaranteed period can go."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.fields import FIELDS
from soc_core.store.interface import SourceDay
from soc_core.store.retention import (
    FLOOR_DAYS,
    Policy,
    after_partition,
    check_cuts,
    class_of,
    classes,
    months_after,
    months_before,
    partition_at,
    plan,
    pressure_cuts,
)
from soc_core.store.rollup import GROUPINGS

ZONES = ("Asia/Shanghai", "UTC", "America/New_York", "Pacific/Apia", "Asia/Kathmandu")
KINDS = ("guaranteed", "detail", "summary")
NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
DATASETS = ("syslog.auth", "packets.flow", "packets.dns", "rollup.flow", "never.heard.of")


def policies() -> st.SearchStrategy[Policy]:
    numbers = st.integers(-5, 3_000)
    return st.builds(
        lambda months, days, zone: Policy.of(
            Settings(retention_months=months, retention_detail_days=days, time_zone=zone)
        ),
        numbers,
        numbers,
        st.sampled_from(ZONES),
    )


@st.composite
def stored(draw: st.DrawFn) -> list[SourceDay]:
    days = draw(st.lists(st.dates(date(2024, 1, 1), date(2027, 1, 1)), max_size=20))
    return [
        SourceDay("o1", draw(st.sampled_from(DATASETS)), day.strftime("%Y%m%d"), draw(st.integers(1, 9)))
        for day in days
    ]


moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("day", "months", "after"),
    [
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2027, 8, 31), 6, date(2028, 2, 29)),
        (date(2026, 8, 15), 6, date(2027, 2, 15)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2026, 1, 1), 12, date(2027, 1, 1)),
        (date(9999, 8, 1), 6, date.max),
    ],
)
def test_adds_calendar_months(day: date, months: int, after: date) -> None:
    assert months_after(day, months) == after


def test_what_happened_on_31_august_stays_until_the_end_of_february() -> None:
    policy = Policy.of(Settings())
    noon = time(12, tzinfo=ZoneInfo("Asia/Shanghai"))
    for day, stays in ((date(2027, 2, 28), True), (date(2027, 3, 1), False)):
        now = datetime.combine(day, noon)
        assert (policy.first_kept("guaranteed", now) <= date(2026, 8, 31)) is stays


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(0, 1_200), st.integers(0, 40_000))
def test_a_day_stays_as_long_as_its_months_last(today: date, months: int, age: int) -> None:
    day = today - timedelta(days=min(age, (today - date.min).days))
    if months_after(day, months) >= today:
        assert day >= months_before(today, months)
    if (today - day).days > 31 * months + 3:
        assert day < months_before(today, months)


@given(policies(), moments, st.sampled_from(KINDS))
def test_no_instant_of_a_local_day_to_keep_lies_before_the_cut(
    policy: Policy, now: datetime, kind: str
) -> None:
    first = policy.first_kept(kind, now)  # type: ignore[arg-type] # one of the kinds
    cut = policy.cut(kind, now)  # type: ignore[arg-type] # one of the kinds
    begins = datetime.combine(first, time.min, policy.zone).astimezone(UTC)
    assert cut <= begins.strftime("%Y%m%d") <= after_partition(cut)
    assert cut <= policy.latest_cut(kind, now)  # type: ignore[arg-type] # one of the kinds


def test_less_than_six_months_is_not_taken() -> None:
    assert Policy.of(Settings(retention_months=1)).months == 6
    assert Policy.of(Settings(retention_months=12)).months == 12
    assert Policy.of(Settings(retention_detail_days=0)).detail_days == FLOOR_DAYS


@given(policies(), moments, stored(), st.integers(0, 30))
def test_nothing_inside_the_guaranteed_period_ever_goes(
    policy: Policy, now: datetime, days: list[SourceDay], wish: int
) -> None:
    """Whatever the settings, the time and the pressure of the disk."""
    today = now.astimezone(policy.zone).date()
    guaranteed = partition_at(months_before(today, 6), policy.zone)
    asked = [plan(now, policy, days).cuts, *list(pressure_cuts(now, policy, days))[:wish]]
    for cuts in asked:
        check_cuts(cuts, policy, now)
        for row in days:
            gone = row.day < cuts.get(row.dataset, "")
            if class_of(row.dataset).kind != "detail":
                assert not (gone and row.day >= guaranteed)
            else:
                floor = partition_at(today - timedelta(days=FLOOR_DAYS), policy.zone)
                assert not (gone and row.day >= floor)


@given(policies(), moments, st.sampled_from(DATASETS), st.dates(date(2024, 1, 1), date(2029, 1, 1)))
def test_whoever_asks_for_more_is_refused(policy: Policy, now: datetime, dataset: str, day: date) -> None:
    cut = day.strftime("%Y%m%d")
    if cut <= policy.latest_cut(class_of(dataset).kind, now):
        check_cuts({dataset: cut}, policy, now)
    else:
        with pytest.raises(StoreError, match="must be kept"):
            check_cuts({"syslog.log": "20200101", dataset: cut}, policy, now)


@given(policies(), moments, stored())
def test_pressure_takes_the_oldest_day_first(policy: Policy, now: datetime, days: list[SourceDay]) -> None:
    steps = list(pressure_cuts(now, policy, days))
    reached = [max(cuts.values()) for cuts in steps]
    assert reached == sorted(set(reached))
    assert all(class_of(name).kind == "detail" for cuts in steps for name in cuts)


def test_plans_what_is_old_and_says_where_late_arrivals_stop_it() -> None:
    policy = Policy.of(Settings())
    days = [SourceDay("o1", "packets.flow", day, 10) for day in ("20260901", "20260902", "20261120")]
    days += [SourceDay("o1", "syslog.auth", day, 10) for day in ("20260301", "20260901")]
    (flows, logs) = plan(NOW, policy, days).datasets
    assert (flows.dataset, flows.cut, flows.events, flows.first_kept) == (
        "packets.flow",
        "20261024",
        20,
        date(2026, 10, 25),
    )
    assert (logs.dataset, logs.cut, logs.events, logs.first_kept) == (
        "syslog.auth",
        "20260523",
        10,
        date(2026, 5, 24),
    )
    (flows, _) = plan(NOW, policy, days, {"packets.flow": "20260902"}).datasets
    assert (flows.cut, flows.events, flows.held) == ("20260902", 10, "20260902")


def test_the_table_of_classes_is_sound() -> None:
    for name, how in classes().items():
        assert how.kind in {"detail", "summary"}, name
        assert how.zh, name
        assert how.en, name
        assert (how.rollup in GROUPINGS) == (how.kind == "detail"), name
    assert class_of("rollup.flow").kind == "summary"
    assert class_of("").kind == class_of("suricata.alert").kind == "guaranteed"
    for grouping in GROUPINGS.values():
        assert not [name for name in grouping.keys if FIELDS[name].multi]
