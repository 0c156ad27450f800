"""What agents send is stored once, under the right unit; everything else is refused, counted and told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from intake.agents import ordering, repository
from intake.agents.model import OrderState
from intake.agents.refusing import RefusedError
from intake.tables import quarantine
from soc_core.clock import format_instant
from soc_core.errors import InputError, StoreError
from soc_core.keys.signing import SigningKey
from soc_core.model.event import Event
from soc_core.uplink import answers
from soc_core.uplink.heartbeat import Heartbeat
from soc_core.uplink.orders import read_order
from soc_core.uplink.wire import RECORDS, Item, encode_records
from tests.conftest import NOW
from tests.intake.agents.conftest import Centre, Player, Time, made


def refused(player: Player, *args: object, **named: object) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        player.send(*args, **named)  # type: ignore[arg-type]
    return caught.value


def kept_aside(centre: Centre) -> list[tuple[int, str]]:
    with centre.database.read() as connection:
        rows = connection.execute(select(quarantine).order_by(quarantine.c.position))
        return [(row.position, row.reason) for row in rows]


def test_events_are_stored_once_however_batches_are_cut(centre: Centre) -> None:
    player = centre.join("one", "S1")
    events = made(10)
    assert player.send(events[:6], at=0).mark == 6
    assert player.send(events[3:8], at=3).mark == 8
    assert player.send(events[:2], at=0).mark == 8
    assert player.send(events, at=0).mark == 10
    found = centre.events()
    unit = centre.tree.find("S1").id
    assert sorted(str(event["event.id"]) for event in found) == sorted(str(e["event.id"]) for e in events)
    assert {event["organization.id"] for event in found} == {unit}
    assert {event["edusoc.agent"] for event in found} == {player.told.agent}
    agent = centre.agent("one")
    assert (agent.accepted, agent.duplicates, agent.bad) == (10, 0, 0)


def test_lives_of_the_log_are_counted_apart(centre: Centre) -> None:
    player = centre.join("one", "S1")
    assert player.send(made(4), at=0).mark == 4
    player.epoch = "e2"
    assert player.send(made(3, start=10), at=0).mark == 3
    player.epoch = "e1"
    assert player.send(made(1, start=4), at=4).mark == 5
    assert len(centre.events()) == 8


def test_what_an_agent_had_to_drop_is_alerted(centre: Centre) -> None:
    player = centre.join("one", "S1")
    [event] = made(1, fields={"event.dataset": "edusoc.gap", "edusoc.source": "firewall"})
    player.send([{**event, "edusoc.extra": ["gap.events=7"]}])
    assert (centre.tree.find("S1").id, "agent_gap", "one · firewall") in centre.alerts()


def test_a_life_begins_wherever_the_agent_begins(centre: Centre) -> None:
    player = centre.join("one", "S1")
    assert player.send([], at=48_000).mark == 0
    assert player.send(made(2), at=48_000).mark == 48_002
    assert player.beat(Heartbeat("2026-11-23T00:00:00Z")).mark == 48_002
    player.epoch = "e2"
    assert player.beat(Heartbeat("2026-11-23T00:00:00Z")).mark == 0
    assert "agent_gap" not in [kind for _unit, kind, _name in centre.alerts()]


def test_a_jump_is_kept_as_a_gap_and_told(centre: Centre) -> None:
    player = centre.join("one", "S1")
    player.send(made(2), at=0)
    body = encode_records([Item(5, [b"{}"]), Item(9, [b"{}", b"{}"])])
    receipt = player.post(RECORDS, player.headers(RECORDS, body), body)
    assert (receipt.mark, receipt.bad) == (11, 3)
    with centre.database.read() as connection:
        gaps = repository.list_gaps(connection, player.told.agent)
        assert sorted((gap.start, gap.end) for gap in gaps) == [(2, 5), (6, 9)]
        assert repository.lost_offsets(connection, player.told.agent) == 6
    assert ("agent_gap", "one") in [(kind, name) for _unit, kind, name in centre.alerts()]


def test_bad_events_are_kept_aside_and_the_rest_is_stored(centre: Centre) -> None:
    player = centre.join("one", "S1")
    good = made(6)
    far = format_instant(NOW + timedelta(days=60))
    events: list[Event | bytes] = [
        good[0],
        b"not json",
        b"[1]",
        {**good[1], "event.id": "x"},
        {**good[2], "@timestamp": "yesterday"},
        {**good[3], "@timestamp": far, "event.id": f"{far[:10].replace('-', '')}-abc"},
        {**good[4], "event.id": "20200101-abc"},
        {**good[5], "edusoc.rollup.dataset": "flow"},
        {**made(1, start=50)[0], "unknown.field": {"nested": [1]}, "edusoc.zone": 5},  # type: ignore[dict-item] # what no event of ours holds
    ]
    receipt = player.send(events)
    assert (receipt.mark, receipt.bad) == (9, 7)
    reasons = dict(kept_aside(centre))
    assert sorted(reasons) == [1, 2, 3, 4, 5, 6, 7]
    assert reasons[7] == "the event has a field that only the centre writes"
    found = centre.events()
    assert len(found) == 2
    [odd] = [event for event in found if event.get("edusoc.extra")]
    assert odd["edusoc.extra"] == ['unknown.field={"nested":[1]}']
    assert odd["edusoc.zone"] == "default"


def test_a_unit_the_key_does_not_cover_is_refused_and_alerted(centre: Centre) -> None:
    player = centre.join("one", "S1")
    other = centre.tree.find("S2").id
    receipt = player.send([*made(2), *made(3, start=5, fields={"organization.id": other})])
    assert receipt.bad == 3
    assert player.send([{**made(1)[0], "organization.id": [other]}]).bad == 1
    assert len(centre.events("syslog")) == 2
    assert (centre.tree.find("S1").id, "agent_foreign_unit", "one") in centre.alerts()


def test_a_key_may_cover_several_units(centre: Centre) -> None:
    player = centre.join("two", "S1", "S2")
    other, third = centre.tree.find("S2").id, centre.tree.find("S3").id
    receipt = player.send(
        [*made(1, fields={"organization.id": other}), *made(1, start=5, fields={"organization.id": third})]
    )
    assert receipt.bad == 1
    assert [event["organization.id"] for event in centre.events("syslog")] == [other]


def test_a_wrong_a_revoked_and_an_unknown_key_are_refused_and_alerted(centre: Centre) -> None:
    player = centre.join("one", "S1")
    stranger = Player(centre, SigningKey(b"x" * 32), player.told)
    assert refused(stranger, made(1)).kind == answers.UNKNOWN
    with centre.database.write() as connection:
        assert repository.revoke(connection, player.told.agent, now=NOW)
        assert not repository.revoke(connection, player.told.agent, now=NOW)
    assert refused(player, made(1)).kind == answers.REVOKED
    unknown = Player(centre, player.key, player.told)
    object.__setattr__(unknown.told, "agent", "g" + "0" * 16)
    assert refused(unknown, made(1)).kind == answers.UNKNOWN
    found = centre.alerts()
    assert (centre.tree.find("S1").id, "agent_key_refused", "one") in found
    assert (centre.tree.find("C").id, "agent_key_refused", "10.9.8.7") in found
    assert not centre.events("syslog")


def test_a_replayed_request_is_refused_even_after_a_restart(centre: Centre) -> None:
    player = centre.join("one", "S1")
    body = encode_records([Item(0, [b"{}"])])
    recorded = player.headers(RECORDS, body)
    player.post(RECORDS, recorded, body)
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            player.post(RECORDS, recorded, body)
        assert (caught.value.kind, caught.value.number) == (answers.REPLAYED, 1)
        centre.intake.gate._used.clear()
    assert (centre.tree.find("S1").id, "agent_replay", "one") in centre.alerts()


def test_two_requests_that_overtook_each_other_are_no_attack(centre: Centre) -> None:
    player = centre.join("one", "S1")
    for number in (1, 3):
        body = encode_records([Item(0, [b"{}"])])
        player.post(RECORDS, player.headers(RECORDS, body, number), body)
    body = encode_records([Item(0, [b"{}"])])
    with pytest.raises(RefusedError) as caught:
        player.post(RECORDS, player.headers(RECORDS, body, 2), body)
    assert (caught.value.kind, caught.value.number) == (answers.REPLAYED, 3)
    assert "agent_replay" not in [kind for _unit, kind, _name in centre.alerts()]


def test_an_altered_body_is_refused_and_alerted(centre: Centre) -> None:
    player = centre.join("one", "S1")
    body = encode_records([Item(0, [b"{}"])])
    with pytest.raises(RefusedError) as caught:
        player.post(RECORDS, player.headers(RECORDS, body), body + b" ")
    assert caught.value.kind == answers.MALFORMED
    assert (centre.tree.find("S1").id, "agent_replay", "one") in centre.alerts()


def test_a_number_is_used_up_whatever_becomes_of_the_request(centre: Centre) -> None:
    player = centre.join("one", "S1")
    broken = player.headers(RECORDS, b"broken")
    with pytest.raises(InputError):
        player.post(RECORDS, broken, b"broken")
    with pytest.raises(RefusedError) as caught:
        player.post(RECORDS, broken, b"broken")
    assert caught.value.kind == answers.REPLAYED


@pytest.mark.parametrize("days", [-2, 2])
def test_a_clock_that_is_far_off_is_told_our_time(centre: Centre, days: int) -> None:
    player = centre.join("one", "S1")
    player.skew = timedelta(days=days)
    assert refused(player, made(1)).kind == answers.CLOCK
    player.skew = timedelta(hours=23)
    assert player.send(made(1), at=0).mark == 1
    assert centre.agent("one").clock_offset_ms == 23 * 3_600_000


def test_more_than_the_quota_must_wait(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    with centre.database.write() as connection:
        repository.set_quota(connection, player.told.agent, 1, 0)
    player.send(made(100), at=0)
    refusal = refused(player, made(1, start=200))
    assert refusal.kind == answers.QUOTA
    assert 1 <= refusal.wait <= 60
    time.pass_by(seconds=refusal.wait)
    assert player.send(made(1, start=200), at=100).mark == 101
    with centre.database.write() as connection:
        repository.set_quota(connection, player.told.agent, 1_000, 10)
    assert refused(player, made(1, start=300)).wait > 60
    time.pass_by(days=1)
    assert player.send(made(1, start=300), at=101).mark == 102


def test_a_store_that_is_full_acknowledges_nothing(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    player = centre.join("one", "S1")

    def full(_events: object) -> None:
        raise StoreError("only 3 MB are free on the disk")

    with monkeypatch.context() as patched:
        patched.setattr(centre.store, "append", full)
        with pytest.raises(StoreError):
            player.send(made(3), at=0)
    assert not centre.events()
    assert player.send(made(3), at=0).mark == 3
    assert len(centre.events()) == 3


def test_what_a_full_store_could_not_be_told_is_told_later(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = centre.join("one", "S1")
    body = encode_records([Item(0, [b"{}"])])

    def full(_events: object) -> None:
        raise StoreError("only 3 MB are free on the disk")

    for room in (False, True):
        headers = player.headers(RECORDS, body)
        with monkeypatch.context() as patched:
            if not room:
                patched.setattr(centre.store, "append", full)
            with pytest.raises(RefusedError):
                player.post(RECORDS, headers, body + b" ")
    assert [event["event.action"] for event in centre.events("edusoc.health")] == ["agent_replay"]


def test_one_request_of_an_agent_at_a_time(centre: Centre) -> None:
    player = centre.join("one", "S1")
    body = encode_records([Item(0, [b"{}"])])
    gate = centre.intake.gate
    first = gate.enter(player.headers(RECORDS, body), RECORDS, "")
    with pytest.raises(RefusedError) as caught:
        gate.enter(player.headers(RECORDS, body), RECORDS, "")
    assert caught.value.kind == answers.BUSY
    gate.leave(first)
    gate.leave(gate.enter(player.headers(RECORDS, body), RECORDS, ""))


def test_orders_are_delivered_until_they_are_answered(centre: Centre, time: Time) -> None:
    player = centre.join("one", "S1")
    key = SigningKey(bytes(32))
    wanted = ordering.NewOrder("packets", {"from": "x"}, NOW + timedelta(hours=1))
    late = ordering.NewOrder("packets", {"from": "y"}, NOW + timedelta(minutes=1))
    with centre.database.write() as connection:
        for order in (wanted, late):
            ordering.issue(connection, centre.agent("one"), order, key, now=NOW)
    receipt = player.send(made(1), at=0)
    numbers = [read_order(text, key.public).number for text in receipt.orders]
    assert numbers == [1, 2]
    assert {read_order(text, key.public).agent for text in receipt.orders} == {player.told.agent}
    time.pass_by(minutes=2)
    assert len(player.send(made(1, start=1)).orders) == 1
    answer = {**made(1, start=9)[0], "event.dataset": "edusoc.order", "event.outcome": "success"}
    receipt = player.send([{**answer, "edusoc.order.number": 1, "event.reason": "done"}])
    assert not receipt.orders
    with centre.database.read() as connection:
        states = {row.number: row.state for row in ordering.list_orders(connection, player.told.agent)}
    assert states == {1: OrderState.DONE, 2: OrderState.EXPIRED}


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -1, 0, True, "1", 1.5])
def test_an_answer_with_no_number_of_an_order_holds_up_nothing(centre: Centre, number: object) -> None:
    player = centre.join("one", "S1")
    answer = {**made(1)[0], "event.dataset": "edusoc.order", "event.outcome": "success"}
    receipt = player.send([{**answer, "edusoc.order.number": number}, *made(1, start=1)])  # type: ignore[dict-item]
    assert receipt.mark == 2


@pytest.mark.parametrize("point", ["set_mark", "add_gaps", "count_senders"])
def test_a_crash_between_the_events_and_the_mark_doubles_nothing(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    class CrashError(Exception):
        pass

    def crash(*_: object, **__: object) -> None:
        raise CrashError

    player = centre.join("one", "S1")
    events = made(5)
    with monkeypatch.context() as patched:
        patched.setattr(repository, point, crash)
        with pytest.raises(CrashError):
            player.send(events, at=0)
    assert len(centre.events("syslog")) == 5, "they are durable"
    with centre.database.read() as connection:
        assert repository.mark_of(connection, player.told.agent, "e1") is None
    assert player.send([*events, *made(2, start=20)], at=0).mark == 7
    assert player.send(events, at=0).mark == 7
    assert len(centre.events("syslog")) == 7
    assert centre.agent("one").duplicates == 5


def test_what_is_kept_aside_is_bounded_what_is_counted_is_not(
    centre: Centre, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intake.agents.receiving.MOST_KEPT_ASIDE", 5)
    player = centre.join("one", "S1")
    for _ in range(3):
        player.send([b"bad", b"worse", b"worst"])
    assert len(kept_aside(centre)) == 5
    assert centre.agent("one").bad == 9
    time.pass_by(days=1)
    player.send([b"bad"])
    assert len(kept_aside(centre)) == 6
