from __future__ import annotations

import contextlib
import logging
import logging.handlers
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.live.options import Options
from collectors.live.syslog import RecordQueue, SyslogInput, build
from collectors.live.syslog_framing import TOO_LONG
from collectors.live.syslog_records import BINARY, EMPTY, Received, readable_text
from collectors.making import RecordError
from collectors.syslog import SyslogParser
from soc_core.errors import UsageError
from soc_core.model.event import Event
from tests.collectors.base import assert_fits_dictionary
from tests.collectors.live.certificates import Authority
from tests.collectors.live.outlets import NOW, Kept, running, wait_until

LINE = "<134>Nov 23 10:00:00 fw app[7]: 第 {} 条"


def make(**settings: object) -> SyslogInput:
    return build(
        "school", Options(settings or {"udp": ["127.0.0.1:0"], "tcp": ["127.0.0.1:0"]}, "agent.toml: school")
    )


def opened(live: SyslogInput) -> SyslogInput:
    wait_until(lambda: bool(live.udp_addresses or live.tcp_addresses))
    return live


def datagram_socket(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


def counted(live: SyslogInput) -> Mapping[str, int]:
    return live.counters.snapshot()


def send_secured(client: ssl.SSLContext, address: tuple[str, int], data: bytes) -> None:
    """Send over TLS and wait for the other side to end the connection, with or without an error."""
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(address) as plain,
        client.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(data)
        secured.unwrap()


def test_datagrams_of_both_families_and_encodings_arrive_with_their_sender() -> None:
    live = make(udp=["127.0.0.1:0", "[::1]:0"])
    with running(live, Kept()) as kept, datagram_socket() as four, datagram_socket(socket.AF_INET6) as six:
        opened(live)
        four.sendto(LINE.format(1).encode("gb18030"), live.udp_addresses[0])
        six.sendto(LINE.format(2).encode(), live.udp_addresses[1])
        events = kept.wait_for(2)
    found = {event["log.source.address"]: event for event in events}
    assert {sender: event["message"] for sender, event in found.items()} == {
        "127.0.0.1": "第 1 条",
        "::1": "第 2 条",
    }
    for event in events:
        assert_fits_dictionary(event)
        assert event["@timestamp"] == "2026-11-23T02:00:00.000000Z"
        assert event["organization.id"] == "unit-1"
    assert not kept.batches[0][0].waits


@pytest.mark.slow
def test_what_was_received_and_what_the_kernel_dropped_is_what_was_sent() -> None:
    live = make(udp=["127.0.0.1:0"], receive_buffer_mib=1)
    kept = Kept()
    kept.open.clear()  # nothing is delivered: the queue fills, then the kernel drops
    payload = b"<134>Nov 23 10:00:00 fw app: " + b"x" * 900
    sent = 80_000
    with running(live, kept), datagram_socket() as sender:
        address = opened(live).udp_addresses[0]
        for _ in range(sent):
            sender.sendto(payload, address)
        wait_until(lambda: counted(live).get("dropped", 0) > 0)
        kept.open.set()
        wait_until(lambda: counted(live)["received"] + counted(live)["dropped"] == sent)
        kept.wait_for(counted(live)["received"])
    counts = counted(live)
    assert counts["received"] + counts["dropped"] == sent
    assert counts["delivered"] == counts["received"] == len(kept.events)
    assert len({event["event.id"] for event in kept.events}) == len(kept.events)


def test_messages_over_tcp_keep_their_order() -> None:
    live = make(tcp=["127.0.0.1:0"])
    with running(live, Kept()) as kept:
        with socket.create_connection(opened(live).tcp_addresses[0]) as client:
            for number in range(3_000):
                text = LINE.format(number).encode()
                client.sendall(b"%d %s" % (len(text), text) if number % 2 else text + b"\n")
        events = kept.wait_for(3_000)
    assert [event["message"] for event in events] == [f"第 {number} 条" for number in range(3_000)]
    assert all(origin.waits for origin, _ in kept.batches)


def test_a_slow_store_makes_tcp_wait_and_loses_nothing() -> None:
    live = make(tcp=["127.0.0.1:0"])
    kept = Kept()
    kept.open.clear()
    line = LINE.format("x" * 1_000).encode() + b"\n"
    with running(live, kept):
        client = socket.create_connection(opened(live).tcp_addresses[0])
        client.settimeout(0.5)
        sent = 0
        with client, contextlib.suppress(TimeoutError):
            while sent < 100 << 20:
                sent += client.send(line * 64)
        assert sent < 40 << 20, "the sender waits"
        kept.open.set()
        kept.wait_for(sent // len(line))
    assert "dropped" not in counted(live)


def test_what_can_not_be_stored_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.live.syslog._AGAIN_SECONDS", 0.01)
    live, kept = make(), Kept()
    kept.failing = 3
    with running(live, kept), datagram_socket() as sender:
        sender.sendto(LINE.format(1).encode(), opened(live).udp_addresses[0])
        assert len(kept.wait_for(1)) == 1
    assert counted(live)["delivered"] == 1


def test_tls_with_and_without_a_certificate_of_the_client(authority: Authority) -> None:
    certificate, key = authority.issue("collector")
    live = make(
        tls=["127.0.0.1:0"], certificate=str(certificate), key=str(key), client_authority=str(authority.file)
    )
    with running(live, Kept()) as kept:
        address = opened(live).tcp_addresses[0]
        client = ssl.create_default_context(cafile=str(authority.file))
        send_secured(client, address, b"10 <13>nobody")
        client.load_cert_chain(*authority.issue("firewall"))
        texts = [LINE.format(number).encode() for number in range(500)]
        send_secured(client, address, b"".join(b"%d %s" % (len(text), text) for text in texts))
        assert len(kept.wait_for(500)) == 500
    assert counted(live)["refused"] == 1


def test_what_a_tls_sender_sent_before_it_went_away_is_here(authority: Authority) -> None:
    certificate, key = authority.issue("collector")
    live = make(tls=["127.0.0.1:0"], certificate=str(certificate), key=str(key))
    client = ssl.create_default_context(cafile=str(authority.file))
    text = LINE.format("x" * 900).encode()
    with running(live, Kept()) as kept:
        plain = socket.create_connection(opened(live).tcp_addresses[0])
        secured = client.wrap_socket(plain, server_hostname="localhost")
        secured.sendall(b"%d %s" % (len(text), text) * 2_000)
        secured.close()  # having read nothing: what the other side may have sent would reset the connection
        kept.wait_for(2_000)


def test_half_open_tls_and_silent_connections_are_ended(authority: Authority) -> None:
    certificate, key = authority.issue("collector")
    live = make(
        tls=["127.0.0.1:0"], tcp=["127.0.0.1:0"], certificate=str(certificate), key=str(key), idle_seconds=1
    )
    now = [0.0]
    live.clock = lambda: now[0]
    with running(live, Kept()) as kept:
        opened(live)
        clients = [socket.create_connection(address) for address in live.tcp_addresses]
        clients[0].sendall(b"<13>half a li")
        clients[1].sendall(b"\x16\x03\x01\x02\x00\x01")
        wait_until(lambda: counted(live).get("connections") == 2)
        wait_until(lambda: counted(live).get("received_bytes") == 13)
        now[0] = 60.0
        for client in clients:
            assert client.recv(1) == b""
            client.close()
        now[0] = 61.0
        assert kept.wait_for(1)[0]["message"] == "half a li"
    assert counted(live)["idle"] == 2
    assert counted(live)["connections"] == 0


@pytest.mark.slow
def test_ten_thousand_connections_are_refused_beyond_the_limit() -> None:
    live = make(tcp=["127.0.0.1:0"], connections=50, connections_each=50)
    with running(live, Kept()) as kept:
        address = opened(live).tcp_addresses[0]
        first = socket.create_connection(address)
        wait_until(lambda: counted(live).get("connections") == 1)
        for number in range(100):
            clients = [socket.socket() for _ in range(100)]
            for client in clients:
                client.setblocking(False)
                client.connect_ex(address)
            least = (number + 1) * 51
            wait_until(lambda least=least: counted(live).get("refused", 0) >= least)
            assert counted(live)["connections"] <= 50
            for client in clients:
                client.close()
            wait_until(lambda: counted(live)["connections"] == 1)
        first.sendall(b"<13>Nov 23 10:00:00 h a: still here\n")
        assert kept.wait_for(1)[0]["message"] == "still here"
        first.close()
    assert counted(live)["refused"] == 5_100
    assert counted(live)["connections"] == 0


def test_one_sender_can_not_take_all_connections() -> None:
    live = make(tcp=["127.0.0.1:0"], connections_each=2)
    with running(live, Kept()):
        address = opened(live).tcp_addresses[0]
        clients = [socket.create_connection(address) for _ in range(3)]
        assert clients[2].recv(1) == b""
        for client in clients:
            client.close()
    assert counted(live)["refused"] == 1


def test_only_allowed_networks_are_heard() -> None:
    live = make(udp=["127.0.0.1:0"], tcp=["127.0.0.1:0"], allow=["10.0.0.0/8", "::1"])
    with running(live, Kept()) as kept, datagram_socket() as sender:
        opened(live)
        sender.sendto(b"<13>spoofed", live.udp_addresses[0])
        with socket.create_connection(live.tcp_addresses[0]) as client:
            assert client.recv(1) == b""
        wait_until(lambda: counted(live).get("refused") == 2)
    assert kept.events == []


def test_lines_of_a_megabyte_garbage_and_unended_text_do_no_harm() -> None:
    live = make()
    with running(live, Kept()) as kept, datagram_socket() as sender:
        opened(live)
        with socket.create_connection(live.tcp_addresses[0]) as client:
            client.sendall(b"<13>" + b"x" * (2 << 20) + b"\n")
            client.sendall(bytes(range(1, 9)) * 50 + b"\n" + b"99999999 <13>" + b"y" * 5_000)
        sender.sendto(b"\x00\xff\x01\xfe" * 100, live.udp_addresses[0])
        sender.sendto(b"", live.udp_addresses[0])
        sender.sendto(b"<13>Nov 23 10:00:00 h a: \xff\xfe damaged", live.udp_addresses[0])
        kept.wait_for(1, bad=5)
    assert sorted(record.reason for record in kept.bad) == sorted([TOO_LONG, BINARY, TOO_LONG, BINARY, EMPTY])
    assert all(len(record.raw) <= 4_096 for record in kept.bad)
    assert str(kept.events[0]["message"]).endswith("damaged")
    assert counted(live)["bad"] == 5


@pytest.mark.slow
def test_much_unfinished_text_of_many_connections_is_bounded() -> None:
    live = make(tcp=["127.0.0.1:0"], connections_each=100)
    with running(live, Kept()) as kept:
        clients = [socket.create_connection(opened(live).tcp_addresses[0]) for _ in range(60)]
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"<13>" + b"x" * 1_000_000)
        wait_until(lambda: counted(live).get("refused", 0) >= 20)
        for client in clients:
            client.close()
        kept.wait_for(20)
    assert counted(live)["refused"] <= 30


def test_senders_with_clocks_of_another_zone() -> None:
    live = make(udp=["127.0.0.1:0"], zones=["127.0.0.0/8=UTC"])
    with running(live, Kept()) as kept, datagram_socket() as sender:
        sender.sendto(b"<13>Nov 23 02:00:00 h a: x", opened(live).udp_addresses[0])
        event = kept.wait_for(1)[0]
    assert event["@timestamp"] == "2026-11-23T02:00:00.000000Z"
    assert "edusoc.time.fault" not in event


def test_senders_that_are_named_devices() -> None:
    live = make(udp=["127.0.0.1:0"], devices=["127.0.0.1=ruijie"])
    with running(live, Kept()) as kept, datagram_socket() as sender:
        line = (
            "<189>Nov 23 10:00:00 core-1 %SYS-5-CONFIG_I: Configured from console by admin on vty0 (10.0.0.7)"
        )
        sender.sendto(line.encode(), opened(live).udp_addresses[0])
        event = kept.wait_for(1)[0]
    assert event["observer.vendor"] == "Ruijie"


@pytest.mark.parametrize(
    ("now", "stamp", "wanted"),
    [
        ("2027-01-01T00:00:10", "Jan  1 07:59:59", "2026-12-31T23:59:59"),
        ("2027-01-01T00:00:10", "Jan  1 08:00:05", "2027-01-01T00:00:05"),
        ("2026-12-31T16:00:10", "Dec 31 23:59:59", "2026-12-31T15:59:59"),
        ("2026-12-31T15:59:50", "Jan  1 00:00:10", "2026-12-31T16:00:10"),
    ],
)
def test_new_year(now: str, stamp: str, wanted: str) -> None:
    live, kept = make(), Kept(NOW.fromisoformat(now).replace(tzinfo=NOW.tzinfo))
    with running(live, kept), datagram_socket() as sender:
        sender.sendto(f"<13>{stamp} h a: x".encode(), opened(live).udp_addresses[0])
        event = kept.wait_for(1)[0]
    assert str(event["@timestamp"]).startswith(wanted)
    assert "edusoc.time.fault" not in event


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_pythons_own_sender(kind: socket.SocketKind) -> None:
    live = make()
    with running(live, Kept()) as kept:
        opened(live)
        address = (live.udp_addresses if kind == socket.SOCK_DGRAM else live.tcp_addresses)[0]
        handler = logging.handlers.SysLogHandler(address, socktype=kind)
        handler.ident = "portal: "
        handler.emit(
            logging.makeLogRecord({"msg": "登录成功", "levelno": logging.WARNING, "levelname": "WARNING"})
        )
        handler.close()
        event = kept.wait_for(1)[0]
    assert event["message"] == "portal: 登录成功"
    assert event["log.syslog.severity.name"] == "warning"
    assert event["host.name"] == "127.0.0.1"


@pytest.mark.skipif(shutil.which("logger") is None, reason="there is no logger(1)")
@pytest.mark.parametrize(
    "options", [["--udp", "--rfc3164"], ["--tcp", "--octet-count"], ["--tcp", "--rfc5424"]]
)
def test_logger(options: list[str]) -> None:
    live, kept = make(), Kept()
    with running(live, kept):
        opened(live)
        address = (live.udp_addresses if "--udp" in options else live.tcp_addresses)[0]
        subprocess.run(
            ["logger", *options, "--server", address[0], "--port", str(address[1]), "--tag", "gate", "开门"],
            check=True,
        )
        event = kept.wait_for(1)[0]
    assert event["message"] == "开门"
    assert event["process.name"] == "gate"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"udp": []}, "'udp' is missing"),
        ({"udp": ["10.0.0.1"], "porrt": 1}, "'porrt' is unknown"),
        ({"tls": ["127.0.0.1"]}, "'certificate' is missing"),
        ({"tls": ["127.0.0.1"], "certificate": "/nowhere/x.pem"}, "certificate or key can't be used"),
        ({"udp": ["127.0.0.1:99999"]}, "is no address with a port"),
        ({"udp": ["127.0.0.1"], "allow": ["10.0.0.0/99"]}, "is no network"),
        ({"udp": ["127.0.0.1"], "zones": ["10.0.0.0/8=Mars"]}, "'Mars' is no time zone"),
        ({"udp": ["127.0.0.1"], "zones": ["school=UTC"]}, "is not written as network=value"),
        ({"udp": ["127.0.0.1"], "devices": ["10.0.0.1"]}, "is not written as network=value"),
        ({"udp": ["127.0.0.1"], "devices": ["10.0.0.1=toaster"]}, "'toaster' is unknown"),
        ({"udp": ["127.0.0.1"], "device": "toaster"}, "'toaster' is unknown"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        make(**settings)
    assert caught.value.todo


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        live = make(tcp=[f"127.0.0.1:{other.getsockname()[1]}"])
        with pytest.raises(UsageError, match=r"can't listen on 127\.0\.0\.1"):
            live.run(Kept(), threading.Event())


def test_an_input_that_is_run_again_gives_other_ids() -> None:
    live = make(udp=["127.0.0.1:0"])
    ids = []
    for _ in range(2):
        live.udp_addresses = []
        with running(live, Kept()) as kept, datagram_socket() as sender:
            sender.sendto(b"<13>the same", opened(live).udp_addresses[0])
            ids.append(kept.wait_for(1)[0]["event.id"])
    assert ids[0] != ids[1]


def test_another_run_gives_other_ids_and_the_same_run_the_same() -> None:
    def ids(epoch: bytes) -> list[object]:
        live = SyslogInput("a", make()._settings, epoch=epoch)
        maker = live.maker(b"udp\0", timedelta(days=7))
        batch = maker.make([Received(b"<13>x", "10.0.0.1")] * 3, Kept().context(None))  # type: ignore[arg-type]
        return [event["event.id"] for event in batch.events]

    assert len(set(ids(b"1"))) == 3
    assert ids(b"1") == ids(b"1")
    assert not set(ids(b"1")) & set(ids(b"2"))


def test_a_parser_that_fails_takes_no_other_message_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: SyslogParser, text: str, sender: str) -> Event:
        if "bad" in text:
            raise KeyError(text)
        return parse(self, text, sender)

    parse = SyslogParser.parse_message
    monkeypatch.setattr(SyslogParser, "parse_message", fail)
    live, kept = make(), Kept()
    maker = live.maker(b"", timedelta(days=7))
    records = [
        Received(b"<13>good", "10.0.0.1"),
        Received(b"<13>bad", "10.0.0.1"),
        Received(b"<13>fine", "10.0.0.1"),
    ]
    batch = maker.make(records, kept.context(None))  # type: ignore[arg-type]
    assert [event["message"] for event in batch.events] == ["good", "fine"]
    assert [record.reason for record in batch.bad] == ["parser failed: KeyError"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.binary(max_size=120)
        | st.text(max_size=80).map(
            lambda text: f"<134>Nov 23 10:00:00 fw app: {text}".encode("utf-8", "replace")
        )
        | st.text('<>0123456789: -[]="%|\\NovCEF', max_size=60).map(str.encode),
        max_size=5,
    )
)
def test_whatever_is_received_becomes_an_event_or_is_kept_aside(messages: list[bytes]) -> None:
    maker = make().maker(b"", timedelta(days=7))
    records = [Received(raw, "10.0.0.1") for raw in messages]
    batch = maker.make(records, Kept().context(None))  # type: ignore[arg-type]
    assert len(batch.events) + len(batch.bad) == len(messages)
    assert not [record.reason for record in batch.bad if record.reason.startswith("parser failed")]
    for event in batch.events:
        assert_fits_dictionary(event)


def test_text_is_told_from_binary() -> None:
    assert readable_text("日志\r\n".encode("gb18030")) == "日志"
    assert readable_text(b"\x1b[1mbold\x1b[0m\ttab") == "\x1b[1mbold\x1b[0m\ttab"
    for raw in (b"\x16\x03\x01" + bytes(40), b"", b"\0\0"):
        with pytest.raises(RecordError):
            readable_text(raw)


def test_a_queue_is_bounded_in_number_and_bytes() -> None:
    queue = RecordQueue(3, 100)
    queue.put([Received(b"x", "")] * 3)
    assert not queue.wait_for_room(0)
    assert len(queue.get(2, 0) or ()) == 2
    queue.put([Received(b"x" * 200, "")])
    assert not queue.wait_for_room(0)
    queue.end()
    assert len(queue.get(10, 0) or ()) == 2
    assert queue.get(10, 0) is None
