from __future__ import annotations

from collectors.web_error import WebError
from collectors.web_syslog import interpret_apache, interpret_nginx
from soc_core.model.event import Event, values_of
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestWebError(TextCollectorTests):
    name = "web_error"
    samples = ("web_error_apache.log", "web_error_nginx.log")


def test_apache_and_its_application_firewall() -> None:
    events, bad, _ = read_all(WebError(), (GOLDEN / "web_error_apache.log").read_bytes())
    uri, password, start, blocked = events[:4]
    assert (uri["event.code"], uri["source.ip"], uri["source.port"]) == ("AH00126", "203.0.113.9", 50211)
    assert uri["@timestamp"] == "2026-11-24T12:00:00.123456Z"
    assert password["http.request.referrer"] == "https://www.school.example/"
    assert start["log.level"] == "notice"
    assert (blocked["rule.id"], blocked["event.action"], blocked["event.kind"], blocked["url.path"]) == (
        "942100",
        "blocked",
        "alert",
        "/news.php",
    )
    assert [record.line for record in bad] == [5, 6]


def test_nginx_names_client_request_and_upstream() -> None:
    events, _, _ = read_all(WebError(), (GOLDEN / "web_error_nginx.log").read_bytes())
    first, handshake, upstream = events[:3]
    assert (first["source.ip"], first["http.request.method"], first["url.path"], first["url.domain"]) == (
        "203.0.113.9",
        "GET",
        "/.env",
        "www.school.example",
    )
    assert first["message"] == 'open() "/usr/share/nginx/html/.env" failed (2: No such file or directory)'
    assert handshake["source.ip"] == "2001:db8::9"
    assert upstream["http.request.referrer"] == "https://www.school.example/"


def test_lines_of_web_servers_in_syslog() -> None:
    time: Event = {"@timestamp": "2026-11-24T12:00:00.000000Z"}
    error: Event = dict(time)
    assert interpret_nginx(error, "[error] 1#1: *5 no such file, client: 203.0.113.9, server: a")
    assert (error["event.dataset"], error["source.ip"]) == ("web.error", "203.0.113.9")
    access: Event = {**time, "message": "x"}
    line = '203.0.113.9 - - [24/Nov/2026:20:00:00 +0800] "GET / HTTP/1.1" 200 5 "-" "curl"'
    assert interpret_nginx(access, line)
    assert (access["event.dataset"], access["url.path"]) == ("web.access", "/")
    apache: Event = dict(time)
    assert interpret_apache(apache, "[core:error] [pid 1:tid 2] [client 203.0.113.9:1] AH00124: loop")
    assert apache["event.code"] == "AH00124"
    assert not interpret_apache({}, "resuming normal operations")


def test_refused_log_ins_name_the_user() -> None:
    refused = []
    for sample in ("web_error_apache.log", "web_error_nginx.log"):
        events, _, _ = read_all(WebError(), (GOLDEN / sample).read_bytes())
        refused += [event for event in events if event.get("event.action") == "http_login"]
    assert [event["user.name"] for event in refused] == ["teacher", "nobody", "teacher"]
    assert {str(event["event.outcome"]) for event in refused} == {"failure"}
    assert all("authentication" in values_of(event, "event.category") for event in refused)
