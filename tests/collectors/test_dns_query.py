from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collectors.coerce import put
from collectors.dns_bind import interpret as read_bind
from collectors.dns_query import DnsQuery
from collectors.dns_unbound import interpret as read_unbound
from collectors.dns_windows import Packets, starts_packet
from soc_core.clock import LOCAL_ZONE, format_instant
from soc_core.model.event import Event
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestDnsQuery(TextCollectorTests):
    name = "dns_query"
    samples = (
        "dns_unbound.log",
        "dns_unbound_plain.log",
        "dns_bind.log",
        "dns_bind_iso.log",
        "dnsmasq.log",
        "dns_windows.log",
    )


def events_of(sample: str, action: str) -> list[Event]:
    events, _, _ = read_all(DnsQuery(), (GOLDEN / sample).read_bytes())
    return [event for event in events if event.get("event.action") == action]


def test_bind_says_who_asked_what_and_how() -> None:
    asked = events_of("dns_bind.log", "dns_query")
    assert (asked[0]["source.ip"], asked[0]["source.port"], asked[0]["destination.ip"]) == (
        "192.0.2.77",
        60920,
        "192.0.2.53",
    )
    assert (asked[0]["dns.question.name"], asked[0]["dns.question.type"], asked[0]["dns.question.class"]) == (
        "www.school.example",
        "A",
        "IN",
    )
    assert asked[0]["dns.header_flags"] == ["RD"]
    assert [event.get("network.transport") for event in asked[:6]] == ["udp"] * 4 + ["tcp"] * 2
    assert asked[4]["dns.header_flags"] == ["RD", "DO"]
    failed, denied = events_of("dns_bind.log", "dns_answer")
    assert (failed["event.reason"], failed["event.outcome"]) == ("failure", "failure")
    assert (denied["dns.response_code"], denied["source.ip"]) == ("REFUSED", "203.0.113.9")


def test_bind_without_address_of_memory_and_view() -> None:
    event: Event = {}
    assert read_bind(event, "client 192.0.2.78#40000: query: old.example IN AAAA -")
    assert (event["dns.question.type"], event.get("dns.header_flags")) == ("AAAA", None)
    assert not read_bind({}, "zone school.example/IN: loaded serial 1")


def test_unbound_answers_have_code_and_time() -> None:
    answers = events_of("dns_unbound.log", "dns_answer")
    assert answers[0]["event.duration"] == 12_345_000
    assert (answers[0]["dns.response_code"], answers[0]["event.outcome"]) == ("NOERROR", "success")
    assert answers[2]["event.outcome"] == "failure"
    assert events_of("dns_unbound_plain.log", "dns_query")[0]["source.ip"] == "2001:db8::77"
    local = events_of("dns_unbound.log", "dns_local_zone")
    assert {event["event.reason"] for event in local} >= {"static", "always_nxdomain"}


def test_unbound_in_syslog() -> None:
    event: Event = {}
    assert read_unbound(event, "[23718:0] info: 192.0.2.77 www.school.example. A IN")
    assert (event["dns.type"], event["process.pid"]) == ("query", 23718)
    assert not read_unbound({}, "[23718:0] info: start of service (unbound 1.17.1).")


def test_dnsmasq_counts_a_question_once() -> None:
    asked = events_of("dnsmasq.log", "dns_query")
    assert {event["source.ip"] for event in asked} == {"192.0.2.77"}
    assert asked[0]["source.port"] == 39274
    forwarded = events_of("dnsmasq.log", "dns_forwarded")
    assert {event["destination.ip"] for event in forwarded} == {"192.0.2.53"}
    assert not [event for event in forwarded if "source.ip" in event]
    answers = events_of("dnsmasq.log", "dns_answer")
    assert answers[0]["dns.resolved_ip"] == ["192.0.2.10"]
    assert [event["event.outcome"] for event in answers if event["event.reason"] == "config"][:2] == [
        "success"
    ] * 2
    (lease, *_) = events_of("dnsmasq.log", "dhcp_ack")
    assert (lease["client.ip"], lease["client.mac"], lease["client.domain"]) == (
        "192.0.2.51",
        "00-00-5E-00-53-23",
        "room301-pc07",
    )


def test_windows_tells_clients_from_other_servers() -> None:
    asked, update = events_of("dns_windows.log", "dns_query")
    assert (asked["source.ip"], asked["dns.question.name"], asked["dns.id"]) == (
        "192.0.2.77",
        "consumer.entitlement.example.com",
        str(0xB261),
    )
    assert asked["@timestamp"] == "2026-11-24T00:00:15.000000Z"
    assert (update["dns.op_code"], update["network.transport"]) == ("UPDATE", "tcp")
    (answer,) = events_of("dns_windows.log", "dns_answer")
    assert (answer["dns.response_code"], answer["dns.header_flags"]) == ("NXDOMAIN", ["AA", "RD", "RA"])
    assert "port 49495" in str(answer["event.original"])
    assert len(events_of("dns_windows.log", "dns_forwarded")) == 1
    assert len(events_of("dns_windows.log", "dns_forwarded_answer")) == 1


def test_dates_of_windows_in_several_languages() -> None:
    reference = datetime(2026, 11, 24, 12, tzinfo=UTC)
    rest = (
        "0730 PACKET  0000001803F56190 UDP Rcv 192.0.2.77      b261   Q [0001   D   NOERROR] A      (1)a(0)"
    )
    expected = format_instant(datetime(2026, 11, 5, 20, 0, 1, tzinfo=LOCAL_ZONE).astimezone(UTC))
    for stamp in (
        "11/5/2026 8:00:01 PM",
        "5.11.2026 20:00:01",
        "05/11/2026 20:00:01",
        "2026-11-05 20:00:01",
        "2026/11/5 下午 8:00:01",
    ):
        line = f"{stamp} {rest}".encode()
        assert starts_packet(line, ())
        (event,) = Packets(reference, LOCAL_ZONE).parse(line)
        assert event["@timestamp"] == expected, stamp
    ahead = reference + timedelta(days=400)
    assert Packets(ahead, LOCAL_ZONE).parse(f"13/13/2026 20:00:01 {rest}".encode()) == ()


def test_the_root_stays_a_dot() -> None:
    event: Event = {}
    assert read_unbound(event, "[1:0] query: 192.0.2.77 . NS IN")
    assert event["dns.question.name"] == "."
    put(event, "tags", [])
