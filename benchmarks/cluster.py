"""Let things happen to a cluster of three real Elasticsearch nodes while events are stored and searched.

Run it: ``./run bench cluster [--rounds 3] [--seed 1] [--contract]``. In each round, in an order the seed chooses: a
node is killed and comes back, a node stops answering for a while, a node is added and leaves, disks are full for a
while, all nodes are killed and come back. Says how long nothing was acknowledged. At the end every acknowledged event
must be there exactly once; no search may have missed one without saying that it is partial. ``--contract`` runs the
contract of event stores on the three nodes too. Exit code 0 when all of that holds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.writer import Writing
from tests.contract.cluster_load import Load, holds_exactly, is_green, load_on, until
from tests.contract.elasticsearch_places import opener
from tests.elasticsearch_server import Cluster

PAUSED: Final = 40.0
"""Seconds that a node does not answer: the master gives up on it after 30."""
WATERMARK: Final = "cluster.routing.allocation.disk."
FULL: Final[Mapping[str, object]] = {
    f"{WATERMARK}threshold_enabled": True,
    f"{WATERMARK}watermark.low": "900tb",
    f"{WATERMARK}watermark.high": "900tb",
    f"{WATERMARK}watermark.flood_stage": "900tb",
    "cluster.info.update.interval": "10s",
}
FREE: Final = {name: False if name.endswith("enabled") else None for name in FULL}


class Happenings:
    """Do to a cluster what happens to clusters."""

    def __init__(self, cluster: Cluster, store: ElasticsearchStore, load: Load, pick: random.Random) -> None:
        """Take what runs, and what chooses."""
        self._cluster, self._store, self._load, self._pick = cluster, store, load, pick

    def kill_one(self) -> None:
        """Kill a node, go on without it, and let it come back."""
        node = self._pick.choice(self._cluster.nodes)
        node.kill()
        self._load.after(10)
        node.start()

    def pause_one(self) -> None:
        """Let a node keep its connections and not answer."""
        node = self._pick.choice(self._cluster.nodes)
        node.pause()
        try:
            time.sleep(PAUSED)
        finally:
            node.go_on()
        self._load.after(10)

    def add_one(self) -> None:
        """Add a node, and kill it for good when all is balanced."""
        node = self._cluster.add()
        self._load.after(10)
        until(lambda: is_green(self._cluster, self._store))
        self._cluster.nodes.remove(node)
        node.kill()
        self._load.after(10)

    def fill_disks(self) -> None:
        """Let disks count as full, and as free again."""
        one = self._cluster.nodes[0]
        one.ask("PUT", "/_cluster/settings", {"persistent": FULL})
        until(lambda: self._store.health().state == "read_only")
        one.ask("PUT", "/_cluster/settings", {"persistent": FREE})
        self._load.after(10)

    def kill_all(self) -> None:
        """Kill all nodes and let them come back."""
        for node in self._cluster.nodes:
            node.kill()
        until(lambda: self._store.health().state == "down")
        for node in self._cluster.nodes:
            node.start(wait=False)
        for node in self._cluster.nodes:
            node.wait(nodes=len(self._cluster.nodes))
        self._load.after(10)


def silence(load: Load, begun: float) -> float:
    """Return the longest time in seconds without an acknowledgement since a moment."""
    moments = [begun, *(moment for moment in load.moments if moment >= begun), time.monotonic()]
    return max(later - earlier for earlier, later in itertools.pairwise(moments))


def run(rounds: int, pick: random.Random, *, contract: bool) -> bool:
    """Run all; return whether what must hold held."""
    begun = time.monotonic()
    with Cluster(3) as cluster:
        print(f"three nodes after {time.monotonic() - begun:.1f} s")
        held = not contract or run_contract(cluster)
        with opener(cluster.urls, Writing(replicas=1, lease_seconds=4.0)) as reopen:
            store = reopen()
            with load_on(store, cluster) as load:
                load.after(10)
                for _ in range(rounds):
                    happenings = Happenings(cluster, store, load, pick)
                    for happening in pick.sample(all_of(happenings), 5):
                        until(lambda: is_green(cluster, store))
                        show(happening, load)
                seconds = load.moments[-1] - load.moments[0]
            until(lambda: store.health().state in {"ok", "degraded"})
            print(
                f"acknowledged {len(load.acknowledged)} events in {seconds:.0f} s, refused {len(load.refusals)} appends"
            )
            print(
                f"searches: {load.searches} whole, {len(load.partial)} refused or partial, {len(load.wrong)} wrong"
            )
            for text in sorted({*load.refusals, *load.partial}):
                print(f"  said: {text}")
            for text in load.wrong[:10]:
                print(f"  WRONG: {text}")
            holds_exactly(store, load.acknowledged)
            print("every acknowledged event is there once")
            return held and not load.wrong


def all_of(happenings: Happenings) -> list[Callable[[], None]]:
    """Return all that can happen."""
    return [
        happenings.kill_one,
        happenings.pause_one,
        happenings.add_one,
        happenings.fill_disks,
        happenings.kill_all,
    ]


def show(happening: Callable[[], None], load: Load) -> None:
    """Let something happen and print what it did to the work."""
    begun, known = time.monotonic(), len(load.acknowledged)
    happening()
    took = time.monotonic() - begun
    name = happening.__name__.replace("_", " ")
    more = len(load.acknowledged) - known
    print(
        f"{name:11}  {took:5.1f} s  {more:6} events  longest without: {silence(load, begun):5.1f} s",
        flush=True,
    )


def run_contract(cluster: Cluster) -> bool:
    """Run the contract of event stores on the cluster."""
    words = [sys.executable, "-m", "pytest", "-q", "tests/contract/test_elasticsearch.py"]
    environment = {**os.environ, "EDUSOC_TEST_ELASTICSEARCH_URL": cluster.urls}
    begun = time.monotonic()
    root = Path(__file__).resolve().parent.parent
    passed = subprocess.run(words, env=environment, cwd=root, check=False).returncode == 0
    print(
        f"contract on three nodes: {'passed' if passed else 'FAILED'} after {time.monotonic() - begun:.0f} s"
    )
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--contract", action="store_true")
    arguments = parser.parse_args()
    held = run(arguments.rounds, random.Random(arguments.seed), contract=arguments.contract)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
