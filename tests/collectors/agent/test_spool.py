"""Hold what the spool promises: durable, bounded, what can wait waits, bulk is dropped first and told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from collectors.agent.gaps import gap_events
from collectors.agent.priorities import BULK, URGENT, USUAL, priority_of
from collectors.agent.spool import MOST_EVENT_BYTES, Lane, Limits, Spool, encode_event, lines_of, stored_at
from collectors.live.base import Origin
from soc_core.errors import StoreBusyError, StoreError
from soc_core.log import LogReader
from soc_core.model.event import Event
from tests.collectors.agent.helpers import NOW, STAMP, TCP, UDP, event, events, wait_for

SMALL = Limits(size=200_000, reserve=0)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", SMALL, lambda: NOW)
    yield opened
    opened.close()


def stored(lane: Lane) -> list[Event]:
    records = LogReader(lane.log_directory).records(0)
    return [orjson.loads(line) for record in records for line in lines_of(record)]


def fill(spool: Spool, share: float) -> None:
    """Fill until at most this share is free."""
    number = 1_000_000
    while spool.free_share() > share:
        item = event(
            number, category="authentication", text=orjson.dumps(list(range(number, number + 500))).decode()
        )
        spool.store([item], TCP)
        number += 501


def test_urgent_and_other_events_go_their_own_ways(spool: Spool) -> None:
    mixed = [
        *events(2),
        *events(2, 10, "syslog.auth", "authentication"),
        *events(2, 20, "zeek.conn", "network"),
    ]
    assert spool.store(mixed, TCP) == 6
    assert [item["event.sequence"] for item in stored(spool.urgent)] == [10, 11]
    assert [item["event.sequence"] for item in stored(spool.rest)] == [0, 1, 20, 21]
    record = next(iter(spool.rest.reader.records(0)))
    assert stored_at(record) == STAMP
    assert record.count == 4


@pytest.mark.parametrize(
    ("item", "priority"),
    [
        (event(1, "zeek.conn", "network"), BULK),
        (event(1, "zeek.conn", "intrusion_detection"), URGENT),
        (event(1, "nobody.knows"), USUAL),
        ({**event(1, "suricata.flow"), "event.kind": "alert"}, URGENT),
        ({"event.category": "iam"}, URGENT),
        ({}, USUAL),
    ],
)
def test_priorities_come_from_the_table_of_retention(item: Event, priority: int) -> None:
    assert priority_of(item) == priority


def test_what_came_by_udp_is_dropped_bulk_first(spool: Spool) -> None:
    bulk, usual, urgent = events(3, 0, "zeek.conn"), events(3, 10), events(3, 20, "x", "authentication")
    fill(spool, 0.15)
    assert spool.store([*bulk, *usual, *urgent], UDP) == 6
    fill(spool, 0.05)
    assert spool.store([*events(3, 30, "zeek.conn"), *events(3, 40), *events(3, 50, "x", "iam")], UDP) == 3
    fill(spool, 0.0)
    assert spool.store(events(3, 60, "x", "iam"), UDP) == 0
    assert spool.gaps.totals() == {"udp": 12}
    assert spool.gaps.by_dataset() == {"zeek.conn": 6, "syslog.log": 3, "x": 3}


def test_dropped_events_leave_a_jump_and_an_event(spool: Spool) -> None:
    spool.store(events(2), TCP)
    fill(spool, 0.15)
    spool.store(events(5, 10, "zeek.conn"), UDP)
    spool.store(events(1, 20), TCP)
    assert [record.offset for record in spool.rest.reader.records(0)] == [0, 7]
    taken = spool.gaps.take()
    (told,) = gap_events(taken, life=b"1", organization_id="u", zone="z")
    assert told["edusoc.extra"] == ["gap.events=5", "gap.dataset.zeek.conn=5"]
    assert told["edusoc.source"] == "udp"
    assert spool.gaps.take() == {}
    spool.gaps.give_back(taken)
    assert spool.gaps.take()["udp"].events == 5


def test_the_agents_own_words_find_room_where_others_do_not(spool: Spool) -> None:
    fill(spool, 0.0)
    assert spool.store_own(events(1))


def test_who_can_wait_waits_until_there_is_room(spool: Spool) -> None:
    fill(spool, 0.0)
    done = threading.Event()

    def deliver() -> None:
        spool.store(events(1, 99), TCP)
        done.set()

    thread = threading.Thread(target=deliver)
    thread.start()
    wait_for(lambda: spool.waiting == 1)
    assert not done.is_set()
    spool.acknowledge(spool.urgent, spool.urgent.log.end_offset)
    thread.join(20)
    assert done.is_set()
    assert stored(spool.rest)[-1]["event.sequence"] == 99


def test_bulk_waits_while_security_logs_still_pass(spool: Spool) -> None:
    fill(spool, 0.15)
    thread = threading.Thread(target=lambda: spool.store(events(1, 0, "zeek.conn"), TCP))
    thread.start()
    wait_for(lambda: spool.waiting == 1)
    assert spool.store(events(1, 5, "x", "iam"), TCP) == 1
    assert spool.store(events(1, 6), TCP) == 1
    spool.acknowledge(spool.urgent, spool.urgent.log.end_offset)
    thread.join(20)
    assert [item["event.sequence"] for item in stored(spool.rest)] == [6, 0]


def test_stopping_ends_the_wait(spool: Spool) -> None:
    fill(spool, 0.0)
    faults: list[StoreError] = []

    def deliver() -> None:
        try:
            spool.store(events(1), TCP)
        except StoreError as error:
            faults.append(error)

    thread = threading.Thread(target=deliver)
    thread.start()
    wait_for(lambda: spool.waiting == 1)
    spool.stop_waiting()
    thread.join(20)
    assert "stops" in str(faults[0])


def test_a_full_disk_is_waited_for_and_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", Limits(size=1 << 20, reserve=0), lambda: NOW)
    spool.store(events(3), TCP)
    for lane in spool.lanes:
        lane.log.reserve = 1 << 62  # as if the disk were full
    assert spool.store(events(2, 50), UDP) == 0
    assert "MB are free on the disk" in spool.trouble
    thread = threading.Thread(target=lambda: spool.store(events(1, 10), TCP))
    thread.start()
    wait_for(lambda: spool.waiting == 1)
    for lane in spool.lanes:
        lane.log.reserve = 0
    thread.join(20)
    assert spool.trouble == ""
    assert [item["event.sequence"] for item in stored(spool.rest)] == [0, 1, 2, 10]
    spool.close()


def test_survives_without_being_closed(tmp_path: Path, spool: Spool) -> None:
    spool.store(events(4), TCP)
    epoch = spool.rest.cursor.epoch
    spool.acknowledge(spool.rest, 3)
    with pytest.raises(StoreBusyError):
        Spool(tmp_path / "spool", SMALL, lambda: NOW)
    spool.close()
    again = Spool(tmp_path / "spool", SMALL, lambda: NOW)
    assert (again.rest.cursor.epoch, again.rest.cursor.acknowledged, again.rest.pending) == (epoch, 3, 1)
    again.close()


def test_a_centre_that_lost_some_gets_it_again(spool: Spool) -> None:
    spool.store(events(10), TCP)
    spool.acknowledge(spool.rest, 8)
    spool.acknowledge(spool.rest, 4)
    assert spool.rest.pending == 6
    spool.acknowledge(spool.rest, 99)
    assert spool.rest.pending == 0


def test_threads_store_at_the_same_time(spool: Spool) -> None:
    def deliver(first: int) -> None:
        for number in range(20):
            spool.store(events(1, first + number), Origin(f"t{first}"))

    threads = [threading.Thread(target=deliver, args=(first,)) for first in range(0, 500, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = [int(str(item["event.sequence"])) for item in stored(spool.rest)]
    assert sorted(found) == [first + number for first in range(0, 500, 100) for number in range(20)]


def test_an_event_too_large_for_the_centre_is_shortened() -> None:
    huge: Event = {
        **event(1),
        "event.original": "中\x01" * 1_000_000,
        "edusoc.extra": ["x" * 5_000] * 5_000,
        **{f"field{number}": "y" * 40_000 for number in range(300)},
    }
    line = encode_event(huge)
    assert len(line) < MOST_EVENT_BYTES
    found = orjson.loads(line)
    assert found["event.id"] == huge["event.id"]
    assert found["tags"] == ["shortened"]
    assert encode_event(event(1)) == orjson.dumps(event(1))


def test_what_json_cannot_hold_becomes_text() -> None:
    found = orjson.loads(encode_event({"message": "half \ud800", "size": 2**70, "list": ["\udfff"]}))
    assert found == {"message": "half \\ud800", "size": str(2**70), "list": ["\\udfff"]}
