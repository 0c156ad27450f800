from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.packets.dissectors.http import MAX_WAITING, HttpStream
from collectors.packets.dissectors.http_body import page_title, read_request_body
from collectors.packets.dissectors.http_credentials import (
    from_authorization,
    hide_secrets,
    hide_secrets_in_document,
)
from collectors.packets.dissectors.http_head import parse_head
from tests.collectors.packets.dissectors.conversations import all_conversations, dissect
from tests.collectors.packets.dissectors.http_samples import HTTP, head
from tests.collectors.packets.dissectors.smb_maker import ntlm as ntlm_message


def test_requests_are_paired_in_order() -> None:
    first, second = dissect("http", HTTP["pipelined"])
    assert (first.fields["url.path"], first.fields["http.response.status_code"]) == ("/a", 200)
    assert (second.fields["http.request.method"], second.fields["http.response.body.bytes"]) == ("HEAD", 0)
    assert first.fields["edusoc.http.title"] == "网站"
    assert first.fields["http.response.body.bytes"] == 41


def test_times_and_offsets_are_the_requests() -> None:
    stream = HttpStream()
    ask = head("GET /1 HTTP/1.1", "Host: a")
    stream.feed(0, 0, 1_000_000, ask)
    stream.feed(0, len(ask), 2_000_000, ask[:5])
    stream.feed(0, len(ask) + 5, 2_500_000, ask[5:])
    told = head("HTTP/1.1 200 OK", "Content-Length: 0")
    found = stream.feed(1, 0, 3_000_000, told + told)
    assert [(m.time_us, m.offset) for m in found] == [(1_000_000, 0), (2_000_000, len(ask))]
    assert [m.fields["edusoc.http.request_seconds"] for m in found] == [2.0, 1.0]


def test_no_password_is_in_any_event() -> None:
    for name, pieces in HTTP.items():
        for message in dissect("http", pieces):
            shown = str(message.fields)
            for secret in ("12345&", "geheim-42", "Str0ng", "secret1", "password=abc", "YWRtaW4"):
                assert secret not in shown, name


@pytest.mark.parametrize(
    ("account", "secret", "is_default"),
    [("admin", "12345", True), ("Admin", "12345", True), ("admin", "", True), ("admin", "Xk2!", False),
     ("888888", "888888", True), ("root", "vizxv", True), ("", "12345", False)],
)  # fmt: skip
def test_factory_accounts(account: str, secret: str, is_default: bool) -> None:
    shown, found = hide_secrets(f"user={account}&pwd={secret}&x=1", "form")
    if account:
        assert found is not None
        assert (found.method, found.account, found.is_default) == ("form", account, is_default)
    assert secret == "" or f"pwd={secret}" not in shown
    assert shown.endswith("&x=1")


def test_hashed_passwords_are_said_to_be() -> None:
    _, found = hide_secrets("username=li&password=" + "0" * 32, "form")
    assert found is not None
    assert found.method == "form_hashed"


def test_code_in_a_parameter_named_pass_stays() -> None:
    text = "pass=assert($_POST[1]);&a=b"
    assert hide_secrets(text, "form") == (text, None)


@pytest.mark.parametrize(
    "command", ["whoami", "cat+/etc/passwd", "net%20user", "ipconfig.exe", "/bin/sh", "id"]
)
def test_commands_in_a_parameter_named_pass_stay(command: str) -> None:
    assert hide_secrets(f"pwd={command}&x=1", "query") == (f"pwd={command}&x=1", None)
    assert hide_secrets("pwd=catherine1&x=1", "query")[0] == "pwd=***&x=1"


@pytest.mark.parametrize(
    "value",
    [
        "' or '1'='1",
        "x' OR 1=1--",
        '")--',
        "${jndi:ldap://a}",
        "<script>",
        "../../etc/passwd",
        "1;cat /etc/passwd",
    ],
)
def test_attacks_in_a_password_field_stay(value: str) -> None:
    assert hide_secrets(f"user=a&password={value}", "form") == (f"user=a&password={value}", None)


@pytest.mark.parametrize("value", ["Abc#123", "it's me", 'a"b', "P@ss;word", "x|y", "a..b/c", "$1{}", "a<1"])
def test_odd_passwords_are_hidden(value: str) -> None:
    assert hide_secrets(f"user=a&password={value}", "form")[0] == "user=a&password=***"


