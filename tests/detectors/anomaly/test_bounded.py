"""Tables, places and evidence keep within their sizes and count the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly.bounded import BoundedTable, Evidence, Room


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans())))
def test_a_table_never_grows_past_its_limit(visits: list[tuple[int, bool]]) -> None:
    table: BoundedTable[int, list[int]] = BoundedTable(10, list)
    kept = 0
    for key, early in visits:
        row = table.visit(key, early=early)
        kept += row is not None
        if early and len(table) >= 5 and row is None:
            assert key not in dict(table.items())
    assert len(table) <= 10
    assert kept + table.left_out == len(visits)


def test_the_lookback_gets_half() -> None:
    table: BoundedTable[int, list[int]] = BoundedTable(4, list)
    assert [table.visit(key, early=True) is not None for key in range(4)] == [True, True, False, False]
    assert table.visit(0, early=True) is not None
    assert [table.visit(key, early=False) is not None for key in (7, 8, 9)] == [True, True, False]
    assert table.left_out == 3


def test_places_are_shared() -> None:
    places = Room(3)
    assert [places.take(early=early) for early in (True, True, False, False, False)] == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert places.left_out == 2


def test_evidence_counts_all_and_keeps_some() -> None:
    evidence = Evidence(4)
    for number in range(10):
        evidence.add(f"e{number}", f"t{number}", early=number < 6, keep=number != 6)
    assert evidence.ids == ["e0", "e1", "e7", "e8"]
    assert (evidence.count, evidence.first, evidence.last) == (10, "t0", "t9")
