"""Run the contract on a real Elasticsearch, and hold what only that store promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from soc_core.errors import UsageError
from soc_core.store.elasticsearch.store import ElasticsearchStore
from tests.contract.elasticsearch_places import QUICK, ElasticsearchContract, new_prefix, opener, place_at
from tests.contract.samples import make, question
from tests.contract.store_contract import pages

ROOT = Path(__file__).resolve().parents[2]


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


WRITER = """
import sys
from dataclasses import replace
from soc_core.store.elasticsearch.store import ElasticsearchStore
from tests.contract.elasticsearch_places import QUICK, place_at
from tests.contract.samples import make
store = ElasticsearchStore(place_at(sys.argv[1], sys.argv[2]), writer=True, how=QUICK)
start = int(sys.argv[3])
while True:
    store.append([make(n, day=18 + n % 4) for n in range(start, start + 50)])
    print(start + 50, flush=True)
    start += 37  # batches overlap: a retry with other boundaries
"""


@pytest.mark.slow
def test_loses_and_doubles_nothing_when_killed(elasticsearch_url: str) -> None:
    with new_prefix(elasticsearch_url) as prefix:
        acknowledged = 0
        for turn in range(5):
            process = subprocess.Popen(
                [sys.executable, "-c", WRITER, elasticsearch_url, prefix, str(max(0, acknowledged - 100))],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            for _ in range(5 + 3 * turn):
                acknowledged = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split("\n")
            acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
            process.wait()
            process.stdout.close()
        store = ElasticsearchStore(place_at(elasticsearch_url, prefix), writer=True, how=QUICK)
        found = pages(store, limit=5_000)
        assert len(found) == len(set(found)) == store.count(question())
        assert {make(n, day=18 + n % 4)["event.id"] for n in range(acknowledged)} <= set(found)
        log = [str(event["event.id"]) for event in store.read_from(0, 100_000)[0]]
        assert sorted(log) == sorted(found)
        assert store.verify() == []
        store.close()
