"""Hold what the uplink promises, against a centre that is as difficult as a real one."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collectors.agent.spool import Limits, Spool
from collectors.uplink import sender as module
from collectors.uplink.asking import Asker, CentreTime, Signer
from collectors.uplink.connection import Centre as Address
from collectors.uplink.connection import Connection, LinkError
from collectors.uplink.numbers import RequestNumbers
from collectors.uplink.pacing import Outside, Plan, Window
from collectors.uplink.sender import LinkState, Sender
from soc_core.clock import utc_now
from soc_core.errors import UsageError
from soc_core.keys.signing import SigningKey
from soc_core.log import writer
from soc_core.uplink.answers import BUSY, CLOCK, QUOTA, REVOKED, Refusal
from soc_core.uplink.heartbeat import Heartbeat
from soc_core.uplink.wire import HEARTBEAT, RECORDS
from tests.collectors.agent.centre import AGENT, Centre
from tests.collectors.agent.helpers import TCP, event, events, wait_for

KEY = SigningKey(b"a" * 32)
ZONE = ZoneInfo("Asia/Shanghai")
QUICK = Plan(zone=ZONE, age_seconds=0.0)


class Ear:
    """Hear what the uplink meets."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.troubles: list[str] = []

    def heartbeat(self) -> bytes:
        return Heartbeat("2026-11-24T04:00:00.000000Z").encode()

    def orders(self, texts: Sequence[str]) -> None:
        self.texts += texts

    def link_changed(self, state: LinkState) -> None:
        self.troubles.append(state.trouble)


class Line:
    """A spool and a sender to a centre; pauses are short."""

    def __init__(self, folder: Path, centre: Centre, plan: Plan = QUICK) -> None:
        self.folder, self.centre, self.plan, self.ear = folder, centre, plan, Ear()
        self.clock = utc_now
        centre.agent_key = KEY.public
        self.spool = Spool(folder / "spool", Limits(size=8 << 20, reserve=0), utc_now)
        self._thread: threading.Thread | None = None

    def start(self) -> Sender:
        outside = Outside(self.now, chance=lambda: 0.0)
        address = Address(self.centre.url, ca=str(self.centre.ca), name="centre.example")
        self.connection = Connection(address, connect_seconds=5, read_seconds=5)
        self.time = CentreTime(outside)
        numbers = RequestNumbers(self.folder / "number")
        asker = Asker(self.connection, Signer(AGENT, KEY), numbers, self.time, outside)
        self.sender = Sender(self.spool, asker, self.plan, self.ear, outside)
        for pauses in (self.sender._pauses, self.sender._heartbeat_pauses):
            pauses._first = pauses._longest = 0.02
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self.sender.run, args=(self.stop,))
        self._thread.start()
        return self.sender

    def now(self) -> datetime:
        return self.clock()

    def end(self) -> None:
        self.stop.set()
        self.spool.changed.set()
        assert self._thread is not None
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.connection.close()

    def sent(self, count: int) -> None:
        wait_for(lambda: len(self.centre.events()) >= count, f"{count} events")
        wait_for(lambda: not any(lane.pending for lane in self.spool.lanes), "acknowledgement")


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    with Centre(tmp_path / "centre") as running:
        yield running


@pytest.fixture
def line(tmp_path: Path, centre: Centre) -> Iterator[Line]:
    made = Line(tmp_path / "agent", centre)
    yield made
    if made._thread is not None and made._thread.is_alive():
        made.end()
    made.spool.close()


def once_each(centre: Centre, count: int) -> None:
    assert sorted(int(str(item["event.sequence"])) for item in centre.events()) == list(range(count))
    assert set(centre.received.ids.values()) == {1}
    assert centre.received.numbers == sorted(set(centre.received.numbers))


def test_everything_arrives_once_and_goes_from_the_spool(centre: Centre, line: Line) -> None:
    for first in range(0, 100, 10):
        line.spool.store(events(5, first), TCP)
        line.spool.store(events(5, first + 5, "x", "iam"), TCP)
    line.start()
    line.sent(100)
    once_each(centre, 100)
    assert centre.received.jumps == []
    assert len(centre.received.marks) == 2
    assert centre.received.heartbeats
    wait_for(lambda: line.time.known)
    assert abs(line.time.offset) < timedelta(seconds=10)


