from __future__ import annotations

from collectors.radius import Radius, interpret
from soc_core.model.event import Event
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestRadius(TextCollectorTests):
    name = "radius"
    samples = ("radius.log", "radius_detail.log")


def test_log_ins() -> None:
    events, bad, _ = read_all(Radius(), (GOLDEN / "radius.log").read_bytes())
    assert bad == []
    logins = [event for event in events if event["event.dataset"] == "radius.auth"]
    assert [event["event.outcome"] for event in logins] == ["success", "failure", "failure", "failure"]
    assert (logins[0]["user.name"], logins[0]["client.mac"], logins[0]["edusoc.radius.port"]) == (
        "teacher01",
        "00-00-5E-00-53-23",
        "17",
    )
    assert logins[1]["event.reason"] == 'pap: Cleartext password does not match "known good" password'
    assert logins[0]["event.category"] == ["authentication"]


def test_sessions_say_who_where_and_for_how_long() -> None:
    events, _, _ = read_all(Radius(), (GOLDEN / "radius_detail.log").read_bytes())
    assert [event["event.action"] for event in events] == ["radius_start", "radius_interim", "radius_stop"]
    stop = events[2]
    assert (stop["user.name"], stop["client.ip"], stop["client.mac"]) == (
        "teacher01",
        "192.0.2.77",
        "00-00-5E-00-53-23",
    )
    assert (stop["edusoc.radius.port_name"], stop["observer.ip"]) == (
        "GigabitEthernet1/0/17",
        ["192.0.2.254"],
    )
    assert (stop["source.bytes"], stop["destination.bytes"]) == (1000 + (1 << 32), 2000)
    assert (stop["event.duration"], stop["event.start"]) == (65_000_000_000, "2026-11-24T12:35:57.000000Z")
    assert "event.start" not in events[0]


def test_passwords_are_never_kept() -> None:
    line = (
        "Tue Nov 24 12:36:59 2026 : Auth: (1) Login incorrect: [teacher01/my secret] "
        "(from client sw port 17 cli 00-00-5E-00-53-23)\n"
    )
    request = (
        'Tue Nov 24 12:37:02 2026\n\tPacket-Type = Access-Request\n\tUser-Name = "teacher01"\n'
        '\tUser-Password = "my secret"\n\tCHAP-Password = 0x0102\n\tNAS-Port = 17\n\tTimestamp = 1795523822\n\n'
    )
    for text in (line, request):
        (event,), _, _ = read_all(Radius(), text.encode())
        assert "secret" not in str(event)
        assert "0x0102" not in str(event)
        assert event["user.name"] == "teacher01"
        assert event["edusoc.radius.port"] == "17"
    message = line.partition("Auth: ")[2].strip()
    syslog: Event = {"message": message, "event.original": f"<30>Nov 24 12:36:59 r radiusd[1]: {message}"}
    assert interpret(syslog, message)
    assert "secret" not in str(syslog)
    assert not interpret({}, "Ready to process requests")
