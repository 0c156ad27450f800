from __future__ import annotations

import orjson

from collectors.suricata import Suricata
from soc_core.model.event import Event
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestSuricata(TextCollectorTests):
    name = "suricata"
    samples = ("suricata.json",)


def _events() -> dict[str, Event]:
    events, _, _ = read_all(Suricata(), (GOLDEN / "suricata.json").read_bytes())
    return {str(event["event.dataset"]): event for event in reversed(events)}


def test_alert_names_rule_and_what_the_sensor_did() -> None:
    alert = _events()["suricata.alert"]
    assert alert["event.kind"] == "alert"
    assert alert["rule.id"] == "2100498"
    assert alert["threat.technique.id"] == ["T1505.003"]
    assert alert["url.path"] == "/upload/a.php"
    assert alert["source.bytes"] == 500
    assert alert["@timestamp"] == "2026-11-20T02:03:04.123456Z"


def test_dns_answers_are_parallel_in_every_format() -> None:
    events, _, _ = read_all(Suricata(), (GOLDEN / "suricata.json").read_bytes())
    two, one, three = [event for event in events if event["event.dataset"] == "suricata.dns"]
    assert two["dns.answers.data"] == ["cdn.example", "203.0.113.8"]
    assert two["dns.answers.ttl"] == [60, 30]
    assert two["dns.resolved_ip"] == ["203.0.113.8"]
    assert one["dns.answers.data"] == ["203.0.113.9"]
    assert (three["dns.type"], three["dns.question.name"]) == ("query", "new.example")


def test_unknown_types_and_fields_are_kept() -> None:
    assert _events()["suricata.brand_new"]["edusoc.extra"] == ["brand_new.a.b=1"]


def _dhcp(**said: object) -> Event:
    head = {"timestamp": "2026-11-24T08:00:00.000000+0800", "event_type": "dhcp", "src_ip": "0.0.0.0"}
    record = {**head, "dest_ip": "255.255.255.255", "proto": "UDP", "dhcp": said}
    (event,), _, _ = read_all(Suricata(), orjson.dumps(record) + b"\n")
    return event


def test_an_acknowledged_address_is_a_lease() -> None:
    mac = "00:00:6c:82:dc:4e"
    ack = _dhcp(
        type="reply",
        dhcp_type="ack",
        client_mac=mac,
        assigned_ip="192.0.2.9",
        hostname="pc-301",
        lease_time=3600,
    )
    assert (ack["client.ip"], ack["client.mac"]) == ("192.0.2.9", "00-00-6C-82-DC-4E")
    assert ack["client.domain"] == "pc-301"
    assert (ack["event.start"], ack["event.end"]) == (
        "2026-11-24T00:00:00.000000Z",
        "2026-11-24T01:00:00.000000Z",
    )
    asked = _dhcp(type="request", dhcp_type="discover", client_mac=mac, lease_time=3600)
    assert "client.ip" not in asked
    assert "client.mac" not in asked, "nobody got an address"
    informed = _dhcp(dhcp_type="ack", client_mac=mac, assigned_ip="0.0.0.0", client_ip="192.0.2.7")
    assert informed["client.ip"] == "192.0.2.7"
    given_back = _dhcp(dhcp_type="release", client_mac=mac, client_ip="192.0.2.9")
    assert (given_back["client.ip"], given_back["event.type"]) == (
        "192.0.2.9",
        ["connection", "protocol", "end"],
    )
