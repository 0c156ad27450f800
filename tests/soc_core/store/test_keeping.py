"""Hold that detail goes only after its roll-up, with exact totals, however often it is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.model.event import Event
from soc_core.query.tree import equal
from soc_core.store.coverage import retention_report
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation, Buckets, Removal, Scope, Search, SourceDay
from soc_core.store.keeping import apply_retention, plan_now, relieve
from soc_core.store.retention import Policy
from soc_core.store.rollup import BEGINNING, END, EVENTS, make_rows

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
POLICY = Policy.of(Settings())
FLOWS = SourceDay("o1", "packets.flow", "20260901", 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=0))
    yield opened
    opened.close()


def flow(number: int, *, day: str = "20260901", host: int = 0, unit: str = "o1", **fields: object) -> Event:
    return {
        "@timestamp": f"{day[:4]}-{day[4:6]}-{day[6:]}T01:02:03.{number:06d}Z",
        "event.id": f"{day}-flow-{number}",
        "event.dataset": "packets.flow",
        "event.ingested": f"{day[:4]}-{day[4:6]}-{day[6:]}T02:00:00.000000Z",
        "organization.id": unit,
        "edusoc.zone": "校园网",
        "source.ip": f"10.0.0.{host % 250 + 1}",
        "destination.ip": "192.0.2.1",
        "destination.port": 443,
        "network.transport": "tcp",
        "source.bytes": 10 * (host + 1),
        "destination.bytes": 1_000,
        **fields,  # type: ignore[dict-item] # tests pass values
    }


def rollups(store: EmbeddedStore) -> list[Event]:
    asked = Search(SYSTEM_SCOPE, BEGINNING, END, equal("event.dataset", "rollup.flow"))
    return [event for batch in store.scan(asked) for event in batch]


def total(rows: list[Event], name: str) -> int:
    return sum(int(row.get(name, 0)) for row in rows)  # type: ignore[arg-type] # numbers


def test_rolls_up_then_removes(store: EmbeddedStore) -> None:
    store.append([flow(n, host=n % 3) for n in range(30)] + [flow(99, day="20261123")])
    kept = apply_retention(store, POLICY, NOW)
    assert (kept.rollups, kept.removal.events) == (3, 30)
    rows = rollups(store)
    assert [row[EVENTS] for row in rows] == [10, 10, 10]
    assert total(rows, "source.bytes") == 100 + 200 + 300
    assert total(rows, "destination.bytes") == 30_000
    assert {row["source.ip"] for row in rows} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert all(str(row["event.id"]).startswith("20260901-") for row in rows)
    assert {(row.dataset, row.day) for row in store.days(SYSTEM_SCOPE)} == {
        ("packets.flow", "20261123"),
        ("rollup.flow", "20260901"),
    }
    assert apply_retention(store, POLICY, NOW).removal == Removal(0, 0)
    assert rollups(store) == rows


def test_names_the_greatest_and_keeps_totals_exact(store: EmbeddedStore) -> None:
    store.append([flow(n, host=n) for n in range(40)])
    assert store.append(make_rows(store, FLOWS, 5)).accepted == 6
    rows = rollups(store)
    (rest,) = [row for row in rows if row.get("edusoc.rollup.rest")]
    assert (rest[EVENTS], rest["edusoc.rollup.groups"]) == (35, 35)
    assert "source.ip" not in rest
    assert total(rows, EVENTS) == 40
    assert total(rows, "source.bytes") == sum(10 * (n + 1) for n in range(40))
    assert {row["source.ip"] for row in rows if row is not rest} == {f"10.0.0.{n + 1}" for n in range(35, 40)}


@pytest.mark.parametrize("most", [3, 100])
def test_repeating_changes_nothing_and_what_came_since_is_added(store: EmbeddedStore, most: int) -> None:
    store.append([flow(n, host=n % 7) for n in range(70)])
    store.append(make_rows(store, FLOWS, most))
    assert make_rows(store, FLOWS, most) == []
    store.append([flow(n, host=n % 9) for n in range(70, 75)])
    assert store.append(make_rows(store, FLOWS, most)).accepted == 1
    assert make_rows(store, FLOWS, most) == []
    rows = rollups(store)
    assert total(rows, EVENTS) == 75
    assert total(rows, "destination.bytes") == 75_000


def test_what_comes_late_for_a_removed_day_is_a_round_of_its_own(store: EmbeddedStore) -> None:
    store.append([flow(n, host=n % 7) for n in range(70)])
    apply_retention(store, POLICY, NOW)
    store.append([flow(n, host=8) for n in range(100, 104)])
    apply_retention(store, POLICY, NOW)
    rows = rollups(store)
    assert total(rows, EVENTS) == 74
    assert {row["edusoc.rollup.round"] for row in rows} == {1, 2}


def test_the_same_events_once_more_are_the_same_roll_up(store: EmbeddedStore) -> None:
    events = [flow(n, host=n % 7) for n in range(70)]
    store.append(events)
    apply_retention(store, POLICY, NOW)
    store.append(events)
    assert apply_retention(store, POLICY, NOW).removal.events == 70
    assert total(rollups(store), EVENTS) == 70


def test_rows_are_a_tenth_of_the_events_at_most(store: EmbeddedStore) -> None:
    store.append([flow(n, **{"destination.port": n}) for n in range(500)])
    assert apply_retention(store, POLICY, NOW).rollups == 51
    assert total(rollups(store), EVENTS) == 500


def test_units_and_days_are_rolled_up_apart(store: EmbeddedStore) -> None:
    store.append([flow(n, unit=f"o{n % 2}", day=f"2026090{1 + n % 3}") for n in range(60)])
    apply_retention(store, POLICY, NOW)
    rows = rollups(store)
    assert len(rows) == 6
    assert {row[EVENTS] for row in rows} == {10}


def test_an_event_whose_time_is_not_of_its_day_is_counted_where_it_is_removed(store: EmbeddedStore) -> None:
    store.append([flow(1), flow(2) | {"@timestamp": "2026-09-05T00:00:00.000000Z"}])
    assert apply_retention(store, POLICY, NOW).removal.events == 2
    assert total(rollups(store), EVENTS) == 2


def test_detail_stays_when_the_roll_up_is_refused(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([flow(n) for n in range(5)])

    def refuse(events: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr(store, "append", refuse)
    with pytest.raises(StoreError, match="no room"):
        apply_retention(store, POLICY, NOW)
    assert sum(row.events for row in store.days(SYSTEM_SCOPE)) == 5


def test_old_records_that_arrived_lately_stay(store: EmbeddedStore) -> None:
    lately = "2026-11-23T00:00:00.000000Z"
    store.append([flow(1), flow(2, day="20260905", **{"event.ingested": lately}), flow(3, day="20260906")])
    (planned,) = plan_now(store, POLICY, NOW).datasets
    assert (planned.events, planned.cut, planned.held) == (1, "20260905", "20260905")
    assert apply_retention(store, POLICY, NOW).removal.events == 1


def test_old_records_stay_when_not_all_parts_say_whether_they_arrived_lately(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = "2026-11-20T00:00:00.000000Z"
    store.append([flow(n, **{"event.ingested": late}) for n in range(2)] + [flow(9, day="20260902")])
    aggregate = store.aggregate

    def partly(request: Search, aggregation: Aggregation) -> Buckets:
        """Answer as a store some of whose parts are away."""
        found = aggregate(request, aggregation)
        return replace(found, buckets=[], partial="1 of 2 parts did not answer")

    monkeypatch.setattr(store, "aggregate", partly)
    assert apply_retention(store, POLICY, NOW).removal.events == 0
    assert store.count(Search(SYSTEM_SCOPE, BEGINNING, END)) == 3


def test_guaranteed_logs_go_after_their_months_only(store: EmbeddedStore) -> None:
    logs = [
        flow(n, day=day, **{"event.dataset": "syslog.auth"}) for n, day in enumerate(("20260522", "20260523"))
    ]
    store.append(logs)
    assert apply_retention(store, POLICY, NOW).removal.events == 1
    assert [row.day for row in store.days(SYSTEM_SCOPE)] == ["20260523"]


def test_pressure_takes_detail_only_and_stops_when_it_is_enough(store: EmbeddedStore) -> None:
    days = [f"202611{day}" for day in range(10, 25)]
    store.append([flow(n, day=day) for n, day in enumerate(days)])
    store.append([flow(100 + n, day=day, **{"event.dataset": "syslog.auth"}) for n, day in enumerate(days)])
    assert relieve(store, POLICY, NOW, lambda gone: gone.events >= 3).events == 3
    assert min(row.day for row in store.days(SYSTEM_SCOPE) if row.dataset == "packets.flow") == "20261113"
    relieve(store, POLICY, NOW, lambda gone: False)
    left = [row.day for row in store.days(SYSTEM_SCOPE) if row.dataset == "packets.flow"]
    assert left == ["20261120", "20261121", "20261122", "20261123", "20261124"]
    assert sum(row.events for row in store.days(SYSTEM_SCOPE) if row.dataset == "syslog.auth") == 15
    assert total(rollups(store), EVENTS) == 10


def test_reports_gaps_and_what_is_too_short(store: EmbeddedStore) -> None:
    days = ["20260601", "20260602", "20260605", *(f"202611{day}" for day in range(10, 24))]
    store.append([flow(n, day=day, **{"event.dataset": "syslog.auth"}) for n, day in enumerate(days)])
    store.append([flow(50, day="20261020"), flow(51, day="20261123")])
    since = {"o1": datetime(2026, 1, 1, tzinfo=UTC).date()}
    flows, logs = retention_report(store, Settings(), NOW, SYSTEM_SCOPE, since)
    assert (logs.days, logs.short, logs.sound) == (17, True, False)
    assert [(gap.start[:10], gap.end[:10], gap.days) for gap in logs.gaps] == [
        ("2026-06-03", "2026-06-05", 2),
        ("2026-06-06", "2026-11-10", 157),
    ]
    assert flows.sound
    assert [(gap.start[:10], gap.end[:10]) for gap in flows.gaps] == [("2026-10-24", "2026-11-23")]
    assert retention_report(store, Settings(), NOW, Scope(frozenset())) == []
    young = {"o1": datetime(2026, 8, 1, tzinfo=UTC).date()}
    assert not retention_report(store, Settings(), NOW, SYSTEM_SCOPE, young)[1].short


def test_reports_silence_until_yesterday(store: EmbeddedStore) -> None:
    store.append([flow(1, day="20261120", **{"event.dataset": "syslog.auth"})])
    (report,) = retention_report(store, Settings(), NOW, SYSTEM_SCOPE)
    assert [(gap.start[:10], gap.days) for gap in report.gaps] == [("2026-11-21", 2)]


@pytest.mark.parametrize("day", ["99991231", "00010101"])
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_the_ends_of_the_calendar_hinder_nothing(store: EmbeddedStore, day: str, zone: str) -> None:
    settings = Settings(time_zone=zone)
    at = {"@timestamp": f"{day[:4]}-{day[4:6]}-{day[6:]}T{'23' if day > '2' else '01'}:00:00.000000Z"}
    store.append([flow(n, day=day) | at for n in range(3)])
    assert len(retention_report(store, settings, NOW, SYSTEM_SCOPE)) == 1
    removed = apply_retention(store, Policy.of(settings), NOW).removal
    assert removed.events == (3 if day < "2" else 0)
    assert len(retention_report(store, settings, NOW, SYSTEM_SCOPE)) == 1


def test_only_keeping_removes_events() -> None:
    root = Path(__file__).resolve().parents[3]
    callers = {
        path.relative_to(root).as_posix()
        for package in ("soc_core", "intake", "cases", "soc_api", "edusoc", "collectors", "detectors")
        for path in (root / package).rglob("*.py")
        if "store.remove(" in path.read_text(encoding="utf-8")
    }
    assert callers == {"soc_core/store/keeping.py"}
