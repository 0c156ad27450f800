from __future__ import annotations

import json

import pytest

from collectors.winlogbeat import Winlogbeat
from soc_core.model.event import Event
from tests.collectors.base import assert_fits_dictionary, read_all


def event_of(code: str, **data: str) -> Event:
    record = {
        "@timestamp": "2026-11-24T12:00:00.000Z",
        "winlog": {
            "channel": "Microsoft-Windows-DNSServer/Analytical",
            "provider_name": "Microsoft-Windows-DNSServer",
            "event_id": int(code),
            "record_id": 1,
            "computer_name": "dc1.school.example",
            "event_data": {"QNAME": "www.school.example.", "QTYPE": "28", "XID": "7", "TCP": "0", **data},
        },
    }
    (event,), bad, _ = read_all(Winlogbeat(), json.dumps(record).encode() + b"\n")
    assert bad == []
    assert_fits_dictionary(event)
    return event


def test_a_question_and_its_answer_name_the_client() -> None:
    asked = event_of("256", Source="192.0.2.77", Port="59560", InterfaceIP="192.0.2.53", Flags="256")
    assert (asked["source.ip"], asked["source.port"], asked["destination.ip"]) == (
        "192.0.2.77",
        59560,
        "192.0.2.53",
    )
    assert (asked["dns.question.name"], asked["dns.question.type"], asked["dns.id"]) == (
        "www.school.example",
        "AAAA",
        "7",
    )
    assert asked["dns.header_flags"] == ["RD"]
    answer = event_of(
        "257", Destination="192.0.2.77", Port="59560", InterfaceIP="192.0.2.53", RCODE="3", Flags="33152"
    )
    assert (answer["dns.type"], answer["dns.response_code"], answer["source.ip"]) == (
        "answer",
        "NXDOMAIN",
        "192.0.2.77",
    )


@pytest.mark.parametrize(("code", "item"), [("260", "Destination"), ("261", "Source")])
def test_other_servers_are_the_far_side(code: str, item: str) -> None:
    event = event_of(code, **{item: "198.51.100.53", "InterfaceIP": "0.0.0.0", "Port": "0"})
    assert event["destination.ip"] == "198.51.100.53"
    assert "source.ip" not in event


def test_other_codes_stay_as_they_are() -> None:
    assert "dns.question.name" not in event_of("275", Zone="school.example")
