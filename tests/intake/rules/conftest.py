"""Make a pipeline whose one rule fires on each event of the user root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from cases.alerts.attach import AlertSink
from cases.alerts.tables import alerts
from intake.pipeline import Detectors, Pipeline
from intake.rules.model import Defaults
from intake.rules.policy import RulePolicy
from intake.rules.repository import SettingChange, change_setting
from intake.rules.tables import counts
from soc_core.clock import Clock, format_instant
from soc_core.model.detection import Detection, Entity, Severity, make_detection_id
from soc_core.model.event import Event, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE
from tests.conftest import NOW


class Root:
    """Fire on every event of the user root; each is about the event's own address."""

    id = "sigma"

    def detect(self, events: Sequence[Event]) -> list[Detection]:
        return [self.make(event) for event in events if event.get("user.name") == "root"]

    def make(self, event: Event) -> Detection:
        unit, at = str(event["organization.id"]), str(event["@timestamp"])
        entity = Entity("ip", str(event["source.ip"]), "default")
        return Detection(
            id=make_detection_id("root", unit, entity, str(event["event.id"])),
            rule_id="root",
            rule_kind="sigma",
            kind="root",
            organization_id=unit,
            entity=entity,
            severity=Severity.MEDIUM,
            first_seen=at,
            last_seen=at,
            reasons=(),
            evidence=(str(event["event.id"]),),
        )


@dataclass
class Place:
    """Hold a pipeline with its policy, and units by code."""

    pipeline: Pipeline
    policy: RulePolicy
    database: Database
    tree: OrganisationTree
    number: int = 0
    units: dict[str, str] = field(default_factory=dict)

    def happen(self, count: int = 1, *, unit: str = "S1", address: str = "", user: str = "root") -> None:
        """Let something happen, each time at another address unless one is given, and detect it."""
        made: list[Event] = []
        for _ in range(count):
            self.number += 1
            at = format_instant(NOW - timedelta(hours=1) + timedelta(seconds=self.number))
            made.append(
                {
                    "@timestamp": at,
                    "event.id": make_event_id(at, b"test", self.number, b""),
                    "event.dataset": "test",
                    "user.name": user,
                    "source.ip": address or f"10.0.{self.number // 250}.{self.number % 250}",
                }
            )
        self.pipeline.take(made, organization_id=self.units[unit], zone="default")
        self.pipeline.advance()

    def set(self, unit: str = "", rule: str = "root", **parts: object) -> None:
        """Set something of a rule at a unit."""
        change = SettingChange(
            rule,
            self.units.get(unit, ""),
            "tester",
            "for the test",
            frozenset(parts),
            **parts,  # type: ignore[arg-type]
        )
        with self.database.write() as connection:
            change_setting(connection, SYSTEM_SCOPE, change, now=NOW)

    def alerts(self, unit: str = "S1") -> list[tuple[str, str]]:
        """Return kind and severity rank of the unit's alerts."""
        with self.database.read() as connection:
            question = select(alerts.c.kind, alerts.c.severity).where(
                alerts.c.organization_id == self.units[unit]
            )
            return sorted((row.kind, row.severity) for row in connection.execute(question))

    def counted(self, unit: str = "S1", rule: str = "root") -> dict[str, int]:
        """Return what was counted of a rule in a unit, zeros left out."""
        with self.database.read() as connection:
            question = select(counts).where(
                counts.c.organization_id == self.units[unit], counts.c.rule_id == rule
            )
            rows = connection.execute(question).mappings().all()
        names = ("fired", "silent", "suppressed", "over_budget", "opened")
        return {name: total for name in names if (total := sum(row[name] for row in rows))}


@pytest.fixture
def place(tmp_path: Path, database: Database, tree: OrganisationTree, clock: Clock) -> Iterator[Place]:
    store = EmbeddedStore(tmp_path / "events", writer=True)
    pipeline = Pipeline(store, database, Detectors([Root()]), AlertSink(clock), clock)
    pipeline.policy = policy = RulePolicy(database, store, clock, Defaults())
    units = {unit.code: unit.id for unit in tree.units.values()}
    yield Place(pipeline, policy, database, tree, units=units)
    store.close()
