"""Hold how we connect: what is refused at once, and what a real server with TLS and users answers."""

from __future__ import annotations

import base64
import http.server
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from soc_core.config import Settings
from soc_core.errors import EdusocError, StoreAccessError, StoreError, UsageError
from soc_core.reasons import error_text
from soc_core.store.elasticsearch.client import addresses_of, connect, place_of, read_capabilities
from soc_core.store.elasticsearch.faults import in_words
from tests.elasticsearch_security import PREFIX, Authority, Secured
from tests.elasticsearch_server import free_port
from tests.soc_core.store.elasticsearch.answering import Answer, answering, serving

SECRET = "open-sesame-学安"


def at(url: str, **others: Any) -> Settings:
    return Settings(elasticsearch_url=url, **others)


def fault(settings: Settings) -> EdusocError:
    """Return what connecting and asking fails with."""
    with pytest.raises(EdusocError) as raised:
        read_capabilities(connect(settings), place_of(settings))
    return raised.value


def write(settings: Settings, index: str = f"{PREFIX}-try") -> None:
    with in_words(index):
        connect(settings).index(index=index, id="1", document={"a": 1})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (at(""), "elasticsearch_url 没有写地址"),
        (at("elastic:9200"), "elasticsearch_url：“elastic:9200”不是地址"),
        (at("ftp://elastic"), "elasticsearch_url：“ftp://elastic”不是地址"),
        (at("http://elastic:99999"), "elasticsearch_url：“http://elastic:99999”不是地址"),
        (at(f"https://me:{SECRET}@elastic"), "elasticsearch_url 里含有用户名或口令"),
        (at("http://a https://b"), "elasticsearch_url 混用了 http:// 和 https://"),
        (
            at("https://a", elasticsearch_username="me"),
            "elasticsearch_username 和 elasticsearch_password 须同时设置",
        ),
        (
            at(
                "https://a",
                elasticsearch_username="me",
                elasticsearch_password=SECRET,
                elasticsearch_api_key="a2V5a2V5",
            ),
            "Elasticsearch 的口令和 API 密钥都设置了",
        ),
        (
            at("http://10.1.2.3", elasticsearch_username="me", elasticsearch_password=SECRET),
            "Elasticsearch 的口令或密钥会在网络上明文传送",
        ),
        (at("https://a", elasticsearch_api_key=f"{SECRET}\r\nX-y"), "elasticsearch_api_key 不是 API 密钥"),
        (at("https://a", elasticsearch_ca="/nowhere/ca.pem"), "/nowhere/ca.pem：没有这个文件或目录"),
        (at("https://a", elasticsearch_ca=__file__), f"{__file__}：elasticsearch_ca 里没有 PEM 格式的证书"),
    ],
)
def test_refuses_wrong_settings_without_repeating_secrets(settings: Settings, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        connect(settings)
    assert error_text(raised.value, "zh").startswith(said)
    assert "；" in error_text(raised.value, "zh") or "/nowhere" in said
    assert SECRET not in f"{raised.value!r}{raised.value}"


def test_takes_several_addresses_and_gives_them_ports() -> None:
    settings = at("https://one.example, https://two.example:9201,https://[::1]:9202/behind/")
    assert len(addresses_of(settings)) == 3
    assert place_of(settings) == "https://one.example:9200, https://two.example:9201, https://[::1]:9202"
    found = sorted(f"{node.base_url}" for node in connect(settings).transport.node_pool.all())
    assert found == ["https://[::1]:9202/behind", "https://one.example:9200", "https://two.example:9201"]


def test_a_client_does_not_show_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    settings = at(f"http://127.0.0.1:{port}", elasticsearch_username="me", elasticsearch_password=SECRET)
    client = connect(settings)
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreError) as raised:
        read_capabilities(client, place_of(settings))
    nodes = [node.config for node in client.transport.node_pool.all()]
    for shown in (repr(client), repr(nodes), caplog.text, repr(raised.value), repr(raised.value.__cause__)):
        assert SECRET not in shown
        assert base64.b64encode(f"me:{SECRET}".encode()).decode() not in shown
    assert error_text(raised.value, "zh").startswith(f"http://127.0.0.1:{port}：连不上 Elasticsearch；")


def test_knows_what_the_test_distribution_offers(elasticsearch_url: str) -> None:
    found = read_capabilities(connect(at(elasticsearch_url)))
    assert found.version >= (8, 14, 0)
    assert (found.lifecycle, found.snapshot_lifecycle, found.security) == (False, False, False)


