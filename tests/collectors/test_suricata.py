from __future__ import annotations

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
