from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import orjson
import pytest
from elasticsearch import Elasticsearch, helpers

from collectors.live.bulk import _items, build
from collectors.live.options import Options
from collectors.live.pushing import NOT_STORED, PushInput
from soc_core.errors import UsageError
from tests.collectors.live.certificates import Authority
from tests.collectors.live.outlets import PATIENCE, Kept, running, wait_until
from tests.collectors.live.test_documents import SSHD, WINDOWS, line

TOKEN = "a-token-of-tests"


def make(**settings: object) -> PushInput:
    return build("bulk", Options({"listen": "127.0.0.1:0", "token": TOKEN, **settings}, "agent.toml: bulk"))


def counted(live: PushInput) -> Mapping[str, int]:
    return live.counters.snapshot()


def address(live: PushInput) -> str:
    wait_until(lambda: bool(live.addresses))
    return "{}:{}".format(*live.addresses[0])


def ask(
    live: PushInput, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, object], Mapping[str, str]]:
    with closing(HTTPConnection(address(live), timeout=PATIENCE)) as connection:
        sent = {
            "Authorization": f"Bearer {TOKEN}",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        read = answer.read()
        return answer.status, orjson.loads(read) if read else {}, dict(answer.getheaders())


def bulk_body(*trees: object, action: str = "create") -> bytes:
    return b"".join(
        b'{"%s":{"_index":"logs"}}\n%s\n' % (action.encode(), orjson.dumps(tree)) for tree in trees
    )


@pytest.fixture
def client() -> Iterator[tuple[Elasticsearch, PushInput, Kept]]:
    live = make()
    with running(live, Kept()) as kept:
        secret = "anything", TOKEN
        with Elasticsearch(f"http://{address(live)}", basic_auth=secret, http_compress=True) as search:
            yield search, live, kept


def test_the_clients_own_bulk_helper(client: tuple[Elasticsearch, PushInput, Kept]) -> None:
    search, live, kept = client
    actions = [
        {"_op_type": "create", "_index": "logs", "_source": line(SSHD, number)} for number in range(1_200)
    ]
    assert helpers.bulk(search, actions, chunk_size=300) == (1_200, [])
    assert len({event["event.id"] for event in kept.events}) == 1_200
    assert counted(live)["delivered"] == 1_200


def test_items_are_answered_one_by_one(client: tuple[Elasticsearch, PushInput, Kept]) -> None:
    search, _, kept = client
    operations = [{"index": {"_id": "one"}}, WINDOWS, {"delete": {"_id": "x"}}, {"index": {}}, {"a": 1}]
    answer = search.bulk(index="logs", operations=operations)
    assert answer["errors"] is True
    assert [list(item) for item in answer["items"]] == [["index"], ["delete"], ["index"]]
    assert [next(iter(item.values()))["status"] for item in answer["items"]] == [201, 400, 201]
    assert answer["items"][0]["index"]["_id"] == "one"
    assert len(kept.events) == 2


def test_what_clients_ask_before_they_send(client: tuple[Elasticsearch, PushInput, Kept]) -> None:
    search, _, _ = client
    assert search.info()["version"]["number"] == "8.19.0"
    assert search.ping()
    assert search.license.get()["license"]["type"] == "basic"
    assert search.xpack.info()["features"]["ilm"]["available"]
    assert search.indices.exists_index_template(name="filebeat-8.19.0")
    assert search.indices.exists(index="winlogbeat-8.19.0")
    assert search.indices.put_index_template(name="filebeat", index_patterns=["filebeat-*"])["acknowledged"]
    assert search.ilm.put_lifecycle(name="filebeat", policy={"phases": {}})["acknowledged"]
    assert "filebeat" in search.ilm.get_lifecycle(name="filebeat")
    assert search.ingest.put_pipeline(id="x", processors=[])["acknowledged"]
    assert "x" in search.ingest.get_pipeline(id="x")
    assert search.cluster.health()["status"] == "green"
    assert search.indices.create(index="logs")["acknowledged"]


def test_the_same_id_in_the_same_index_is_one_event() -> None:
    live = make()
    with running(live, Kept()) as kept:
        body = b'{"create":{"_id":"7"}}\n{"message":"x"}\n'
        for path in ("/a/_bulk", "/a/_bulk", "/b/_bulk"):
            assert ask(live, "POST", path, body)[0] == 200
    ids = [event["event.id"] for event in kept.events]
    assert ids[0] == ids[1] != ids[2]


def test_what_can_not_be_stored_is_told_to_come_again() -> None:
    live, kept = make(), Kept()
    kept.failing = 1
    with running(live, kept):
        status, answer, _ = ask(live, "POST", "/_bulk", bulk_body(WINDOWS, line(SSHD)))
        assert (status, answer["errors"]) == (200, True)
        items = answer["items"]
        assert [item["create"]["status"] for item in items] == [429, 429]  # type: ignore[attr-defined]
        assert items[0]["create"]["error"]["reason"] == NOT_STORED  # type: ignore[index]
        assert ask(live, "POST", "/_bulk", bulk_body(WINDOWS, line(SSHD)))[1]["errors"] is False
    assert len(kept.events) == 2


def test_nothing_is_answered_before_it_is_durable() -> None:
    live, kept = make(), Kept()
    kept.open.clear()
    answers: list[int] = []
    with running(live, kept):
        thread = threading.Thread(
            target=lambda: answers.append(ask(live, "POST", "/_bulk", bulk_body(WINDOWS))[0]), daemon=True
        )
        thread.start()
        wait_until(lambda: counted(live).get("received") == 1)
        thread.join(0.2)
        assert answers == []
        kept.open.set()
        thread.join(PATIENCE)
    assert answers == [200]


def test_bad_documents_are_kept_aside() -> None:
    live = make()
    body = (
        bulk_body(WINDOWS) + b'{"index":{}}\n{broken\n' + b"no action\n"
        + b'{"index":{}}\n"' + b"x" * (1 << 21) + b'"\n{"index":{}}\n'
    )  # fmt: skip
    with running(live, Kept()) as kept:
        status, answer, _ = ask(live, "POST", "/_bulk", body)
    assert status == 200
    statuses = [next(iter(item.values()))["status"] for item in answer["items"]]  # type: ignore[attr-defined]
    assert statuses == [201, 400, 400, 400, 400]
    assert len(kept.events) == 1
    assert len(kept.bad) == counted(live)["bad"] == 4


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {TOKEN}",
        f"ApiKey {TOKEN}",
        "ApiKey aWQ6YS10b2tlbi1vZi10ZXN0cw==",
        "Basic eDphLXRva2VuLW9mLXRlc3Rz",
    ],
)
def test_ways_to_show_the_token(header: str) -> None:
    live = make()
    with running(live, Kept()):
        assert ask(live, "GET", "/", Authorization=header)[0] == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer other", "Basic !!!", "ApiKey", "Digest x", f"Bearer {TOKEN}x"]
)
def test_without_the_token_nothing_is_served(header: str) -> None:
    live = make()
    with running(live, Kept()) as kept:
        status, _, headers = ask(live, "GET", "/", Authorization=header)
        assert status == 401
        assert "WWW-Authenticate" in headers
        assert ask(live, "POST", "/_bulk", bulk_body(WINDOWS), Authorization=header)[0] == 401
        assert ask(live, "POST", f"/_bulk?api_key={TOKEN}", bulk_body(WINDOWS))[0] == 400
    assert kept.events == []
    assert counted(live)["refused"] == 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/logs/_search", 404),
        ("DELETE", "/logs", 404),
        ("GET", "/logs/_search", 404),
        ("POST", "/_bulk", 400),
    ],
)
def test_other_requests_are_refused(method: str, path: str, status: int) -> None:
    live = make()
    with running(live, Kept()):
        assert ask(live, method, path)[0] == status


