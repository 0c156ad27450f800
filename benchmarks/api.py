"""Measure API and pages: ``python -m benchmarks.api [--alerts N] [--events N] [--rounds N] [--import-events N]``.

``--database postgresql://user@host/database`` (an empty one; its password in ``EDUSOC_DATABASE_PASSWORD``) measures
with operational state there instead of in SQLite.

Makes a province of 10 counties with 150 schools each, a million alerts (5 % of them open) and events, then starts
``edusoc serve`` as a process of its own and asks as a county's analyst and as a school's contact, one request after
another over one connection. Prints median and 95th percentile of each question; then the same again while
``edusoc import`` writes into the same directory.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
from sqlalchemy import insert, text

from benchmarks._store_events import Generator
from cases.alerts.tables import alerts
from edusoc.composition import open_database
from intake.pipeline import CURSOR
from intake.tables import cursors
from soc_core.access.accounts import Role, User, add_user, find_session, open_session
from soc_core.clock import format_instant, utc_now
from soc_core.config import load_settings
from soc_core.jobs import outbox
from soc_core.model.event import Event
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore

COUNTIES, SCHOOLS = 10, 150
PAGE = 50
FAR = 1_000
KINDS = ("beacon", "port_scan", "brute_force", "dns_tunnel", "exfiltration")
PASSWORD = "benchmark password"
IN_A_ROW = 4
LISTENING = tuple(f"listener{number}" for number in range(10))
LISTENERS_EACH = 20


def make_units(database: Database) -> dict[str, list[str]]:
    """Make the tree; return the school ids of each county by the county's id."""
    now, found = utc_now(), {}
    with database.write() as connection:
        root = put_unit(connection, [Attribute("code", "P"), Attribute("name", "演示省")], {}, now=now)
        for number in range(COUNTIES):
            values = [Attribute("code", f"C{number}"), Attribute("name", f"演示县{number}")]
            county = put_unit(connection, [*values, Attribute("parent_id", root)], {}, now=now)
            found[county] = [
                put_unit(
                    connection,
                    [
                        Attribute("code", f"S{number}-{school}"),
                        Attribute("name", f"演示学校{number}-{school}"),
                        Attribute("parent_id", county),
                    ],
                    {"default": ["10.0.0.0/8"]},
                    now=now,
                )
                for school in range(SCHOOLS)
            ]
        for name, role, unit in (
            ("province", Role.OVERSEER, root),
            ("county", Role.ANALYST, next(iter(found))),
            ("school", Role.CONTACT, next(iter(found.values()))[0]),
            *((name, Role.ANALYST, next(iter(found))) for name in LISTENING),
        ):
            add_user(connection, User(name, name, role, unit, "zh", demo=False), PASSWORD, now=now)
    return found


def make_alerts(database: Database, units: list[str], total: int) -> None:
    """Fill the table of alerts as the pipeline would have over half a year; some schools have far more than others."""
    chance, now = random.Random(5), utc_now()
    rows: list[dict[str, object]] = []
    with database.write() as connection:
        for number in range(total):
            rank = int(5 * chance.random() ** 2)
            at = format_instant(now - timedelta(minutes=chance.random() * 60 * 24 * 180))
            rows.append(
                {
                    "id": f"a{number:015x}",
                    "organization_id": units[int(len(units) * chance.random() ** 1.3)],
                    "kind": chance.choice(KINDS),
                    "entity_kind": "ip",
                    "entity_zone": "default",
                    "entity_value": f"10.0.{chance.randrange(4)}.{chance.randrange(255)}",
                    "peer": f"203.0.113.{chance.randrange(255)}",
                    "rule_id": "beacon",
                    "rule_kind": "anomaly",
                    "severity": rank,
                    "priority": (rank + 1) * 14 + chance.randrange(6),
                    "status": "new" if chance.random() < 0.05 else "closed",
                    "first_seen": at,
                    "last_seen": at,
                    "detection_count": 1,
                    "event_count": 3,
                    "version": 1,
                    "created_at": at,
                    "updated_at": at,
                }
            )
            if len(rows) == 10_000 or number == total - 1:
                connection.execute(insert(alerts), rows)
                rows = []


def events_of(units: list[str], total: int) -> Iterator[list[Event]]:
    """Yield batches of events of the store's benchmark, moved to these units and to the last days."""
    chance = random.Random(9)
    now = utc_now()
    for batch in Generator(total, 30).batches():
        for event in batch:
            event["organization.id"] = chance.choice(units)
            at = format_instant(now - timedelta(seconds=chance.random() * 86_400 * 30))
            event["@timestamp"] = at
            # An id begins with the day of its event, as collectors make it: segments are by this day.
            event["event.id"] = at[:10].replace("-", "") + str(event["event.id"])[8:]
        yield batch


