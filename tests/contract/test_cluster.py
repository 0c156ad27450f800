"""Hold on three real nodes that nothing acknowledged is lost or doubled, whatever happens to the nodes.

``./run bench cluster`` does more of the same for longer.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest

from soc_core.errors import StoreError
from soc_core.model.event import Event
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.writer import Writing
from soc_core.store.interface import EventStore
from tests.contract.elasticsearch_places import opener, place_at
from tests.contract.samples import make, question
from tests.elasticsearch_server import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOW: Final = Writing(replicas=1, lease_seconds=4.0)
BATCH: Final = 40
PATIENCE: Final = 90.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as running:
        yield running


@pytest.fixture
def store(cluster: Cluster) -> Iterator[ElasticsearchStore]:
    with opener(cluster.urls, HOW) as reopen:
        yield reopen()


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, with a bound."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@dataclass
class Load:
    """Append and search without end, as a pipeline and its readers do: what was refused is sent again."""

    writer: EventStore
    reader: EventStore
    acknowledged: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    searches: int = 0
    partial: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        number = 0
        while not self._over.wait(0.02):
            batch = [make(number + n) for n in range(BATCH)]
            try:
                ack = self.writer.append(batch)
            except StoreError as error:
                self.refusals.append(str(error))
                continue
            if ack.rejected:
                self.wrong.append(f"rejected: {ack.rejected[0].reason}")
            self.acknowledged += [str(event["event.id"]) for event in batch]
            number += BATCH

    def search(self) -> None:
        while not self._over.wait(0.05):
            least = len(self.acknowledged)
            try:
                page = self.reader.search(question(limit=5))
                count = self.reader.count(question())
            except StoreError as error:
                self.partial.append(str(error))
                continue
            self.searches += 1
            if page.partial:
                self.partial.append(page.partial)
            elif count < least:
                self.wrong.append(f"counted {count} when {least} were acknowledged")

    def after(self, batches: int) -> None:
        """Wait until more batches were acknowledged."""
        wanted = len(self.acknowledged) + batches * BATCH
        until(lambda: len(self.acknowledged) >= wanted or bool(self.wrong))

    def stop(self) -> None:
        self._over.set()


@contextmanager
def load_on(store: ElasticsearchStore, cluster: Cluster) -> Iterator[Load]:
    reader = ElasticsearchStore(place_at(cluster.urls, store.place.prefix), writer=False)
    load = Load(store, reader)
    threads = [threading.Thread(target=load.write), threading.Thread(target=load.search)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()
        reader.close()


def everything(store: EventStore) -> list[Event]:
    found: list[Event] = []
    offset = 0
    while True:
        batch, following = store.read_from(offset)
        if following == offset:
            return found
        found.extend(batch)
        offset = following


def holds_exactly(store: EventStore, acknowledged: list[str]) -> None:
    """Hold that there is each acknowledged event once, and nothing else."""
    counted = Counter(str(event["event.id"]) for event in everything(store))
    assert not [name for name, times in counted.items() if times > 1]
    assert set(acknowledged) <= set(counted)
    assert len(set(counted) - set(acknowledged)) <= BATCH  # what was being sent when we stopped
    assert store.count(question()) == len(counted)


def is_green(cluster: Cluster, store: ElasticsearchStore) -> bool:
    living = next(node for node in cluster.nodes if node.alive)
    health = living.ask("GET", f"/_cluster/health/{store.place.prefix}-*?expand_wildcards=all")
    return health["status"] == "green" and health["number_of_nodes"] == sum(n.alive for n in cluster.nodes)


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
        "cluster.info.update.interval": "10s",
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
