"""Kill processes at random moments, open what they left, and compare it with what they had acknowledged."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from benchmarks import _fault_work
from benchmarks._fault_report import Report, Row, numbers_in, open_timed
from benchmarks._fault_work import DATASETS, day_of, events_between, open_both
from edusoc.migrating import upgrade
from soc_core.backup.checking import check_backup
from soc_core.backup.making import clean
from soc_core.backup.meter import SilentMeter
from soc_core.backup.package import PARTIAL, PackageReader
from soc_core.config import Settings
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.migrating import compare

SHARES: Final = (("ingest", 25), ("seal", 25), ("retention", 15), ("backup", 15))
MIGRATIONS: Final = (("out", 10), ("back", 10))
MOST_EVENTS: Final = 30_000
MIGRATED: Final = 30_000
ROUNDS_AT_MOST: Final = 200
STARTED_SECONDS: Final = 60.0
"""So long a process may take until it first acknowledges something, on a machine with much else to do."""
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["benchmarks._fault_work"])


@dataclass(slots=True)
class Told:
    """Hold what a process said before it ended."""

    acknowledged: int
    cuts: list[dict[str, str]] = field(default_factory=list)

    def take(self, message: object) -> None:
        """Take one message."""
        if isinstance(message, dict):
            self.cuts.append({str(name): str(day) for name, day in message.items()})
        elif isinstance(message, int):
            self.acknowledged = max(self.acknowledged, message)


@dataclass(frozen=True, slots=True)
class Job:
    """Say which work is done, where, from which number on."""

    name: str
    state: Path
    start: int
    surroundings: Sequence[tuple[str, str]] = ()


def begin(job: Job, seed: int) -> tuple[BaseProcess, Connection]:
    """Start a work in a process of its own."""
    here, there = _CONTEXT.Pipe(duplex=False)
    arguments = (job.name, str(job.state), job.start, seed, there, tuple(job.surroundings))
    process = _CONTEXT.Process(target=_fault_work.run, args=arguments, daemon=True)
    process.start()
    there.close()
    return process, here


def follow(pipe: Connection, seconds: float, told: Told) -> bool:
    """Take what a process says for a while; return whether it still runs."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if pipe.poll(left):
            try:
                told.take(pipe.recv())
            except EOFError:
                return False
    return True


def kill(process: BaseProcess, pipe: Connection, told: Told) -> None:
    """Kill a process and take the rest of what it said."""
    process.kill()
    process.join()
    try:
        while True:
            told.take(pipe.recv())
    except EOFError:
        pipe.close()


