"""Hold that searching history finds what the stream would have found, wherever it is killed, on both stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import select

from cases.alerts.attach import AlertSink
from cases.alerts.tables import alerts, detections
from intake.indicators import repository
from intake.indicators.counting import CountingPolicy
from intake.indicators.hunting import Hunter, Parts
from intake.indicators.importing import JOB, ListKeeper
from intake.indicators.model import Hunt, Wanted
from intake.indicators.shelf import Shelf
from intake.indicators.watching import IndicatorWatch, open_detector
from intake.pipeline import Detectors, Pipeline
from intake.rules.policy import RulePolicy
from soc_core.clock import format_instant
from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.jobs import jobs
from soc_core.model.event import Event
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, EventStore, Scope
from tests.conftest import NOW
from tests.contract.elasticsearch_places import new_prefix

LIST: Final = b"""45.9.1.2
45.9.7.0/24
2400:da00::7
evil.cn
\xe5\x9d\x8f.\xe4\xb8\xad\xe5\x9b\xbd
http://evil2.cn/a?b=1
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
t13d1516h2_8daaf6152771_02713d6af862
"""
LATER: Final = NOW + timedelta(minutes=1)


def events() -> list[Event]:
    parts: list[Event] = [
        {"destination.ip": "45.9.1.2"},
        {"destination.ip": "45.9.7.200"},
        {"dns.question.name": "www.evil.cn", "dns.resolved_ip": ["8.8.8.8", "2400:da00::7"]},
        {
            "tls.client.server_name": "a.xn--7es.xn--fiqs8s",
            "tls.client.ja4": "t13d1516h2_8daaf6152771_02713d6af862",
        },
        {"url.domain": "evil2.cn", "url.original": "/a?b=1"},
        {"url.full": "https://EVIL2.cn/%61?b=1"},
        {"file.hash.md5": "A" * 32},
        {"destination.ip": "8.8.8.8", "dns.question.name": "fine.cn"},
        {"source.ip": "45.9.1.2", "destination.ip": "10.0.0.9"},
    ]
    made: list[Event] = []
    for day in (0, 1, 40):
        for number, part in enumerate(parts):
            at = format_instant(NOW - timedelta(days=day, minutes=number + 1))
            name = f"{at[:10].replace('-', '')}-{day:02d}{number:024d}"
            base: Event = {
                "@timestamp": at,
                "event.id": name,
                "event.dataset": "zeek.conn",
                "source.ip": "10.0.0.5",
            }
            made.append(base | part)
    return made


@dataclass
class Place:
    """Hold one installation: its store, database, lists and pipeline."""

    store: EventStore
    database: Database
    keeper: ListKeeper
    cursor: str

    def pipeline(self, *, watching: bool) -> Pipeline:
        watch = IndicatorWatch(self.keeper.shelf, self.database, lambda: LATER)
        watch.look()
        found = Detectors([watch] if watching else [], cursor=self.cursor)
        pipeline = Pipeline(self.store, self.database, found, AlertSink(lambda: LATER), lambda: NOW)
        pipeline.policy = CountingPolicy(RulePolicy(self.database, self.store, lambda: LATER))
        return pipeline

    def hunter(self, store: EventStore | None = None) -> Hunter:
        shelf, database = self.keeper.shelf, self.database
        policy = CountingPolicy(RulePolicy(database, self.store, lambda: LATER))
        sink = AlertSink(lambda: LATER)
        parts = Parts(shelf, database, store or self.store, policy, sink)
        return Hunter(
            parts, partial(open_detector, shelf, database, lambda: LATER, hunting=True), lambda: LATER
        )

    def found(self) -> dict[str, str]:
        with self.database.read() as connection:
            return {row.id: row.kind for row in connection.execute(select(detections))}

    def hunt(self) -> Hunt:
        with self.database.read() as connection:
            return repository.list_hunts(connection)[0]


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    from edusoc.migrating import upgrade

    database = Database.in_directory(tmp_path / "state")
    upgrade(database)
    keeper = ListKeeper(Shelf(tmp_path / "state"), database)
    if request.param == "embedded":
        store: EventStore = EmbeddedStore(tmp_path / "events", writer=True)
        yield Place(store, database, keeper, "detect")
        store.close()
    else:
        from soc_core.store.elasticsearch.store import ElasticsearchStore

        url = request.getfixturevalue("elasticsearch_url")
        with new_prefix(url) as prefix:
            settings = Settings(elasticsearch_url=url, elasticsearch_prefix=prefix, elasticsearch_replicas=0)
            store = ElasticsearchStore.at(settings, writer=True)
            yield Place(store, database, keeper, f"detect@{prefix}")
            store.close()
    database.close()


def import_(place: Place, data: bytes = LIST) -> None:
    place.keeper.import_list(data, Wanted("feed", "file", "wang", "weekly"), LATER)


def test_history_and_stream_give_the_same_ids(place: Place) -> None:
    """First the list and then the events; then, as if never seen, the same events searched in history."""
    import_(place)
    pipeline = place.pipeline(watching=True)
    pipeline.take(events(), organization_id="u1", zone="default")
    pipeline.advance()
    stream = place.found()
    assert len(stream) == 3 * 10
    with place.database.write() as connection:
        connection.execute(detections.delete())
    assert place.hunter().run_some() == 1
    assert place.found() == stream
    hunt = place.hunt()
    assert (hunt.state, hunt.hits, hunt.done) == ("done", len(stream), hunt.steps)
    place.keeper.hunt_again("feed", LATER)
    assert place.hunter().run_some() == 1
    assert place.hunt().hits == 0  # what is known already changes nothing


def test_sealed_history_is_searched_and_hits_are_counted_once(place: Place) -> None:
    pipeline = place.pipeline(watching=False)
    pipeline.take(events(), organization_id="u1", zone="default")
    pipeline.advance()
    place.store.seal()
    import_(place)
    place.hunter().run_some()
    with place.database.read() as connection:
        (kept,) = repository.list_lists(connection)
        rows = repository.list_hits(connection, SYSTEM_SCOPE)
        assert repository.list_hits(connection, Scope(frozenset({"other"}))) == []
        kinds = connection.execute(select(alerts.c.kind, alerts.c.entity_value)).all()
    assert kept.hits == 30
    assert sum(row["hits"] for row in rows) == 30
    assert kept.last_hit_at == format_instant(NOW - timedelta(minutes=1))
    assert {row["value"] for row in rows} >= {"45.9.1.2", "45.9.7.0/24", "坏.中国", "evil2.cn/a?b=1"}
    # One listed thing for one device is one alert as long as it goes on.
    assert len(kinds) < 30


def test_stopped_anywhere_it_goes_on_where_it_was(place: Place) -> None:
    pipeline = place.pipeline(watching=False)
    pipeline.take(events(), organization_id="u1", zone="default")
    pipeline.advance()
    import_(place)
    steps = []
    while place.hunt().state != "done":
        before = place.hunt().done
        asked = iter([False, False, True])
        place.hunter().run_some(stop=lambda asked=asked: next(asked, True))  # type: ignore[misc]
        steps.append(place.hunt().done - before)
        assert len(steps) < 200
    assert max(steps) == 1
    assert len(place.found()) == 30


def test_a_search_that_dies_is_leased_again(place: Place) -> None:
    class Dying:
        def __getattr__(self, name: str) -> object:
            return getattr(place.store, name)

        def scan(self, _request: object) -> object:
            raise StoreError("the store is away")

    pipeline = place.pipeline(watching=False)
    pipeline.take(events(), organization_id="u1", zone="default")
    import_(place)
    dying = place.hunter(Dying())  # type: ignore[arg-type]
    assert dying.run_some() == 0
    assert place.hunt().fault
    assert place.hunter().run_some() == 0  # its lease still runs
    place.hunter().release()
    assert place.hunter().run_some() == 1
    assert len(place.found()) == 30


def test_a_large_list_reads_everything_once(place: Place) -> None:
    pipeline = place.pipeline(watching=False)
    pipeline.take(events(), organization_id="u1", zone="default")
    more = b"".join(b"45.%d.%d.%d\n" % (10 + n // 10_000, n // 100 % 100, n % 100) for n in range(4_000))
    import_(place, LIST + more)
    place.hunter().run_some()
    hunt = place.hunt()
    assert (hunt.state, hunt.hits, hunt.steps) == ("done", 30, 42)


def test_a_job_whose_list_is_gone_ends(place: Place) -> None:
    import_(place)
    with place.database.write() as connection:
        kept = repository.need_list(connection, "feed")
        repository.remove_list(connection, replace(kept), "wang", "why", now=NOW)
    assert place.hunter().run_some() == 1
    with place.database.read() as connection:
        assert jobs.waiting(connection, JOB) == []
