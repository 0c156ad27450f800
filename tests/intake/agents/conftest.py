"""A centre with units of conftest's tree, and agents that speak to it as the wire says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest

from cases.alerts.attach import AlertSink
from detectors.health import HealthDetector
from intake.agents import repository
from intake.agents.enrolling import Trust, give_code
from intake.agents.model import Agent, NewCode
from intake.agents.quotas import Quota
from intake.agents.service import Intake
from intake.pipeline import Detectors, Pipeline
from soc_core.clock import format_instant
from soc_core.keys.signing import SigningKey
from soc_core.model.event import Event, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, EventStore, Search
from soc_core.uplink.answers import Receipt
from soc_core.uplink.enrolment import EnrolAnswer, EnrolRequest
from soc_core.uplink.heartbeat import Heartbeat
from soc_core.uplink.wire import HEARTBEAT, RECORDS, Envelope, Item, encode_records
from tests.conftest import NOW

CERTIFICATE = b"a certificate"
ADDRESS = "10.9.8.7"


@dataclass
class Time:
    """Be a clock that a test sets."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **length: float) -> None:
        self.now += timedelta(**length)


@dataclass
class Centre:
    """Hold a centre without its network."""

    intake: Intake
    pipeline: Pipeline
    store: EventStore
    database: Database
    tree: OrganisationTree
    time: Time

    def code(self, *units: str, below: bool = False, name: str = "", zone: str = "default") -> str:
        wanted = NewCode("", zone, format_instant(self.time() + timedelta(days=1)), below=below, name=name)
        with self.database.write() as connection:
            found = [self.tree.find(unit) for unit in units]
            return give_code(connection, CERTIFICATE, found, wanted, now=self.time()).text

    def agent(self, name: str) -> Agent:
        with self.database.read() as connection:
            return repository.need_agent(connection, name)

    def events(self, dataset: str = "") -> list[Event]:
        request = Search(SYSTEM_SCOPE, NOW - timedelta(days=400), NOW + timedelta(days=400))
        found = [event for batch in self.store.scan(request) for event in batch]
        return [event for event in found if not dataset or event["event.dataset"] == dataset]

    def alerts(self) -> list[tuple[str, str, str]]:
        from cases.alerts.repository import AlertFilter, list_alerts

        self.pipeline.advance()
        with self.database.read() as connection:
            found = list_alerts(connection, SYSTEM_SCOPE, AlertFilter())
        return sorted((alert.organization_id, alert.kind, alert.entity.value) for alert in found)

    def join(self, name: str, *units: str, below: bool = False, zone: str = "default") -> Player:
        from soc_core.uplink.enrolment import EnrolmentCode

        key = SigningKey(name.encode().ljust(32, b"."))
        code = EnrolmentCode.parse(self.code(*units, below=below, zone=zone))
        request = EnrolRequest.make(code, key, name=name, version="1", system="Linux")
        return Player(self, key, self.intake.registrar.enrol(request.encode(), ADDRESS))


@dataclass
class Player:
    """Speak as an agent does."""

    centre: Centre
    key: SigningKey
    told: EnrolAnswer
    epoch: str = "e1"
    number: int = 0
    offset: int = 0
    skew: timedelta = field(default_factory=timedelta)

    def headers(self, path: str, body: bytes, number: int = 0) -> dict[str, str]:
        self.number += 1
        at = format_instant(self.centre.time() + self.skew)
        return Envelope(self.told.agent, self.epoch, number or self.number, at).headers(path, body, self.key)

    def post(self, path: str, headers: dict[str, str], body: bytes) -> Receipt:
        gate, receiver = self.centre.intake.gate, self.centre.intake.receiver
        admitted = gate.enter(headers, path, ADDRESS)
        try:
            gate.check_body(admitted, body)
            return (receiver.records if path == RECORDS else receiver.heartbeat)(admitted, body)
        finally:
            gate.leave(admitted)

    def send(self, events: Sequence[Event | bytes], at: int | None = None) -> Receipt:
        start = self.offset if at is None else at
        lines = [event if isinstance(event, bytes) else orjson.dumps(event) for event in events]
        body = encode_records([Item(start, lines)])
        self.offset = start + len(lines)
        return self.post(RECORDS, self.headers(RECORDS, body), body)

    def beat(self, beat: Heartbeat) -> Receipt:
        body = beat.encode()
        return self.post(HEARTBEAT, self.headers(HEARTBEAT, body), body)


def made(count: int, start: int = 0, fields: Mapping[str, str] | None = None) -> list[Event]:
    """Return events as an agent makes them, without unit and zone; ``fields`` are set in all of them."""
    fields = fields or {}
    found: list[Event] = []
    for number in range(start, start + count):
        at = format_instant(NOW - timedelta(seconds=number))
        name = fields.get("event.dataset", "syslog")
        identity = f"{name} {fields}".encode()
        event: Event = {
            "@timestamp": at,
            "event.id": make_event_id(at, identity, number, b""),
            "event.dataset": "syslog",
            "event.kind": "event",
            "message": f"message {number}",
        }
        found.append({**event, **fields})
    return found


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def centre(database: Database, tree: OrganisationTree, tmp_path: Path, time: Time) -> Iterator[Centre]:
    store = EmbeddedStore(tmp_path / "events", writer=True)
    pipeline = Pipeline(store, database, Detectors([HealthDetector()]), AlertSink(time), time)
    trust = Trust(SigningKey(bytes(32)), "")
    intake = Intake(pipeline, database, trust, Quota(1_000, 1 << 30), time)
    yield Centre(intake, pipeline, store, database, tree, time)
    store.close()
