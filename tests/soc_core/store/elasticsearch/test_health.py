"""Hold that the state of a real cluster is said in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from soc_core import i18n
from soc_core.config import Settings
from soc_core.reasons import reason_text
from soc_core.store.elasticsearch.client import connect
from soc_core.store.elasticsearch.health import health_of
from soc_core.store.interface import Health
from tests.elasticsearch_security import PREFIX, Secured
from tests.elasticsearch_server import free_port
from tests.soc_core.store.elasticsearch.answering import answering

NOW = datetime(2026, 11, 23, tzinfo=UTC)
THIS_MONTH, EARLIER = f"{PREFIX}-events-packets.dns-2026.11", f"{PREFIX}-events-packets.dns-2026.05"
ALONE = {"index": {"number_of_replicas": 0}}


def state_of(client: Elasticsearch) -> Health:
    return health_of(client, PREFIX, lambda: NOW)


def in_chinese(health: Health) -> str:
    i18n.load("soc_core")
    return "\n".join(reason_text(reason, "zh") for reason in health.reasons)


def test_unreachable_is_down() -> None:
    found = health_of(connect(Settings(elasticsearch_url=f"http://127.0.0.1:{free_port()}")), PREFIX)
    assert found.state == "down"
    assert in_chinese(found).startswith("连不上 Elasticsearch；请检查 Elasticsearch 是否在运行")


@pytest.mark.parametrize(
    ("path", "status", "body", "state", "said"),
    [
        ("/_nodes/_all", 200, {"nodes": {"a": {"version": "8.2.0"}}}, "down", "Elasticsearch 8.2.0 版本太旧"),
        (
            "/_cluster/health",
            503,
            {"error": {"type": "master_not_discovered_exception", "reason": "null"}},
            "read_only",
            "没有选出主节点",
        ),
        (
            "/_cluster/health",
            429,
            {"error": {"type": "circuit_breaking_exception", "reason": "[parent] Data too large"}},
            "degraded",
            "Elasticsearch 的内存不够",
        ),
        (
            "/_nodes/stats",
            200,
            {
                "nodes": {
                    "a": {"breakers": {"parent": {"estimated_size_in_bytes": 96, "limit_size_in_bytes": 100}}}
                }
            },
            "degraded",
            "1 个 Elasticsearch 节点的内存快用完了；",
        ),
        (
            "/_health_report",
            200,
            {"indicators": {"disk": {"status": "yellow", "details": {"nodes_over_high_watermark": 2}}}},
            "degraded",
            "2 个 Elasticsearch 节点的磁盘快满了；",
        ),
        ("/_health_report", 500, {"error": "oh dear"}, "degraded", "Elasticsearch 回答 500：oh dear"),
    ],
)
def test_rare_answers_are_understood(path: str, status: int, body: object, state: str, said: str) -> None:
    """What no test brings about on a real cluster: the answers as Elasticsearch gives them."""

    def answer(method: str, asked: str, sent: bytes) -> tuple[int, object]:
        if asked.startswith(path):
            return status, body
        if asked.startswith("/_nodes/_all"):
            return 200, {"nodes": {"a": {"version": "8.19.21"}}}
        if asked.startswith(("/_ilm", "/_slm", "/_security")):
            return 405, {"error": "Incorrect HTTP method"}
        return 200, {}

    with answering(answer) as settings:
        found = state_of(connect(settings))
    assert found.state == state
    assert said in in_chinese(found)


@pytest.mark.slow
class TestRealCluster:
    """Bring about what can go wrong on a real server."""

    @pytest.fixture
    def client(self, secured_elasticsearch: Secured) -> Iterator[Elasticsearch]:
        client = connect(secured_elasticsearch.settings("administrator"))
        remove(client)
        yield client
        remove(client)

    def test_well(self, client: Elasticsearch) -> None:
        assert state_of(client) == Health("ok")
        client.indices.create(index=THIS_MONTH, settings=ALONE)
        assert state_of(client) == Health("ok")

    def test_missing_copies(self, client: Elasticsearch) -> None:
        client.indices.create(index=THIS_MONTH, settings={"index": {"number_of_replicas": 2}})
        found = state_of(client)
        assert found.state == "degraded"
        assert in_chinese(found) == (
            "缺少 2 个分片副本：再出一次故障就可能丢失数据；"
            "请启动缺少的节点，或把 elasticsearch_replicas 设为小于节点数"
        )

    @pytest.mark.parametrize(
        ("name", "state"),
        [(EARLIER, "degraded"), (THIS_MONTH, "read_only"), (f"{PREFIX}-state", "read_only")],
    )
    def test_missing_shards(self, client: Elasticsearch, name: str, state: str) -> None:
        client.indices.create(index=f"{PREFIX}-events-other-2026.10", settings=ALONE)
        nowhere = {"index": {"number_of_replicas": 0, "routing.allocation.require._name": "nowhere"}}
        client.indices.create(index=name, settings=nowhere, wait_for_active_shards=0, timeout="1ms")
        found = state_of(client)
        assert found.state == state
        assert "共 2 个分片，缺少 1 个：有些日志记录查不到；请查看 Elasticsearch 各节点" in in_chinese(found)

    def test_a_full_disk_and_a_closed_index(self, client: Elasticsearch) -> None:
        client.indices.create(index=THIS_MONTH, settings=ALONE)
        for name, said in (
            ("read_only_allow_delete", "Elasticsearch 的磁盘已满，不再接收数据；请清理"),
            ("write", f"Elasticsearch 有索引禁止写入：{THIS_MONTH}；请在索引设置中解除禁止"),
        ):
            client.indices.put_settings(index=THIS_MONTH, settings={f"index.blocks.{name}": True})
            found = state_of(client)
            assert found.state == "read_only"
            assert said in in_chinese(found)
            client.indices.put_settings(index=THIS_MONTH, settings={f"index.blocks.{name}": None})
        assert state_of(client) == Health("ok")

    def test_the_bound_of_shards(self, client: Elasticsearch) -> None:
        with cluster_settings(client, {"cluster.max_shards_per_node": 1}):
            for _ in range(200):  # the health node hears of it a little later
                found = state_of(client)
                if found.state != "ok":
                    break
        assert found.state == "degraded"
        assert "分片数快到上限" in in_chinese(found)

    def test_missing_privileges(self, client: Elasticsearch, secured_elasticsearch: Secured) -> None:
        client.indices.create(index=THIS_MONTH, settings=ALONE)
        for user, state, said in (
            ("writer", "ok", ""),
            ("reader", "read_only", "Elasticsearch 用户缺少索引权限 write；请把它加到该用户的角色里"),
            ("guest", "degraded", "Elasticsearch 用户缺少集群权限 monitor；"),
            ("stranger", "down", "Elasticsearch 不接受这个用户、口令或密钥；"),
        ):
            found = state_of(connect(secured_elasticsearch.settings(user)))
            assert found.state == state
            assert said in in_chinese(found)


def remove(client: Elasticsearch) -> None:
    for name in client.indices.get(index=f"{PREFIX}-*", expand_wildcards="all").body:
        client.indices.delete(index=name)


@contextmanager
def cluster_settings(client: Elasticsearch, changed: dict[str, Any]) -> Iterator[None]:
    client.cluster.put_settings(persistent=changed)
    try:
        yield
    finally:
        client.cluster.put_settings(persistent=dict.fromkeys(changed))
