"""Answers and heartbeats come back as they went, and what is none does no harm."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import InputError
from soc_core.uplink.answers import BUSY, STATUS, Receipt, Refusal
from soc_core.uplink.heartbeat import MAX_BYTES, MOST_SOURCES, Heartbeat, SourceState

AT = "2026-11-24T04:00:00.000000Z"
BEAT = Heartbeat(
    started=AT,
    version="0.1.0",
    platform="Linux",
    waiting=5,
    waiting_bytes=600,
    oldest=AT,
    disk_free=10,
    disk_total=20,
    memory=7,
    shed={"packets.flow": 3},
    sources=(SourceState("syslog", "syslog_udp", {"received": 9, "dropped": 1}, AT),),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "started",
        "waiting",
        "sources",
        "shed",
        "mark",
        "time",
        "orders",
        "error",
        "what",
        "number",
        "wait",
        "bad",
    ]
)


def test_messages_come_back_as_they_went() -> None:
    beat = Heartbeat.decode(BEAT.encode())
    assert (beat.sources[0], beat.shed, beat.oldest) == (BEAT.sources[0], BEAT.shed, AT)
    receipt = Receipt(7, AT, ("one", "two"), 3)
    assert Receipt.decode(receipt.encode()) == receipt
    refusal = Refusal("replayed", "the number is used", AT, 9, 5)
    assert Refusal.decode(refusal.encode()) == refusal
    assert all(400 <= status < 600 for status in STATUS.values())


@given(st.dictionaries(NAMES, JSON, max_size=6))
def test_strange_content_is_passed_over_or_refused(found: dict[str, object]) -> None:
    try:
        body = orjson.dumps(found)
    except (TypeError, orjson.JSONEncodeError):
        return
    beat = Heartbeat.decode(body)
    assert 0 <= beat.waiting < 2**63
    assert Refusal.decode(body).kind in STATUS
    try:
        Receipt.decode(body)
    except InputError:
        assert (
            not (isinstance(found.get("mark"), int) and isinstance(found.get("time"), str)) or "bad" in found
        )


def test_a_proxys_page_is_no_refusal_of_the_centre() -> None:
    assert Refusal.decode(b"<html>502 Bad Gateway</html>").kind == BUSY


def test_a_heartbeat_is_bounded() -> None:
    many = Heartbeat(AT, sources=[SourceState(str(n), "k") for n in range(MOST_SOURCES + 5)])
    assert len(Heartbeat.decode(many.encode()).sources) == MOST_SOURCES
    for body in (b"x", b"[]", b"{" + b" " * MAX_BYTES + b"}"):
        with pytest.raises(InputError):
            Heartbeat.decode(body)
    assert Heartbeat.decode(b'{"waiting": -1, "oldest": "yesterday"}').oldest == ""
