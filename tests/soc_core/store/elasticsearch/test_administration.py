"""Hold how a cluster is set up: on a real one what the test distribution offers, the rest by what is asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from soc_core.config import Settings
from soc_core.errors import UsageError
from soc_core.reasons import error_text
from soc_core.store.elasticsearch.administration import Administration
from soc_core.store.elasticsearch.client import connect
from soc_core.store.elasticsearch.place import Place
from tests.soc_core.store.elasticsearch.answering import answering

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PREFIX = "administered"
PAST, PRESENT = f"{PREFIX}-events-packets.dns-2026.10", f"{PREFIX}-events-packets.dns-2026.11"


def remove(client: Elasticsearch) -> None:
    for name in client.indices.get(index=f"{PREFIX}-*", expand_wildcards="all").body:
        client.indices.delete(index=name)
    client.options(ignore_status=404).indices.delete_index_template(name=f"{PREFIX}-events")
    client.options(ignore_status=404).cluster.delete_component_template(name=f"{PREFIX}-events")


@pytest.fixture
def client(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    opened = connect(Settings(elasticsearch_url=elasticsearch_url))
    remove(opened)
    yield opened
    remove(opened)


def administration(client: Elasticsearch, replicas: int = 0) -> Administration:
    return Administration(Place(client, PREFIX, "here"), replicas, lambda: NOW)


def segments(client: Elasticsearch, index: str) -> int:
    answer: Any = client.indices.stats(index=index, metric="segments").body
    return int(answer["_all"]["primaries"]["segments"]["count"])


def test_corrects_copies_and_merges_past_months(client: Elasticsearch) -> None:
    done = administration(client, 1).set_up()
    assert (done.copies, done.merging, done.lifecycle, done.snapshots) == ((), (), False, False)
    for name in (PAST, PRESENT):
        for number in range(3):
            client.index(index=name, id=str(number), document={"message": str(number)}, refresh=True)
        assert segments(client, name) == 3
    done = administration(client).set_up()
    assert done.copies == (PAST, PRESENT)
    assert done.merging == (PAST,)
    for _ in range(500):
        if segments(client, PAST) == 1:
            break
    assert segments(client, PAST) == 1
    assert segments(client, PRESENT) == 3
    assert client.cluster.health(index=f"{PREFIX}-*")["status"] == "green"
    client.index(index=PAST, id="late", document={"message": "a school that was offline"})
    again = administration(client).set_up()
    assert again.copies == ()


def test_says_that_the_test_distribution_takes_no_snapshots_by_itself(client: Elasticsearch) -> None:
    with pytest.raises(UsageError) as raised:
        administration(client).set_up(repository="somewhere")
    assert error_text(raised.value, "zh").startswith("here：这个 Elasticsearch 不能自动做快照；")


class FullDistribution:
    """Answer as the full distribution does, and keep what was put."""

    def __init__(self) -> None:
        self.put: dict[str, Any] = {}

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        path = path.partition("?")[0]
        if method == "PUT":
            self.put[path] = json.loads(body)
            return 200, {"acknowledged": True}
        answers = {
            "/_nodes/_all/_none": {"nodes": {"a": {"version": "8.19.21"}}},
            f"/{PREFIX}-events-*": {PRESENT: {"settings": {"index": {"uuid": "u"}}}},
            f"/{PREFIX}-events-*/_settings/index.number_of_replicas": {
                PRESENT: {"settings": {"index.number_of_replicas": "0"}}
            },
            "/_snapshot/*": {"vault": {"type": "fs"}},
        }
        return 200, answers.get(path, {})


def test_policies_where_they_are_offered_never_delete() -> None:
    cluster = FullDistribution()
    with answering(cluster) as settings:
        done = administration(connect(settings)).set_up(repository="vault")
    assert (done.lifecycle, done.snapshots) == (True, True)
    policy = cluster.put[f"/_ilm/policy/{PREFIX}-events"]["policy"]
    assert set(policy["phases"]) == {"hot", "warm"}
    assert "delete" not in json.dumps(policy)
    assert cluster.put[f"/{PRESENT}/_settings"] == {"index.lifecycle.name": f"{PREFIX}-events"}
    snapshots = cluster.put[f"/_slm/policy/{PREFIX}-daily"]
    assert snapshots["repository"] == "vault"
    assert snapshots["config"]["indices"] == [f"{PREFIX}-*"]


def test_a_missing_repository_is_said() -> None:
    with answering(FullDistribution()) as settings, pytest.raises(UsageError) as raised:
        administration(connect(settings)).set_up(repository="attic")
    assert "Elasticsearch 没有快照仓库“attic”" in error_text(raised.value, "zh")
