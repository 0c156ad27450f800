"""What straddles windows is said once, what goes on is said again, nothing evident is missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly.bounded import Room
from detectors.anomaly.flows import read_flow
from detectors.anomaly.targets import Period, Targets, when_it_becomes_true
from tests.detectors.anomaly.base import Maker

NEEDED = 5


def emitted(counts: list[int], window: int) -> bool:
    """Tell whether the window says it, where it takes ``NEEDED`` of ``counts`` in the window and the one before."""
    before, now = counts[window - 1] if window else 0, counts[window]
    sums = {Period.BEFORE: before, Period.NOW: now, Period.BOTH: before + now}
    return when_it_becomes_true(lambda period: sums[period] if sums[period] >= NEEDED else None) is not None


@given(st.lists(st.integers(0, 8), min_size=1, max_size=8))
def test_every_evident_stretch_is_said_by_exactly_the_windows_that_should(counts: list[int]) -> None:
    for window in range(len(counts)):
        before = counts[window - 1] if window else 0
        whole = before + counts[window] >= NEEDED
        if emitted(counts, window):
            assert whole
        elif whole:
            assert window
            assert before >= NEEDED
            assert emitted(counts, window - 1)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=2), st.integers(5, 50))
def test_a_burst_in_one_window_is_said_once(edges: list[int], burst: int) -> None:
    counts = [0, 0, edges[0], burst, edges[1], 0]
    assert sum(emitted(counts, window) for window in range(len(counts))) == 1


@given(st.lists(st.tuples(st.integers(0, 7_199), st.integers(0, 12), st.booleans()), max_size=60).map(sorted))
def test_counts_agree_with_counting_by_hand(tries: list[tuple[int, int, bool]]) -> None:
    maker, targets = Maker(), Targets(1_000, Room(1_000))
    for second, port, answered in tries:
        flow = read_flow(maker.flow(second, "10.0.0.1", "10.0.0.2", port, answered=answered))
        assert flow is not None
        targets.add(port, flow, Period.BEFORE if second < 3_600 else Period.NOW)
    spans = {Period.BEFORE: (0, 3_600), Period.NOW: (3_600, 7_200), Period.BOTH: (0, 7_200)}
    for period, (start, end) in spans.items():
        tried = {port for second, port, _ in tries if start <= second < end}
        answered_ports = {port for second, port, answered in tries if start <= second < end and answered}
        assert targets.tried(period) == len(tried)
        assert set(targets.answered(period)) == answered_ports
        assert set(targets.failed(period)) == tried - answered_ports
        firsts = sorted(
            min(second for second, other, _ in tries if other == port and start <= second < end)
            for port in tried - answered_ports
        )
        most = max((sum(1 for at in firsts if low <= at <= low + 60) for low in firsts), default=0)
        assert targets.fastest(period, 60) == most
