# ruff: noqa: E501  (tables of values)
"""The quick look at a whole event lets nothing through that looking at each field would change."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from soc_core.model.event import Event
from soc_core.store import shape as module
from soc_core.store.shape import shape

NAMES = ("@timestamp", "event.created", "event.id", "message", "tags", "event.severity", "source.port", "source.ip",
         "related.ip", "dns.answers.ttl", "tls.established", "event.risk_score", "edusoc.extra", "vendor.f1")  # fmt: skip
DATE = "2026-11-20T01:02:03.000004Z"
SCALARS = st.sampled_from(
    ["a", DATE, DATE[:-1], "Z" + DATE, DATE + "Z", "10.0.0.1", "10.0.0.01", "2001:DB8::1", "::1", "7", 7, -1, 2**63, -(2**63),
     -(2**63) - 1, True, 0.5, None, [DATE], {"a": 1}]
)  # fmt: skip
VALUES = SCALARS | st.lists(SCALARS, max_size=3)


@settings(max_examples=500)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), max_size=4))
def test_quick_and_slow_agree(events: list[Event]) -> None:
    for event in events:
        with patch.object(module, "_is_in_shape", return_value=False):
            slow = shape(event)
        quick = shape(event)
        assert quick == slow
        assert {name: type(value) for name, value in quick.items()} == {n: type(v) for n, v in slow.items()}
        assert shape(slow) == slow


def test_two_dates_that_only_together_look_like_dates_are_none() -> None:
    event: Event = {"event.created": DATE[:-1], "event.start": "Z" + DATE}
    assert "event.created" not in shape(event)


def test_the_event_itself_is_never_handed_back() -> None:
    event: Event = {"@timestamp": DATE, "message": "a"}
    assert shape(event) is not event
    assert shape(event) == event