def test_what_is_no_password() -> None:
    for text in ("passport=1", "bypass=1", "a=password", "compass=n", "x", "", "&&&", "==&="):
        shown, found = hide_secrets(text, "query")
        assert shown == text
        assert found is None


def test_json_and_xml() -> None:
    text, found = hide_secrets_in_document('{"user":"li","passWord" : "a\\"b","n":1}', "json")
    assert text == '{"user":"li","passWord" : "***","n":1}'
    assert found is not None
    assert found.account == "li"
    text, found = hide_secrets_in_document(
        "<u><userName>admin</userName><password>888888</password></u>", "xml"
    )
    assert text == "<u><userName>admin</userName><password>***</password></u>"
    assert found is not None
    assert found.is_default


def test_authorization_schemes() -> None:
    digest = from_authorization(b'Digest username="admin", realm="IP Camera"')
    assert digest is not None
    assert (digest.method, digest.account) == ("digest", "admin")
    ntlm = from_authorization(b"NTLM TlRMTVNTUAAB")
    assert ntlm is not None
    assert ntlm.method == "ntlm"
    final = from_authorization(b"NTLM " + base64.b64encode(ntlm_message("li", "SCHOOL", "PC")))
    assert final is not None
    assert (final.method, final.account) == ("ntlm", "li")
    for value in (b"", b"Basic", b"Basic !!!", b"Basic YWJj", b"Bearer abc"):
        assert from_authorization(value) is None


def test_interim_answers_do_not_count() -> None:
    (message,) = dissect("http", HTTP["upload"])
    assert message.fields["http.response.status_code"] == 500
    assert message.fields["file.name"] == "shell.jsp"


def test_connect_hands_over_to_tls() -> None:
    _, tls = all_conversations()["tls12"]
    ask = head("CONNECT www.school.example:443 HTTP/1.1", "Host: www.school.example:443")
    told = head("HTTP/1.1 200 Connection established")
    first, second = dissect("http", [(0, ask), (1, told), *tls])
    assert (first.fields["url.domain"], first.fields["url.port"]) == ("www.school.example", 443)
    assert second.dataset == "packets.tls"
    assert second.offset == len(ask)
    assert second.fields["tls.established"] is True
    joined = [(0, ask), (1, told + b""), *tls]
    assert dissect("http", joined)[1].fields == second.fields


def test_upgrade_ends_the_reading() -> None:
    stream = HttpStream()
    (side, request), (_, answer), _ = HTTP["websocket"]
    stream.feed(side, 0, 1, request)
    assert len(stream.feed(1, 0, 1, answer)) == 1
    assert stream.done
    assert stream.close() == []


def test_refused_connect_stays_http() -> None:
    ask = head("CONNECT a:25 HTTP/1.1", "Host: a:25")
    (message,) = dissect("http", [(0, ask), (1, head("HTTP/1.1 403 Forbidden", "Content-Length: 0"))])
    assert message.fields["event.outcome"] == "failure"


def test_gap_in_a_body_loses_nothing() -> None:
    ask = head("GET /1 HTTP/1.1", "Host: a")
    told = head("HTTP/1.1 200 OK", "Content-Length: 10000")
    stream = HttpStream()
    stream.feed(0, 0, 1, ask * 2)
    found = stream.feed(1, 0, 1, told + b"x" * 500)
    found += stream.feed(1, len(told) + 10_000, 1, head("HTTP/1.1 404 Not Found", "Content-Length: 0"))
    assert [m.fields["http.response.status_code"] for m in found] == [200, 404]
    assert found[0].fields["http.response.body.bytes"] == 10_000


def test_gap_over_a_head_is_survived() -> None:
    ask, told = head("GET /1 HTTP/1.1", "Host: a"), head("HTTP/1.1 200 OK", "Content-Length: 0")
    stream = HttpStream()
    stream.feed(0, 0, 1, ask * 3)
    found = stream.feed(1, 0, 1, told)
    found += stream.feed(1, 5_000, 1, b"middle of something")
    found += stream.feed(1, 9_000, 1, told)
    assert [m.fields.get("http.response.status_code") for m in found] == [200, None, 200]
    assert [m.offset for m in found] == [0, len(ask), 2 * len(ask)]


def ask(name: str) -> bytes:
    return head(f"POST /{name} HTTP/1.1", "Host: a", "Content-Length: 3") + b"x=1"


def tell(number: int) -> bytes:
    return head(f"HTTP/1.1 {number} Fine", "Content-Length: 2") + b"ok"