def kill_often(directory: Path, kills: int, seed: int, report: Report) -> None:
    """Kill each work its share of ``kills`` times."""
    chance = random.Random(seed)
    for name, share in SHARES:
        wanted = max(1, kills * share // 100)
        _Killer(directory / f"kill-{name}", name, chance).run(wanted, report.row(f"kill -9 during {name}"))
    url = os.environ.get("EDUSOC_TEST_ELASTICSEARCH_URL", "")
    if not url:
        print("migration: left out, EDUSOC_TEST_ELASTICSEARCH_URL is not set")
        return
    with _own_prefix(url) as prefix:
        for direction, share in MIGRATIONS:
            row = report.row(f"kill -9 during migration {direction}")
            surroundings = {"FAULTS_URL": url, "FAULTS_PREFIX": prefix, "FAULTS_DIRECTION": direction}
            os.environ.update(surroundings)
            _migrate(directory / "kill-migration", max(1, kills * share // 100), chance, row)


class _Killer:
    """Kill one kind of work over and over on one state directory, made anew when it has grown."""

    def __init__(self, directory: Path, name: str, chance: random.Random) -> None:
        """Take the place and the work."""
        self._state, self._name, self._chance = directory / "state", name, chance
        self._told = Told(0)
        self._make()

    def _make(self) -> None:
        shutil.rmtree(self._state.parent, ignore_errors=True)
        self._state.parent.mkdir(parents=True)
        database = Database.of(Settings(state=str(self._state)))
        upgrade(database)
        database.close()
        self._told = Told(0)

    def run(self, kills: int, row: Row) -> None:
        """Kill until that happened ``kills`` times."""
        while row.times < kills:
            before = self._told.acknowledged
            self._once(row)
            row.times += 1
            row.acknowledged += self._told.acknowledged - before
            if self._told.acknowledged > MOST_EVENTS:
                self._make()

    def _once(self, row: Row) -> None:
        told, jobs = self._told, [Job(self._name, self._state, self._told.acknowledged)]
        if self._name == "backup":
            jobs.append(Job("seal", self._state, told.acknowledged))
        running = [begin(job, self._chance.randrange(2**31)) for job in jobs]
        seconds = self._chance.uniform(0.02, 1.5)
        if self._chance.random() < 0.7:  # while it works, not while it opens
            running[-1][1].poll(STARTED_SECONDS)
        for process, pipe in reversed(running):  # the one that writes is followed
            if not follow(pipe, seconds, told):
                row.wrong.append(f"{self._name} ended by itself with {process.exitcode}")
            seconds = 0.0
        for process, pipe in self._chance.sample(running, len(running)):
            kill(process, pipe, told)
        self._check(row)

    def _check(self, row: Row) -> None:
        told = self._told
        store = open_timed(self._state / "events", row)
        try:
            found, count = numbers_in(store), told.acknowledged
            tail = set(range(count, count + 1_000))  # what was stored and not acknowledged any more
            sure = kept(count, told.cuts[:-1]) - removed(count, told.cuts[-1:])
            row.compare(found, sure, set(range(count)) | tail)
            if told.cuts:
                store.remove(told.cuts[-1])  # killed and repeated, it ends the same
                found = numbers_in(store)
                row.compare(found, kept(count, told.cuts), tail)
            row.wrong += [f"{finding.where}: {finding.what}" for finding in store.verify()]
            told.acknowledged = max([count - 1, *found]) + 1
        finally:
            store.close()
        if self._name == "backup":
            _check_backups(self._state.with_name("usb"), row)


def removed(acknowledged: int, cuts: Sequence[dict[str, str]]) -> set[int]:
    """Return the numbers that cuts remove."""
    strictest = {name: max((cut.get(name, "") for cut in cuts), default="") for name in DATASETS}
    return {number for number in range(acknowledged) if day_of(number) < strictest[DATASETS[number % 3]]}


def kept(acknowledged: int, cuts: Sequence[dict[str, str]]) -> set[int]:
    """Return the numbers that are left after cuts."""
    return set(range(acknowledged)) - removed(acknowledged, cuts)


def _check_backups(usb: Path, row: Row) -> None:
    """Check every complete backup; what was never completed must be known by its name, and go."""
    if not usb.exists():
        return
    for path in sorted(usb.glob("edusoc-*")):
        if path.name.endswith(PARTIAL):
            continue
        package = PackageReader(path, None)
        row.wrong += [f"{finding.where}: {finding.what}" for finding in check_backup(package, SilentMeter())]
        row.wrong += list(package.manifest.damaged)
        package.close()
        shutil.rmtree(path)
    clean(usb)


@contextmanager
def _own_prefix(url: str) -> Iterator[str]:
    """Give a prefix of Elasticsearch's indices of our own, and remove them at the end."""
    from soc_core.store.elasticsearch.client import connect
    from soc_core.store.elasticsearch.templates import component_name

    prefix = f"backup-faults-{secrets.token_hex(4)}"
    try:
        yield prefix
    finally:
        client = connect(Settings(elasticsearch_url=url))
        names = list(client.indices.get(index=f"{prefix}-*").body)
        if names:
            client.indices.delete(index=names)
        gone = client.options(ignore_status=404)
        gone.indices.delete_index_template(name=component_name(prefix))
        gone.cluster.delete_component_template(name=component_name(prefix))
        client.close()


def _migrate(directory: Path, kills: int, chance: random.Random, row: Row) -> None:
    """Kill a migration that often, let it end, and compare both stores event by event."""
    state = directory / "state"
    if not state.exists():
        store = EmbeddedStore(state / "events", writer=True)
        store.append(events_between(0, MIGRATED // 2))
        store.seal()
        store.append(events_between(MIGRATED // 2, MIGRATED))
        store.close()
    (state / "migration.json").unlink(missing_ok=True)
    told, surroundings = (
        Told(0),
        [(name, os.environ[name]) for name in os.environ if name.startswith("FAULTS_")],
    )
    for _ in range(ROUNDS_AT_MOST):
        process, pipe = begin(Job("migrate", state, 0, surroundings), chance.randrange(2**31))
        running = follow(pipe, chance.uniform(0.2, 2.5) if row.times < kills else 600.0, told)
        kill(process, pipe, told)
        row.times += running
        if told.acknowledged and not running:
            break
    row.acknowledged = told.acknowledged
    started = time.monotonic()
    source, target = open_both(state)
    row.slowest = max(row.slowest, time.monotonic() - started)
    try:
        row.compare(numbers_in(target), set(range(MIGRATED)), set())
        row.wrong += [
            f"{finding.where}: {finding.what}" for finding in compare(source, target, SilentMeter())
        ]
        row.wrong += [f"{finding.where}: {finding.what}" for finding in target.verify()]
    finally:
        source.close()
        target.close()
