from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from collectors.live.base import Counters
from collectors.live.clocks import SenderClocks
from soc_core.clock import format_instant
from soc_core.model.event import Event
from tests.collectors.live.outlets import NOW

DAY = timedelta(days=1)


def judge(clocks: SenderClocks, stamp: datetime, arrival: datetime = NOW, sender: str = "10.0.0.1") -> Event:
    event: Event = {"@timestamp": format_instant(stamp)}
    clocks.arrived(arrival)
    clocks.judge(event, sender)
    return event


@pytest.fixture
def clocks() -> SenderClocks:
    return SenderClocks(Counters(), 7 * DAY)


def test_a_clock_that_is_right_is_not_spoken_of(clocks: SenderClocks) -> None:
    assert list(judge(clocks, NOW - timedelta(seconds=2))) == ["@timestamp"]
    assert list(judge(clocks, NOW - timedelta(hours=2))) == ["@timestamp"], "late, not slow"


def test_the_skew_is_the_least_delay_of_a_sender(clocks: SenderClocks) -> None:
    assert judge(clocks, NOW - timedelta(seconds=95))["edusoc.time.skew"] == 95_000_000_000
    assert judge(clocks, NOW - timedelta(seconds=90))["edusoc.time.skew"] == 90_000_000_000
    assert judge(clocks, NOW - timedelta(seconds=400))["edusoc.time.skew"] == 90_000_000_000
    assert "edusoc.time.skew" not in judge(clocks, NOW, sender="10.0.0.2")
    later = NOW + timedelta(minutes=11)
    assert judge(clocks, later - timedelta(seconds=99), later)["edusoc.time.skew"] == 99_000_000_000


@pytest.mark.parametrize("hours", [8, -8, 1])
def test_a_wrong_zone_is_seen(clocks: SenderClocks, hours: int) -> None:
    event = judge(clocks, NOW - timedelta(hours=hours, seconds=3))
    assert event["edusoc.time.fault"] == "zone"
    assert event["@timestamp"] == format_instant(NOW - timedelta(hours=hours, seconds=3))


@pytest.mark.parametrize(
    ("stamp", "fault"),
    [
        (NOW + 2 * DAY, "future"),
        (NOW.replace(year=2099), "future"),
        (NOW - 8 * DAY, "past"),
        (NOW.replace(year=1970), "past"),
    ],
)
def test_dates_that_can_not_be_are_kept_beside(clocks: SenderClocks, stamp: datetime, fault: str) -> None:
    event = judge(clocks, stamp)
    assert event == {
        "@timestamp": format_instant(NOW),
        "edusoc.time.claimed": format_instant(stamp),
        "edusoc.time.fault": fault,
    }
    assert list(judge(clocks, NOW)) == ["@timestamp"], "the sender's clock is not measured by it"


def test_a_little_ahead_is_marked_only(clocks: SenderClocks) -> None:
    event = judge(clocks, NOW + timedelta(minutes=20))
    assert event["edusoc.time.fault"] == "future"
    assert event["@timestamp"] == format_instant(NOW + timedelta(minutes=20))


def test_what_is_counted() -> None:
    counters = Counters()
    clocks = SenderClocks(counters, 7 * DAY)
    for stamp in (NOW, NOW + 2 * DAY, NOW - 8 * DAY, NOW - timedelta(minutes=2)):
        judge(clocks, stamp, sender=str(stamp))
    clocks.judge({"@timestamp": format_instant(NOW), "edusoc.time.fault": "missing"}, "x")
    assert counters.snapshot() == {"time_future": 1, "time_past": 1, "skewed": 1, "time_missing": 1}


def test_a_flood_of_senders_is_bounded(clocks: SenderClocks) -> None:
    for number in range(20_000):
        judge(clocks, NOW, sender=str(number))
    assert len(clocks._least) == 8_192