def test_answers_that_come_before_their_requests() -> None:
    pieces = [(0, ask("1")), (1, tell(201)), (1, tell(202) + tell(203)[:-1]), (0, ask("2") + ask("3")[:-3]),
              (1, tell(203)[-1:]), (0, ask("3")[-3:]), (0, ask("4")), (1, tell(204))]  # fmt: skip
    found = {
        str(m.fields["url.path"]): m.fields["http.response.status_code"] for m in dissect("http", pieces)
    }
    assert found == {"/1": 201, "/2": 202, "/3": 203, "/4": 204}


def test_answers_whose_requests_are_lost_stand_alone() -> None:
    stream = HttpStream()
    stream.feed(0, 0, 1, ask("1"))
    found = stream.feed(1, 0, 1, tell(201) + tell(202))
    place = len(ask("1"))
    found += stream.feed(0, place + 1_000, 1, b"end of a lost one")
    found += stream.feed(0, place + 2_000, 1, ask("3"))
    found += stream.feed(1, len(tell(201)) * 2, 1, tell(203))
    assert [(m.fields.get("url.path"), m.fields["http.response.status_code"]) for m in found] == [
        ("/1", 201),
        (None, 202),
        ("/3", 203),
    ]
    assert stream.close() == []


def test_body_to_the_end_of_the_connection() -> None:
    body = b"<html><title>t</title>" + b"x" * 9_000
    told = head("HTTP/1.0 200 OK", "Content-Type: text/html")
    (message,) = dissect("http", [(0, head("GET / HTTP/1.0")), (1, told + body[:100]), (1, body[100:])])
    assert message.fields["http.response.body.bytes"] == len(body)
    assert message.fields["edusoc.http.title"] == "t"


def test_requests_without_answer_are_bounded() -> None:
    ask = head("GET /1 HTTP/1.1", "Host: a")
    stream = HttpStream()
    found = stream.feed(0, 0, 1, ask * (MAX_WAITING + 5))
    assert len(found) == 5
    assert len(stream.close()) == MAX_WAITING


def test_unknown_methods_and_rubbish() -> None:
    assert dissect("http", [(0, b"\x00\x01GET / HTTP/1.1\r\n\r\n")]) == []
    assert dissect("http", [(0, head("PRI * HTTP/2.0"))]) == []
    (one, two) = dissect("http", [(0, head("GET /1 HTTP/1.1") + head("FOO-BAR /2 HTTP/1.1"))])
    assert two.fields["http.request.method"] == "FOO-BAR"
    assert one.fields["url.path"] == "/1"


def test_head_parsing() -> None:
    found = parse_head(b"GET /a b HTTP/1.1\r\nHost : x\r\nHOST: y\r\nUser-Agent: a\r\n\t b\r\nBad\r\n\r\n")
    assert found is not None
    assert (found.target, found.text(b"host"), found.text(b"user-agent")) == ("/a b", "x, y", "a b")
    for raw in (
        b"",
        b"GET",
        b"GET /",
        b"GET / HTTP/2.0",
        b"HTTP/1.1",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 000 OK",
        b" / HTTP/1.1",
        b"G@T / HTTP/1.1",
    ):
        assert parse_head(raw) is None
    for value, length in ((b"12", 12), (b"5, 5", 5), (b"-1", -1), (b"1e3", -1), (b"9" * 30, -1), (b"", -1)):
        found = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: " + value)
        assert found is not None
        assert found.length == length


def test_titles() -> None:
    assert (
        page_title("<TITLE lang=zh>\n 学校  首页 \n</Title>".encode("gbk"), "text/html; charset=GB2312", "")
        == "学校 首页"
    )
    assert page_title('<meta charset="gbk"><title>网站</title>'.encode("gbk"), "text/html", "") == "网站"
    assert page_title(b"<title>a", "", "") == ""
    assert page_title(b"<title>a</title>", "", "gzip") == ""
    assert page_title(b"<title>a</title>", "text/html; charset=klingon", "br") == "a"


@given(st.binary(max_size=400), st.sampled_from(["application/json", "multipart/form-data", "", "text/xml"]))
def test_any_body(body: bytes, kind: str) -> None:
    found = read_request_body(body, kind)
    assert len(found.text) <= 2_048
    page_title(body, kind, "gzip")
    page_title(b"<title>" + body + b"</title>", kind, "")
