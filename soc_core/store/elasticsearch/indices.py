"""Name and make the indices of events: one for each data set and month.

The month is that of the event's id (``partition_of``), never that of a time that may be guessed anew: an id always
goes to the same month. Months that a wrong clock invents do not each get an index: what lies outside the window around
now goes to one index of the data set, ``…-overflow``, and so do data sets beyond a bound to that of ``other``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final

from elasticsearch import ApiError, BadRequestError, Elasticsearch

from soc_core.clock import Clock
from soc_core.model.event import partition_of
from soc_core.store.elasticsearch.faults import cause_of
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.templates import (
    component_name,
    component_template,
    index_template,
    mappings,
)

MONTHS_BACK: Final = 13
MONTHS_AHEAD: Final = 1
MOST_DATASETS: Final = 100
OVERFLOW: Final = "overflow"
OTHER: Final = "other"
SHARD_BYTES: Final = 30 * 1024**3
"""What a shard should hold at most; Elasticsearch's guide names 10 to 50 GB (reference 8.19, "Size your shards")."""
MOST_SHARDS: Final = 16
_MOST_NAMES: Final = 10_000
_SOUND: Final = re.compile(r"[a-z0-9][a-z0-9._]{0,60}")


class Indices:
    """Know which indices there are and make those that are missing; used by the one writer."""

    def __init__(self, place: Place, replicas: int, clock: Clock) -> None:
        """Take the cluster, and the copies that each shard has beside the first."""
        self._client, self._prefix, self._pattern = place.client, place.prefix, place.pattern
        self._replicas, self._clock = replicas, clock
        self._known: set[str] = set()
        self._datasets: set[str] = set()
        self._month = 0
        self._names: dict[tuple[str, str], str] = {}

    def install(self) -> None:
        """Put the templates and learn which indices there are."""
        name = component_name(self._prefix)
        self._client.cluster.put_component_template(name=name, **component_template(self._replicas))
        self._client.indices.put_index_template(name=name, **index_template(self._prefix))
        self.learn()
        self._map_new_fields()

    def learn(self) -> None:
        """Learn which indices there are."""
        found = self._client.indices.get(
            index=self._pattern, filter_path="*.settings.index.uuid", ignore_unavailable=True
        )
        self._known = set(found.body)
        self._datasets = {parts_of(name, self._prefix)[0] for name in self._known}
        self._names.clear()

    def _map_new_fields(self) -> None:
        """Give indices of an older dictionary the fields it lacked; those that changed their type stay as they are."""
        wanted = mappings()
        found: Any = self._client.indices.get_mapping(
            index=self._pattern, filter_path="*.mappings._meta", ignore_unavailable=True
        ).body
        known = {name: index["mappings"].get("_meta") for name, index in found.items()}
        for name in sorted(self._known):
            if known.get(name) == wanted["_meta"]:
                continue
            try:
                self._client.indices.put_mapping(
                    index=name, properties=wanted["properties"], meta=wanted["_meta"]
                )
            except BadRequestError:
                continue  # ``verify`` names it

    def look_at_clock(self) -> None:
        """Move the window of months that have indices of their own to where the clock is now."""
        now = _month_number(self._clock().strftime("%Y%m"))
        if now != self._month:
            self._names.clear()
            self._month = now

    def name_of(self, event_id: str, dataset: str) -> str:
        """Return the index of an event."""
        key = (event_id[:6], dataset)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self._make_name(event_id, dataset)
            if len(self._names) > _MOST_NAMES:
                self._names = {key: name}
        return name

    def _make_name(self, event_id: str, dataset: str) -> str:
        crowded = dataset not in self._datasets and len(self._datasets) >= MOST_DATASETS
        if crowded or not _SOUND.fullmatch(dataset):
            dataset = OTHER
        self._datasets.add(dataset)
        month = month_of(event_id)
        ahead = _month_number(month.replace(".", "")) - self._month
        return (
            f"{self._prefix}-events-{dataset}-{month if -MONTHS_BACK <= ahead <= MONTHS_AHEAD else OVERFLOW}"
        )

    def are_many(self, month: str) -> bool:
        """Tell whether an event of the month may stand in more than one index."""
        ends = (f"-{month}", f"-{OVERFLOW}")
        return sum(name.endswith(ends) for name in self._known) > 1

    def ensure(self, names: Iterable[str]) -> None:
        """Make the indices that are missing; each gets shards by the size of its data set's month before."""
        for name in sorted(set(names) - self._known):
            settings = {"index": {"number_of_shards": self._shards_for(name)}}
            try:
                self._client.indices.create(index=name, settings=settings, wait_for_active_shards=1)
            except ApiError as error:
                if cause_of(error.body)[0] != "resource_already_exists_exception":
                    raise
            self._known.add(name)

    def forget(self, names: Iterable[str]) -> None:
        """Forget indices that are gone."""
        self._known.difference_update(names)

    def _shards_for(self, name: str) -> int:
        dataset, _ = parts_of(name, self._prefix)
        before = sorted(n for n in self._known if parts_of(n, self._prefix)[0] == dataset and n < name)
        if not before:
            return 1
        return shards_for(size_of(self._client, before[-1]))


def shards_for(size: int) -> int:
    """Return how many shards hold ``size`` bytes."""
    return min(MOST_SHARDS, max(1, math.ceil(size / SHARD_BYTES)))


def size_of(client: Elasticsearch, pattern: str) -> int:
    """Return the bytes of all first copies of the shards of indices."""
    answer: Any = client.indices.stats(
        index=pattern, metric="store", filter_path="_all.primaries.store.size_in_bytes"
    ).body
    return int(answer.get("_all", {}).get("primaries", {}).get("store", {}).get("size_in_bytes", 0))


def parts_of(name: str, prefix: str) -> tuple[str, str]:
    """Return data set and month (``YYYY.MM`` or ``overflow``) of an index."""
    dataset, _, month = name.removeprefix(f"{prefix}-events-").rpartition("-")
    return dataset, month


def indices_of(pattern: str, month: str) -> list[str]:
    """Return the patterns of all indices that may hold events of a month."""
    return [f"{pattern}-{month}", f"{pattern}-{OVERFLOW}"]


def month_of(event_id: str) -> str:
    """Return the month of an event's id as indices have it: ``YYYY.MM``."""
    day = partition_of(event_id)
    return f"{day[:4]}.{day[4:6]}"


def _month_number(text: str) -> int:
    """Return the months since year 0 of YYYYMM."""
    return int(text[:4]) * 12 + int(text[4:6])
