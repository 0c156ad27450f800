"""Agents are answered over TLS as the wire says; strangers, slow and broken ones cost little and are counted."""

from __future__ import annotations

import contextlib
import socket
import time as clock
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from intake.agents.ordering import NewOrder, issue
from intake.agents.shelf import Shelf
from soc_api.agents import intake_app
from soc_api.agents import listening as listening_module
from soc_core.keys.signing import SigningKey
from soc_core.uplink import answers
from soc_core.uplink.answers import Receipt, Refusal
from soc_core.uplink.enrolment import EnrolAnswer, EnrolmentCode, EnrolRequest
from soc_core.uplink.heartbeat import Heartbeat
from soc_core.uplink.orders import PACKETS
from soc_core.uplink.packets import pack_capture, packets_path
from soc_core.uplink.wire import ENROL, HEARTBEAT, MAX_BODY, RECORDS, Item, encode_records
from tests.intake.agents.conftest import Player, made
from tests.soc_api.agents.conftest import Listening


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = clock.monotonic() + seconds
    while not true():
        assert clock.monotonic() < end, "not in time"
        clock.sleep(0.02)


def join(listening: Listening, name: str, unit: str) -> Player:
    key = SigningKey(name.encode().ljust(32, b"."))
    code = EnrolmentCode.parse(listening.centre.code(unit))
    request = EnrolRequest.make(code, key, name=name, version="1", system="Linux")
    answer, body = listening.post(ENROL, request.encode())
    assert answer.status == 200
    return Player(listening.centre, key, EnrolAnswer.decode(body))


def test_an_agent_joins_sends_and_is_told_what_is_durable(listening: Listening) -> None:
    player = join(listening, "one", "S1")
    body = encode_records([Item(0, [orjson.dumps(event) for event in made(50)])])
    answer, content = listening.post(RECORDS, body, player.headers(RECORDS, body))
    assert (answer.status, Receipt.decode(content).mark) == (200, 50)
    assert len(listening.centre.events("syslog")) == 50
    beat = Heartbeat(started="2026-11-23T00:00:00Z", waiting=3).encode()
    answer, content = listening.post(HEARTBEAT, beat, player.headers(HEARTBEAT, beat))
    assert (answer.status, Receipt.decode(content).mark) == (200, 50)
    assert listening.centre.agent("one").heartbeat["waiting"] == 3


def test_packets_come_only_when_an_order_asked_for_them(listening: Listening, tmp_path: Path) -> None:
    shelf = listening.centre.intake.receiver.shelf = Shelf(tmp_path)
    player, other = join(listening, "one", "S1"), join(listening, "two", "S2")
    capture = b"\xd4\xc3\xb2\xa1" + bytes(40)
    wanted = NewOrder(PACKETS, {"community_id": "1:x"}, listening.centre.time() + timedelta(hours=1))
    with listening.centre.database.write() as connection:
        row = issue(
            connection,
            listening.centre.agent("one"),
            wanted,
            SigningKey(bytes(32)),
            now=listening.centre.time(),
        )

    def post(who: Player, number: int, body: bytes) -> int:
        path = packets_path(number)
        answer, _content = listening.post(path, body, who.headers(path, body))
        return answer.status

    body = pack_capture(capture)
    assert post(other, row.number, body) == 400
    assert post(player, row.number + 1, body) == 400
    assert post(player, row.number, b"no capture") == 400
    assert not list(tmp_path.rglob("*.pcap"))
    assert post(player, row.number, body) == 200
    assert post(player, row.number, pack_capture(capture + b"x")) == 200  # the first counts
    assert shelf.path(player.told.agent, row.number).read_bytes() == capture
    assert shelf.path(player.told.agent, row.number).stat().st_mode & 0o077 == 0
    answer, _ = listening.post(packets_path(row.number), body, player.headers(packets_path(7), body))
    assert answer.status == 401  # signed for another order


def test_a_code_works_once_and_for_one_key(listening: Listening) -> None:
    code = EnrolmentCode.parse(listening.centre.code("S1"))
    keys = [SigningKey(bytes([number]) * 32) for number in (1, 2)]
    first, second = (EnrolRequest.make(code, key, name="a", version="1", system="x").encode() for key in keys)
    answer, body = listening.post(ENROL, first)
    again, same = listening.post(ENROL, first)
    assert (answer.status, again.status) == (200, 200)
    assert EnrolAnswer.decode(body).agent == EnrolAnswer.decode(same).agent
    answer, body = listening.post(ENROL, second)
    assert (answer.status, Refusal.decode(body).kind) == (403, answers.CODE)
    listening.centre.time.pass_by(days=2)
    assert listening.post(ENROL, first)[0].status == 403


