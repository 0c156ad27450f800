from __future__ import annotations

from collectors.iis import Iis
from soc_core.model.event import extra_values
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestIis(TextCollectorTests):
    name = "iis"
    samples = ("iis.log", "iis_httperr.log")


def test_columns_may_change_and_times_are_utc() -> None:
    events, bad, _ = read_all(Iis(), (GOLDEN / "iis.log").read_bytes())
    first, attack, other = events
    assert first["@timestamp"] == "2026-11-24T00:00:01.000000Z"
    assert first["user_agent.original"] == "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
    assert first["edusoc.http.forwarded_for"] == ["198.51.100.4", "10.0.0.1"]
    assert (first["event.duration"], first["destination.ip"], first["url.port"]) == (
        15_000_000,
        "192.0.2.20",
        443,
    )
    assert (attack["url.query"], attack["user.name"], attack["event.outcome"]) == (
        "id=1%27+or+1=1--",
        "SCHOOL\\teacher",
        "failure",
    )
    assert extra_values(attack, "iis.access.sc-win32-status") == ["64"]
    assert (other["@timestamp"], other["url.domain"], other["url.path"]) == (
        "2026-11-24T01:00:04.000000Z",
        "www.school.example",
        "/登录.aspx",
    )
    assert [record.line for record in bad] == [7, 12]


def test_refusals_of_the_kernel_driver() -> None:
    (event,), _, _ = read_all(Iis(), (GOLDEN / "iis_httperr.log").read_bytes())
    assert (event["source.port"], event["event.reason"], event["http.version"]) == (50211, "URL", "1.1")


def test_cookies_are_not_kept() -> None:
    text = (
        "#Fields: date time c-ip cs-method cs-uri-stem cs(Cookie) sc-status\n"
        "2026-11-24 00:00:01 203.0.113.9 GET / ASP.NET_SessionId=abcdef123456 200\n"
    )
    (event,), _, _ = read_all(Iis(), text.encode())
    assert "abcdef123456" not in str(event)
    assert extra_values(event, "iis.access.cs(Cookie)") == ["***"]
    assert event["event.original"] == "2026-11-24 00:00:01 203.0.113.9 GET / *** 200"
