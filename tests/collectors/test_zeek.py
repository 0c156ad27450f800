from __future__ import annotations

from collectors.opening import open_bytes
from collectors.zeek import Zeek
from tests.collectors.base import CONTEXT, GOLDEN, TextCollectorTests, read_all


class TestZeek(TextCollectorTests):
    name = "zeek"
    samples = ("zeek_conn.log", "zeek_dns.json")


def test_connection_counts_ip_bytes_as_ecs_does() -> None:
    events, bad, _ = read_all(Zeek(), (GOLDEN / "zeek_conn.log").read_bytes())
    tls, ping = events
    assert (tls["source.bytes"], tls["network.bytes"], tls["event.duration"]) == (400, 1000, 1_500_000_000)
    assert tls["network.protocol"] == "tls"
    assert tls["network.direction"] == "outbound"
    assert (ping["icmp.type"], ping["icmp.code"]) == (8, 0)
    assert "source.port" not in ping
    assert [record.line for record in bad] == [11]


def test_other_separators_and_a_second_header() -> None:
    text = (
        "#separator |\n#set_separator|;\n#empty_field|EMPTY\n#unset_field|NONE\n#path|http\n#fields|ts|uid|host|tags\n"
        "#types|time|string|string|set[enum]\n1795140184.0|C1|www.example|EMPTY\n1795140185.0|C2|NONE|a;b\n"
        "#separator \\x09\n#path\tssh\n#fields\tts\tuid\tauth_success\n"
        "#types\ttime\tstring\tbool\n1795140186.0\tC3\tF\n"
    )
    events, bad, _ = read_all(Zeek(), text.encode())
    assert bad == []
    assert [event["event.dataset"] for event in events] == ["zeek.http", "zeek.http", "zeek.ssh"]
    assert events[0]["url.domain"] == "www.example"
    assert events[1]["edusoc.extra"] == ["zeek.http.tags=a", "zeek.http.tags=b"]
    assert events[2]["event.outcome"] == "failure"


def test_log_without_times_takes_the_opening_time() -> None:
    text = "#path\tloaded_scripts\n#open\t2026-11-20-10-00-00\n#fields\tname\n#types\tstring\n/a.zeek\n"
    events, _, _ = read_all(Zeek(), text.encode())
    assert events[0]["@timestamp"] == "2026-11-20T02:00:00.000000Z"


def test_json_without_path_takes_the_log_from_the_name_or_the_columns() -> None:
    line = b'{"ts":1795140184.0,"uid":"C1","id.orig_h":"10.0.0.1","id.resp_h":"10.0.0.2"}\n'
    for name, dataset in (
        ("weird.2026-11-20.log.gz", "zeek.weird"),
        ("x__dns.log", "zeek.dns"),
        ("a.txt", "zeek.unknown"),
    ):
        with open_bytes(line, name=name) as source:
            (batch,) = Zeek().read(source, CONTEXT)
        assert batch.events[0]["event.dataset"] == dataset


def test_a_lease_says_who_got_which_address_for_how_long() -> None:
    rows = [
        b'{"_path":"dhcp","ts":1795521600.0,"uids":["C1"],"client_addr":"192.0.2.77","server_addr":"192.0.2.1",'
        b'"mac":"00:00:5e:00:53:23","host_name":"pc","assigned_addr":"192.0.2.77","lease_time":600.0,'
        b'"msg_types":["REQUEST","ACK"]}',
        b'{"_path":"dhcp","ts":1795521600.0,"uids":["C2"],"mac":"00:00:5e:00:53:24","assigned_addr":"192.0.2.78",'
        b'"msg_types":["DISCOVER","OFFER"]}',
        b'{"_path":"dhcp","ts":1795521700.0,"uids":["C3"],"client_addr":"192.0.2.77","mac":"00:00:5e:00:53:23",'
        b'"msg_types":["RELEASE"]}',
    ]
    (lease, offer, release), _, _ = read_all(Zeek(), b"\n".join(rows) + b"\n")
    assert (lease["client.ip"], lease["client.mac"], lease["client.domain"]) == (
        "192.0.2.77",
        "00-00-5E-00-53-23",
        "pc",
    )
    assert (lease["event.start"], lease["event.end"]) == (
        "2026-11-24T12:00:00.000000Z",
        "2026-11-24T12:10:00.000000Z",
    )
    assert "client.ip" not in offer
    assert "host.ip" not in offer
    assert (release["client.ip"], release["event.type"]) == ("192.0.2.77", ["connection", "protocol", "end"])
