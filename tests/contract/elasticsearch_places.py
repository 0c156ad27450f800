"""Places for tests: an index prefix of its own each, and nothing left behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest
from elasticsearch import Elasticsearch

from soc_core.config import Settings
from soc_core.store.elasticsearch.client import connect
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.templates import component_name
from soc_core.store.elasticsearch.writer import Writing
from soc_core.store.interface import EventStore
from tests.contract.store_contract import StoreContract, fill

NOW: Final = datetime(2026, 11, 24, tzinfo=UTC)
QUICK: Final = Writing(replicas=0, clock=lambda: NOW, lease_seconds=4.0)
CHANGING: Final = frozenset(
    {
        "test_groups",
        "test_pages_stay_while_events_come",
        "test_reads_past_what_was_removed",
        "test_survives_reopening",
        "test_takes_late_events",
        "test_tells_days",
    }
)
"""Tests that change or close the store they are given."""


def place_at(url: str, prefix: str) -> Place:
    """Return a place with a client of its own."""
    return Place(connect(Settings(elasticsearch_url=url)), prefix, url)


@contextmanager
def new_prefix(url: str) -> Iterator[str]:
    """Give a prefix, and remove at the end all that is named by it."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    try:
        yield prefix
    finally:
        client = connect(Settings(elasticsearch_url=url))
        clean(client, prefix)
        client.close()


def clean(client: Elasticsearch, prefix: str) -> None:
    """Remove the indices and templates of a prefix."""
    names = list(client.indices.get(index=f"{prefix}-*", filter_path="*.settings.index.uuid").body)
    if names:
        client.indices.delete(index=names)
    name = component_name(prefix)
    client.options(ignore_status=404).indices.delete_index_template(name=name)
    client.options(ignore_status=404).cluster.delete_component_template(name=name)


@contextmanager
def opener(url: str, how: Writing = QUICK) -> Iterator[Callable[[], ElasticsearchStore]]:
    """Give a function that opens the one store of a new prefix, anew each time it is called.

    Where there are several nodes each shard has a copy.
    """
    held: list[ElasticsearchStore] = []
    how = replace(how, replicas=1) if "," in url else how
    with new_prefix(url) as prefix:

        def reopen() -> ElasticsearchStore:
            for store in held:
                store.close()
            held[:] = [ElasticsearchStore(place_at(url, prefix), writer=True, how=how)]
            return held[0]

        try:
            yield reopen
        finally:
            for store in held:
                store.close()


class ElasticsearchContract(StoreContract):
    """Run the contract at the address of the fixture ``elasticsearch_url``.

    Here nothing is ever sealed, and making indices is what takes time: tests that only read share one store.
    """

    @pytest.fixture
    def reopen(self, elasticsearch_url: str) -> Iterator[Callable[[], EventStore]]:
        with opener(elasticsearch_url) as opened:
            yield opened

    @pytest.fixture
    def store(self, reopen: Callable[[], EventStore]) -> EventStore:
        return reopen()

    @pytest.fixture(scope="class")
    @classmethod
    def shared(cls, elasticsearch_url: str) -> Iterator[EventStore]:
        with opener(elasticsearch_url) as opened:
            yield fill(opened(), "log")

    @pytest.fixture
    def filled(self, request: pytest.FixtureRequest) -> Iterator[EventStore]:
        if request.function.__name__ in CHANGING:
            yield fill(request.getfixturevalue("store"), "log")
            return
        shared: EventStore = request.getfixturevalue("shared")
        before = shared.end_offset()
        yield shared
        assert shared.end_offset() == before, "this test changes its store: name it in CHANGING"
