"""Work on a cluster while things happen to it, and hold that nothing acknowledged is lost or doubled."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from soc_core.errors import StoreError
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.interface import EventStore
from tests.contract.elasticsearch_places import place_at
from tests.contract.samples import all_of, make, question
from tests.elasticsearch_server import Cluster

BATCH: Final = 40
PATIENCE: Final = 90.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, with a bound."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@dataclass
class Load:
    """Append and search without end, as a pipeline and its readers do.

    What was refused is sent again, cut into other batches. ``moments`` are when appends were acknowledged.
    """

    writer: EventStore
    reader: EventStore
    acknowledged: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    searches: int = 0
    partial: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        number, size = 0, BATCH
        while not self._over.wait(0.02):
            batch = [make(number + n) for n in range(size)]
            try:
                ack = self.writer.append(batch)
            except StoreError as error:
                self.refusals.append(str(error))
                size = BATCH // 2 + len(self.refusals) % BATCH
                continue
            if ack.rejected:
                self.wrong.append(f"rejected: {ack.rejected[0].reason}")
            self.acknowledged += [str(event["event.id"]) for event in batch]
            self.moments.append(time.monotonic())
            number, size = number + size, BATCH

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


def holds_exactly(store: EventStore, acknowledged: list[str]) -> None:
    """Hold that there is each acknowledged event once, and nothing else."""
    counted = Counter(str(event["event.id"]) for event in all_of(store))
    doubled = [name for name, times in counted.items() if times > 1]
    assert not doubled, f"{len(doubled)} are doubled: {doubled[:3]}"
    lost = sorted(set(acknowledged) - set(counted))
    assert not lost, f"{len(lost)} of {len(acknowledged)} are lost: {lost[:3]}"
    more = sorted(set(counted) - set(acknowledged))  # what was being sent when we stopped
    assert len(more) <= 2 * BATCH, f"{len(more)} were never acknowledged: {more[:3]}"
    found = store.count(question())
    assert found == len(counted), f"counted {found}, read {len(counted)}"


def is_green(cluster: Cluster, store: ElasticsearchStore) -> bool:
    living = next(node for node in cluster.nodes if node.alive)
    try:
        health = living.ask("GET", f"/_cluster/health/{store.place.prefix}-*?expand_wildcards=all")
    except OSError:  # as while there is no master
        return False
    return health["status"] == "green" and health["number_of_nodes"] == sum(n.alive for n in cluster.nodes)
