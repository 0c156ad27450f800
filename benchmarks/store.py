"""Measure the embedded store: ``python -m benchmarks.store [EVENTS] [--directory DIR] [--seal-events N]``.

Makes synthetic events of a mix of data sets (own generator, seeded) over some days, appends them in batches of 1,000,
and asks the questions of the goals. Prints processor time an event, durable events a second, bytes an event, memory,
and the median latency of each question.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from soc_core.clock import format_instant
from soc_core.model.event import Event, make_event_id
from soc_core.query.tree import And, Not, Or, Query, Text, equal
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Aggregation, Scope, Search

BATCH = 1_000
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
NEEDLE = "203.0.113.77"


class Generator:
    """Make events: half flows, a third DNS, the rest HTTP and Windows processes."""

    def __init__(self, total: int, days: int) -> None:
        """Spread ``total`` events evenly over ``days`` days."""
        self._random = random.Random(7)
        self._total, self._days = total, days
        pick = self._random.randrange
        self._outside = [f"{20 + pick(180)}.{pick(256)}.{pick(256)}.{1 + pick(254)}" for _ in range(20_000)]
        self._names = [f"host{pick(10_000)}.site{pick(900)}.example" for _ in range(15_000)]

    def batches(self) -> Iterator[list[Event]]:
        """Yield batches in order of time."""
        batch: list[Event] = []
        for number in range(self._total):
            batch.append(self._event(number))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _event(self, number: int) -> Event:
        chance, pick = self._random.random(), self._random.randrange
        instant = BEGIN + timedelta(days=self._days) * (number / self._total)
        timestamp, school = format_instant(instant), int(200 * self._random.random() ** 1.5)
        event = self._base(timestamp, number, school)
        source = f"10.{school}.{pick(4)}.{1 + pick(254)}"
        outside = NEEDLE if pick(20_000) == 0 else self._outside[int(20_000 * self._random.random() ** 3)]
        event |= {
            "source.ip": source, "source.port": 1024 + pick(64_000), "source.bytes": pick(200_000),
            "destination.ip": outside, "destination.port": (443, 80, 53, 22, 3389)[pick(5)],
            "destination.bytes": pick(2_000_000), "source.packets": pick(400), "destination.packets": pick(900),
            "network.transport": "tcp", "network.type": "ipv4", "network.iana_number": "6",
            "network.community_id": f"1:{self._random.getrandbits(160):040x}", "network.direction": "outbound",
            "event.duration": pick(60_000_000_000), "related.ip": [source, outside],
        }  # fmt: skip
        if chance < 0.5:
            return event | self._flow(timestamp)
        if chance < 0.83:
            return event | self._dns()
        return event | (self._http(timestamp) if chance < 0.92 else self._process())

    @staticmethod
    def _base(timestamp: str, number: int, school: int) -> Event:
        identity = school.to_bytes(16, "big")
        return {
            "@timestamp": timestamp, "event.id": make_event_id(timestamp, identity, number, b""),
            "event.kind": "event", "event.category": ["network"], "event.type": ["connection", "info"],
            "event.dataset": "packets.flow", "event.module": "packets", "event.created": timestamp,
            "event.ingested": timestamp, "organization.id": f"s{school:04d}", "edusoc.zone": "default",
            "ecs.version": "8.17.0", "observer.name": f"probe-{school}", "observer.type": "sensor",
            "agent.id": f"a-{school}", "agent.version": "1.4.2", "tags": ["school"],
        }  # fmt: skip

    def _flow(self, timestamp: str) -> Event:
        states = ("SF", "S0", "REJ", "RSTO")
        return {
            "event.start": timestamp, "event.end": timestamp, "network.bytes": self._random.randrange(10**6),
            "edusoc.flow.state": states[self._random.randrange(4)], "edusoc.flow.tcp_flags_source": "SAPF",
            "edusoc.flow.payload_packets_source": self._random.randrange(300),
            "network.vlan.id": str(100 + self._random.randrange(30)),
        }  # fmt: skip

    def _dns(self) -> Event:
        name = self._names[int(15_000 * self._random.random() ** 3)]
        return {
            "event.dataset": "packets.dns", "network.protocol": "dns", "dns.question.name": name,
            "dns.id": str(self._random.randrange(65_536)), "dns.type": "answer", "dns.question.type": "A",
            "dns.question.registered_domain": name.split(".", 1)[1], "dns.response_code": "NOERROR",
            "dns.answers.ttl": [60, 300], "dns.resolved_ip": [self._outside[self._random.randrange(20_000)]],
            "dns.header_flags": ["RD", "RA"], "related.hosts": [name], "message": f"dns query {name}",
        }  # fmt: skip

    def _http(self, timestamp: str) -> Event:
        name = self._names[self._random.randrange(15_000)]
        path = f"/a/{self._random.randrange(10**6)}.php"
        return {
            "event.dataset": "packets.http", "url.domain": name, "url.path": path, "url.full": f"http://{name}{path}",
            "http.request.method": "GET", "http.response.status_code": 200, "user_agent.original": "Mozilla/5.0 (X11)",
            "message": f"GET {name}{path}", "event.original": f"- - [{timestamp}] GET {path} HTTP/1.1 200 http://{name}/",
        }  # fmt: skip

    def _process(self) -> Event:
        command = f"powershell.exe -File C:\\scripts\\task{self._random.randrange(300)}.ps1"
        if self._random.random() < 0.005:
            command = "cmd.exe /c MimiKatz.exe sekurlsa::LogonPasswords exit"
        return {
            "event.dataset": "windows.sysmon", "host.name": f"PC-{self._random.randrange(300)}", "event.code": "1",
            "process.command_line": command, "process.name": command.split(".exe")[0] + ".exe",
            "process.pid": self._random.randrange(40_000), "user.name": f"t{self._random.randrange(4_000)}",
            "message": f"Process Create: CommandLine: {command}", "event.original": f"<Event>{command}</Event>",
        }  # fmt: skip


def ingest(store: EmbeddedStore, generator: Generator) -> str:
    """Append everything, seal it, print the cost; return the id of one of the events."""
    count, taken, wall, worst = 0, 0.0, 0.0, 0.0
    identity = ""
    for batch in generator.batches():
        identity = identity or str(batch[0]["event.id"])
        begin, clock = time.process_time(), time.perf_counter()
        store.append(batch)
        spent = time.perf_counter() - clock
        taken, wall, worst = taken + time.process_time() - begin, wall + spent, max(worst, spent)
        count += len(batch)
    begin, clock = time.process_time(), time.perf_counter()
    store.seal()
    taken, wall = taken + time.process_time() - begin, wall + time.perf_counter() - clock
    size = sum(path.stat().st_size for path in store.directory.rglob("*") if path.is_file())
    live = store.catalogue.snapshot().segments
    print(f"events                        {count}")
    print(f"append + seal, processor      {taken / count * 1e6:.1f} µs/event")
    print(f"append + seal, durable        {count / wall:.0f} events/s, slowest append {worst:.2f} s")
    print(f"segments                      {len(live)}, {sum(s.bytes for s in live) / count:.1f} B/event")
    print(
        f"directory                     {size / count:.1f} B/event (log and merged files not yet removed included)"
    )
    return identity


def questions(days: int, identity: str) -> dict[str, Callable[[EmbeddedStore], object]]:
    """Return the questions of the goals; ``identity`` is the id of an event that is there."""
    end = BEGIN + timedelta(days=days)
    school = Scope(frozenset({"s0003"}))

    def asked(span: timedelta, query: Query | None = None, scope: Scope = SYSTEM_SCOPE) -> Search:
        return Search(scope, end - span, end, query or And(()))

    month, whole = timedelta(days=min(30, days)), timedelta(days=days)
    sigma = And(
        (
            Or(
                tuple(
                    Text("process.command_line", "contains", word)
                    for word in ("mimikatz", "sekurlsa", "-enc ")
                )
            ),
            Not(Text("process.command_line", "contains", "task1")),
        )
    )
    top, days_histogram = Aggregation("terms", "source.ip"), Aggregation("histogram", interval_seconds=86_400)
    return {
        "latest 50 of 1 h, one school": lambda s: len(
            s.search(asked(timedelta(hours=1), scope=school)).events
        ),
        "latest 50 of 30 d": lambda s: len(s.search(asked(month)).events),
        "latest 50 of all": lambda s: len(s.search(asked(whole)).events),
        "one address in all": lambda s: len(s.search(asked(whole, equal("destination.ip", NEEDLE))).events),
        "substring 30 d": lambda s: len(
            s.search(asked(month, Text("message", "contains", "LOGONPASS"))).events
        ),
        "substring all": lambda s: s.count(asked(whole, Text("message", "contains", "LOGONPASS"))),
        "top 10 of 7 d": lambda s: len(s.aggregate(asked(timedelta(days=7)), top).buckets),
        "histogram of all": lambda s: len(s.aggregate(asked(whole), days_histogram).buckets),
        "distinct 30 d": lambda s: (
            s.aggregate(asked(month), Aggregation("distinct", "source.ip")).buckets[0].count
        ),
        "by id": lambda s: len(s.get([identity], SYSTEM_SCOPE)),
        "Sigma-like 30 d": lambda s: s.count(asked(month, sigma)),
    }


def memory(name: str) -> int:
    """Return a figure of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="?", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--repeat", type=int, default=9)
    arguments = parser.parse_args()
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="edusoc-bench-"))
    store = EmbeddedStore(directory, writer=True)
    before = memory("VmRSS")
    try:
        identity = ingest(store, Generator(arguments.events, arguments.days))
        print(
            f"memory, writer                {memory('VmRSS') - before} MB more, peak {memory('VmHWM') - before} MB more"
        )
        for name, ask in questions(arguments.days, identity).items():
            times = []
            for _ in range(arguments.repeat):
                clock = time.perf_counter()
                answer = ask(store)
                times.append((time.perf_counter() - clock) * 1e3)
            print(f"{name:30}{statistics.median(times):.1f} ms (first {times[0]:.1f}) → {answer}")
        print(f"memory after questions        peak {memory('VmHWM') - before} MB more")
    finally:
        store.close()
        if arguments.directory is None:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
