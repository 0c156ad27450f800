from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.clock import LOCAL_ZONE, epoch_us, format_epoch_us, format_instant, local_time, parse_instant

instants = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))


@given(instants)
def test_text_and_instant_say_the_same(instant: datetime) -> None:
    text = format_instant(instant)
    assert len(text) == 27
    assert parse_instant(text) == instant
    assert format_epoch_us(epoch_us(instant)) == text


@given(instants, instants)
def test_text_order_is_time_order(first: datetime, second: datetime) -> None:
    assert (first < second) == (format_instant(first) < format_instant(second))


def test_local_time_is_shanghai() -> None:
    assert format_instant(parse_instant("2026-11-20 08:00", zone=LOCAL_ZONE)) == "2026-11-20T00:00:00.000000Z"


def test_a_time_without_zone_is_no_instant() -> None:
    with pytest.raises(ValueError, match="zone"):
        format_instant(datetime(2026, 1, 1))


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31T23:59:59-08:00"])
def test_a_time_beyond_the_calendar_is_refused_as_any_other(text: str) -> None:
    with pytest.raises(ValueError, match="outside the calendar"):
        parse_instant(text, zone=LOCAL_ZONE)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:00:00Z", "2026-11-24T00:00:00Z"])
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_local_time_bears_the_ends_of_the_calendar(text: str, zone: str) -> None:
    assert local_time(parse_instant(text), ZoneInfo(zone)) == parse_instant(text)
