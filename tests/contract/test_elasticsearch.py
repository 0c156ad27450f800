"""Run the contract on a real Elasticsearch, and hold what only that store promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from soc_core.errors import UsageError
from soc_core.store.elasticsearch.store import ElasticsearchStore
from tests.contract.elasticsearch_places import ElasticsearchContract, opener, place_at
from tests.contract.samples import make, question


@pytest.fixture
def reopen(elasticsearch_url: str) -> Iterator[Callable[[], ElasticsearchStore]]:
    with opener(elasticsearch_url) as opened:
        yield opened


@pytest.fixture
def store(reopen: Callable[[], ElasticsearchStore]) -> ElasticsearchStore:
    return reopen()


class TestElasticsearch(ElasticsearchContract):
    """Run the contract."""


def test_reader_sees_what_was_acknowledged(store: ElasticsearchStore, elasticsearch_url: str) -> None:
    reader = ElasticsearchStore(place_at(elasticsearch_url, store.place.prefix), writer=False)
    try:
        for start in range(0, 50, 10):
            store.append([make(n) for n in range(start, start + 10)])
            assert reader.count(question()) == start + 10
        assert reader.read_from(0)[1] == store.end_offset() == reader.end_offset()
        with pytest.raises(UsageError):
            reader.append([make(1)])
        assert reader.verify() == []
    finally:
        reader.close()


def test_reader_opens_before_the_first_writer(elasticsearch_url: str) -> None:
    reader = ElasticsearchStore(place_at(elasticsearch_url, "test-never-written"), writer=False)
    assert reader.search(question()).events == []
    assert reader.read_from(0) == ([], 0)
    assert reader.count(question()) == 0
    assert [*reader.scan(question())] == []
    reader.close()
