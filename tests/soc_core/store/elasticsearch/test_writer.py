"""Hold that nothing is lost and nothing doubled when requests, answers, writers or the cluster go wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from soc_core.errors import StoreBusyError, StoreError
from soc_core.model.event import Event
from soc_core.query.tree import equal
from soc_core.store.elasticsearch import removing
from soc_core.store.elasticsearch.bulk import TRIES
from soc_core.store.elasticsearch.client import connect
from soc_core.store.elasticsearch.lease import DOCUMENT, Lease, machine, make_state_index, read_log
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.templates import OFFSET, mappings
from tests.contract.elasticsearch_places import QUICK, new_prefix, place_at
from tests.contract.samples import make, question
from tests.contract.store_contract import ids, pages
from tests.soc_core.store.elasticsearch.fault_proxy import Fate, Faults, fault_proxy

EVENTS = [make(n) for n in range(60)]
SILENT = replace(QUICK, lease_seconds=3_600.0)
"""A writer that shows no sign of life between its appends."""
IMPATIENT = replace(QUICK, lease_seconds=0.2)


@pytest.fixture
def prefix(elasticsearch_url: str) -> Iterator[str]:
    with new_prefix(elasticsearch_url) as name:
        yield name


@pytest.fixture
def place(elasticsearch_url: str, prefix: str) -> Place:
    return place_at(elasticsearch_url, prefix)


@pytest.fixture
def store(place: Place) -> Iterator[ElasticsearchStore]:
    opened = ElasticsearchStore(place, writer=True, how=QUICK)
    yield opened
    opened.close()


@pytest.fixture
def shaky(elasticsearch_url: str, prefix: str) -> Iterator[tuple[ElasticsearchStore, Faults, list[float]]]:
    """Return a store behind a proxy, what goes wrong there, and the pauses it made."""
    pauses: list[float] = []
    with fault_proxy(elasticsearch_url) as (settings, faults):
        place = Place(connect(settings), prefix, "shaky")
        opened = ElasticsearchStore(place, writer=True, how=replace(SILENT, sleep=pauses.append))
        yield opened, faults, pauses
        faults.judge = lambda _method, _path, _body: "pass"
        opened.close()


def log_of(store: ElasticsearchStore, offset: int = 0) -> list[str]:
    return ids(store.read_from(offset)[0])


def holds_once(store: ElasticsearchStore, events: list[Event]) -> None:
    """Hold that the store has these events, each once, and that readers of the log see each."""
    assert sorted(pages(store, limit=500)) == sorted(ids(events))
    assert store.count(question()) == len(events)
    assert sorted(log_of(store)) == sorted(ids(events))
    assert store.verify() == []


def some_times(number: int, fate: Fate, path: str = "/_bulk") -> Callable[[str, str, bytes], Fate]:
    """Return a judge that lets the first requests of a path go wrong."""
    left = [number]

    def judge(_method: str, asked: str, _body: bytes) -> Fate:
        if asked.split("?", maxsplit=1)[0].endswith(path) and left[0] > 0:
            left[0] -= 1
            return fate
        return "pass"

    return judge


@pytest.mark.parametrize("fate", ["lose request", "lose answer", (429, b"{}"), (503, b"{}")])
def test_counts_what_it_stored_itself_as_accepted(
    shaky: tuple[ElasticsearchStore, Faults, list[float]], fate: Fate
) -> None:
    store, faults, pauses = shaky
    faults.judge = some_times(2, fate)
    ack = store.append(EVENTS)
    assert (ack.accepted, ack.duplicates, ack.rejected) == (60, 0, ())
    assert len(pauses) == 2
    assert 0.1 <= pauses[0] <= 0.2 <= pauses[1] <= 0.4
    assert store.append(EVENTS).duplicates == 60
    holds_once(store, EVENTS)


def test_sends_again_only_what_was_refused_for_now(
    shaky: tuple[ElasticsearchStore, Faults, list[float]],
) -> None:
    store, faults, pauses = shaky
    sent: list[int] = []

    def judge(_method: str, path: str, body: bytes) -> Fate:
        if not path.startswith("/_bulk"):
            return "pass"
        sent.append(body.count(b"\n") // 2)
        if len(sent) > 1:
            return "pass"
        busy = {"type": "es_rejected_execution_exception", "reason": "queue is full"}
        items = [{"create": {"status": 429, "error": busy}} for _ in range(sent[0])]
        return 200, json.dumps({"errors": True, "items": items}).encode()

    faults.judge = judge
    assert store.append(EVENTS).accepted == 60
    assert sent == [60, 60]
    assert len(pauses) == 1
    holds_once(store, EVENTS)


def test_gives_up_after_some_tries_and_acknowledges_nothing(
    shaky: tuple[ElasticsearchStore, Faults, list[float]],
) -> None:
    store, faults, pauses = shaky
    faults.judge = some_times(TRIES, "lose answer")
    with pytest.raises(StoreError):
        store.append(EVENTS)
    assert len(pauses) == TRIES - 1
    assert store.end_offset() == 0
    assert store.read_from(0) == ([], 0)
    assert store.append(EVENTS[:30]).accepted == 30  # stored already, acknowledged now
    assert store.append(EVENTS).accepted == 30
    holds_once(store, EVENTS)


def test_takes_over_what_was_stored_and_not_acknowledged(
    shaky: tuple[ElasticsearchStore, Faults, list[float]], place: Place
) -> None:
    store, faults, _ = shaky
    store.append(EVENTS[:20])
    faults.judge = some_times(10, "lose request", f"/_doc/{DOCUMENT}")
    with pytest.raises(StoreError):
        store.append(EVENTS[20:])
    following = ElasticsearchStore(place, writer=True, how=IMPATIENT)
    assert log_of(following) == ids(EVENTS)
    assert following.append(EVENTS).duplicates == 60
    holds_once(following, EVENTS)
    following.close()
    faults.judge = lambda _method, _path, _body: "pass"
    with pytest.raises(StoreBusyError):
        store.append([make(100)])


def test_shows_readers_of_the_log_what_a_writer_taken_for_dead_stored(
    elasticsearch_url: str, prefix: str, place: Place
) -> None:
    zombie = ElasticsearchStore(place_at(elasticsearch_url, prefix), writer=True, how=SILENT)
    zombie.append(EVENTS[:20])
    following = ElasticsearchStore(place, writer=True, how=IMPATIENT)
    following.append(EVENTS[20:40])
    seen, offset = following.read_from(0)
    assert ids(seen) == ids(EVENTS[:40])
    with pytest.raises(StoreBusyError, match=r"process \d+"):
        zombie.append(EVENTS[30:])
    assert log_of(following, offset) == []
    again = following.append(EVENTS[35:])
    assert (again.accepted, again.duplicates) == (20, 5)
    assert log_of(following, offset) == ids(EVENTS[40:])
    holds_once(following, EVENTS)
    zombie.close()
    assert following.append(EVENTS).duplicates == 60
    following.close()


@pytest.mark.timeout(60)
def test_says_why_it_can_not_take_over(
    shaky: tuple[ElasticsearchStore, Faults, list[float]], place: Place
) -> None:
    store, faults, _ = shaky
    store.append(EVENTS[:20])
    faults.judge = some_times(10, "lose request", f"/_doc/{DOCUMENT}")
    with pytest.raises(StoreError):
        store.append(EVENTS[20:])
    place.client.indices.put_settings(index=place.pattern, settings={"index.blocks.write": True})
    with pytest.raises(StoreError, match="closed for writing"):
        ElasticsearchStore(place_at(place.where, place.prefix), writer=True, how=IMPATIENT)
    place.client.indices.put_settings(index=place.pattern, settings={"index.blocks.write": None})
    following = ElasticsearchStore(place, writer=True, how=IMPATIENT)
    holds_once(following, EVENTS)
    following.close()


def test_remembers_failures_in_a_row_as_one(
    shaky: tuple[ElasticsearchStore, Faults, list[float]], place: Place
) -> None:
    store, faults, _ = shaky
    for _ in range(3):
        faults.judge = some_times(TRIES, (429, b"{}"))
        with pytest.raises(StoreError):
            store.append(EVENTS)
    assert store.append(EVENTS).accepted == 60
    assert len(read_log(place).abandoned) == 1
    holds_once(store, EVENTS)


def test_keeps_an_index_whose_data_sets_are_too_many_to_look_at(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "_MOST", 1)
    old = [make(n) | {"event.dataset": f"Odd {n % 2}"} for n in range(5)]  # both go to the index of others
    store.append(old)
    assert store.remove({"Odd 0": "20261201"}).events == 0
    assert store.count(question()) == 5


def test_does_not_drop_what_arrives_while_it_removes(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(EVENTS)
    drop, late = removing._drop, [make(n) for n in range(100, 110)]
    appending = threading.Thread(target=lambda: store.append(late))

    def slowly(place: Place, name: str) -> bool:
        if not appending.ident:
            appending.start()
            appending.join(2)  # time enough for an append that does not wait for us
        return drop(place, name)

    monkeypatch.setattr(removing, "_drop", slowly)
    store.remove({str(event["event.dataset"]): "20261201" for event in EVENTS})
    appending.join()
    assert sorted(pages(store, limit=500)) == sorted(ids(late))


def test_keeps_poison_aside(store: ElasticsearchStore, place: Place) -> None:
    """The index is one that somebody made by hand, with numbers where we have text."""
    properties = mappings()["properties"] | {"message": {"type": "long"}}
    place.client.indices.create(
        index=f"{place.prefix}-events-packets.dns-2026.11",
        mappings={"dynamic": False, "subobjects": False, "properties": properties},
    )
    events = [*EVENTS[:10], make(10) | {"message": "5"}]
    ack = store.append(events)
    assert (ack.accepted, ack.duplicates) == (6, 0)
    assert [record.position for record in ack.rejected] == [0, 2, 4, 6, 8]
    assert all(
        "failed to parse" in record.reason or "input string" in record.reason for record in ack.rejected
    )
    assert json.loads(ack.rejected[0].raw)["event.id"] == events[0]["event.id"]
    assert store.count(question()) == 6
    (found,) = store.verify()
    assert "message" in found.what


def test_names_the_other_writer(store: ElasticsearchStore, elasticsearch_url: str) -> None:
    with pytest.raises(StoreBusyError, match=r"process \d+ .* writes here already"):
        ElasticsearchStore(place_at(elasticsearch_url, store.place.prefix), writer=True, how=QUICK)


def test_does_not_wait_for_a_dead_process_of_this_machine(place: Place) -> None:
    make_state_index(place, 0)
    lease = Lease(place, seconds=3_600.0)
    state = place.client.get(index=place.state, id=DOCUMENT)["_source"]
    assert state["machine"] == machine()
    place.client.index(index=place.state, id=DOCUMENT, document=state | {"process": "999999999:1"})
    pauses: list[float] = []
    following = Lease(place, seconds=3_600.0, sleep=pauses.append)
    assert pauses == []
    assert following.log.epoch == 2
    lease.close(0)
    following.close(0)
    assert read_log(place).token == ""


def test_goes_on_above_what_a_restored_snapshot_holds(place: Place) -> None:
    first = ElasticsearchStore(place, writer=True, how=QUICK)
    first.append(EVENTS[:20])
    first.close()
    following = place_at(place.where, place.prefix)
    following.client.indices.delete(index=place.state)
    second = ElasticsearchStore(following, writer=True, how=QUICK)
    assert log_of(second) == ids(EVENTS[:20])
    assert second.append(EVENTS).accepted == 40
    holds_once(second, EVENTS)
    second.close()


@pytest.mark.parametrize("seen", [False, True])
def test_knows_an_id_under_another_data_set(store: ElasticsearchStore, seen: bool) -> None:
    store.append(EVENTS[:10])
    if seen:
        assert store.count(question()) == 10
    renamed = [event | {"event.dataset": "packets.other"} for event in EVENTS[:12]]
    ack = store.append(renamed)
    assert (ack.accepted, ack.duplicates) == (2, 10)
    assert store.append(EVENTS[:12]).duplicates == 12
    holds_once(store, [*EVENTS[:10], *renamed[10:]])


def test_bounds_the_months_of_a_wrong_clock(store: ElasticsearchStore, place: Place) -> None:
    wrong = [
        make(n) | {"event.id": f"{1980 + n}0101-{n:026d}", "@timestamp": f"{1980 + n}-01-01T00:00:00.000000Z"}
        for n in range(0, 100, 2)
    ]
    assert store.append(wrong).accepted == 50
    names = list(place.client.indices.get(index=place.pattern, filter_path="*.settings.index.uuid").body)
    assert len(names) == 2  # January 2026 and the overflow
    assert store.append(wrong).duplicates == 50
    assert len(store.get(ids(wrong), question().scope)) == 50
    assert store.verify() == []


def test_moves_no_offset_for_duplicates(store: ElasticsearchStore) -> None:
    store.append(EVENTS)
    for _ in range(3):
        store.append(EVENTS)
    assert store.end_offset() == 60
    assert store.append([make(100)]).end_offset == 61


def test_hides_what_the_log_knows(store: ElasticsearchStore) -> None:
    store.append([EVENTS[0] | {OFFSET: 5}])
    (event,) = store.search(question()).events
    assert OFFSET not in event
    assert event["edusoc.extra"] == [f"{OFFSET}=5"]


def test_goes_on_while_another_data_set_is_missing(place: Place) -> None:
    first = ElasticsearchStore(place, writer=True, how=QUICK)
    first.append(EVENTS[:20])
    place.client.indices.create(
        index=f"{place.prefix}-events-lost-2026.11",
        settings={"index.routing.allocation.require._name": "nobody"},
        wait_for_active_shards="0",
    )
    assert first.append(EVENTS[:40]).accepted == 20
    first.close()
    again = ElasticsearchStore(place_at(place.where, place.prefix), writer=True, how=QUICK)
    assert again.append(EVENTS).accepted == 20
    assert again.search(question(limit=100)).partial
    again.close()


def test_maps_fields_that_an_older_dictionary_lacked(place: Place) -> None:
    first = ElasticsearchStore(place, writer=True, how=QUICK)
    first.close()
    older = mappings()["properties"]
    del older["user.name"]
    following = place_at(place.where, place.prefix)
    following.client.indices.delete_index_template(name=f"{place.prefix}-events")
    following.client.indices.create(
        index=f"{place.prefix}-events-packets.dns-2026.11",
        mappings={"dynamic": False, "subobjects": False, "properties": older, "_meta": {"edusoc": {}}},
    )
    store = ElasticsearchStore(following, writer=True, how=QUICK)
    store.append([make(2) | {"user.name": "a"}])
    assert store.count(question(query=equal("user.name", "a"))) == 1
    assert store.verify() == []
    store.close()


@pytest.mark.parametrize("fate", ["lose request", "lose answer", (503, b"{}")])
def test_acknowledges_although_an_answer_is_lost(
    shaky: tuple[ElasticsearchStore, Faults, list[float]], fate: Fate
) -> None:
    store, faults, pauses = shaky
    store.append(EVENTS[:20])
    faults.judge = some_times(2, fate, f"/_doc/{DOCUMENT}")
    assert store.append(EVENTS).accepted == 40
    assert len(pauses) == 2
    holds_once(store, EVENTS)