def test_goes_on_with_another_node(elasticsearch_url: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    client = connect(at(f"{dead},{elasticsearch_url}"))
    for _ in range(6):
        assert client.cluster.health(timeout="1s")["status"] in {"green", "yellow"}


@pytest.mark.slow
class TestSecured:
    """Ask a real server with TLS and users."""

    def test_connects_with_a_private_authority_and_a_chinese_password(
        self, secured_elasticsearch: Secured
    ) -> None:
        settings = secured_elasticsearch.settings("writer")
        assert read_capabilities(connect(settings)).security
        write(settings)

    def test_a_foreign_authority_is_not_trusted(self, secured_elasticsearch: Secured, tmp_path: Path) -> None:
        other = Authority.make("other").write(tmp_path / "other.pem")
        for authority in ("", str(other)):
            found = fault(secured_elasticsearch.settings("writer", elasticsearch_ca=authority))
            assert isinstance(found, StoreAccessError)
            assert "证书的签发机构不受信任；请在 elasticsearch_ca 中填写" in error_text(found, "zh")
            assert "is from an authority that is not trusted — name the file" in str(found)

    def test_the_name_must_be_in_the_certificate(self, secured_elasticsearch: Secured) -> None:
        other = secured_elasticsearch.node.url.replace("127.0.0.1", "[::ffff:127.0.0.1]")
        found = fault(secured_elasticsearch.settings("writer", elasticsearch_url=other))
        assert "证书不是给这个地址的" in error_text(found, "zh")

    def test_http_where_https_is(self, secured_elasticsearch: Secured, elasticsearch_url: str) -> None:
        plain = secured_elasticsearch.node.url.replace("https://", "http://")
        for url, said in (
            (plain, "Elasticsearch 中断了连接；请检查它是否在运行，地址是否应以 https:// 开头"),
            (
                elasticsearch_url.replace("http://", "https://"),
                "与 Elasticsearch 建立不了 TLS 连接；请检查地址应以 http:// 还是 https:// 开头",
            ),
        ):
            found = fault(secured_elasticsearch.settings("writer", elasticsearch_url=url))
            assert error_text(found, "zh").endswith(said)

    def test_wrong_password_and_unknown_user(self, secured_elasticsearch: Secured) -> None:
        for settings in (
            secured_elasticsearch.settings("writer", elasticsearch_password=SECRET),
            secured_elasticsearch.settings("stranger", elasticsearch_password=SECRET),
            secured_elasticsearch.settings(
                "", elasticsearch_password="", elasticsearch_api_key="bm90OmFrZXk="
            ),
        ):
            found = fault(settings)
            assert isinstance(found, StoreAccessError)
            assert "Elasticsearch 不接受这个用户、口令或密钥；请检查" in error_text(found, "zh")
            assert SECRET not in repr(found) + repr(found.__cause__)

    def test_missing_privileges_are_named(self, secured_elasticsearch: Secured) -> None:
        reader = secured_elasticsearch.settings("reader")
        assert read_capabilities(connect(reader)).security
        with pytest.raises(StoreAccessError) as raised:
            write(reader)
        said = error_text(raised.value, "zh")
        assert said.startswith(
            f"{PREFIX}-try：Elasticsearch 用户缺少索引权限 write；请把它加到该用户的角色里"
        )
        assert "lacks the index privilege 'write' — give it to the user's role" in str(raised.value)
        guest = fault(secured_elasticsearch.settings("guest"))
        assert "Elasticsearch 用户缺少集群权限 monitor；" in error_text(guest, "zh")


def versions(*texts: str) -> Answer:
    nodes = {f"n{number}": {"version": text} for number, text in enumerate(texts)}
    return lambda _, path, __: (200, {"nodes": nodes} if path.startswith("/_nodes") else {})


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("8.13.4",), "Elasticsearch 8.13.4 版本太旧；需要 8.14 或更高版本"),
        (("8.19.1", "7.17.29"), "Elasticsearch 7.17.29 版本太旧；需要 8.14 或更高版本"),
        (("9.2.0",), "Elasticsearch 9.2.0 太新，本程序还不支持；请使用 8.14 至 8.19"),
    ],
)
def test_other_versions_are_refused(texts: tuple[str, ...], said: str) -> None:
    with answering(versions(*texts)) as settings:
        found = fault(settings)
    assert isinstance(found, UsageError)
    assert error_text(replace_where(found), "zh") == said


def replace_where(found: EdusocError) -> EdusocError:
    return type(found)(found.what, todo=found.todo)


def test_sees_what_a_full_distribution_offers() -> None:
    with answering(versions("8.14.0")) as settings:
        found = read_capabilities(connect(settings))
    assert (found.version, found.lifecycle, found.snapshot_lifecycle, found.security) == (
        (8, 14, 0),
        True,
        True,
        True,
    )


class Page(http.server.BaseHTTPRequestHandler):
    """Answer with a page, as any web server does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def test_something_else_at_the_address() -> None:
    with serving(Page) as settings:
        found = fault(settings)
    assert "这个地址上运行的不是 Elasticsearch；" in error_text(found, "zh")


def test_a_server_that_does_not_answer() -> None:
    release = threading.Event()

    def answer(method: str, path: str, body: bytes) -> tuple[int, object]:
        release.wait(30)
        return 200, {}

    with answering(answer) as settings:
        client = connect(settings, request_seconds=0.05)
        with pytest.raises(StoreError) as raised, in_words():
            client.info()
        release.set()
    assert error_text(raised.value, "zh").startswith("Elasticsearch 没有按时回答；")


def test_replacing_settings_keeps_secrets_out_of_sight() -> None:
    assert SECRET not in repr(
        replace(at("https://a"), elasticsearch_password=SECRET, elasticsearch_api_key=SECRET)
    )