def test_answers_that_get_lost_double_nothing(centre: Centre, line: Line) -> None:
    asked = [0]

    def trouble(path: str, taken: bool) -> Refusal | None:
        if path == RECORDS:
            asked[0] += not taken
            if asked[0] % 3 == 1 + taken:  # each third request breaks before, each third after it was taken
                raise ConnectionError
        return None

    centre.trouble = trouble
    line.start()
    for first in range(0, 60, 6):
        line.spool.store(events(6, first), TCP)
    line.sent(60)
    once_each(centre, 60)
    assert line.ear.troubles[0].startswith(f"{centre.url}: the centre can't be reached")
    assert "" in line.ear.troubles


@pytest.mark.parametrize("kind", [BUSY, QUOTA])
def test_refusals_are_waited_out(centre: Centre, line: Line, kind: str) -> None:
    refused = [5]

    def trouble(path: str, taken: bool) -> Refusal | None:
        if path != RECORDS or taken or not refused[0]:
            return None
        refused[0] -= 1
        return Refusal(kind, "come again")

    centre.trouble = trouble
    line.spool.store(events(10), TCP)
    line.start()
    line.sent(10)
    once_each(centre, 10)
    assert line.ear.troubles == ["the centre refuses: come again", ""]


def test_refused_records_and_heartbeats_that_pass_do_not_take_turns(
    centre: Centre, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", timedelta(seconds=0.02))
    centre.trouble = lambda path, taken: Refusal(QUOTA, "too much") if path == RECORDS else None
    line.spool.store(events(3), TCP)
    sender = line.start()
    wait_for(lambda: len(centre.received.heartbeats) > 5 and sender.state.failures > 5)
    assert line.ear.troubles == ["the centre refuses: too much"]
    centre.trouble = lambda _path, _taken: None
    line.sent(3)
    wait_for(lambda: line.ear.troubles == ["the centre refuses: too much", ""])


def test_a_revoked_key_keeps_everything_and_asks_seldom(centre: Centre, line: Line) -> None:
    centre.trouble = lambda _path, _taken: Refusal(REVOKED, "the key was revoked")
    line.spool.store(events(10), TCP)
    sender = line.start()
    wait_for(lambda: sender.state.failures >= 2)
    line.end()
    assert sender.state.requests == 2  # one of records, one heartbeat: the next ones in minutes
    assert sender.state.kind == REVOKED
    assert line.spool.rest.pending == 10


def test_too_large_batches_are_halved(centre: Centre, line: Line) -> None:
    centre.most_body = 2_000
    texts = [
        "".join(chr(33 + (number * 7 + place * 31) % 90) for place in range(300)) for number in range(40)
    ]
    line.spool.store([event(number, text=text) for number, text in enumerate(texts)], TCP)
    line.start()
    line.sent(40)
    once_each(centre, 40)
    assert max(centre.received.bodies) <= 2_000


def test_one_event_too_large_does_not_hold_up_the_others(centre: Centre, line: Line) -> None:
    import random

    noise = random.Random(1).randbytes(4_000).hex()
    centre.most_body = 2_000
    line.spool.store([event(0), event(1, text=noise), event(2)], TCP)
    sender = line.start()
    line.sent(2)
    assert sender.state.oversize == 1
    assert [(start, end) for _, start, end in centre.received.jumps] == [(1, 2)]


def test_a_crash_of_the_agent_repeats_no_number(centre: Centre, tmp_path: Path) -> None:
    for life in range(3):
        line = Line(tmp_path / "agent", centre)
        line.spool.store(events(5, life * 5), TCP)
        line.start()
        line.sent(life * 5 + 5)
        line.end()
        line.spool.close()
    once_each(centre, 15)


def test_lost_numbers_are_learnt_and_the_log_begins_a_new_epoch(centre: Centre, line: Line) -> None:
    line.spool.store(events(3), TCP)
    line.start()
    line.sent(3)
    line.end()
    epoch = line.spool.rest.cursor.epoch
    centre.last_number = 5_000_000  # what a copy of an old state meets
    line.spool.store(events(3, 3), TCP)
    line.start()
    line.sent(6)
    assert line.spool.rest.cursor.epoch != epoch
    assert centre.last_number > 5_000_000
    assert {int(str(item["event.sequence"])) for item in centre.events()} == set(range(6))


def test_a_centre_that_knows_more_than_our_log_means_a_new_epoch(centre: Centre, line: Line) -> None:
    line.spool.store(events(4), TCP)
    old = line.spool.rest.cursor.epoch
    centre.received.marks[old] = 1_000
    line.start()
    line.sent(4)
    assert line.spool.rest.cursor.epoch != old
    once_each(centre, 4)


def test_an_old_copy_of_the_machine_that_went_on_collecting_loses_nothing(
    centre: Centre, tmp_path: Path
) -> None:
    first = Line(tmp_path / "agent", centre)
    first.spool.store(events(3), TCP)
    first.start()
    first.sent(3)
    first.end()
    first.spool.close()
    shutil.copytree(first.folder, tmp_path / "copy")  # a snapshot of the virtual machine
    first = Line(first.folder, centre)
    first.spool.store(events(4, 3), TCP)
    first.start()
    first.sent(7)
    first.end()
    first.spool.close()
    second = Line(tmp_path / "copy", centre)  # it is put back, and collects while the link is still down
    second.spool.store(events(20, 100), TCP)
    second.start()
    second.sent(27)
    second.end()
    second.spool.close()
    found = {int(str(item["event.sequence"])) for item in centre.events()}
    assert found == {*range(7), *range(100, 120)}


def test_what_is_just_being_committed_is_no_gap(
    centre: Centre, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = line.start()
    wait_for(lambda: bool(centre.received.heartbeats))
    line.end()
    sender._agreed.add("rest")
    really, looking = writer.publish, list[threading.Thread]()

    def publish(descriptor: int, end: int) -> None:
        """Let the uplink look for something to send before readers are told of it."""
        looking.append(threading.Thread(target=sender._send_if_due))
        looking[-1].start()
        looking[-1].join(0.3)
        really(descriptor, end)

    with monkeypatch.context() as patched:
        patched.setattr(writer, "publish", publish)
        line.spool.store(events(3), TCP)
    for thread in looking:
        thread.join(20)
    assert line.spool.rest.cursor.acknowledged == 0
    line.start()
    line.sent(3)


@pytest.mark.parametrize("days", [-1, 1, 400])
def test_a_wrong_clock_hinders_nothing(centre: Centre, line: Line, days: int) -> None:
    line.clock = lambda: utc_now() + timedelta(days=days)
    seen: list[str] = []

    def trouble(path: str, taken: bool) -> Refusal | None:
        if not taken and not seen:
            seen.append(path)
            now = utc_now().isoformat(timespec="microseconds").replace("+00:00", "Z")
            return Refusal(CLOCK, "your clock is wrong", time=now)
        return None

    centre.trouble = trouble
    line.spool.store(events(4), TCP)
    line.start()
    line.sent(4)
    once_each(centre, 4)
    assert abs(line.time.offset + timedelta(days=days)) < timedelta(seconds=10)
    before = line.time()
    line.clock = utc_now  # somebody sets the clock right: the centre's time does not jump with it
    assert abs(line.time() - before) < timedelta(seconds=5)


def test_outside_its_hours_only_urgent_events_go(centre: Centre, tmp_path: Path) -> None:
    noon = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
    plan = Plan(zone=ZONE, window=Window.parse("22:00-06:00"), age_seconds=0.0)
    line = Line(tmp_path / "agent", centre, plan)
    line.clock = lambda: noon
    line.spool.store([*events(3), *events(2, 3, "x", "iam")], TCP)
    line.start()
    wait_for(lambda: len(centre.events()) == 2)
    wait_for(lambda: bool(centre.received.heartbeats))
    assert line.spool.rest.pending == 3
    line.clock = lambda: noon + timedelta(hours=11)
    line.sent(5)
    once_each(centre, 5)
    line.end()
    line.spool.close()


def test_urgent_events_overtake(centre: Centre, tmp_path: Path) -> None:
    line = Line(tmp_path / "agent", centre)
    line.spool.store(events(3), TCP)
    line.spool.store(events(3, 3, "x", "iam"), TCP)
    line.start()
    line.sent(6)
    first = [int(str(item["event.sequence"])) for item in centre.events()][:3]
    assert first == [3, 4, 5]
    line.end()
    line.spool.close()


def test_the_rate_is_capped(centre: Centre, tmp_path: Path) -> None:
    line = Line(tmp_path / "agent", centre, Plan(zone=ZONE, bytes_per_second=20_000, age_seconds=0.0))
    waited: list[float] = []
    sender = line.start()
    take = sender._cap.take

    def noted(size: int) -> float:
        waited.append(take(size))
        return min(waited[-1], 0.001)

    sender._cap.take = noted  # type: ignore[method-assign]
    line.spool.store([event(number, text="x" * 50) for number in range(10)], TCP)
    line.sent(10)
    assert len(waited) >= 1
    line.end()
    line.spool.close()


def test_a_thin_link_gets_smaller_batches(centre: Centre, line: Line) -> None:
    centre.link_most = 5_000
    for first in range(0, 2_000, 100):
        line.spool.store(events(100, first), TCP)
    line.start()
    line.sent(2_000)
    once_each(centre, 2_000)
    assert max(centre.received.bodies) <= 5_000
    assert len(centre.received.bodies) < 100


def test_a_surprise_does_not_end_the_uplink(
    centre: Centre, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    surprises, real = [OSError(5, "Input/output error"), ZeroDivisionError("oops")], module.cut

    def failing(*arguments: object) -> object:
        if surprises:
            raise surprises.pop()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "cut", failing)
    line.spool.store(events(3), TCP)
    line.start()
    line.sent(3)
    assert line.ear.troubles == ["the uplink failed: ZeroDivisionError: oops", ""]


def test_orders_come_with_answers(centre: Centre, line: Line) -> None:
    centre.orders = ["one", "two"]
    line.start()
    wait_for(lambda: line.ear.texts[:2] == ["one", "two"])


def test_a_foreign_certificate_is_refused(centre: Centre, tmp_path: Path) -> None:
    with Centre(tmp_path / "other") as other:
        for address in (
            Address(centre.url, ca=str(other.ca), name="centre.example"),
            Address(centre.url, ca=str(centre.ca), name="another.example"),
            Address(centre.url, ca=str(centre.ca)),
            Address(centre.url, fingerprint="00" * 32),
            Address(centre.url),
        ):
            with Connection(address) as connection, pytest.raises(LinkError) as fault:
                connection.post(HEARTBEAT, {}, b"")
            assert fault.value.kind == "certificate"


@pytest.mark.parametrize("url", ["", "ftp://x", "centre.example", "http://centre.example:8601"])
def test_addresses_that_cannot_be_used_are_told(url: str) -> None:
    with pytest.raises(UsageError):
        Connection(Address(url))


def test_nobody_listening_is_told_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}"
        with Connection(Address(url)) as connection, pytest.raises(LinkError, match="can't be reached"):
            connection.post(HEARTBEAT, {}, b"")


def test_dropped_events_at_the_end_do_not_wait_for_ever(centre: Centre, line: Line) -> None:
    line.spool.store(events(2), TCP)
    line.spool.rest.log.skip(5)
    line.spool.store(events(1, 2), TCP)
    line.spool.rest.log.skip(3)
    line.spool.rest.log._settle(
        11, line.spool.rest.log._size
    )  # as the commit of a thread that came later does
    line.start()
    line.sent(3)
    assert line.spool.rest.cursor.acknowledged == 11
    assert [(start, end) for _, start, end in centre.received.jumps] == [(2, 7)]
    line.spool.store(events(1, 3), TCP)
    line.sent(4)
    assert [(start, end) for _, start, end in centre.received.jumps] == [(2, 7), (8, 11)]


def test_a_centre_that_lost_its_last_hours_gets_what_is_still_here(
    centre: Centre, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", timedelta(seconds=0.02))
    line.spool.store(events(6, 0, "x", "iam"), TCP)
    line.start()
    line.sent(6)
    epoch = line.spool.urgent.cursor.epoch
    with centre._lock:  # restored from a backup
        centre.received.marks[epoch] = 2
        centre.received.events.clear()
        centre.received.ids.clear()
    wait_for(lambda: len(centre.events()) == 4)
    assert sorted(int(str(item["event.sequence"])) for item in centre.events()) == [2, 3, 4, 5]
