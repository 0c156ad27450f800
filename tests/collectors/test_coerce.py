from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.coerce import date_text, epoch_text, flatten, ip_text, long_value, put
from soc_core.clock import format_instant
from soc_core.fields import FIELDS
from soc_core.model.event import Event
from tests.collectors.base import assert_fits_dictionary

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(FIELDS)), _JSON)
def test_whatever_is_put_fits_the_dictionary(name: str, value: object) -> None:
    event: Event = {}
    put(event, name, value)
    assert_fits_dictionary({key: item for key, item in event.items() if item != ""})


def test_misfits_are_kept() -> None:
    event: Event = {}
    put(event, "source.port", "http")
    put(event, "source.ip", ["10.0.0.1", "10.0.0.2"])
    put(event, "own.field", {"a": [1, {"b": True}]})
    assert event == {
        "edusoc.extra": ["source.port=http", "source.ip=10.0.0.2", "own.field.a=1", "own.field.a.b=true"],
        "source.ip": "10.0.0.1",
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("010.0.0.1", None),
        ("::FFFF:10.0.0.1", "10.0.0.1"),
        ("[2001:DB8::0]", "2001:db8::"),
        ("fe80::1%eth0", "fe80::1"),
        ("x", None),
    ],
)
def test_addresses_are_canonical(text: str, wanted: str | None) -> None:
    assert ip_text(text) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1795140184, "2026-11-20T02:03:04.000000Z"),
        (1795140184123, "2026-11-20T02:03:04.123000Z"),
        (1795140184123456, "2026-11-20T02:03:04.123456Z"),
        ("2026-11-20T10:03:04.1234567+08:00", "2026-11-20T02:03:04.123456Z"),
        ("soon", None),
        (float("nan"), None),
        (1e300, None),
        (True, None),
    ],
)
def test_dates_are_canonical(value: object, wanted: str | None) -> None:
    assert date_text(value) == wanted


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_decimal_seconds_keep_every_microsecond(instant: datetime) -> None:
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = delta.days * 86_400 + delta.seconds
    assert epoch_text(f"{seconds}.{instant.microsecond:06d}") == format_instant(instant)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("0x1f4", 500), ("-5", -5), (2.0, 2), (2.5, None), ("", None), (1 << 63, None), ("9" * 5000, None)],
)
def test_integers(value: object, wanted: int | None) -> None:
    assert long_value(value) == wanted


def test_flatten_is_bounded() -> None:
    tree: dict[str, object] = {"a": 1}
    for _ in range(5000):
        tree = {"n": tree}
    assert len(list(flatten(tree))) == 1
