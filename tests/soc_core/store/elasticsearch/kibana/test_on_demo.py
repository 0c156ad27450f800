"""Ask everything the pack asks of a real Elasticsearch that holds the demo: each panel shows something.

The demo's events go in through the store itself, so indices and mapping are those of an installation. Each dashboard is
asked over the range it opens with, as Kibana would ask it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch

from soc_core.clock import utc_now
from soc_core.fields import FIELDS
from soc_core.store.elasticsearch.kibana.asking import lens_request, rows_of, search_request, within
from soc_core.store.elasticsearch.kibana.capabilities import aggregates
from soc_core.store.elasticsearch.kibana.content import content
from soc_core.store.elasticsearch.kibana.objects import SavedObject
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.pack import build_pack
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.writer import Writing
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Search
from tests.contract.elasticsearch_places import new_prefix, place_at
from tests.demo_run import DemoRun

pytestmark = pytest.mark.slow
BATCH = 4_000
NOTHING_IN_THE_DEMO: Mapping[str, str] = {
    "rdp_from_outside": "the demo's remote desktops stand in Windows logs, not in flows",
    "smb_across_border": "file shares of the demo stay inside",
    "cameras_talk_outside": "cameras of the demo talk to the inside only",
    "tls_old_version": "nothing in the demo speaks TLS 1.1",
    "rolled_up": "detail of the demo is younger than what is rolled up",
}
"""Saved searches that find nothing, and why; of the panels each finds something."""


@dataclass(frozen=True)
class Demo:
    """Hold the cluster with the demo's events, and the pack made for their prefix."""

    client: Elasticsearch
    objects: Mapping[str, SavedObject]

    def ask(self, view: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request over the indices of a data view, as Kibana sends it."""
        return dict(
            self.client.search(
                index=str(self.objects[view].attributes["title"]),
                ignore_unavailable=True,
                allow_no_indices=True,
                **{name.removeprefix("_"): value for name, value in body.items() if name != "_source"},
                source=body.get("_source", True),
            )
        )

    def view_of(self, one: SavedObject) -> str:
        return next(ref.id for ref in one.references if ref.type == "index-pattern")


@pytest.fixture(scope="module")
def demo(elasticsearch_url: str, demo_run: DemoRun) -> Iterator[Demo]:
    assert demo_run.ended.returncode == 0, demo_run.ended.stderr
    with new_prefix(elasticsearch_url) as prefix:
        place = place_at(elasticsearch_url, prefix)
        store = ElasticsearchStore(place, writer=True, how=Writing(replicas=0))
        try:
            fill(store, demo_run.state)
            place.client.indices.refresh(index=place.pattern)
            yield Demo(place.client, {one.id: one for one in build_pack(PackOptions(prefix))})
        finally:
            store.close()


def fill(store: ElasticsearchStore, state: Path) -> None:
    """Put the demo's events into the cluster."""
    whole = Search(SYSTEM_SCOPE, datetime(2000, 1, 1, tzinfo=UTC), utc_now() + timedelta(days=1))
    reader = EmbeddedStore(state / "events", writer=False)
    try:
        waiting = []
        for batch in reader.scan(whole):
            waiting += batch
            while len(waiting) >= BATCH:
                store.append(waiting[:BATCH])
                del waiting[:BATCH]
        ack = store.append(waiting)
        assert not ack.rejected
    finally:
        reader.close()


def since(text: str) -> tuple[dict[str, Any], float]:
    """Return the range that a dashboard opens with, and its length in seconds."""
    length = timedelta(days=int(text.removeprefix("now-").removesuffix("d")))
    now = utc_now()
    return within(now - length, now), length.total_seconds()


def test_every_panel_shows_something(demo: Demo) -> None:
    empty = []
    asked = 0
    for board in (one for one in demo.objects.values() if one.type == "dashboard"):
        bounds, seconds = since(str(board.attributes["timeFrom"]))
        for reference in board.references:
            if reference.type == "index-pattern":
                continue
            shown = demo.objects[reference.id]
            asked += 1
            if not rows(demo, shown, bounds, seconds):
                empty.append(f"{board.attributes['title']}: {shown.attributes['title']}")
    assert empty == []
    assert asked == sum(
        bool(p.metrics or p.search) for board in content().dashboards.values() for p in board.panels
    )


def rows(demo: Demo, shown: SavedObject, bounds: dict[str, Any], seconds: float) -> int:
    """Return how many rows a panel has."""
    view, attributes = demo.view_of(shown), dict[str, Any](shown.attributes)
    if shown.type == "search":
        source = orjson.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
        answer = demo.ask(view, search_request(source["query"]["query"], attributes["columns"], bounds))
        return len(answer["hits"]["hits"])
    state = attributes["state"]
    (layer,) = state["datasourceStates"]["formBased"]["layers"]
    return rows_of(demo.ask(view, lens_request(state, layer, bounds, seconds)))


def test_searches_find_something_or_are_named(demo: Demo) -> None:
    bounds, seconds = since("now-200d")
    found = {
        str(one.attributes["title"]): rows(demo, one, bounds, seconds)
        for one in demo.objects.values()
        if one.type == "search"
    }
    table = content().searches
    nothing = {id_ for id_, spec in table.items() if not found[spec.title.zh]}
    assert nothing == NOTHING_IN_THE_DEMO.keys()
    assert len(found) - len(nothing) >= 10


def test_columns_of_searches_are_filled(demo: Demo) -> None:
    """A column that no record found ever fills is no help: most must be filled by what the demo's collectors read."""
    bounds, _seconds = since("now-200d")
    for spec in content().searches.values():
        if spec.id in NOTHING_IN_THE_DEMO:
            continue
        one = next(one for one in demo.objects.values() if one.attributes["title"] == spec.title.zh)
        answer = demo.ask(demo.view_of(one), search_request(spec.query, list(spec.columns), bounds))
        filled = set().union(*(hit.get("fields", {}) for hit in answer["hits"]["hits"]))
        assert len(filled & {*spec.columns}) >= len(spec.columns) / 2, f"{spec.id}: {sorted(filled)}"


def test_controls_offer_values(demo: Demo) -> None:
    for board in (one for one in demo.objects.values() if one.type == "dashboard"):
        bounds, _seconds = since(str(board.attributes["timeFrom"]))
        for control in orjson.loads(
            dict[str, Any](board.attributes)["controlGroupInput"]["panelsJSON"]
        ).values():
            id_, name = control["explicitInput"]["id"], control["explicitInput"]["fieldName"]
            wanted = f"controlGroup_{id_}:optionsListDataView"
            view = next(one.id for one in board.references if one.name == wanted)
            values = {"terms": {"field": name}}
            body = {"query": {"bool": {"filter": [bounds]}}, "aggs": {"values": values}, "size": 0}
            assert demo.ask(view, body)["aggregations"]["values"]["buckets"], name


def test_kinds_of_fields_are_what_elasticsearch_says(demo: Demo) -> None:
    """The check decides by our templates what can be asked of a field: the cluster must agree."""
    events = next(one for one in demo.objects.values() if one.type == "index-pattern")
    told = demo.client.field_caps(index=str(events.attributes["title"]), fields="*")["fields"]
    for name in FIELDS:
        (caps,) = told[name].values()
        assert caps["aggregatable"] is aggregates(name), name
        assert caps["searchable"], name
