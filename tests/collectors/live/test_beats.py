from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from struct import unpack

import orjson
import pytest

from collectors.live.beats import BeatsInput, build
from collectors.live.options import Options
from soc_core.errors import UsageError
from tests.collectors.live.certificates import Authority
from tests.collectors.live.outlets import PATIENCE, Kept, running, wait_until
from tests.collectors.live.test_documents import SSHD, WINDOWS, line
from tests.collectors.live.test_lumberjack import compressed, document, window


def make(**settings: object) -> BeatsInput:
    return build("beats", Options({"listen": "127.0.0.1:0", **settings}, "agent.toml: beats"))


def counted(live: BeatsInput) -> Mapping[str, int]:
    return live.counters.snapshot()


def connect(live: BeatsInput) -> socket.socket:
    wait_until(lambda: bool(live.addresses))
    client = socket.create_connection(live.addresses[0])
    client.settimeout(PATIENCE)
    return client


def window_of(trees: list[object], *, packed: bool = False) -> bytes:
    frames = b"".join(document(number, orjson.dumps(tree)) for number, tree in enumerate(trees, start=1))
    return window(len(trees)) + (compressed(frames) if packed else frames)


def acknowledged(client: socket.socket) -> int:
    """Read one acknowledgement."""
    data = b""
    while len(data) < 6:
        piece = client.recv(6 - len(data))
        if not piece:
            raise ConnectionError("ended")
        data += piece
    assert data[:2] == b"2A"
    return int(unpack(">I", data[2:])[0])


def wait_for(client: socket.socket, sequence: int) -> list[int]:
    found = [acknowledged(client)]
    while found[-1] < sequence:
        found.append(acknowledged(client))
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_windows_are_acknowledged_when_they_are_durable(packed: bool) -> None:
    live, kept = make(), Kept()
    kept.open.clear()
    with running(live, kept), closing(connect(live)) as client:
        client.sendall(window_of([WINDOWS, line(SSHD), line("free text", 300)], packed=packed))
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)
        kept.open.set()
        assert wait_for(client, 3)[-1] == 3
        assert len(kept.events) == 3, "durable before the acknowledgement"
        client.sendall(window_of([line("second", 400)]))
        assert wait_for(client, 1) == [1]
    assert [event["event.dataset"] for event in kept.events] == [
        "windows.security",
        "syslog.auth",
        "ecs.event",
        "ecs.event",
    ]
    assert counted(live)["delivered"] == 4


def test_a_long_window_is_acknowledged_in_parts() -> None:
    live = make()
    with running(live, Kept()) as kept, closing(connect(live)) as client:
        client.sendall(window_of([line("x", number) for number in range(2_500)], packed=True))
        assert wait_for(client, 2_500) == [1_000, 2_000, 2_500]
        assert len(kept.events) == 2_500


def test_a_sender_that_waits_is_told_that_we_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.live.beats._SAY_SECONDS", 0.02)
    live, kept = make(), Kept()
    kept.open.clear()
    with running(live, kept), closing(connect(live)) as client:
        client.sendall(window_of([WINDOWS]))
        assert [acknowledged(client) for _ in range(3)] == [0, 0, 0]
        kept.open.set()
        assert set(wait_for(client, 1)) <= {0, 1}


def test_what_can_not_be_stored_is_not_acknowledged_and_comes_again() -> None:
    live, kept = make(), Kept()
    kept.failing = 1
    with running(live, kept):
        with closing(connect(live)) as client:
            client.sendall(window_of([WINDOWS, line(SSHD)]))
            assert client.recv(1) == b""
        with closing(connect(live)) as client:
            client.sendall(window_of([WINDOWS, line(SSHD)]))
            wait_for(client, 2)
            client.sendall(window_of([line(SSHD), WINDOWS]))
            wait_for(client, 2)
    assert len(kept.events) == 4
    assert len({event["event.id"] for event in kept.events}) == 2, "sent again, but the same events"


def test_bad_documents_are_kept_aside_and_acknowledged() -> None:
    live = make()
    with running(live, Kept()) as kept, closing(connect(live)) as client:
        frames = document(1, b"{broken") + document(2, b"[1]") + document(3, b'"' + b"x" * (2 << 20) + b'"')
        client.sendall(window(4) + frames + document(4, orjson.dumps(WINDOWS)))
        wait_for(client, 4)
    assert len(kept.bad) == 3
    assert len(kept.events) == 1
    assert counted(live)["bad"] == 3


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.0\r\n\r\n", b"\x00" * 100, document(1, b"{}"), window(2) + window(1)]
)
def test_other_protocols_are_refused(junk: bytes) -> None:
    live = make()
    with running(live, Kept()) as kept:
        with closing(connect(live)) as client, suppress(ConnectionError):
            client.sendall(junk)
            assert client.recv(1) == b""
        wait_until(lambda: counted(live).get("refused") == 1)
        wait_until(lambda: counted(live)["connections"] == 0)
    assert kept.events == []


def test_half_a_window_is_not_acknowledged_but_sent_again_whole() -> None:
    live = make()
    with running(live, Kept()) as kept:
        with closing(connect(live)) as client:
            client.sendall(window(2) + document(1, orjson.dumps(WINDOWS)))
        wait_until(lambda: counted(live).get("connections") == 0)
        with closing(connect(live)) as client:
            client.sendall(window_of([WINDOWS, line(SSHD)]))
            wait_for(client, 2)
    assert len(kept.events) == 2


def test_tls_with_certificates_of_clients(authority: Authority) -> None:
    certificate, key = authority.issue("centre")
    live = make(certificate=str(certificate), key=str(key), client_authority=str(authority.file))
    context = ssl.create_default_context(cafile=str(authority.file))
    with running(live, Kept()) as kept:
        with (
            suppress(ssl.SSLError, ConnectionError),
            context.wrap_socket(connect(live), server_hostname="localhost") as client,
        ):
            client.sendall(window_of([WINDOWS]))
            acknowledged(client)
        wait_until(lambda: counted(live).get("refused") == 1)
        context.load_cert_chain(*authority.issue("beat"))
        with context.wrap_socket(connect(live), server_hostname="localhost") as client:
            client.sendall(window_of([WINDOWS]))
            assert wait_for(client, 1) == [1]
        with closing(connect(live)) as half_open:
            half_open.sendall(b"\x16\x03")
    assert len(kept.events) == 1


def test_connections_are_bounded() -> None:
    live = make(connections=3, connections_each=3)
    with running(live, Kept()):
        clients = [connect(live) for _ in range(3)]
        wait_until(lambda: counted(live).get("connections") == 3)
        for _ in range(200):
            with closing(connect(live)) as client:
                assert client.recv(1) == b""
        for client in clients:
            client.close()
    assert counted(live)["refused"] == 200
    assert counted(live)["connections"] == 0


def test_silent_connections_are_ended() -> None:
    live = make(idle_seconds=1)
    with running(live, Kept()), closing(connect(live)) as client:
        client.sendall(window(1) + b"2J")
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("settings", "what"), [({"listen": []}, "'listen' is missing"), ({"token": "x"}, "'token' is unknown")]
)
def test_wrong_settings_are_named(settings: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        make(**settings)
