"""Hold that what could not be refreshed as a whole is refreshed again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.visibility import Visibility
from tests.contract.elasticsearch_places import new_prefix, place_at


@pytest.fixture
def place(elasticsearch_url: str) -> Iterator[Place]:
    with new_prefix(elasticsearch_url) as prefix:
        yield place_at(elasticsearch_url, prefix)


def test_what_was_not_there_is_refreshed_when_it_is_back(place: Place) -> None:
    here, away = f"{place.prefix}-events-here-2026.11", f"{place.prefix}-events-away-2026.11"
    place.client.indices.create(index=here, settings={"index.refresh_interval": "-1"})
    require = {"index.routing.allocation.require._name": "nobody"}
    place.client.indices.create(index=away, settings=require, wait_for_active_shards="0")
    visibility = Visibility(place)
    place.client.index(index=here, id="1", document={})
    visibility.reach(2)
    assert place.client.count(index=here)["count"] == 1
    place.client.index(index=here, id="2", document={})  # acknowledged, in a part that the refresh left out
    place.client.indices.delete(index=away)
    visibility.reach(2)
    assert place.client.count(index=here)["count"] == 2
