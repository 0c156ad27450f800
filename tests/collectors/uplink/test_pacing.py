"""Hold when and how fast the uplink sends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collectors.uplink.pacing import Pauses, RateCap, Window
from soc_core.errors import UsageError


def test_pauses_grow_and_spread() -> None:
    low, high = Pauses(lambda: 0.0), Pauses(lambda: 1.0)
    assert [low.failed() for _ in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert [high.failed() for _ in range(4)] == [1.0, 2.0, 4.0, 8.0]
    for _ in range(2_000):
        high.failed()
    assert high.failed() == 300.0
    high.worked()
    assert high.failed() == 1.0


def test_the_cap_holds_over_time() -> None:
    now = 100.0
    cap = RateCap(1_000, lambda: now)
    waited = 0.0
    for _ in range(50):
        pause = cap.take(500)
        waited += pause
        now += pause
    assert 23.0 <= waited <= 25.0  # 25,000 bytes, one second of them at once
    assert RateCap(0, lambda: now).take(10**9) == 0.0


@pytest.mark.parametrize(
    ("text", "hour", "is_open"),
    [
        ("", 12, True),
        ("22:00-06:00", 23, True),
        ("22:00-06:00", 5, True),
        ("22:00-06:00", 6, False),
        ("22:00-06:00", 12, False),
        ("08:30-17:00", 9, True),
        ("08:30-17:00", 8, False),
        ("22:00~24:00", 23, True),
        ("22:00～24:00", 0, False),
    ],
)
def test_windows(text: str, hour: int, is_open: bool) -> None:
    assert Window.parse(text).is_open(datetime(2026, 11, 24, tzinfo=UTC) + timedelta(hours=hour)) is is_open


@pytest.mark.parametrize("text", ["22-6", "25:61-00:00", "nights", "22:00-"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no span of hours"):
        Window.parse(text)