def write_file(path: Path, units: list[str], total: int) -> None:
    """Write events as an ECS NDJSON file for the import that runs beside."""
    with path.open("wb") as file:
        for batch in events_of(units, total):
            for event in batch:
                bare = {
                    name: value
                    for name, value in event.items()
                    if not name.startswith(("event.id", "organization"))
                }
                file.write(orjson.dumps(bare, option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def serving(state: Path) -> Iterator[tuple[tuple[str, int], Callable[[], float]]]:
    """Run ``edusoc serve``; give its address once it answers, and what tells the processor seconds it took."""
    command = [sys.executable, "-m", "edusoc", "serve", "--only", "web", "--state", str(state), "--port", "0"]
    environment = {**os.environ, "EDUSOC_LANGUAGE": "en", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line[line.index("http://") + 7 :].split()[0].rstrip("/")
        host, _, port = address.rpartition(":")
        ticks = os.sysconf("SC_CLK_TCK")

        def processor() -> float:
            parts = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(parts[11]) + int(parts[12])) / ticks

        yield (host, int(port)), processor
    finally:
        process.terminate()
        process.wait(timeout=20)


class Client:
    """Ask as one person over one connection."""

    def __init__(self, address: tuple[str, int], database: Database, name: str) -> None:
        """Open a session for the account; logging in by password is measured on its own."""
        now = utc_now()
        with database.write() as connection:
            user = User(name, name, Role.ANALYST, None, "zh", demo=False)
            token = open_session(connection, user, now=now)
            session = find_session(connection, token, now=now)
        assert session is not None
        self._connection = http.client.HTTPConnection(*address, timeout=60)
        self._used = 0.0
        self.headers = {"Cookie": f"edusoc_session={token}", "X-CSRF-Token": session.csrf}

    def get(self, path: str) -> bytes:
        """Return the answer's body; anything but 200 ends the benchmark."""
        answer = self._send("GET", path)
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:200]!r}")
        return body

    def _send(self, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        if time.perf_counter() - self._used > 2:
            self._connection.close()  # the server drops connections that were idle; the next request opens one
        headers = {**self.headers, "Content-Type": "application/json"} if body else self.headers
        self._connection.request(method, path, body, headers)
        self._used = time.perf_counter()
        return self._connection.getresponse()

    def change(self, alert_id: str) -> None:
        """Write a note: a change of operational state."""
        path = f"/api/v1/alerts/{alert_id}/notes"
        answer = self._send("POST", path, b'{"comment": "measured"}')
        answer.read()
        if answer.status != 201:
            raise SystemExit(f"{path}: {answer.status}")


def far_page(client: Client, path: str) -> str:
    """Return the address of page 1,000, by following cursors as a client does."""
    cursor = ""
    for _ in range(FAR - 1):
        found = json.loads(client.get(f"{path}&cursor={cursor}" if cursor else path))
        if not found["cursor"]:
            break
        cursor = found["cursor"]
    return f"{path}&cursor={cursor}"


def questions(address: tuple[str, int], database: Database) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    county = Client(address, database, "county")
    school = Client(address, database, "school")
    province = Client(address, database, "province")
    every = f"/api/v1/alerts?limit={PAGE}"
    opened = f"{every}&status=new&status=assigned&status=in_progress"
    far = far_page(county, every)
    first = json.loads(county.get(opened))["items"][0]["id"]
    day = format_instant(utc_now() - timedelta(days=1))
    return {
        "API first page, open, county": lambda: county.get(opened),
        "API first page, all, county": lambda: county.get(every),
        f"API page {FAR}, all, county": lambda: county.get(far),
        "API first page, all, last day": lambda: county.get(f"{every}&start={day}"),
        "API first page, all, school": lambda: school.get(every),
        "API first page, all, province": lambda: province.get(every),
        "API units, county": lambda: county.get("/api/v1/organisations"),
        "API write a note": lambda: county.change(first),
        "page: alerts, county": lambda: county.get("/alerts"),
        "page: alerts, all, county": lambda: county.get("/alerts?status=all"),
        "page: alerts, province": lambda: province.get("/alerts"),
        "page: one alert": lambda: county.get(f"/alerts/{first}"),
        "page: tasks, school": lambda: school.get("/tasks"),
        "page: overview, county": lambda: county.get("/overview"),
        "page: events, last day": lambda: county.get("/events?hours=24"),
    }


def measure(
    asked: dict[str, Callable[[], object]],
    rounds: int,
    processor: Callable[[], float],
    running: Callable[[], bool],
) -> None:
    """Ask each question some times in a row, in turn, while ``running``; print milliseconds a request.

    Processor time of the server is given beside: on a machine that does other work it is what can be compared.
    """
    taken: dict[str, list[float]] = {name: [] for name in asked}
    used = dict.fromkeys(asked, 0.0)
    for ask in asked.values():
        ask()
    for _ in range(0, rounds, IN_A_ROW):
        for name, ask in asked.items():
            before = processor()
            for _ in range(IN_A_ROW):
                begin = time.perf_counter()
                ask()
                taken[name].append(1_000 * (time.perf_counter() - begin))
            used[name] += processor() - before
        if not running():
            break
    count = len(next(iter(taken.values())))
    print(f"{'':34}{'median':>9}{'p95':>9}{'worst':>9}{'processor':>11}  ({count} times)")
    for name, values in taken.items():
        ordered = sorted(values)
        high = ordered[min(count - 1, int(0.95 * count))]
        middle, each = statistics.median(values), 1_000 * used[name] / count
        print(f"{name:34}{middle:9.1f}{high:9.1f}{ordered[-1]:9.1f}{each:11.1f}", flush=True)


async def _listen(address: tuple[str, int], cookie: str, ready: asyncio.Semaphore) -> float:
    """Follow the live stream until a change comes; return when it came (seconds of the monotonic clock)."""
    reader, writer = await asyncio.open_connection(*address)
    request = f"GET /api/v1/live HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nCookie: {cookie}\r\n\r\n"
    writer.write(request.encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise SystemExit(f"/api/v1/live: {status!r}")
    await reader.readuntil(b"\nid: ")
    ready.release()
    await reader.readuntil(b"event: alert.updated")
    came = time.monotonic()
    writer.close()
    return came


async def live(address: tuple[str, int], database: Database, unit: str) -> None:
    """Print how long a change takes to reach many pages that listen."""
    ready = asyncio.Semaphore(0)
    cookies = [Client(address, database, name).headers["Cookie"] for name in LISTENING]
    tasks = [asyncio.create_task(_listen(address, cookie, ready)) for cookie in cookies * LISTENERS_EACH]
    for _ in tasks:
        await ready.acquire()

    def publish() -> float:
        with database.write() as connection:
            outbox.publish(connection, "alert.updated", unit, {"alert_id": "a0"}, now=utc_now())
        return time.monotonic()

    begin = await asyncio.to_thread(publish)
    taken = sorted(1_000 * (came - begin) for came in await asyncio.gather(*tasks))
    print(
        f"change -> {len(tasks)} listening pages: median {statistics.median(taken):.0f} ms, worst {taken[-1]:.0f} ms"
    )


def build(state: Path, arguments: argparse.Namespace) -> tuple[Database, dict[str, list[str]]]:
    """Make the whole installation; say how long it took."""
    begin = time.perf_counter()
    database = open_database(replace(load_settings(), state=str(state)))
    units = make_units(database)
    schools = [school for county in units.values() for school in county]
    make_alerts(database, schools, arguments.alerts)
    store = EmbeddedStore(state / "events", writer=True)
    for batch in events_of(schools, arguments.events):
        store.append(batch)
    store.seal()
    with database.write() as connection:
        # These events count as examined: the import that runs beside has its own to examine.
        connection.execute(insert(cursors).values(name=CURSOR, log_offset=store.end_offset()))
    store.close()
    size = _size(database, state)
    print(
        f"{arguments.alerts:,} alerts ({size:.0f} MB), {arguments.events:,} events, "
        f"{len(schools):,} schools: made in {time.perf_counter() - begin:.0f} s"
    )
    return database, units


def _size(database: Database, state: Path) -> float:
    """Return how large the operational database is, in MB."""
    if not database.is_postgresql:
        return (state / "state.sqlite").stat().st_size / 1e6
    with database.read() as connection:
        return float(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0) / 1e6


def main() -> None:
    """Build, measure at rest, measure beside an import."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alerts", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--import-events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--database", default="")
    arguments = parser.parse_args()
    if arguments.database:
        os.environ["EDUSOC_DATABASE_URL"] = arguments.database  # for the server and the import as well
    directory = Path(tempfile.mkdtemp(prefix="edusoc-api-"))
    try:
        database, units = build(directory / "state", arguments)
        file = directory / "more.ndjson"
        write_file(file, next(iter(units.values())), arguments.import_events)
        with serving(directory / "state") as (address, processor):
            asked = questions(address, database)
            print("at rest", flush=True)
            measure(asked, arguments.rounds, processor, lambda: True)
            schools = next(iter(units.values()))
            asyncio.run(live(address, database, schools[0]))
            command = [sys.executable, "-m", "edusoc", "import", str(file), "--json"]
            command += ["--organisation", "S0-0", "--state", str(directory / "state")]
            begin = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            print(f"while edusoc import stores {arguments.import_events:,} events", flush=True)
            measure(asked, 10 * arguments.rounds, processor, lambda: process.poll() is None)
            code = process.wait()
            print(f"import: exit code {code}, {time.perf_counter() - begin:.0f} s")
        database.close()
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
