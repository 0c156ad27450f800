"""Hold what every event store promises. A subclass gives the fixtures ``store`` and ``reopen``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_core.clock import EPOCH, format_instant, parse_instant
from soc_core.errors import UsageError
from soc_core.model.event import Event, partition_of
from soc_core.query.tree import Cidr, Everything, Exists, Not, OneOf, Or, Range, Regex, Text, equal
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation, EventStore, Group, Grouping, Scope
from tests.contract.samples import make, question

RICH: Event = {
    "@timestamp": "2026-11-20T23:59:59.999999Z",
    "event.id": "20261120-rich",
    "organization.id": "o1",
    "event.dataset": "ecs.event",
    "event.category": ["network", "web"],
    "event.duration": 2**63 - 1,
    "event.sequence": -(2**53) - 1,
    "event.risk_score": 0.1,
    "event.created": "2026-11-21T00:00:00.000001Z",
    "tags": [],
    "dns.answers.ttl": [0, 2**40],
    "tls.resumed": False,
    "tls.established": True,
    "source.ip": "2001:db8::1",
    "related.ip": ["10.0.0.1", "2001:db8::1"],
    "message": 'line\nbreak\t"quoted" \x00 \u2028 学校 😀 İß',
    "user.name": "",
    "edusoc.extra": ["a=b", "a=c"],
}
NO_ONE = Scope(frozenset())
DATASETS = ("packets.dns", "packets.flow")
ONLY_O2 = Scope(frozenset({"o2"}))


def ids(events: list[Event]) -> list[str]:
    return [str(event["event.id"]) for event in events]


def pages(store: EventStore, **parts: object) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = store.search(question(cursor=cursor, **parts))
        found.extend(ids(page.events))
        cursor = page.cursor
        if not cursor:
            return found


def fill(store: EventStore, how: str) -> EventStore:
    """Append 300 events; ``how`` says whether they are sealed, half of them, or none (``log``)."""
    for start in range(0, 300, 50):
        store.append([make(n, day=19 + n % 3, organization=f"o{n % 3}") for n in range(start, start + 50)])
        if how == "mixed" and start == 150:
            store.seal()
    if how == "sealed":
        store.seal()
    return store


class StoreContract:
    """Test a store; each test runs on unsealed, sealed and mixed events through the fixture ``move``."""

    @pytest.fixture(params=["log", "sealed", "mixed"])
    def filled(self, request: pytest.FixtureRequest, store: EventStore) -> EventStore:
        return fill(store, request.param)

    def test_returns_what_was_appended(self, store: EventStore) -> None:
        store.append([RICH])
        for _ in range(2):
            (found,) = store.search(question()).events
            assert found == RICH
            assert {name: type(value) for name, value in found.items()} == {
                name: type(value) for name, value in RICH.items()
            }
            assert store.read_from(0)[0] == [RICH]
            store.seal()

    def test_keeps_what_no_column_can_hold(self, store: EventStore) -> None:
        event = make(1) | {
            "strange.name": "x",
            "source.port": "none",
            "event.duration": 2**80,
            "host.ip": "10.0.0.9",
        }
        store.append([event])
        store.seal()
        (found,) = store.search(question()).events
        assert sorted(found["edusoc.extra"]) == sorted(  # type: ignore[arg-type] # a list of text
            ["strange.name=x", "source.port=none", f"event.duration={2**80}"]
        )
        assert found["host.ip"] == ["10.0.0.9"]
        assert store.count(question(query=equal("edusoc.extra", "strange.name=x"))) == 1

    def test_rejects_events_without_id_or_time(self, store: EventStore) -> None:
        ack = store.append([{"message": "x"}, make(1), make(2) | {"@timestamp": "yesterday"}])
        assert (ack.accepted, ack.duplicates, [bad.position for bad in ack.rejected]) == (1, 0, [0, 2])

    @pytest.mark.parametrize("sealed", [False, True])
    def test_stores_an_id_once_whatever_the_batches(
        self, store: EventStore, reopen: Callable[[], EventStore], sealed: bool
    ) -> None:
        events = [make(n, day=19 + n % 3) for n in range(200)]
        store.append(events[:130])
        if sealed:
            store.seal()
        store.append(events[100:150])
        again = reopen()
        total = [again.append(events[start : start + 70]) for start in range(0, 200, 70)]
        again.append([*events, *events])
        assert sum(ack.accepted for ack in total) == 50
        again.seal()
        again.append(events)
        assert sorted(pages(again, limit=37)) == sorted(ids(events))
        assert again.count(question()) == 200
        assert again.verify() == []

    def test_pages_in_order(self, filled: EventStore) -> None:
        newest_first = pages(filled, limit=7)
        assert len(newest_first) == len(set(newest_first)) == 300
        keys = [(str(e["@timestamp"]), str(e["event.id"])) for e in filled.search(question(limit=300)).events]
        assert keys == sorted(keys, reverse=True)
        assert pages(filled, limit=11, ascending=True) == newest_first[::-1]
        assert [name for batch in filled.scan(question(limit=1)) for name in ids(batch)] == newest_first[::-1]

    def test_pages_stay_while_events_come(self, filled: EventStore) -> None:
        before = pages(filled, limit=500)
        page = filled.search(question(limit=100))
        filled.append([make(n, day=25) for n in range(1000, 1100)])
        filled.seal()
        rest = filled.search(question(limit=400, cursor=page.cursor))
        assert ids(page.events) + ids(rest.events) == before

    @pytest.mark.parametrize("cursor", ["x", "%%%", "WzFd", "e30", "é"])
    def test_refuses_foreign_cursors(self, filled: EventStore, cursor: str) -> None:
        with pytest.raises(UsageError):
            filled.search(question(cursor=cursor))

    def test_keeps_scopes_apart(self, filled: EventStore) -> None:
        some = make(1, day=20, organization="o1")
        for scope, count in ((SYSTEM_SCOPE, 300), (ONLY_O2, 100), (NO_ONE, 0)):
            asked = question(scope, limit=1000)
            events = filled.search(asked).events
            assert len(events) == filled.count(asked) == count
            assert scope.ids is None or {e["organization.id"] for e in events} <= scope.ids
            assert sum(map(len, filled.scan(asked))) == count
            assert sum(b.count for b in filled.aggregate(asked, Aggregation("histogram")).buckets) == count
            assert sum(row.events for row in filled.statistics(scope)) == count
            assert bool(filled.get([str(some["event.id"])], scope)) == scope.allows("o1")
            broken = question(scope, query=Or((Everything(), Not(Everything()))))
            assert filled.count(broken) == count

    def test_bounds_time(self, filled: EventStore) -> None:
        low, high = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
        asked = question()
        day = type(asked)(scope=asked.scope, start=low, end=high)
        assert filled.count(day) == 100
        instant = datetime(2026, 11, 20, 0, 0, 1, 1, tzinfo=UTC)
        assert filled.count(type(asked)(scope=asked.scope, start=instant, end=high)) == 100
        assert filled.count(type(asked)(scope=asked.scope, start=low, end=instant)) == 0

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (equal("source.port", 1030), 1),
            (equal("source.port", "1030"), 1),
            (OneOf("event.category", ("NETWORK",)), 300),
            (OneOf("event.category", ("NETWORK",), cased=True), 0),
            (OneOf("message", tuple(f"RECORD {n}" for n in range(50, 100))), 50),
            (OneOf("message", tuple(f"RECORD {n}" for n in range(50, 100)), cased=True), 0),
            (Not(OneOf("message", tuple(f"record {n}" for n in range(50, 100)))), 250),
            (Not(OneOf("user.name", tuple(f"u{n}" for n in range(50)))), 300),
            (OneOf("event.category", ("network", *(f"c{n}" for n in range(50)))), 300),
            (Or((OneOf("message", tuple(f"record {n}" for n in range(50))), equal("source.port", 1030))), 50),
            (Not(equal("user.name", "a")), 300),
            (Exists("user.name"), 0),
            (Exists("source.ip"), 300),
            (Text("message", "contains", "RECORD 29"), 11),
            (Text("message", "startswith", "RECORD 29", cased=True), 0),
            (Text("message", "wildcard", "*d 2?9"), 10),
            (Text("", "contains", "rd 299"), 1),
            (Regex("message", r"\b299$"), 1),
            (Regex("message", r"^record \d{2}$"), 90),
            (Not(Regex("message", r"(?=record 1).")), 189),
            (Cidr("source.ip", "10.0.0.0/28"), 15),
            (Not(Cidr("source.ip", "10.0.0.0/8")), 0),
            (Cidr("source.ip", "2001:db8::/32"), 0),
            (Range("source.port", gte=1030, lt=1040), 10),
            (Range("source.port", gt=1029.5, lte=1030.5), 1),
            (Range("source.port", gt="1"), 0),
            (Range("@timestamp", gte="2026-11-21"), 100),
            (equal("no.such.field", "x"), 0),
            (Not(equal("no.such.field", "x")), 300),
        ],
    )
    def test_finds(self, filled: EventStore, query: object, expected: int) -> None:
        asked = question(query=query)
        assert filled.count(asked) == expected
        assert len(pages(filled, query=query, limit=50)) == expected
        assert sum(map(len, filled.scan(asked))) == expected

    def test_shows_only_fields_asked_for(self, filled: EventStore) -> None:
        (event,) = filled.search(question(limit=1, fields=("source.port", "user.name"))).events
        assert set(event) == {"source.port"}

    @pytest.mark.parametrize("query", [Everything(), Regex("message", r"\b")])
    def test_counts(self, filled: EventStore, query: object) -> None:
        asked = question(query=query)
        terms = filled.aggregate(asked, Aggregation("terms", "organization.id", size=2)).buckets
        assert [(bucket.key, bucket.count) for bucket in terms] == [("o0", 100), ("o1", 100)]
        assert filled.aggregate(asked, Aggregation("terms", "event.category")).buckets[0].count == 300
        assert filled.aggregate(asked, Aggregation("distinct", "source.port")).buckets[0].count == 300
        days = filled.aggregate(
            asked, Aggregation("histogram", interval_seconds=86_400, offset_seconds=28_800)
        )
        assert [bucket.key for bucket in days.buckets] == [
            f"2026-11-{d}T16:00:00.000000Z" for d in (18, 19, 20)
        ]
        assert filled.aggregate(asked, Aggregation("terms", "user.name")).buckets == []
        with pytest.raises(UsageError):
            filled.aggregate(asked, Aggregation("median", "source.port"))

    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        units=st.none() | st.frozensets(st.sampled_from(("o0", "o1", "o2", "o3"))),
        start=st.integers(-90_000, 200_000),
        seconds=st.integers(-1, 300_000),
        interval=st.sampled_from((1, 7, 3_600, 86_400)),
        offset=st.sampled_from((0, 28_800, -1_234)),
    )
    def test_counts_what_events_say_over_time(
        self,
        filled: EventStore,
        units: frozenset[str] | None,
        start: int,
        seconds: int,
        interval: int,
        offset: int,
    ) -> None:
        low = datetime(2026, 11, 19, tzinfo=UTC) + timedelta(seconds=start)
        high = low + timedelta(seconds=seconds)
        scope = Scope(units)
        events = [make(n, day=19 + n % 3, organization=f"o{n % 3}") for n in range(300)]
        times = [
            parse_instant(str(event["@timestamp"]))
            for event in events
            if scope.allows(str(event["organization.id"]))
        ]
        shift = timedelta(seconds=offset)
        expected = Counter(
            (moment - EPOCH + shift) // timedelta(seconds=interval)
            for moment in times
            if low <= moment < high
        )
        asked = replace(question(scope), start=low, end=high)
        shape = Aggregation("histogram", interval_seconds=interval, offset_seconds=offset)
        for _ in range(2):
            assert [(bucket.key, bucket.count) for bucket in filled.aggregate(asked, shape).buckets] == [
                (format_instant(EPOCH + timedelta(seconds=number * interval) - shift), count)
                for number, count in sorted(expected.items())
            ]
            assert filled.count(asked) == expected.total()
        assert sum(row.events for row in filled.statistics(scope)) == len(times)

    def test_gets_by_id(self, filled: EventStore) -> None:
        wanted = [str(make(n, day=19 + n % 3)["event.id"]) for n in (0, 150, 299)]
        found = filled.get([*wanted, "20261120-absent", "nonsense", ""], SYSTEM_SCOPE)
        assert sorted(found) == sorted(wanted)
        assert all(event["event.id"] == name for name, event in found.items())

    def test_tells_days(self, filled: EventStore) -> None:
        late = make(1, day=21) | {"event.id": "20261103-late", "organization.id": "o2"}
        filled.append([late])
        rows = filled.days(SYSTEM_SCOPE)
        assert [(row.organization_id, row.dataset, row.day, row.events) for row in rows] == [
            *((f"o{n}", dataset, f"202611{19 + n}", 50) for n in range(2) for dataset in DATASETS),
            ("o2", "packets.dns", "20261121", 50),
            ("o2", "packets.flow", "20261103", 1),
            ("o2", "packets.flow", "20261121", 50),
        ]
        assert filled.days(ONLY_O2) == [row for row in rows if row.organization_id == "o2"]
        assert filled.days(NO_ONE) == []

    @pytest.mark.parametrize("query", [Everything(), Regex("message", r"(?=record).")])
    def test_groups(self, filled: EventStore, query: object) -> None:
        filled.append([make(300, day=22) | {"event.duration": 2**40, "event.risk_score": 0.5}])
        asked = question(query=query)
        grouping = Grouping(
            ("organization.id", "event.dataset", "user.name"),
            ("event.duration", "event.risk_score", "source.port"),
        )
        found = [group for batch in filled.groups(asked, grouping) for group in batch]
        ports: Counter[tuple[str, str]] = Counter()
        for n in range(300):
            ports[f"o{n % 3}", DATASETS[n % 2]] += 1024 + n
        ports["o1", "packets.dns"] += 1324
        assert {group.keys: (group.events, *group.sums) for group in found} == {
            (*key, None): ((51, 2**40, 0.5, port) if key == ("o1", "packets.dns") else (50, 0, 0, port))
            for key, port in ports.items()
        }
        assert len(found) == len(ports)

    def test_groups_in_scope_and_time(self, filled: EventStore) -> None:
        by_port = Grouping(("source.port",))
        for scope, count in ((SYSTEM_SCOPE, 300), (ONLY_O2, 100), (NO_ONE, 0)):
            found = [group for batch in filled.groups(question(scope), by_port) for group in batch]
            assert len({group.keys for group in found}) == sum(group.events for group in found) == count
        low, high = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
        day = replace(question(), start=low, end=high)
        assert list(filled.groups(day, Grouping(("event.kind",)))) == [[Group(("event",), 100, ())]]

    @pytest.mark.parametrize(
        "grouping",
        [
            Grouping(("no.such.field",)),
            Grouping(("event.category",)),
            Grouping(("source.ip",), ("no.such.field",)),
            Grouping(("source.ip",), ("message",)),
            Grouping(("source.ip",), ("dns.answers.ttl",)),
        ],
    )
    def test_refuses_groupings_that_make_no_sense(self, filled: EventStore, grouping: Grouping) -> None:
        with pytest.raises(UsageError):
            list(filled.groups(question(), grouping))

    def test_is_well(self, filled: EventStore) -> None:
        health = filled.health()
        assert health.state in {"ok", "degraded"}
        assert bool(health.reasons) == (health.state != "ok")

    @pytest.mark.parametrize("sealed", [False, True])
    def test_removes_a_data_set_before_a_month(
        self, store: EventStore, reopen: Callable[[], EventStore], sealed: bool
    ) -> None:
        events = [make(n, day=28 + n % 3, month=9 + n // 30) for n in range(90)]
        store.append(events)
        if sealed:
            store.seal()
        removed = store.remove({"packets.flow": "20261101", "no.such": "20270101"})
        assert (removed.events, removed.kept) == (30, ())
        assert removed.bytes >= 0
        left = [
            event
            for event in events
            if event["event.dataset"] == "packets.dns" or partition_of(str(event["event.id"])) >= "20261101"
        ]
        asked = replace(question(), start=datetime(2026, 9, 1, tzinfo=UTC), limit=100)
        for turn in range(2):
            again = reopen() if turn else store
            assert sorted(ids(again.search(asked).events)) == sorted(ids(left))
            assert again.count(asked) == sum(row.events for row in again.days(SYSTEM_SCOPE)) == 60
            assert sum(row.events for row in again.statistics(SYSTEM_SCOPE)) == 60
            assert not again.get(ids(events[1:2]), SYSTEM_SCOPE)
        assert again.remove({"packets.flow": "20261101"}).events == 0
        assert again.append(left).duplicates == 60
        assert again.verify() == []

    def test_removes_a_part_of_a_month_or_says_that_it_keeps_it(self, store: EventStore) -> None:
        store.append([make(n, day=10 + n % 10) for n in range(100)])
        removed = store.remove(dict.fromkeys(DATASETS, "20261115"))
        days = {row.day for row in store.days(SYSTEM_SCOPE)}
        assert {f"202611{day}" for day in range(15, 20)} <= days
        assert removed.events + store.count(question()) == 100
        assert bool(removed.kept) == (min(days) < "20261115")

    def test_reads_past_what_was_removed(self, filled: EventStore) -> None:
        filled.seal()
        filled.remove({"packets.flow": "20261201"})
        more = [make(n, day=25) for n in range(400, 500)]
        filled.append(more)
        filled.seal()
        kept = ids([make(n, day=19 + n % 3) for n in range(0, 300, 2)] + more)
        for step in (1, 7, 10_000):
            found: list[str] = []
            offset, following = -1, 0
            while following != offset:
                offset = following
                events, following = filled.read_from(offset, step)
                found.extend(ids(events))
            assert offset == filled.end_offset()
            assert [name for name in found if name in kept] == kept

    def test_tells_statistics(self, filled: EventStore) -> None:
        rows = filled.statistics(SYSTEM_SCOPE)
        assert [(row.organization_id, row.dataset, row.events) for row in rows] == [
            (f"o{n}", dataset, 50) for n in range(3) for dataset in ("packets.dns", "packets.flow")
        ]
        assert rows[0].first == "2026-11-19T00:00:00.000000Z"

    @pytest.mark.parametrize("step", [1, 33, 10_000])
    def test_reads_the_log_from_any_offset(self, filled: EventStore, step: int) -> None:
        expected = [str(make(n, day=19 + n % 3)["event.id"]) for n in range(300)]
        found: list[str] = []
        offset = 0
        while True:
            events, following = filled.read_from(offset, step)
            if following == offset:
                break
            found.extend(ids(events))
            offset = following
        assert found == expected
        assert offset == filled.end_offset()
        assert filled.read_from(offset + 5) == ([], offset + 5)

    def test_takes_late_events(self, filled: EventStore) -> None:
        filled.seal()
        late = [make(n, day=2) for n in range(2000, 2010)]
        filled.append(late)
        filled.seal()
        assert pages(filled, limit=5)[-10:] == ids(late)[::-1]
        assert filled.append(late).duplicates == 10

    def test_survives_reopening(self, filled: EventStore, reopen: Callable[[], EventStore]) -> None:
        before = pages(filled, limit=500)
        assert pages(reopen(), limit=500) == before
