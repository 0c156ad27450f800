"""Agents' events go into Elasticsearch as they go into the embedded store: once, from several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cases.alerts.attach import AlertSink
from detectors.health import HealthDetector
from intake.agents.enrolling import Trust
from intake.agents.quotas import Quota
from intake.agents.service import Intake
from intake.pipeline import Detectors, Pipeline
from soc_core.config import Settings
from soc_core.keys.signing import SigningKey
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.elasticsearch.store import ElasticsearchStore
from tests.contract.elasticsearch_places import new_prefix
from tests.intake.agents.conftest import Centre, Time, made


@pytest.fixture
def centre(
    elasticsearch_url: str, database: Database, tree: OrganisationTree, time: Time
) -> Iterator[Centre]:
    with new_prefix(elasticsearch_url) as prefix:
        settings = Settings(
            elasticsearch_url=elasticsearch_url, elasticsearch_prefix=prefix, elasticsearch_replicas=0
        )
        store = ElasticsearchStore.at(settings, writer=True)
        detectors = Detectors([HealthDetector()], cursor=f"detect@{prefix}")
        pipeline = Pipeline(store, database, detectors, AlertSink(time), time)
        intake = Intake(pipeline, database, Trust(SigningKey(bytes(32)), ""), Quota(10_000, 1 << 30), time)
        yield Centre(intake, pipeline, store, database, tree, time)
        store.close()


@pytest.mark.slow
def test_several_agents_at_once_and_sent_again(centre: Centre) -> None:
    players = [centre.join(name, "S1") for name in ("one", "two", "three")]

    def send(number: int) -> None:
        for start in (0, 40, 20):
            name = f"firewall {number}"
            players[number].send(made(60, start=start, fields={"observer.name": name}), at=start)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = centre.events("syslog")
    assert len(found) == len({event["event.id"] for event in found}) == 300
    foreign = centre.tree.find("S2").id
    players[0].send(made(1, start=500, fields={"organization.id": foreign}), at=100)
    assert (centre.tree.find("S1").id, "agent_foreign_unit", "one") in centre.alerts()