def test_packed_bodies_and_bombs() -> None:
    live = make(request_mib=1)
    with running(live, Kept()) as kept:
        body = gzip.compress(bulk_body(WINDOWS))
        assert ask(live, "POST", "/_bulk", body, Content_Encoding="gzip")[0] == 200
        assert ask(live, "POST", "/_bulk", body[:-9], Content_Encoding="gzip")[0] == 400
        assert ask(live, "POST", "/_bulk", body + b"x" * 99, Content_Encoding="gzip")[0] == 400
        assert ask(live, "POST", "/_bulk", b"junk" * 9, Content_Encoding="gzip")[0] == 400
        assert ask(live, "POST", "/_bulk", body, Content_Encoding="br")[0] == 415
        members = gzip.compress(bulk_body({**WINDOWS, "n": 1})) + gzip.compress(
            bulk_body({**WINDOWS, "n": 2})
        )
        assert len(ask(live, "POST", "/_bulk", members, Content_Encoding="gzip")[1]["items"]) == 2

        bomb = gzip.compress(b"\n" * (200 << 20))
        assert ask(live, "POST", "/_bulk", bomb, Content_Encoding="gzip")[0] == 413
    assert len(kept.events) == 3


def test_documents_of_one_request_are_bounded_in_number() -> None:
    live = make()
    with running(live, Kept()) as kept:
        assert ask(live, "POST", "/_bulk", b'{"index":{}}\n{"a":1}\n' * 10_001)[0] == 413
        status, answer, _ = ask(live, "POST", "/_bulk", b'{"index":{}}\n{"a":1}\n' * 3_000)
    assert (status, answer["errors"], len(answer["items"])) == (200, False, 3_000)  # type: ignore[arg-type]
    assert len(kept.events) == 3_000


def test_over_tls(authority: Authority) -> None:
    certificate, key = authority.issue("bulk")
    live = make(certificate=str(certificate), key=str(key))
    with running(live, Kept()) as kept:
        wait_until(lambda: bool(live.addresses))
        with Elasticsearch(
            f"https://localhost:{live.addresses[0][1]}", ca_certs=str(authority.file), api_key=("id", TOKEN)
        ) as search:
            assert helpers.bulk(search, [{"_index": "logs", "_source": WINDOWS}]) == (1, [])
    assert len(kept.events) == 1


def test_who_may_push_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'token' is missing"):
        make(token="")
    with pytest.raises(UsageError, match="'token_file' can't be read"):
        make(token="", token_file=str(tmp_path / "none"))
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    assert make(token="", token_file=str(file)).kind == "bulk"


def test_a_body_is_read_line_by_line() -> None:
    body = b'\n{"index":{"_index":"a","_id":"1"}}\n{"x":1}\n{"update":{}}\n{"doc":{}}\n{"create":{}}\n{"y":2}'
    assert [(item.action, item.place, item.name, item.raw) for item in _items(body, "usual")] == [
        ("index", "a", "1", b'{"x":1}'),
        ("update", "usual", "", b'{"update":{}}'),
        ("create", "usual", "", b'{"y":2}'),
    ]
