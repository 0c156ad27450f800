from hypothesis import given
from hypothesis import strategies as st

from soc_core.model.event import make_event_id, make_source_identity, partition_of, values_of

STAMP = "2026-11-20T00:00:00.000000Z"


def test_equal_records_at_two_positions_are_two_events() -> None:
    source = make_source_identity("u1", "default", "syslog", b"first")
    assert make_event_id(STAMP, source, 0, b"line") != make_event_id(STAMP, source, 5, b"line")
    assert make_event_id(STAMP, source, 0, b"line") == make_event_id(STAMP, source, 0, b"line")


def test_the_same_record_of_two_schools_is_two_events() -> None:
    ids = {
        make_event_id(STAMP, make_source_identity(unit, "default", "syslog", b"first"), 0, b"x")
        for unit in "ab"
    }
    assert len(ids) == 2


@given(st.binary(max_size=64), st.integers(min_value=-(2**62), max_value=2**62), st.binary(max_size=64))
def test_ids_carry_their_day(fingerprint: bytes, position: int, record: bytes) -> None:
    made = make_event_id(STAMP, make_source_identity("", "", "", fingerprint), position, record)
    assert partition_of(made) == "20261120"
    assert len(made) == 35
    assert made.isalnum() is False


def test_parts_of_an_identity_do_not_run_together() -> None:
    assert make_source_identity("ab", "c", "", b"") != make_source_identity("a", "bc", "", b"")


def test_values_of_reads_scalars_and_lists_alike() -> None:
    event = {"a": "x", "b": ["y", "z"]}
    assert list(values_of(event, "a")) == ["x"]
    assert list(values_of(event, "b")) == ["y", "z"]
    assert list(values_of(event, "c")) == []
