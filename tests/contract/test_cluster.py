"""Hold on three real nodes that nothing acknowledged is lost or doubled, whatever happens to the nodes.

``./run bench cluster`` does more of the same for longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from soc_core.errors import StoreError
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.writer import Writing
from tests.contract.cluster_load import BATCH, holds_exactly, is_green, load_on, until
from tests.contract.elasticsearch_places import opener
from tests.contract.samples import make, question
from tests.elasticsearch_server import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOW: Final = Writing(replicas=1, lease_seconds=4.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as running:
        yield running


@pytest.fixture
def store(cluster: Cluster) -> Iterator[ElasticsearchStore]:
    with opener(cluster.urls, HOW) as reopen:
        yield reopen()


def test_nodes_are_killed_come_back_and_are_added(cluster: Cluster, store: ElasticsearchStore) -> None:
    with load_on(store, cluster) as load:
        load.after(3)
        until(lambda: is_green(cluster, store))
        cluster.nodes[0].kill()
        load.after(5)
        cluster.nodes[0].start()
        cluster.add()
        until(lambda: is_green(cluster, store))
        cluster.nodes.pop(1).kill()
        load.after(5)
    assert load.wrong == []
    assert load.searches
    holds_exactly(store, load.acknowledged)


def test_all_nodes_are_killed_and_come_back(cluster: Cluster, store: ElasticsearchStore) -> None:
    with load_on(store, cluster) as load:
        load.after(3)
        for node in cluster.nodes:
            node.kill()
        until(lambda: store.health().state == "down")
        known = len(load.acknowledged)
        for node in cluster.nodes:
            node.start(wait=False)
        for node in cluster.nodes:
            node.wait(nodes=len(cluster.nodes))
        load.after(3)
    assert load.wrong == []
    assert load.partial
    assert len(load.acknowledged) > known
    holds_exactly(store, load.acknowledged)


def test_documents_a_mapping_refuses_are_kept_aside(cluster: Cluster, store: ElasticsearchStore) -> None:
    foreign = {"mappings": {"properties": {"source.port": {"type": "ip"}}}}
    cluster.nodes[0].ask("PUT", f"/{store.place.prefix}-events-packets.flow-2026.11", foreign)
    events = [make(number) for number in range(10)]
    ack = store.append(events)
    assert (ack.accepted, len(ack.rejected)) == (5, 5)
    assert all("is not an IP string literal" in bad.reason for bad in ack.rejected)
    assert store.append(events).duplicates == 5
    holds_exactly(store, [str(event["event.id"]) for event in events[::2]])


def test_a_full_disk_is_said_and_passes(cluster: Cluster, store: ElasticsearchStore) -> None:
    store.append([make(number) for number in range(BATCH)])
    watermark = "cluster.routing.allocation.disk."
    full = {
        f"{watermark}threshold_enabled": True,
        f"{watermark}watermark.low": "900tb",
        f"{watermark}watermark.high": "900tb",
        f"{watermark}watermark.flood_stage": "900tb",
    }
    cluster.nodes[0].ask("PUT", "/_cluster/settings", {"persistent": full})
    until(lambda: store.health().state == "read_only")
    assert any("the disks of Elasticsearch are full" in reason for reason in store.health().reasons)
    with pytest.raises(StoreError, match="the disks of Elasticsearch are full"):
        store.append([make(number) for number in range(BATCH, 2 * BATCH)])
    assert store.count(question()) == BATCH
    free = {name: False if name.endswith("enabled") else None for name in full}
    cluster.nodes[0].ask("PUT", "/_cluster/settings", {"persistent": free})
    until(lambda: store.health().state == "ok")
    assert store.append([make(number) for number in range(2 * BATCH)]).accepted == BATCH
    holds_exactly(store, [str(make(number)["event.id"]) for number in range(2 * BATCH)])
