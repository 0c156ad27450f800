"""Hold what is true of every stream dissector: golden answers, splits, gaps, damage, bounded work and memory."""

from __future__ import annotations

import json
import os
import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.packets.dissectors.base import Message
from collectors.packets.dissectors.registry import STREAMS
from tests.collectors.base import assert_fits_dictionary
from tests.collectors.packets.dissectors import smb_maker
from tests.collectors.packets.dissectors.conversations import Pieces, all_conversations, dissect, feed

CONVERSATIONS = all_conversations()
NAMES = sorted(CONVERSATIONS)
GOLDEN = Path(__file__).parent / "golden.json"


def rows(messages: list[Message]) -> list[object]:
    return [[m.dataset, m.time_us, m.side, m.offset, m.fields] for m in messages]


def check(messages: list[Message]) -> None:
    assert len({(m.dataset, m.side, m.offset, m.fields.get("event.action")) for m in messages}) <= len(
        messages
    )
    for message in messages:
        assert_fits_dictionary(message.fields)
        assert {"network.protocol", "event.category", "event.type"} <= message.fields.keys()


def split(pieces: Pieces, chooser: random.Random, largest: int) -> Pieces:
    """Cut pieces anew; neighbours of one side are joined first, so that any cut can come out."""
    joined: Pieces = []
    for side, data in pieces:
        if joined and joined[-1][0] == side:
            joined[-1] = (side, joined[-1][1] + data)
        else:
            joined.append((side, data))
    found: Pieces = []
    for side, data in joined:
        at = 0
        while at < len(data):
            size = chooser.randint(1, largest)
            found.append((side, data[at : at + size]))
            at += size
    return found


