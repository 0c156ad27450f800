"""Keep what the running pipelines run, so that commands and pages can say it: ``edusoc rules status``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from intake.rules.tables import runs
from soc_core.clock import format_instant

LONGEST_FAULT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Run:
    """Say what a pipeline runs: the settings' revision it saw, its files' fingerprint, and why newer files don't run.

    ``fault`` is empty while everything that is there runs.
    """

    name: str
    revision: int
    fingerprint: str
    loaded_at: str
    rules: int
    problems: int
    fault: str = ""
    fault_at: str = ""


def put_run(connection: Connection, run: Run) -> None:
    """Keep what runs under its name."""
    connection.execute(delete(runs).where(runs.c.name == run.name))
    connection.execute(insert(runs).values({name: getattr(run, name) for name in Run.__slots__}))


def put_fault(connection: Connection, name: str, fault: str, *, now: datetime) -> None:
    """Keep why newer rules don't run (empty: they do); what runs stays as it is."""
    for run in list_runs(connection):
        if run.name == name and run.fault != fault[:LONGEST_FAULT]:
            at = format_instant(now) if fault else ""
            put_run(connection, replace(run, fault=fault[:LONGEST_FAULT], fault_at=at))


def list_runs(connection: Connection) -> list[Run]:
    """Return what runs, by name."""
    return [Run(**row._mapping) for row in connection.execute(select(runs).order_by(runs.c.name))]
