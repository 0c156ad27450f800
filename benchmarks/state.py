"""Measure durable changes of operational state: ``./run bench state [--seconds 5] [--database URL]``.

A change is what a person's click makes: a note in an alert's history and a row of the outbox, in one transaction that
is on disk when it returns. SQLite (in a temporary directory, or ``--directory``), then PostgreSQL where ``--database``
names an empty database (its password in ``EDUSOC_DATABASE_PASSWORD``), each with one process and with several at once.
Also printed: how often a plain file can be made durable on the same disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from sqlalchemy import insert

from cases.alerts.tables import alert_history, alerts
from edusoc.migrating import upgrade
from soc_core.clock import format_instant, utc_now
from soc_core.config import load_settings
from soc_core.jobs import outbox
from soc_core.state.database import Database

WRITERS = (1, 4, 8)


def fsync_rate(directory: Path, seconds: float) -> float:
    """Return how many times a second 4 KiB can be appended to a file durably: the disk's share."""
    begin, count = time.perf_counter(), 0
    with (directory / "plain").open("wb") as file:
        while time.perf_counter() - begin < seconds:
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            count += 1
    return count / (time.perf_counter() - begin)


def change(database: Database, alert: str) -> None:
    """Write a note."""
    now = utc_now()
    with database.write() as connection:
        values = {
            "alert_id": alert,
            "at": format_instant(now),
            "actor": "b",
            "action": "noted",
            "detail": "{}",
        }
        connection.execute(insert(alert_history).values(**values))
        outbox.publish(connection, "alert.updated", "u", {"alert_id": alert}, now=now)


def work(database: Database, seconds: float) -> None:
    """Write for some time; print how many changes there were and how long each took, in ms."""
    change(database, "a")
    taken = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        change(database, "a")
        taken.append(1_000 * (time.perf_counter() - begin))
    ordered = sorted(taken)
    print(len(taken), statistics.median(taken), ordered[int(0.95 * len(taken))], flush=True)


def measure(name: str, database: Database, seconds: float) -> None:
    """Print the rate of one and of several processes."""
    upgrade(database)
    now = format_instant(utc_now())
    row = {column.name: column.type.python_type() for column in alerts.c}
    with database.write() as connection:
        connection.execute(
            insert(alerts).values(**{**row, "id": "a", "organization_id": "u", "created_at": now})
        )
    url = database.url.render_as_string(hide_password=False)
    for writers in WRITERS:
        command = [sys.executable, "-m", "benchmarks.state", "--seconds", str(seconds), "--work"]
        environment = {**os.environ, "EDUSOC_BENCHMARK_URL": url}
        processes = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(writers)
        ]
        lines = [process.communicate()[0].split() for process in processes]
        rate = sum(int(count) for count, _, _ in lines) / seconds
        median, high = (statistics.mean(float(line[at]) for line in lines) for at in (1, 2))
        print(
            f"{name:12}{writers:3} writers {rate:8.0f}/s  median {median:6.1f} ms  p95 {high:6.1f} ms",
            flush=True,
        )


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--database", default="")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(Database(os.environ["EDUSOC_BENCHMARK_URL"]), arguments.seconds)
        return
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        print(f"{'fdatasync':12}            {fsync_rate(Path(directory), 1):8.0f}/s")
        measure("SQLite", Database.in_directory(Path(directory)), arguments.seconds)
    if arguments.database:
        settings = replace(load_settings(), database_url=arguments.database)
        measure("PostgreSQL", Database.of(settings), arguments.seconds)


if __name__ == "__main__":
    main()
