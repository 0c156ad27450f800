from __future__ import annotations

from collectors.web_access import WebAccess
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestWebAccess(TextCollectorTests):
    name = "web_access"
    samples = ("web_access.log", "web_access.json")


def test_fields_of_the_formats() -> None:
    events, bad, _ = read_all(WebAccess(), (GOLDEN / "web_access.log").read_bytes())
    combined, common, vhost, garbage, escaped, silent = events
    assert combined["url.query"] == "id=1%27"
    assert (common["source.ip"], common["user.name"], common["http.version"]) == (
        "2001:db8::7",
        "teacher",
        "2.0",
    )
    assert (vhost["url.domain"], vhost["url.port"]) == ("www.school.example", 443)
    assert vhost["edusoc.http.request_seconds"] == 0.012
    assert vhost["edusoc.http.forwarded_for"] == ["198.51.100.4", "10.0.0.1"]
    assert "http.request.method" not in garbage
    assert escaped["url.path"] == '/a"b中'
    assert escaped["user_agent.original"] == 'agent "quoted"'
    assert silent["http.response.status_code"] == 408
    assert [record.line for record in bad] == [7, 8]


def test_json_of_several_servers() -> None:
    events, bad, _ = read_all(WebAccess(), (GOLDEN / "web_access.json").read_bytes())
    nginx, caddy, traefik, garbage = events
    assert (nginx["url.query"], nginx["user.name"], nginx["http.response.status_code"]) == (
        "id=1",
        "teacher",
        200,
    )
    assert nginx["edusoc.http.forwarded_for"] == ["198.51.100.4", "10.0.0.1"]
    assert (nginx["tls.version"], nginx["edusoc.http.request_seconds"]) == ("1.3", 0.012)
    assert (caddy["@timestamp"], caddy["http.version"], caddy["url.path"], caddy["event.outcome"]) == (
        "2026-11-24T12:00:01.500000Z",
        "2.0",
        "/login",
        "failure",
    )
    assert (traefik["url.path"], traefik["source.port"]) == ("/.git/config", 50212)
    assert "http.request.method" not in garbage
    assert [record.line for record in bad] == [5, 6]
