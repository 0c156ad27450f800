from __future__ import annotations

import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from collectors.live.eve_socket import EveInput, build
from collectors.live.options import Options
from soc_core.errors import UsageError
from tests.collectors.live.outlets import Kept, running, wait_until
from tests.collectors.live.test_documents import EVE


def make(path: Path, **settings: object) -> EveInput:
    return build("suricata", Options({"path": str(path), **settings}, "agent.toml: suricata"))


def counted(live: EveInput) -> Mapping[str, int]:
    return live.counters.snapshot()


def connect(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    wait_until(path.exists)
    client = socket.socket(socket.AF_UNIX, kind)

    def connected() -> bool:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True

    wait_until(connected)
    return client


def record(number: int) -> bytes:
    tree = orjson.loads(EVE)
    tree["flow_id"] = number
    return orjson.dumps(tree)


def test_a_stream_of_records(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    live = make(path)
    with running(live, Kept()) as kept:
        with connect(path) as client:
            client.sendall(b"".join(record(number) + b"\n" for number in range(2_500)) + record(9_999))
        events = kept.wait_for(2_501)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert {event["event.dataset"] for event in events} == {"suricata.alert"}
    assert len({event["event.id"] for event in events}) == 2_501
    assert not path.exists()


def test_datagrams(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    live = make(path, type="datagram")
    with running(live, Kept()) as kept, connect(path, socket.SOCK_DGRAM) as client:
        for number in range(300):
            client.send(record(number) + (b"\n" if number % 2 else b""))
        client.send(b"{broken")
        client.send(record(1))
        kept.wait_for(301, bad=1)
    assert counted(live)["delivered"] == 301


def test_bad_lines_long_lines_and_half_lines_are_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    live = make(path)
    with running(live, Kept()) as kept:
        with connect(path) as client:
            client.sendall(
                b"\x00\x01\xff\n" + record(1) + b"\n" + b"x" * (3 << 20) + b"\n" + record(2) + b"\n\n"
            )
            client.sendall(record(3)[:50])
        kept.wait_for(2, bad=3)
    assert len(kept.events) == 2
    assert "object is longer than 1 MiB" in [entry.reason for entry in kept.bad]
    assert counted(live)["connections"] == 0


def test_a_slow_store_makes_suricata_wait(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    live, kept = make(path), Kept()
    kept.open.clear()
    data = b"".join(record(number) + b"\n" for number in range(500))
    with running(live, kept), connect(path) as client:
        client.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < 100 << 20:
                sent += client.send(data)
        kept.open.set()
        kept.wait_for(sent // len(record(0) + b"\n") - 10)
    assert sent < 20 << 20


def test_what_can_not_be_stored_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.live.eve_socket._AGAIN_SECONDS", 0.01)
    path = tmp_path / "eve.sock"
    live, kept = make(path), Kept()
    kept.failing = 3
    with running(live, kept), connect(path) as client:
        client.sendall(record(1) + b"\n")
        kept.wait_for(1)
    assert counted(live) | {"received": 1, "delivered": 1} == counted(live)


def test_a_dead_predecessors_socket_is_replaced_but_no_file(tmp_path: Path) -> None:
    path = tmp_path / "eve.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    live = make(path, everyone=True)
    with running(live, Kept()) as kept, connect(path) as client:
        client.sendall(record(1) + b"\n")
        kept.wait_for(1)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="another file"), running(make(path), Kept()):
        pass
    assert path.read_text(encoding="utf-8") == "precious"
    with (
        pytest.raises(UsageError, match="can't listen"),
        running(make(tmp_path / "none" / "eve.sock"), Kept()),
    ):
        pass
