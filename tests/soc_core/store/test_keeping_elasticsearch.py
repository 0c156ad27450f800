"""Hold that retention works on Elasticsearch by the same interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from soc_core.config import Settings
from soc_core.store.coverage import retention_report
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.interface import SYSTEM_SCOPE
from soc_core.store.keeping import apply_retention
from soc_core.store.rollup import EVENTS
from tests.contract.elasticsearch_places import opener
from tests.soc_core.store.test_keeping import NOW, POLICY, flow, rollups, total


@pytest.fixture
def cluster(elasticsearch_url: str) -> Iterator[ElasticsearchStore]:
    with opener(elasticsearch_url) as opened:
        store = opened()
        yield store
        store.close()


@pytest.mark.slow
def test_rolls_up_and_removes_on_elasticsearch_too(cluster: ElasticsearchStore) -> None:
    cluster.append([flow(n, host=n % 3) for n in range(30)])
    cluster.append([flow(99, day="20261123"), flow(100, day="20260901", **{"event.dataset": "syslog.auth"})])
    for turn in range(2):
        done = apply_retention(cluster, POLICY, NOW)
        assert (done.rollups, done.removal.events) == ((3, 30) if turn == 0 else (0, 0))
        rows = rollups(cluster)  # type: ignore[arg-type] # any store
        assert (total(rows, EVENTS), total(rows, "source.bytes")) == (30, 600)
    report = retention_report(cluster, Settings(), NOW, SYSTEM_SCOPE)
    assert [(row.dataset, row.how.kind, row.days) for row in report] == [
        ("packets.flow", "detail", 1),
        ("rollup.flow", "summary", 1),
        ("syslog.auth", "guaranteed", 1),
    ]
