"""Measure how long an alert takes: ``python -m benchmarks.sigma_latency [--rate N] [--seconds N] [--rules DIR]``.

A real centre (``edusoc serve``: supervisor, web and pipeline processes) with our own rules and all of SigmaHQ's on.
One agent sends everyday Windows events at the rate asked for, four requests a second; another one, of another school,
sends an event twice a second that must open an alert of its own. Somebody listens to ``/api/v1/live``. The latency is
that from the receipt of the intake (the event is durable then) to the alert on the stream. Prints median, 95th
percentile and worst, what of it lies before the alert is written, and the processor seconds of each process, which tell
on a busy machine whether the rate could be held. Exits with 1 if an alert never came.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import select

from benchmarks._campaign_world import CODE, UNITS
from benchmarks._shared import SHARED
from benchmarks._sigma_events import Maker
from benchmarks.chain import cpu_of, free_port
from benchmarks.sigma import unpacked
from cases.alerts.tables import alerts
from collectors.agent.identity import agent_key, read_identity
from collectors.reading import collect, read_paths
from collectors.uplink.asking import Asker, CentreTime, Signer
from collectors.uplink.connection import Centre, Connection
from collectors.uplink.numbers import RequestNumbers
from collectors.uplink.pacing import Outside
from detectors.sigma.mapping import bundled_rules
from edusoc.composition import open_database
from intake.rules.model import EVERYWHERE
from intake.rules.repository import SettingChange, change_setting
from soc_core.access.accounts import Role, User, add_user, open_session
from soc_core.clock import format_instant, parse_instant, utc_now
from soc_core.config import Settings
from soc_core.model.event import EVENT_ID, TIMESTAMP, Event, make_event_id
from soc_core.organisations.repository import load_tree, today
from soc_core.store.interface import SYSTEM_SCOPE
from soc_core.uplink.wire import RECORDS, Item, encode_records

ROOT: Final = Path(__file__).resolve().parent.parent
BUSY_UNIT, MARKED_UNIT = "9912100003", "9912100004"
RULE: Final = "00e5e14d-54d1-48ca-9abf-ee31fc51fa3a"
"""Our rule on deleted shadow copies: one alert a computer."""
REQUESTS: Final = 4
"""Requests a second that carry the everyday events."""
MARKS: Final = 2
DISTINCT: Final = 20_000
PATIENCE: Final = 120.0
SOURCE: Final = b"benchmark source"


@dataclass(slots=True)
class Times:
    """Hold when what happened (seconds of the monotonic clock, ``wall`` of the other one), by computer or alert."""

    accepted: dict[str, float] = field(default_factory=dict)
    accepted_wall: dict[str, float] = field(default_factory=dict)
    came: dict[str, float] = field(default_factory=dict)


class CentreProcess:
    """Run ``edusoc serve`` on a state directory of its own."""

    def __init__(self, folder: Path, rules: Path) -> None:
        """Import the units and start it."""
        self.folder, self.state = folder, folder / "state"
        self.port, self.intake_port = free_port(), free_port()
        given = {
            "EDUSOC_STATE": str(self.state),
            "EDUSOC_RULES": str(rules),
            "EDUSOC_INTAKE_EVENTS_PER_SECOND": "1000000",
        }
        self.environment = {**os.environ, **given}
        self.edusoc("organisations", "import", str(UNITS))
        self.database = open_database(Settings(state=str(self.state)))
        words = ["serve", "--port", str(self.port), "--intake-port", str(self.intake_port)]
        with (folder / "centre.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edusoc", *words],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip

    def edusoc(self, *words: str) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "edusoc", *words],
            cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def enrol(self, name: str, unit: str) -> Asker:
        """Let an agent join, as soon as the intake answers; return what asks as that agent."""
        state, deadline = self.folder / name, time.monotonic() + PATIENCE
        code = CODE.search(self.edusoc("agents", "code", "--organisation", unit))
        if code is None:
            raise SystemExit("no code to join with was printed")
        url = f"https://127.0.0.1:{self.intake_port}"
        words = ["enrol", "--centre", url, "--code", code[0], "--config", str(self.folder / f"{name}.toml")]
        while True:
            try:
                self.edusoc(*words, "--state", str(state), "--name", name)
                break
            except subprocess.CalledProcessError as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit(f"{name} can't join: {error.stderr}") from error
        identity, outside = read_identity(state), Outside()
        if identity is None:
            raise SystemExit(f"{name} did not join")
        connection = Connection(identity.centre(state, Centre(url)))
        signer = Signer(identity.agent, agent_key(state))
        return Asker(connection, signer, RequestNumbers(state / "numbers"), CentreTime(outside), outside)

    def processor(self) -> dict[str, float]:
        """Return the processor seconds of the supervisor and its children so far, by role."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found: dict[str, float] = {"supervisor": cpu_of(self.process.pid)}
        for child in map(int, children):
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            role = next((word.decode() for word in words if word in (b"web", b"pipeline")), str(child))
            found[role] = cpu_of(child)
        return found

    def end(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.database.close()


@contextlib.contextmanager
def running(rules: Path) -> Iterator[CentreProcess]:
    """Run a centre in a folder that is removed after."""
    folder = Path(tempfile.mkdtemp(prefix="edusoc-latency-"))
    centre = CentreProcess(folder, rules)
    try:
        yield centre
    finally:
        centre.end()
        shutil.rmtree(folder, ignore_errors=True)


def rules_folder(folder: Path, given: Path | None) -> Path:
    """Put our rules and others' into one folder; others' are SigmaHQ's where they are there."""
    place = folder / "rules"
    shutil.copytree(bundled_rules(), place)
    if given is None and (SHARED / "sigma").is_dir():
        given = unpacked("sigmahq-rules", folder)
    if given is not None:
        shutil.copytree(given, place / "others")
    return place


def listen(centre: CentreProcess, times: Times, ready: threading.Event, stop: threading.Event) -> None:
    """Follow the live stream and note when which alert came; try again until the centre serves."""
    now = utc_now()
    with centre.database.write() as connection:
        tree = load_tree(connection, today(now))
        top = tree.path(tree.find(MARKED_UNIT).id)[0]
        user = User("watcher", "watcher", Role.ANALYST, top.id, "zh", demo=False)
        add_user(connection, user, "benchmark password", now=now)
        token = open_session(connection, user, now=now)
    while not stop.is_set():
        link = http.client.HTTPConnection("127.0.0.1", centre.port, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException):
            link.request("GET", "/api/v1/live", headers={"Cookie": f"edusoc_session={token}"})
            answer = link.getresponse()
            while not stop.is_set() and (line := answer.readline()):
                ready.set()
                if line.startswith(b"data: ") and b"alert_id" in line:
                    times.came.setdefault(json.loads(line[6:])["alert_id"], time.monotonic())
        link.close()


def everyday(folder: Path, rate: int, seconds: int) -> list[bytes]:
    """Return the bodies of all requests with everyday events, each with an id of its own."""
    file = folder / "everyday.json"
    distinct = min(DISTINCT, rate * seconds)
    start = utc_now() - timedelta(milliseconds=50 * distinct)
    file.write_text("\n".join(Maker(8, start).records(distinct)) + "\n", encoding="utf-8")
    events = collect(read_paths([str(file)]))[0]
    each, bodies = max(rate // REQUESTS, 1), list[bytes]()
    for first in range(0, rate * seconds, each):
        chosen = (events[number % len(events)] | _named(number) for number in range(first, first + each))
        bodies.append(encode_records([Item(first, [orjson.dumps(event) for event in chosen])]))
    return bodies


def _named(number: int, stamp: str = "") -> Event:
    stamp = stamp or format_instant(utc_now())
    return {EVENT_ID: make_event_id(stamp, SOURCE, number, b""), TIMESTAMP: stamp}


def marked(folder: Path) -> Event:
    """Return an event that our rule fires on."""
    record = json.loads(next(iter(Maker(1, utc_now()).records(1))))
    record["Event"]["System"] |= {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational"}
    image, line = "C:\\Windows\\System32\\vssadmin.exe", "vssadmin delete shadows /all"
    record["Event"]["EventData"] = {"Image": image, "CommandLine": line, "User": "SCHOOL\\x"}
    file = folder / "marked.json"
    file.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return collect(read_paths([str(file)]))[0][0]


def send_bodies(asker: Asker, bodies: Sequence[bytes], stop: threading.Event) -> float:
    """Send everyday events in time; return how far behind the last request was (seconds)."""
    begin = time.monotonic()
    for number, body in enumerate(bodies):
        stop.wait(max(begin + number / REQUESTS - time.monotonic(), 0))
        asker.ask(RECORDS, "busy", body)
    return max(time.monotonic() - begin - len(bodies) / REQUESTS, 0.0)


def send_marks(asker: Asker, event: Event, count: int, times: Times) -> None:
    """Send events one by one, each of a computer of its own, and note when each was accepted."""
    begin, pause = time.monotonic(), threading.Event()
    for number in range(count):
        pause.wait(max(begin + number / MARKS - time.monotonic(), 0))
        name = f"marked-{number}"
        body = encode_records(
            [Item(number, [orjson.dumps(event | _named(10**9 + number) | {"host.name": name})])]
        )
        asker.ask(RECORDS, "marks", body)
        times.accepted[name], times.accepted_wall[name] = time.monotonic(), time.time()


def opened(centre: CentreProcess) -> dict[str, tuple[str, float]]:
    """Return the marked computers' alerts and when they were written (seconds since 1970)."""
    columns = (alerts.c.entity_value, alerts.c.id, alerts.c.created_at)
    asked = select(*columns).where(alerts.c.entity_value.like("marked-%"), alerts.c.kind == "ransomware")
    with centre.database.read() as connection:
        return {name: (id_, parse_instant(at).timestamp()) for name, id_, at in connection.execute(asked)}


def told(values: Sequence[float]) -> str:
    """Return median, 95th percentile and worst as text."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"median {ordered[len(ordered) // 2]:6.2f} s, p95 {high:6.2f} s, worst {ordered[-1]:6.2f} s"


def measure(centre: CentreProcess, rate: int, seconds: int) -> bool:
    """Send, listen, print; tell whether every alert came."""
    with centre.database.write() as connection:
        change = SettingChange(
            RULE, EVERYWHERE, "benchmark", "benchmark", frozenset({"budget"}), budget=100_000
        )
        change_setting(connection, SYSTEM_SCOPE, change, now=utc_now())
    times, ready, stop = Times(), threading.Event(), threading.Event()
    threading.Thread(target=listen, args=(centre, times, ready, stop), daemon=True).start()
    busy, marks = centre.enrol("busy", BUSY_UNIT), centre.enrol("marks", MARKED_UNIT)
    bodies, event, count = everyday(centre.folder, rate, seconds), marked(centre.folder), seconds * MARKS
    if not ready.wait(PATIENCE):
        raise SystemExit("the live stream never began")
    before, began = centre.processor(), time.monotonic()
    sender = threading.Thread(target=send_marks, args=(marks, event, count, times))
    sender.start()
    behind = send_bodies(busy, bodies, stop)
    sender.join()
    spent = time.monotonic() - began
    found = _wait_for(centre, times, count)
    stop.set()
    print(
        f"{rate * seconds:,} events in {spent:.0f} s ({rate:,}/s asked for, {behind:.1f} s behind at the end)"
    )
    for role, used in centre.processor().items():
        used -= before.get(role, 0.0)
        print(f"  {role:12s} {used:7.1f} CPU-s, {used / (rate * seconds) * 1e6:7.0f} µs an event")
    _tell(times, found)
    print(f"{len(found)} of {count} alerts came")
    return len(found) == count


def _wait_for(centre: CentreProcess, times: Times, count: int) -> dict[str, tuple[str, float]]:
    """Wait until all alerts came, for a bounded time; return those that did."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while True:
        found = {name: row for name, row in opened(centre).items() if row[0] in times.came}
        if len(found) == count or time.monotonic() > deadline:
            return found
        pause.wait(0.2)


def _tell(times: Times, found: dict[str, tuple[str, float]]) -> None:
    if found:
        whole = [times.came[id_] - times.accepted[name] for name, (id_, _) in found.items()]
        written = [at - times.accepted_wall[name] for name, (_, at) in found.items()]
        print(f"  accepted -> on the live stream  {told(whole)}")
        print(f"  accepted -> transaction begins  {told(written)}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rules", type=Path, help="others' rules beside ours; default: SigmaHQ's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rules = rules_folder(Path(temporary), arguments.rules)
        with running(rules) as centre:
            sys.exit(not measure(centre, arguments.rate, arguments.seconds))


if __name__ == "__main__":
    main()
