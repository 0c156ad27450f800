"""Measure the centre's intake: processor time per event of each stage from the body of a request to the sealed store.

``python -m benchmarks.intake [--events N] [--rules]`` prints events per CPU-second. ``--rules`` adds all bundled rules
and detectors. One process and no network: TLS and HTTP cost some 2 ms a request of thousands of events.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson

from cases.alerts.attach import AlertSink
from edusoc.bulk import BulkMemory
from edusoc.composition import build_detectors, open_database, open_rules
from edusoc.identity import order_key
from intake.agents.admission import Admitted
from intake.agents.enrolling import Trust, give_code
from intake.agents.model import Agent, NewCode
from intake.agents.placing import Placer, covered_units
from intake.agents.quotas import Quota
from intake.agents.repository import need_agent
from intake.agents.service import Intake
from intake.assigning import AddressResolver
from intake.enrich.registry import default_enrichers
from intake.pipeline import Detectors, Pipeline
from soc_core.clock import format_instant, utc_now
from soc_core.config import Settings
from soc_core.keys.signing import SigningKey
from soc_core.model.event import Event, make_event_id
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import OrganisationTree, load_tree, put_unit, today
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.uplink.enrolment import EnrolRequest
from soc_core.uplink.wire import RECORDS, Envelope, Item, decode_records, encode_records

BATCH = 5_000


def firewall(number: int) -> Event:
    """Return an event as a firewall's log line becomes one, some 750 bytes as JSON."""
    at = format_instant(utc_now() - timedelta(seconds=60) + timedelta(microseconds=number))
    return {
        "@timestamp": at,
        "event.id": make_event_id(at, b"bench", number, b""),
        "event.created": at,
        "event.kind": "event",
        "event.category": ["network"],
        "event.type": ["connection", "allowed"],
        "event.dataset": "huawei.firewall",
        "event.action": "permit",
        "observer.vendor": "Huawei",
        "observer.name": "fw1",
        "source.ip": f"10.1.{number // 250 % 250}.{number % 250}",
        "source.port": 1_024 + number % 60_000,
        "destination.ip": f"203.0.113.{number % 200}",
        "destination.port": (80, 443, 53, 8080)[number % 4],
        "network.transport": "tcp",
        "network.bytes": number * 17 % 100_000,
        "rule.name": f"policy{number % 20}",
        "log.source.address": "10.1.0.1",
        "event.original": f"<190>Nov 24 12:00:00 fw1 %%01POLICY/6/POLICYPERMIT(l)[{number}]:vsys=public, "
        "protocol=6, source-ip=10.1.2.3, source-port=40000, destination-ip=203.0.113.9, "
        f"destination-port=443, policy={number % 20}",
        "edusoc.extra": [f"session={number}", "vsys=public"],
    }


def timed(name: str, count: int, work: Callable[[], object]) -> object:
    """Do some work and print how many events it does in a CPU-second."""
    began = time.process_time()
    result = work()
    spent = time.process_time() - began
    print(f"{name:42s} {count / spent:>10,.0f} events per CPU-second  {spent / count * 1e6:6.2f} µs each")
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rules", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, BulkMemory():
        measure(Path(folder), given.events, rules=given.rules)


@dataclass
class Bench:
    """Hold a centre with one agent, whose requests are made here."""

    intake: Intake
    store: EmbeddedStore
    pipeline: Pipeline
    database: Database
    agent: Agent
    tree: OrganisationTree
    key: SigningKey
    number: int = 0

    def enter(self, body: bytes) -> Admitted:
        """Sign and admit a request."""
        self.number += 1
        envelope = Envelope(self.agent.id, "e1", self.number, format_instant(utc_now()))
        return self.intake.gate.enter(envelope.headers(RECORDS, body, self.key), RECORDS, "127.0.0.1")

    def receive(self, bodies: Sequence[bytes]) -> None:
        """Take requests as the application does."""
        for body in bodies:
            admitted = self.enter(body)
            self.intake.gate.check_body(admitted, body)
            self.intake.receiver.records(admitted, body)
            self.intake.gate.leave(admitted)

    def place(self, bodies: Sequence[bytes]) -> None:
        """Decode and check."""
        for body in bodies:
            covered = covered_units(self.agent, self.tree)
            placer = Placer(self.agent, covered, AddressResolver([]), self.tree, utc_now())
            for run in decode_records(body):
                for event in run.events:
                    if isinstance(event, dict):
                        placer.place(event)

    def store_all(self, bodies: Sequence[bytes]) -> None:
        """Do all: from requests to sealed and judged events."""
        self.receive(bodies)
        self.pipeline.advance()
        self.store.seal()
        self.pipeline.settle()


def build(folder: Path, *, rules: bool) -> Bench:
    """Make a centre and let an agent join."""
    settings, now = Settings(state=str(folder)), utc_now()
    database = open_database(settings)
    store = EmbeddedStore(folder / "events", writer=True)
    detectors = build_detectors(settings, open_rules(settings)) if rules else Detectors()
    pipeline = Pipeline(store, database, detectors, AlertSink(utc_now), utc_now)
    pipeline.enrichers = default_enrichers(settings, database, utc_now)
    intake = Intake(pipeline, database, Trust(order_key(settings), ""), Quota(10**9, 10**15), utc_now)
    with database.write() as connection:
        put_unit(connection, [Attribute("code", "S1"), Attribute("name", "S1")], {}, now=now)
        tree = load_tree(connection, today(now))
        wanted = NewCode("", "default", format_instant(now + timedelta(days=1)))
        code = give_code(connection, b"x", [tree.find("S1")], wanted, now=now)
    key = SigningKey(bytes(32))
    asked = EnrolRequest.make(code, key, name="a", version="", system="")
    told = intake.registrar.enrol(asked.encode(), "127.0.0.1")
    with database.read() as connection:
        agent = need_agent(connection, told.agent)
    return Bench(intake, store, pipeline, database, agent, tree, key)


def measure(folder: Path, count: int, *, rules: bool) -> None:
    """Measure stage by stage, then the whole."""
    bench = build(folder, rules=rules)
    bodies = []
    for start in range(0, count, BATCH):
        lines = [orjson.dumps(firewall(number)) for number in range(start, start + BATCH)]
        bodies.append(encode_records([Item(start, lines)]))
    size = len(orjson.dumps(firewall(count)))
    print(f"{count:,} events of {size} bytes, {len(bodies[0]) / BATCH:.0f} each on the wire")
    gc.collect()
    timed("decode", count, lambda: [decode_records(body) for body in bodies])
    timed("decode and check", count, lambda: bench.place(bodies))
    name = "request to sealed store" + (", all rules" if rules else "")
    timed(name, count, lambda: bench.store_all(bodies))
    timed("sent again, below the mark", count, lambda: bench.receive(bodies))
    bench.store.close()
    bench.database.close()


if __name__ == "__main__":
    main()
