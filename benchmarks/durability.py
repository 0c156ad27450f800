"""Kill ``edusoc import`` over and over, then let it finish: everything must be as after one quiet run.

Run it: ``./run bench durability [--kills 20] [--seed 1] [--keep DIRECTORY]``, over the bundled captures and logs.
Events, detections and alerts are compared by id, detections by the alert they hang on. Exit code 0 when all are equal.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import orjson
from sqlalchemy import select

from cases.alerts.tables import alerts, detections
from edusoc.composition import open_database
from soc_core.clock import EPOCH, utc_now
from soc_core.config import load_settings
from soc_core.organisations.repository import load_tree, today
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Search

ROOT = Path(__file__).resolve().parent.parent
UNITS = ROOT / "edusoc" / "demo" / "world" / "units.csv"
UNIT = "9912100003"
EVER = timedelta(days=80_000)
NOT_COMPARED = {"event.ingested", "event.created"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what an import left behind, by id."""

    events: dict[str, str]
    detections: dict[str, str]
    alerts: frozenset[str]
    damaged: int

    def __str__(self) -> str:
        """Count what is there."""
        return f"{len(self.events)} events, {len(self.detections)} detections, {len(self.alerts)} alerts"

    def differences(self, other: Outcome) -> dict[str, int]:
        """Return how many events, detections, alerts differ, only what isn't 0."""
        found = {
            "events": len(self.events.items() ^ other.events.items()),
            "detections": len(self.detections.keys() ^ other.detections.keys()),
            "detections at alerts": len(self.detections.items() ^ other.detections.items()),
            "alerts": len(self.alerts ^ other.alerts),
            "damaged segments": self.damaged + other.damaged,
        }
        return {name: count for name, count in found.items() if count}


def bundled_inputs() -> list[str]:
    """Return the bundled captures and logs, smallest first, without their labels."""
    files = [path for path in (ROOT / "pcaps").glob("*.pcap*") if not path.name.endswith(".yml")]
    files += [
        path for path in (ROOT / "pcaps" / "logs").rglob("*") if path.is_file() and path.suffix != ".yml"
    ]
    return [str(path) for path in sorted(files, key=lambda path: (path.stat().st_size, path.name))]


def prepare(state: Path) -> None:
    """Make a state directory with the demo's units."""
    edusoc(["organisations", "import", str(UNITS)], state).check_returncode()


def edusoc(words: Sequence[str], state: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the command line and wait for it."""
    return subprocess.run(command(words, state), cwd=ROOT, capture_output=True, timeout=1_200, check=False)


def command(words: Sequence[str], state: Path) -> list[str]:
    """Return the command line that runs ``edusoc`` on a state directory."""
    return [sys.executable, "-m", "edusoc", *words, "--state", str(state)]


def import_words(paths: Sequence[str]) -> list[str]:
    """Return the words of an import."""
    return ["import", *paths, "--organisation", UNIT, "--json"]


def kill_after(paths: Sequence[str], state: Path, seconds: float) -> bool:
    """Start an import, kill it with -9 after ``seconds``; return whether it was still running."""
    process = subprocess.Popen(
        command(import_words(paths), state),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def outcome(state: Path) -> Outcome:
    """Read what is there now."""
    store = EmbeddedStore(state / "events", writer=False)
    database = open_database(replace(load_settings(None), state=str(state)))
    try:
        units = _codes(database)
        events: dict[str, str] = {}
        for batch in store.scan(Search(SYSTEM_SCOPE, EPOCH, EPOCH + EVER)):
            for event in batch:
                if str(event["event.id"]) in events:
                    raise AssertionError(f"event {event['event.id']} is stored twice")
                kept = {name: value for name, value in event.items() if name not in NOT_COMPARED}
                kept["organization.id"] = units[str(event["organization.id"])]
                body = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
                events[str(event["event.id"])] = hashlib.blake2b(body, digest_size=8).hexdigest()
        with database.read() as connection:
            hung = {row.id: row.alert_id for row in connection.execute(select(detections))}
            raised = frozenset(connection.scalars(select(alerts.c.id)))
        return Outcome(events, hung, raised, len(store.verify()))
    finally:
        store.close()
        database.close()


def _codes(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {unit.id: unit.code for unit in load_tree(connection, today(utc_now())).units.values()}


def main() -> int:
    """Compare one quiet run with one that was killed many times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="leave the two state directories here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edusoc-durability-") as made:
        return compare(options.keep or Path(made), options.kills, random.Random(options.seed))


def compare(directory: Path, kills: int, chance: random.Random) -> int:
    """Run both, print what was found, return the exit code."""
    paths = bundled_inputs()
    quiet = directory / "quiet"
    prepare(quiet)
    shutil.copytree(
        quiet, directory / "shaken-0"
    )  # units get random ids: all runs begin with copies of one state
    started = time.monotonic()
    first = edusoc(import_words(paths), quiet)
    length = time.monotonic() - started
    expected = outcome(quiet)
    print(f"quiet run: exit {first.returncode}, {length:.1f} s; {expected}", flush=True)
    return 0 if all(_shaken(directory, expected, kills, length, chance)) else 1


def _shaken(
    directory: Path, expected: Outcome, kills: int, length: float, chance: random.Random
) -> Iterator[bool]:
    """Kill imports until that happened ``kills`` times; whenever one gets to its end, compare it and begin anew."""
    paths, left, number = bundled_inputs(), kills, 0
    fresh = directory / "fresh"
    shutil.copytree(directory / "shaken-0", fresh)
    while left > 0:
        state = directory / f"shaken-{number}"
        if number:
            shutil.copytree(fresh, state)
        killed = 0
        while left > 0 and kill_after(paths, state, chance.uniform(0.05, 1.2) * length):
            killed, left = killed + 1, left - 1
        last = edusoc(import_words(paths), state)
        different = outcome(state).differences(expected)
        print(
            f"run {number}: killed {killed} times, exit {last.returncode}; different: {different or 'nothing'}"
        )
        yield not different
        number += 1


if __name__ == "__main__":
    sys.exit(main())
