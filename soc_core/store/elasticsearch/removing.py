"""Remove events for good, by whole indices only: dropping one costs nothing, taking events out of it a great deal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from elasticsearch import NotFoundError

from soc_core.model.event import DATASET
from soc_core.store.elasticsearch.faults import in_words
from soc_core.store.elasticsearch.indices import size_of
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.templates import DAY
from soc_core.store.interface import Removal

_MOST: Final = 10_000
"""Data sets in one index that are looked at."""
_NEVER: Final = "99999999"


def remove_indices(place: Place, cuts: Mapping[str, str]) -> tuple[Removal, list[str]]:
    """Drop each index all of whose days lie before the cut of all its data sets; return what was done and the names.

    Killed and repeated, it ends the same. Overflow and other mixed indices go by what they hold.
    """
    events = freed = 0
    kept: list[str] = []
    gone: list[str] = []
    with in_words(place.where):
        names = place.client.indices.get(index=place.pattern, filter_path="*.settings.index.uuid").body
        for name in sorted(names):
            held = _held(place, name)
            if not any(_asked(dataset, first, cuts) for dataset, (first, _, _) in held.items()):
                continue
            if all(last < cuts.get(dataset, "") for dataset, (_, last, _) in held.items()):
                number = sum(count for _, _, count in held.values())
                size = size_of(place.client, name)
                if _drop(place, name):
                    events, freed = events + number, freed + size
                gone.append(name)
            else:
                kept.append(name)
    return Removal(events, freed, tuple(kept)), gone


def _held(place: Place, name: str) -> dict[str, tuple[str, str, int]]:
    """Return of each data set in an index its first and last day and its events."""
    found: dict[str, tuple[str, str, int]] = {}
    days = {"first": {"min": {"field": DAY}}, "last": {"max": {"field": DAY}}}
    answer: Any = place.client.search(
        index=name,
        size=0,
        allow_partial_search_results=False,
        aggs={"found": {"terms": {"field": DATASET, "size": _MOST, "missing": ""}, "aggs": days}},
    ).body
    if answer["aggregations"]["found"]["sum_other_doc_count"]:
        found[name] = (_NEVER, _NEVER, 0)  # no data set is named so: the index stays, whatever is asked for
    for item in answer["aggregations"]["found"]["buckets"]:
        first, last = (f"{int(item[end]['value']):08d}" for end in ("first", "last"))
        found[item["key"]] = (first, last, int(item["doc_count"]))
    return found


def _asked(dataset: str, first: str, cuts: Mapping[str, str]) -> bool:
    return first < cuts.get(dataset, "")


def _drop(place: Place, name: str) -> bool:
    """Drop an index; ``False`` when somebody else did."""
    try:
        place.client.indices.delete(index=name, master_timeout="30s")
    except NotFoundError:
        return False
    return True
