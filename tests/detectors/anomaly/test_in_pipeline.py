"""In the pipeline the alerts come out the same, whether events come at once or in bits, in order or late."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from cases.alerts.attach import AlertSink
from cases.alerts.tables import alerts
from detectors.anomaly.registry import default_detectors
from intake.pipeline import Detectors, Pipeline
from soc_core.clock import Clock
from soc_core.model.event import Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from tests.detectors.anomaly.test_invariance import mixed
from tests.postgresql_server import fill, rows_of

Outcome = set[tuple[str, str, int]]


def outcome(
    folder: Path,
    database: Database,
    clock: Clock,
    unit: str,
    batches: Sequence[Sequence[Event]],
    *,
    eager: bool,
) -> Outcome:
    store = EmbeddedStore(folder, writer=True)
    try:
        pipeline = Pipeline(store, database, Detectors(windows=default_detectors()), AlertSink(clock), clock)
        for batch in batches:
            pipeline.take([dict(event) for event in batch], organization_id=unit, zone="default")
            pipeline.advance()
            if eager:
                pipeline.settle()
        pipeline.settle()
    finally:
        store.close()
    with database.read() as connection:
        rows = connection.execute(select(alerts.c.kind, alerts.c.entity_value, alerts.c.severity)).all()
    return {(row.kind, row.entity_value, row.severity) for row in rows}


def test_bits_and_late_events_give_the_same_alerts(
    tmp_path: Path, database: Database, tree: OrganisationTree, clock: Clock, other_database: Database
) -> None:
    fill(other_database, rows_of(database))  # the same units
    unit = tree.find("S1").id
    whole = outcome(tmp_path / "one", database, clock, unit, [mixed()], eager=False)
    kinds = {kind for kind, _, _ in whole}
    assert kinds >= {"port_scan", "host_scan", "ssh_bruteforce", "beacon", "dns_tunnel", "exfiltration"}
    late = list(mixed())
    random.Random(2).shuffle(late)
    size = len(late) // 5 + 1
    batches = [late[start : start + size] for start in range(0, len(late), size)]
    bits = outcome(tmp_path / "two", other_database, clock, unit, batches, eager=True)
    assert bits == whole
