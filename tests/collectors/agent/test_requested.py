"""Packets that the centre orders: cut, held until sent, bounded, refused when nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import pytest

from collectors.agent.requested import MOST_HELD, Requested
from collectors.packets.keeping import PacketKeep
from collectors.packets.machine import load_kernel
from soc_core.clock import format_instant
from soc_core.errors import StoreError, UsageError
from soc_core.model.event import Scalar
from soc_core.uplink.orders import PACKETS, Order
from soc_core.uplink.packets import unpack_capture
from tests.collectors.packets.making import BEGIN, connection, flows, pcap
from tests.collectors.packets.test_keeping import keep_all

WEB = connection(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")
START = datetime.fromtimestamp(BEGIN, UTC) - timedelta(minutes=1)
SESSION = str(flows(pcap(WEB))[0]["network.community_id"])


def order(number: int = 1, body: Mapping[str, Scalar] = MappingProxyType({})) -> Order:
    whole: dict[str, Scalar | list[str]] = {
        "community_id": SESSION,
        "start": format_instant(START),
        "end": format_instant(START + timedelta(hours=1)),
        **body,
    }
    return Order("a1", number, PACKETS, format_instant(START), format_instant(START), whole)


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[PacketKeep]:
    kept = PacketKeep(tmp_path / "kept", load_kernel(), budget=1 << 20)
    keep_all(kept, WEB)
    yield kept
    kept.close()


def test_a_session_is_cut_and_held_until_sent(keep: PacketKeep, tmp_path: Path) -> None:
    requested = Requested(tmp_path, lambda: [keep])
    assert requested.run(order(3)).startswith(f"packets: {len(WEB)},")
    assert requested.waiting() == [3]
    assert unpack_capture(requested.body(3))[24:] == pcap(WEB)[24:]
    assert requested.run(order(4, {"most": 2})).startswith("packets: 2+,")
    requested.sent(3)
    requested.sent(3)
    assert requested.waiting() == [4]
    assert requested.body(3) == b""
    assert requested.interrupted(order(4)) == "nothing was sent"
    assert requested.waiting() == []
    assert [path.name for path in (tmp_path / "requested").iterdir()] == []


def test_nothing_kept_is_said(keep: PacketKeep, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps no packets"):
        Requested(tmp_path, list).run(order())
    with pytest.raises(UsageError, match="are kept here"):
        Requested(tmp_path, lambda: [keep]).run(order(1, {"community_id": "1:" + "A" * 27 + "="}))


@pytest.mark.parametrize(
    "body",
    [
        {"community_id": "../../etc"},
        {"start": "yesterday"},
        {"end": format_instant(START - timedelta(seconds=1))},
        {"end": format_instant(START + timedelta(days=2))},
        {"most": 0},
        {"most": 10**9},
        {"most": "all"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    keep: PacketKeep, tmp_path: Path, body: dict[str, Scalar]
) -> None:
    with pytest.raises(UsageError):
        Requested(tmp_path, lambda: [keep]).run(order(1, body))


def test_what_is_not_sent_is_bounded(keep: PacketKeep, tmp_path: Path) -> None:
    requested = Requested(tmp_path, lambda: [keep])
    for number in range(MOST_HELD):
        requested.run(order(number))
    with pytest.raises(StoreError, match="not sent yet"):
        requested.run(order(MOST_HELD))
