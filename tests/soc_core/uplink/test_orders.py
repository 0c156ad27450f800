"""An order arrives as it was signed, by our centre alone; everything else is refused in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.clock import format_instant
from soc_core.errors import InputError
from soc_core.keys.signing import SigningKey
from soc_core.uplink.orders import KINDS, Order, read_order, sign_order

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
KEY = SigningKey(b"k" * 32)
ORDER = Order(
    "g1", 7, "packets", format_instant(NOW), format_instant(NOW + timedelta(hours=1)), {"from": "10.1.2.3"}
)
BODIES = st.dictionaries(
    st.text(max_size=8),
    st.text(max_size=20)
    | st.integers(-(2**53), 2**53)
    | st.booleans()
    | st.lists(st.text(max_size=5), max_size=3),
    max_size=5,
)


@given(st.sampled_from(KINDS), st.integers(1, 2**53), BODIES)
def test_an_order_arrives_as_it_was_signed(kind: str, number: int, body: dict[str, str | list[str]]) -> None:
    order = Order("g1", number, kind, ORDER.issued, ORDER.expires, body)
    assert read_order(sign_order(order, KEY), KEY.public) == order


def test_nobody_elses_and_no_altered_order_is_taken() -> None:
    text = sign_order(ORDER, KEY)
    with pytest.raises(InputError, match="not signed by our centre"):
        read_order(text, SigningKey(b"x" * 32).public)
    for old, new in (("10.1.2.3", "10.1.2.4"), ("g1", "g2"), (":7", ":8"), ("packets", "rules")):
        assert old in text
        with pytest.raises(InputError):
            read_order(text.replace(old, new), KEY.public)


@given(
    st.text(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["order", "signature", "agent", "number", "kind", "issued", "expires", "body"]
                ),
                inner,
                max_size=8,
            )
        ),
        max_leaves=10,
    ).map(repr)
)
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_order(text, KEY.public)
    with pytest.raises(InputError):
        read_order(orjson.dumps({"order": text, "signature": text}).decode("utf-8", "replace"), KEY.public)


def test_expiry() -> None:
    assert not ORDER.expired(NOW)
    assert ORDER.expired(NOW + timedelta(hours=1))
