"""What commands show of stored values."""

from __future__ import annotations

import pytest

from edusoc.options import shown_time


@pytest.mark.parametrize(
    ("stored", "seconds", "shown"),
    [
        ("2026-11-30T16:00:00.000000Z", False, "2026-12-01 00:00"),
        ("2026-11-30T16:00:05.000000Z", True, "2026-12-01 00:00:05"),
        ("", False, "–"),
        ("9999-12-31T23:59:59.000000Z", False, "9999-12-31 23:59"),
    ],
)
def test_times_are_shown_as_clocks_here_show_them(stored: str, seconds: bool, shown: str) -> None:
    assert shown_time(stored, seconds=seconds) == shown
