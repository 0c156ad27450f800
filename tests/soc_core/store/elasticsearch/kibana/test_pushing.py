"""Hold that the pack reaches a Kibana as its API is documented, against a real HTTP server on loopback.

The server checks each request like Kibana does: path and space, ``kbn-xsrf``, who asks, one part ``file`` of
``multipart/form-data``. That a real Kibana takes the objects is not shown here.
"""

from __future__ import annotations

import base64
import email
import email.policy
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from soc_core.config import Settings
from soc_core.errors import EdusocError, StoreError, UsageError
from soc_core.reasons import error_text, reason_text
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.pack import build_pack, export
from soc_core.store.elasticsearch.kibana.pushing import Kibana, Outcome
from tests.elasticsearch_security import Authority

PACK = export(PackOptions(language="en"))
PASSWORD = "geheim-口令"


class KibanaServer(ThreadingHTTPServer):
    """Answer as Kibana's reference says; ``faults`` are put in place of objects, ``raw`` in place of an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.version = "8.14.0"
        self.spaces = {"", "/s/soc"}
        self.authorization = ""
        self.faults: dict[str, dict[str, Any]] = {}
        self.raw: tuple[int, dict[str, str], bytes] | None = None
        self.stored: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: KibanaServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        code, headers, data = self.server.raw or self._reply(body)
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _reply(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        code, value = self._do(body)
        return code, {"Content-Type": "application/json"}, orjson.dumps(value)

    def _do(self, body: bytes) -> tuple[int, Any]:
        if self.headers.get("Authorization", "") != self.server.authorization:
            return 401, {"statusCode": 401, "error": "Unauthorized", "message": "Unauthorized"}
        part = urlsplit(self.path)
        if part.path == "/api/status":
            return 200, {"name": "kibana", "version": {"number": self.server.version}}
        space, found, _rest = part.path.partition("/api/saved_objects/_import")
        if not found or space not in self.server.spaces:
            return 404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"}
        if "kbn-xsrf" not in self.headers:
            return 400, {"statusCode": 400, "message": "Request must contain a kbn-xsrf header."}
        if parse_qs(part.query) != {"overwrite": ["true"]}:
            return 400, {"statusCode": 400, "message": "overwrite is missing"}
        return self._import(space, body)

    def _import(self, space: str, body: bytes) -> tuple[int, Any]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        parts = list(form.iter_parts())
        (file,) = parts
        assert form.get_content_type() == "multipart/form-data"
        assert file.get_param("name", header="content-disposition") == "file"
        assert str(file.get_filename()).endswith(".ndjson"), "Kibana refuses other endings"
        data = file.get_payload(decode=True)
        assert isinstance(data, bytes)
        done, errors = [], []
        for line in data.splitlines():
            one = orjson.loads(line)
            meta = {"title": one["attributes"]["title"], "icon": "x"}
            row = {"type": one["type"], "id": one["id"], "meta": meta}
            if one["id"] in self.server.faults:
                errors.append({**row, "title": meta["title"], "error": self.server.faults[one["id"]]})
            else:
                self.server.stored[space, one["type"], one["id"]] = one
                done.append({**row, "overwrite": True})
        answer = {"success": not errors, "successCount": len(done), "successResults": done, "warnings": []}
        return 200, {**answer, "errors": errors} if errors else answer


@pytest.fixture
def server() -> Iterator[KibanaServer]:
    with KibanaServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_every_object_arrives_as_it_is(server: KibanaServer) -> None:
    kibana = Kibana(server.url, Settings())
    assert kibana.need_version() == "8.14.0"
    outcomes = kibana.push(PACK)
    expected = [orjson.loads(line) for line in PACK.splitlines()]
    assert list(server.stored.values()) == expected
    assert [(one.type, one.id, one.title) for one in outcomes] == [
        (one["type"], one["id"], one["attributes"]["title"]) for one in expected
    ]
    assert not any(one.problem for one in outcomes)
    assert server.asked == ["GET /api/status", "POST /api/saved_objects/_import?overwrite=true"]


@pytest.mark.parametrize(("space", "path"), [("soc", "/s/soc"), ("default", ""), ("", "")])
def test_a_space_is_part_of_the_path(server: KibanaServer, space: str, path: str) -> None:
    Kibana(server.url + "/", Settings(), space).push(PACK)
    assert {key[0] for key in server.stored} == {path}


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        (
            Settings(elasticsearch_username="soc", elasticsearch_password=PASSWORD),
            "Basic " + base64.b64encode(f"soc:{PASSWORD}".encode()).decode(),
        ),
        (Settings(elasticsearch_api_key="id:key"), "ApiKey " + base64.b64encode(b"id:key").decode()),
    ],
)
def test_it_says_who_asks(server: KibanaServer, settings: Settings, header: str) -> None:
    server.authorization = header
    assert Kibana(server.url, settings).push(PACK)
    with pytest.raises(UsageError, match="Kibana does not know this user"):
        Kibana(server.url, Settings()).push(PACK)


def test_over_tls_the_configured_authority_is_trusted_and_no_other(
    server: KibanaServer, tmp_path: Path
) -> None:
    authority = Authority.make()
    for name, data in authority.issue().items():
        (tmp_path / name).write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "http.crt", tmp_path / "http.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    ours = Settings(elasticsearch_ca=str(authority.write(tmp_path / "ca.pem")))
    assert Kibana(url, ours).push(PACK)
    other = Settings(elasticsearch_ca=str(Authority.make("other").write(tmp_path / "other.pem")))
    with pytest.raises(UsageError, match="certificate of Kibana is not trusted"):
        Kibana(url, other).push(PACK)


def test_what_became_of_each_object_is_told(server: KibanaServer) -> None:
    objects = build_pack(PackOptions(language="en"))
    first, second, third, fourth = (one.id for one in objects[:4])
    server.faults = {
        first: {"type": "missing_references", "references": [{"type": "tag", "id": "t1"}]},
        second: {"type": "conflict"},
        third: {"type": "unsupported_type"},
        fourth: {"type": "unknown", "message": "mapping refused", "statusCode": 400},
    }
    failed = [one for one in Kibana(server.url, Settings()).push(PACK) if one.problem]
    assert [one.problem for one in failed] == [
        "it needs what is not there: tag t1",
        "another object is in its place",
        "this Kibana does not know the type",
        "mapping refused",
    ]
    assert failed[0] == Outcome("index-pattern", first, objects[0].attributes["title"], failed[0].problem)  # type: ignore[arg-type] # it is text
    assert all(reason_text(one.problem, "zh") != one.problem for one in failed[:3])


def test_an_old_kibana_is_refused_before_anything_is_sent(server: KibanaServer) -> None:
    server.version = "8.13.4"
    with pytest.raises(UsageError, match=r"Kibana 8\.13\.4 is too old"):
        Kibana(server.url, Settings()).need_version()
    assert server.asked == ["GET /api/status"]


REFUSALS: list[tuple[int, dict[str, str], bytes, type[EdusocError], str]] = [
    (403, {}, b'{"message":"no"}', UsageError, "may not import saved objects"),
    (404, {}, b"", UsageError, "no such Kibana or space"),
    (413, {}, b"", StoreError, "too large for Kibana"),
    (500, {}, b'{"message":"boom"}', StoreError, "Kibana answered 500: boom"),
    (503, {}, b"<html>", StoreError, "Kibana answered 503"),
    (302, {"Location": "http://127.0.0.1:1/login"}, b"", UsageError, "no such Kibana or space"),
    (200, {}, b"<html>hello</html>", UsageError, "is no Kibana"),
    (200, {}, b'{"version":7}', UsageError, "is no Kibana"),
    (200, {}, b'{"success":false}', StoreError, "does not say why"),
]


@pytest.mark.parametrize(("code", "headers", "body", "kind", "words"), REFUSALS)
def test_refusals_are_said_in_words(
    server: KibanaServer,
    code: int,
    headers: dict[str, str],
    body: bytes,
    kind: type[EdusocError],
    words: str,
) -> None:
    server.raw = (code, headers, body)
    settings = Settings(elasticsearch_username="soc", elasticsearch_password=PASSWORD)
    with pytest.raises(kind, match=words) as caught:
        Kibana(server.url, settings).push(PACK)
    assert caught.value.where == server.url
    assert PASSWORD not in str(caught.value)
    assert error_text(caught.value, "zh") != str(caught.value)
    assert len(server.asked) == 1, "a redirection is not followed"


def test_nobody_there_is_said(server: KibanaServer) -> None:
    with pytest.raises(StoreError, match="Kibana can't be reached"):
        Kibana("http://127.0.0.1:1", Settings()).push(PACK)
    with pytest.raises(EdusocError) as caught:
        Kibana(server.url.replace("http:", "https:"), Settings()).push(PACK)
    assert error_text(caught.value, "zh") != str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["kibana:5601", "ftp://kibana", "https://", "http://[x", "http://k/?a=1", "https://soc:pass@kibana"],
)
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        Kibana(address, Settings())
    assert "pass" not in str(caught.value).replace("password", "")


def test_a_password_is_not_sent_in_the_clear() -> None:
    settings = Settings(elasticsearch_username="soc", elasticsearch_password=PASSWORD)
    with pytest.raises(UsageError, match="unencrypted"):
        Kibana("http://kibana.example.edu.cn:5601", settings)
    assert PASSWORD not in repr(Kibana("https://kibana.example.edu.cn:5601", settings).__dict__["_part"])


@pytest.mark.parametrize("space", ["../x", "SOC", "a b", "a/b"])
def test_spaces_that_can_not_be_are_refused(space: str) -> None:
    with pytest.raises(UsageError, match="is no space of Kibana"):
        Kibana("http://127.0.0.1:5601", Settings(), space)