def test_golden() -> None:
    found = {name: rows(dissect(*CONVERSATIONS[name])) for name in NAMES}
    if os.environ.get("EDUSOC_UPDATE_GOLDEN"):
        GOLDEN.write_text(
            json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_fields_fit_the_dictionary(name: str) -> None:
    messages = dissect(*CONVERSATIONS[name])
    assert messages
    check(messages)


@pytest.mark.parametrize("name", NAMES)
def test_any_split_gives_the_same(name: str) -> None:
    protocol, pieces = CONVERSATIONS[name]
    whole = rows(dissect(protocol, pieces))
    chooser = random.Random(name)
    for largest in (2, 7, 100, 1_500, 100_000):
        if sum(len(data) for _, data in pieces) / largest < 20_000:
            assert rows(dissect(protocol, split(pieces, chooser, largest))) == whole


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_split_at_two_points_gives_the_same(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in NAMES if name not in ("ransomware", "told_only")]))
    protocol, pieces = CONVERSATIONS[name]
    number = data.draw(st.integers(0, len(pieces) - 1))
    side, whole = pieces[number]
    at = sorted(data.draw(st.lists(st.integers(0, len(whole)), min_size=1, max_size=2)))
    cuts = [0, *at, len(whole)]
    parts: Pieces = [(side, whole[a:b]) for a, b in pairwise(cuts) if a < b]
    assert rows(dissect(protocol, [*pieces[:number], *parts, *pieces[number + 1 :]])) == rows(
        dissect(protocol, pieces)
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_raises_nothing(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    protocol, pieces = CONVERSATIONS[name]
    damaged = [(side, bytearray(part)) for side, part in pieces]
    for _ in range(data.draw(st.integers(1, 5))):
        part = damaged[data.draw(st.integers(0, len(damaged) - 1))][1]
        if part:
            part[data.draw(st.integers(0, len(part) - 1))] ^= data.draw(st.integers(1, 255))
    messages = dissect(protocol, [(side, bytes(part)) for side, part in damaged])
    for message in messages:
        assert_fits_dictionary(message.fields)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(STREAMS)),
    st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=200)), max_size=12),
)
def test_any_bytes_raise_nothing(protocol: str, pieces: Pieces) -> None:
    check(dissect(protocol, pieces))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_gaps_raise_nothing(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    protocol, pieces = CONVERSATIONS[name]
    dissector = STREAMS[protocol]()
    places = [0, 0]
    messages: list[Message] = []
    chooser = random.Random(data.draw(st.integers(0, 1_000)))
    for side, part in split(pieces, chooser, 1_460):
        if chooser.random() > 0.15:
            messages += dissector.feed(side, places[side], 5, part)
        places[side] += len(part)
    messages += dissector.close()
    for message in messages:
        assert_fits_dictionary(message.fields)
    assert dissector.close() == []


@pytest.mark.parametrize("protocol", sorted(STREAMS))
def test_turned_around_raises_nothing(protocol: str) -> None:
    for name, (kind, pieces) in CONVERSATIONS.items():
        check(dissect(protocol, [(1 - side, data) for side, data in pieces]))
        if kind == protocol and name not in ("ssh", "ssh_banner_only"):
            ours, theirs = dissect(kind, pieces), dissect(kind, [(1 - side, data) for side, data in pieces])
            assert [m.fields for m in ours] == [m.fields for m in theirs], name


def count_calls(protocol: str, pieces: Pieces) -> int:
    """Return how many function calls it takes: a measure of work that does not depend on the machine."""
    calls = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    dissector = STREAMS[protocol]()
    sys.setprofile(note)
    try:
        feed(dissector, pieces)
    finally:
        sys.setprofile(None)
    return calls


HOSTILE: dict[str, bytes] = {
    "head without end": b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 4_000,
    "one long line": b"GET /" + b"a" * 60_000,
    "many requests": b"GET / HTTP/1.1\r\n\r\n" * 2_000,
    "tiny chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5_000,
    "empty records": b"\x16\3\1\0\0" * 5_000,
    "tiny fragments": b"\x16\3\1\0\1\1" + b"\x16\3\1\0\1\0" * 8_000,
    "warnings": b"\x15\3\1\0\2\1\x5a" * 5_000,
    "lines": b"hello\r\n" * 5_000,
    "keep-alives": b"\x85\0\0\0" * 5_000,
    "small messages": b"\0\0\0\x40\xfeSMB\x40" + b"\0" * 59,
    "dns messages": (b"\0\x11\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0\1") * 3_000,
}


@pytest.mark.parametrize("protocol", sorted(STREAMS))
@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_work_grows_with_the_bytes(protocol: str, what: str) -> None:
    data = HOSTILE[what]
    half = data[: len(data) // 2]
    for size in (1, 100):
        parts = min(len(data), 4_000 * size)
        whole: Pieces = [(0, data[at : at + size]) for at in range(0, parts, size)]
        part: Pieces = [(0, half[at : at + size]) for at in range(0, min(len(half), parts // 2), size)]
        assert count_calls(protocol, whole) < 3 * count_calls(protocol, part) + 2_000


def test_memory_is_bounded() -> None:
    """Endless messages that never end must not pile up."""
    starts = {
        "http": b"GET / HTTP/1.1\r\nX: ", "tls": b"\x16\3\1\x40\0\1\0\xff\xff", "ssh": b"SSH-2.0-",
        "smb": b"\0\xff\xff\xff\xfeSMB", "dns": b"\xff\xff",
    }  # fmt: skip
    for protocol, start in starts.items():
        dissector = STREAMS[protocol]()
        at = 0
        for side in (0, 1):
            at = 0
            for data in [start, *[b"a" * 1_000] * 300]:
                dissector.feed(side, at, 1, data)
                at += len(data)
        assert held(dissector) < 300_000, protocol


def test_tables_are_bounded() -> None:
    """Endless whole messages, each as large as can be, must not pile up either."""
    long = "n" * 2_000
    many: dict[str, list[bytes]] = {
        "http": [b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nReferer: " + b"r" * 9_000 + b"\r\n\r\n"] * 400,
        "smb": [smb_maker.framed(smb_maker.create(number, f"{number}{long}")) for number in range(3_000)],
    }
    for protocol, messages in many.items():
        dissector = STREAMS[protocol]()
        at = 0
        for data in messages:
            dissector.feed(0, at, 1, data)
            at += len(data)
        assert held(dissector) < 3_000_000, protocol
    answers = [smb_maker.create_answer(n, n.to_bytes(16, "big"), 1) for n in range(3_000)]
    dissector, at, back = STREAMS["smb"](), 0, 0
    for data, answer in zip(many["smb"], answers, strict=True):
        dissector.feed(0, at, 1, data)
        dissector.feed(1, back, 1, smb_maker.framed(answer))
        at, back = at + len(data), back + len(answer) + 4
    assert held(dissector) < 3_000_000


def held(root: object) -> int:
    """Return the bytes in buffers reachable from a dissector."""
    total, seen, stack = 0, set(), [root]
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, bytes | bytearray | str):
            total += len(item)
        elif isinstance(item, dict):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            stack += list(item)
        elif type(item).__module__.startswith("collectors"):
            names = [*getattr(type(item), "__slots__", ()), *getattr(item, "__dict__", {})]
            stack += [getattr(item, name) for name in names if hasattr(item, name)]
    return total
