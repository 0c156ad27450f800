from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import closing, suppress

import orjson
import pytest

from collectors.live import http_server
from collectors.live.http_push import NO_JSON, build
from collectors.live.http_server import NO_ROOM, TOO_LARGE, TOO_SLOW
from collectors.live.options import Options
from collectors.live.pushing import NOT_STORED, PushInput
from soc_core.errors import UsageError
from tests.collectors.base import GOLDEN
from tests.collectors.live.outlets import PATIENCE, Kept, running, wait_until
from tests.collectors.live.test_bulk import TOKEN, ask
from tests.collectors.live.test_documents import EVE, WINDOWS


def make(**settings: object) -> PushInput:
    return build("push", Options({"listen": "127.0.0.1:0", "token": TOKEN, **settings}, "agent.toml: push"))


def counted(live: PushInput) -> Mapping[str, int]:
    return live.counters.snapshot()


def connect(live: PushInput) -> socket.socket:
    wait_until(lambda: bool(live.addresses))
    client = socket.create_connection(live.addresses[0])
    client.settimeout(PATIENCE)
    return client


def answer_of(client: socket.socket) -> tuple[int, bytes]:
    """Read an answer whose body has a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65_536)
        if not piece:
            return 0, data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(part[15:]) for part in head.split(b"\r\n") if part.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += client.recv(65_536)
    return int(head.split()[1]), body


HEAD = f"POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (orjson.dumps(WINDOWS), 1),
        (orjson.dumps([WINDOWS, {"a": 1}]), 2),
        (EVE.encode() + b"\n" + orjson.dumps({"b": 2}) + b"\n", 2),
        ('{"消息": "汉字"}'.encode("gb18030"), 1),
    ],
)
def test_one_object_an_array_or_one_a_line(body: bytes, events: int) -> None:
    live = make()
    with running(live, Kept()) as kept:
        status, answer, _ = ask(live, "POST", "/events", body)
    assert (status, answer["accepted"], len(kept.events)) == (200, events, events)


def test_honeypots_push() -> None:
    live = make()
    with running(live, Kept()) as kept:
        for name in ("opencanary.json", "hfish.json"):
            text = (GOLDEN / name).read_bytes().splitlines()[1]
            assert ask(live, "POST", "/events", text)[0] == 200
            assert ask(live, "POST", "/events", orjson.dumps({"message": text.decode()}))[0] == 200
    datasets = [event["event.dataset"] for event in kept.events]
    assert datasets == ["opencanary.event", "opencanary.event", "hfish.threat", "json.event"]
    assert kept.events[0]["event.action"] == kept.events[1]["event.action"] == "ftp_login_attempt"


def test_bad_ones_are_named_and_the_good_rest_is_taken() -> None:
    live = make()
    with running(live, Kept()) as kept:
        status, answer, _ = ask(live, "POST", "/events", b'{"a":1}\n{broken\n{"b":2}\n')
        assert (status, answer["accepted"], answer["rejected"]) == (200, 2, 1)
        assert answer["reasons"][0]["index"] == 1  # type: ignore[index]
        assert ask(live, "POST", "/events", b"{broken")[0] == 400
        assert ask(live, "POST", "/events", b"")[1]["error"] == NO_JSON
        assert ask(live, "POST", "/events", b"no JSON at all")[0] == 400
    assert len(kept.events) == 2
    assert counted(live)["bad"] == len(kept.bad) >= 2


def test_the_answer_waits_for_the_store() -> None:
    live, kept = make(), Kept()
    kept.failing = 1
    with running(live, kept):
        status, answer, headers = ask(live, "POST", "/events", orjson.dumps(WINDOWS))
        assert (status, answer["error"]) == (503, NOT_STORED)
        assert headers["Retry-After"]
        assert ask(live, "POST", "/events", orjson.dumps(WINDOWS))[0] == 200
    assert len(kept.events) == 1


def test_a_request_sent_again_is_known_by_its_key() -> None:
    live = make()
    with running(live, Kept()) as kept:
        for key in ("k-1", "k-1", "k-2"):
            ask(live, "POST", "/events", b'[{"status":"ok"},{"status":"ok"}]', Idempotency_Key=key)
    ids = [event["event.id"] for event in kept.events]
    assert ids[:2] == ids[2:4]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/events", 405),
        ("POST", "/other", 404),
        ("POST", f"/events?token={TOKEN}", 400),
        ("POST", "/events?x=1", 200),
    ],
)
def test_addresses_and_methods(method: str, path: str, status: int) -> None:
    live = make()
    with running(live, Kept()):
        assert ask(live, method, path, orjson.dumps(WINDOWS) if method == "POST" else b"")[0] == status


def test_who_shows_no_token_is_told_before_sending() -> None:
    live = make()
    with running(live, Kept()), closing(connect(live)) as client:
        client.sendall(
            b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"
        )
        status, _ = answer_of(client)
        assert status == 401
        assert client.recv(1) == b""


def test_expect_continue_chunks_and_several_requests_on_a_connection() -> None:
    live = make()
    with running(live, Kept()) as kept, closing(connect(live)) as client:
        for _ in range(3):
            client.sendall(f"{HEAD}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".encode())
            assert client.recv(65_536).startswith(b"HTTP/1.1 100 ")
            for piece in (b'{"a"', b":1}\n", b'{"b":2}'):
                client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            client.sendall(b"0\r\n\r\n")
            assert answer_of(client)[0] == 200
    assert len(kept.events) == 6


def test_bodies_beyond_the_limit_are_refused() -> None:
    live = make(request_mib=1)
    with running(live, Kept()):
        with closing(connect(live)) as client:
            client.sendall(f"{HEAD}Content-Length: {2 << 20}\r\n\r\n".encode())
            status, body = answer_of(client)
            assert (status, orjson.loads(body)["error"]) == (413, TOO_LARGE)
        with closing(connect(live)) as client, suppress(ConnectionError):
            client.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
            for _ in range(40):
                client.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            assert answer_of(client)[0] == 413


def test_what_all_bodies_hold_together_is_bounded() -> None:
    live, kept = make(request_mib=1), Kept()
    kept.open.clear()
    body = orjson.dumps({"text": "x" * 900_000})
    answers: list[int] = []
    with running(live, kept):
        threads = [
            threading.Thread(
                target=lambda: answers.append(ask(live, "POST", "/events", body)[0]), daemon=True
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: counted(live).get("received") == 3)
        status, answer, _ = ask(live, "POST", "/events", body)
        assert (status, answer["error"]) == (429, NO_ROOM)
        kept.open.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert ask(live, "POST", "/events", body)[0] == 200
    assert answers == [200, 200, 200]


@pytest.mark.parametrize("part", [b"POST /events HT", f"{HEAD}Content-Length: 20\r\n\r\n{{".encode()])
def test_slow_requests_are_ended(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_HEAD_SECONDS", 0.2)
    monkeypatch.setattr(http_server, "_BODY_SECONDS", 0.2)
    live = make()
    with running(live, Kept()), closing(connect(live)) as client:
        client.sendall(part)
        status, body = answer_of(client)
        assert (status, orjson.loads(body)["error"]) == (408, TOO_SLOW)
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000,
        b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
        b"\r\n" * 50 + b"\x00",
    ],
)
def test_what_is_not_http_is_refused_and_the_service_goes_on(junk: bytes) -> None:
    live = make()
    with running(live, Kept()) as kept:
        with closing(connect(live)) as client, suppress(ConnectionError):
            client.sendall(junk)
            status, _ = answer_of(client)
            assert 400 <= status < 500
        assert ask(live, "POST", "/events", orjson.dumps(WINDOWS))[0] == 200
        wait_until(lambda: counted(live)["connections"] == 0)
    assert len(kept.events) == 1


def test_connections_are_bounded_and_half_bodies_store_nothing() -> None:
    live = make(connections=4, connections_each=4)
    with running(live, Kept()) as kept:
        clients = [connect(live) for _ in range(4)]
        for client in clients:
            client.sendall(f"{HEAD}Content-Length: 100\r\n\r\n{{}}\n".encode())
        wait_until(lambda: counted(live).get("connections") == 4)
        for _ in range(100):
            with closing(connect(live)) as other:
                assert other.recv(1) == b""
        for client in clients:
            client.close()
        wait_until(lambda: counted(live)["connections"] == 0)
        assert ask(live, "POST", "/events", orjson.dumps(WINDOWS))[0] == 200
    assert len(kept.events) == 1
    assert counted(live)["refused"] == 100


def test_at_the_end_what_is_under_way_is_answered() -> None:
    live, kept = make(), Kept()
    kept.open.clear()
    answers: list[int] = []
    with running(live, kept):
        thread = threading.Thread(
            target=lambda: answers.append(ask(live, "POST", "/events", orjson.dumps(WINDOWS))[0]), daemon=True
        )
        thread.start()
        wait_until(lambda: counted(live).get("received") == 1)
    thread.join(PATIENCE)
    assert answers == [200]
    assert len(kept.events) == 1


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UsageError, match="'token' is missing"):
        make(token="")
    with pytest.raises(UsageError, match="'listen' is missing"):
        make(listen=[])
