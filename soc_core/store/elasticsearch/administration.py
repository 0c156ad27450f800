"""Set a cluster up for our indices, and keep them in order: templates, copies, merged months, tiers, snapshots.

All of it may be repeated at any time, also while events are written. What a cluster does not offer (ILM and SLM are
missing in Elasticsearch's test distribution) is left out and said.

Two things are left out on purpose. No policy deletes: how long events stay is counted in calendar months by
``soc_core.store.retention`` alone. And ILM merges nothing: its ``forcemerge`` closes an index for writing (reference of
Elasticsearch 8.0, "Force merge"), and a school that was offline for weeks still writes to months past.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from elasticsearch import Elasticsearch

from soc_core.clock import Clock, utc_now
from soc_core.errors import UsageError
from soc_core.store.elasticsearch.client import read_capabilities
from soc_core.store.elasticsearch.faults import in_words
from soc_core.store.elasticsearch.indices import Indices
from soc_core.store.elasticsearch.place import Place

WARM_AFTER: Final = "40d"
"""When an index's month is surely over: from then on nodes of the warm tier may hold it, where there are any."""
SNAPSHOT_SCHEDULE: Final = "0 30 17 * * ?"
"""Every day at 17:30 UTC, 1:30 in Asia/Shanghai."""
SNAPSHOTS_KEPT: Final[Mapping[str, object]] = {"expire_after": "60d", "min_count": 7, "max_count": 100}


@dataclass(frozen=True, slots=True)
class Done:
    """Say what was set up: steps taken, and what the cluster does not offer."""

    copies: tuple[str, ...] = ()
    merging: tuple[str, ...] = ()
    lifecycle: bool = False
    snapshots: bool = False


class Administration:
    """Keep the indices of one prefix in order."""

    def __init__(self, place: Place, replicas: int, clock: Clock = utc_now) -> None:
        """Take where the indices are and how many copies each shard has beside the first."""
        self._client: Elasticsearch = place.client
        self._place, self._replicas, self._clock = place, replicas, clock

    def set_up(self, *, repository: str = "") -> Done:
        """Put templates and policies, correct copies, and merge past months; the policies where they are offered.

        With ``repository``, which must exist, a policy takes a snapshot of our indices every day. Raises
        ``UsageError`` when that repository is missing or the cluster has no such policies.
        """
        place = self._place
        capabilities = read_capabilities(self._client, place.where)
        if repository and not capabilities.snapshot_lifecycle:
            raise UsageError(
                "this Elasticsearch takes no snapshots by itself",
                where=place.where,
                todo="run: edusoc store backup, by a timer of the system",
            )
        with in_words(place.where):
            Indices(place, self._replicas, self._clock).install()
            if repository:
                self._put_snapshot_policy(repository)
            if capabilities.lifecycle:
                self._put_lifecycle()
            return Done(self._correct_copies(), self._merge(), capabilities.lifecycle, bool(repository))

    def _settings(self, name: str) -> dict[str, str]:
        """Return one setting of each of our indices of events, empty where it is not set."""
        answer: Any = self._client.indices.get_settings(
            index=self._place.pattern, name=name, flat_settings=True, ignore_unavailable=True
        ).body
        everything: Any = self._client.indices.get(
            index=self._place.pattern, filter_path="*.settings.index.uuid", ignore_unavailable=True
        ).body
        return {
            index: str(answer.get(index, {}).get("settings", {}).get(name, ""))
            for index in sorted(everything)
        }

    def _correct_copies(self) -> tuple[str, ...]:
        """Give indices as many copies as configured, in case that was changed since they were made."""
        copies = self._settings("index.number_of_replicas")
        wrong = tuple(name for name, number in copies.items() if number != str(self._replicas))
        for name in wrong:
            self._client.indices.put_settings(
                index=name, settings={"index": {"number_of_replicas": self._replicas}}
            )
        return wrong

    def _merge(self) -> tuple[str, ...]:
        """Begin to merge the indices of past months into one segment a shard, where they have several.

        Questions over a merged month take less time and memory. The cluster goes on by itself; returns what it began.
        """
        month = f"{self._clock():%Y.%m}"
        answer: Any = self._client.indices.stats(
            index=self._place.pattern, metric="segments", filter_path="indices.*.primaries.segments.count"
        ).body
        shards = self._settings("index.number_of_shards")
        past = [
            name
            for name, index in sorted(answer.get("indices", {}).items())
            if name.rpartition("-")[2] < month
            and index["primaries"]["segments"]["count"] > int(shards.get(name) or 1)
        ]
        for name in past:
            self._client.indices.forcemerge(index=name, max_num_segments=1, wait_for_completion=False)
        return tuple(past)

    def _put_lifecycle(self) -> None:
        """Put the policy that lets past months move to slower nodes, and name it in the indices that lack it."""
        name = f"{self._place.prefix}-events"
        phases = {
            "hot": {"actions": {"set_priority": {"priority": 100}}},
            "warm": {"min_age": WARM_AFTER, "actions": {"set_priority": {"priority": 50}}},
        }
        self._client.ilm.put_lifecycle(name=name, policy={"phases": phases})
        for index, policy in self._settings("index.lifecycle.name").items():
            if not policy:
                self._client.indices.put_settings(index=index, settings={"index.lifecycle.name": name})

    def _put_snapshot_policy(self, repository: str) -> None:
        """Put the policy that takes a snapshot of all our indices every day."""
        known: Any = self._client.snapshot.get_repository(name="*").body
        if repository not in known:
            raise UsageError(
                f"Elasticsearch has no snapshot repository '{repository}'",
                where=self._place.where,
                todo="register it in Elasticsearch first, or choose one of those it has",
            )
        prefix = self._place.prefix
        self._client.slm.put_lifecycle(
            policy_id=f"{prefix}-daily",
            name=f"<{prefix}-{{now/d}}>",
            schedule=SNAPSHOT_SCHEDULE,
            repository=repository,
            config={"indices": [f"{prefix}-*"], "ignore_unavailable": True, "include_global_state": False},
            retention=dict(SNAPSHOTS_KEPT),
        )
