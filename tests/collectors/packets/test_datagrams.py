from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.packets import datagrams
from collectors.packets.datagrams import DatagramReader
from collectors.packets.dissectors.registry import DATAGRAMS


def _question(identifier: int, name: bytes, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes((len(label),)) + label for label in name.split(b"."))
    return struct.pack(">6H", identifier, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def test_a_message_said_again_differs_in_its_number_only() -> None:
    read = DatagramReader()
    for number in (1, 65_535, 7):
        payload = _question(number, b"www.example.edu.cn")
        again = read("dns", payload)
        assert again == DATAGRAMS["dns"](payload)
        assert again is not None
        assert again["dns.id"] == str(number)
        assert list(again) == list(DATAGRAMS["dns"](payload) or {})


def test_protocols_are_told_apart() -> None:
    read, payload = DatagramReader(), _question(5, b"printer", 0)
    for protocol in DATAGRAMS:
        assert read(protocol, payload) == DATAGRAMS[protocol](payload)


@pytest.mark.parametrize("place", [0, 1])
def test_a_name_that_points_into_the_number_is_read_each_time(place: int) -> None:
    read = DatagramReader()
    for number in (0x0161, 0x0162, 0x6100, 0x6200):
        payload = struct.pack(">6HBBHH", number, 0x0100, 1, 0, 0, 0, 0xC0, place, 1, 1)
        assert read("dns", payload) == DATAGRAMS["dns"](payload)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(sorted(DATAGRAMS)), st.binary(max_size=40))))
def test_remembering_changes_nothing(messages: list[tuple[int, str, bytes]]) -> None:
    read = DatagramReader()
    for number, protocol, rest in [*messages, *messages]:
        payload = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + rest
        assert read(protocol, payload) == DATAGRAMS[protocol](payload)
        assert read(protocol, rest) == DATAGRAMS[protocol](rest)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "MAX_KEPT", 3)
    read = DatagramReader()
    for number in range(20):
        read("dns", _question(number, b"host%d.example" % number))
        assert len(read._known) <= 3
    read = DatagramReader()
    read("dns", _question(1, b"long.example") + bytes(datagrams.MAX_BYTES))
    assert not read._known