def test_guessing_codes_is_slowed_down(listening: Listening) -> None:
    guess = EnrolRequest.make(
        EnrolmentCode("0" * 12, ""), SigningKey(bytes(32)), name="a", version="", system=""
    )
    statuses = [listening.post(ENROL, guess.encode())[0].status for _ in range(21)]
    assert statuses == [403] * 20 + [503]
    assert "agent_code_refused" in [kind for _unit, kind, _name in listening.centre.alerts()]


@pytest.mark.parametrize("body", [b"", b"x", b"{}", b"[" * 5_000, b'{"secret": 5}', bytes(16_384)])
def test_strange_requests_to_join_are_refused(listening: Listening, body: bytes) -> None:
    answer, content = listening.post(ENROL, body)
    assert (answer.status, Refusal.decode(content).kind) == (400, answers.MALFORMED)


def test_a_strangers_body_is_not_read(listening: Listening) -> None:
    with listening.connect() as stranger:
        stranger.sendall(b"POST /uplink/v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\nxx")
        answer = stranger.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"connection: close" in answer.lower()
        while stranger.recv(65_536):
            pass


def test_what_is_too_large_is_said_so(listening: Listening) -> None:
    player = join(listening, "one", "S1")
    body = bytes(MAX_BODY + 1)
    answer, content = listening.post(RECORDS, body, player.headers(RECORDS, body))
    assert (answer.status, Refusal.decode(content).kind) == (413, answers.TOO_LARGE)


def test_a_body_that_lies_about_its_length_is_bounded(listening: Listening) -> None:
    player = join(listening, "one", "S1")
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    headers = "".join(f"{name}: {value}\r\n" for name, value in player.headers(RECORDS, b"x").items())
    with listening.connect() as sender:
        head = f"POST {RECORDS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
        sender.sendall(head.encode())
        for _ in range(MAX_BODY // 65_536 + 1):
            sender.sendall(chunk)
        assert sender.recv(65_536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_paths_and_methods_are_not_there(listening: Listening, method: str) -> None:
    with listening.connect() as client:
        client.sendall(f"{method} {RECORDS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 405")
    assert listening.post("/", b"")[0].status == 404
    assert listening.post("/uplink/v2/records", b"")[0].status == 404


def test_half_open_and_slow_ones_do_not_keep_an_agent_out(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_module, "HANDSHAKE_SECONDS", 0.5)
    monkeypatch.setattr(listening_module, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(listening_module, "LOOK_SECONDS", 0.1)
    silent = [socket.create_connection(("127.0.0.1", listening.port)) for _ in range(30)]
    slow = []
    for _ in range(10):
        until(lambda: not listening.server._free.locked())
        one = listening.connect()
        one.sendall(b"POST /uplink/v1/records HTTP/1.1\r\nHost:")
        slow.append(one)
    player = join(listening, "one", "S1")
    assert player.told.agent
    until(lambda: sum(listening.server._of_address.values()) == 0)
    for connection in (*silent, *slow):
        connection.close()


def test_an_agent_that_stops_in_the_middle_does_not_lock_itself_out(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_app, "IDLE_SECONDS", 0.3)
    player = join(listening, "one", "S1")
    body = encode_records([Item(0, [b"{}"])])
    headers = player.headers(RECORDS, body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {RECORDS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode()
    with listening.connect() as sender:
        sender.sendall(head + body[:5])
        assert sender.recv(65_536).startswith(b"HTTP/1.1 400")
    answer, _content = listening.post(RECORDS, body, player.headers(RECORDS, body))
    assert answer.status == 200


def test_garbage_instead_of_tls_or_http_is_closed(listening: Listening) -> None:
    with socket.create_connection(("127.0.0.1", listening.port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP/1.1 2" not in plain.recv(1_000)
    with listening.connect() as client:
        client.sendall(b"\x00\xff" * 1_000)
        assert client.recv(1_000).startswith(b"HTTP/1.1 400")
    assert listening.post("/", b"")[0].status == 404
