"""Packets of an order: packed, unpacked, bounded."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import InputError
from soc_core.uplink.packets import MAX_CAPTURE, pack_capture, packets_path, unpack_capture

HEAD = b"\xd4\xc3\xb2\xa1"


def test_a_capture_comes_through() -> None:
    assert unpack_capture(pack_capture(HEAD + bytes(100))) == HEAD + bytes(100)
    assert packets_path(7) == "/uplink/v1/packets/7"


@given(st.binary(max_size=200))
def test_what_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        unpack_capture(body)
    with pytest.raises(InputError):
        unpack_capture(zstandard.compress(b"x" + body))


def test_a_bomb_is_refused() -> None:
    bomb = zstandard.compress(HEAD + bytes(MAX_CAPTURE))
    assert len(bomb) < 10_000
    with pytest.raises(InputError, match="no capture"):
        unpack_capture(bomb)
