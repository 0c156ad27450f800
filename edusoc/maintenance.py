"""Do what a writer must do now and then: retention once a day, and room on the disk whenever it gets scarce.

Only the process that writes events may remove any, so it is done there: before it takes new events and after. That it
is due is a row of the table of jobs; whoever dies over it leaves a lease that runs out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.jobs import jobs
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.embedded.disk import relieve_disk
from soc_core.store.interface import EventStore, Removal
from soc_core.store.keeping import Kept, apply_retention
from soc_core.store.retention import Policy

KIND: Final = "retention"
EVERY: Final = timedelta(days=1)
LEASE: Final = timedelta(hours=1)
LEAP: Final = timedelta(days=31)
"""What is deleted stays deleted when the clock is set right: beyond this a person gets a day to look at it."""
DAILY: Final = "daily"


def retain_daily(store: EventStore, database: Database, settings: Settings, now: datetime) -> Kept | None:
    """Apply retention if a day has passed since the last time; ``None`` when it is not due.

    Raises ``StoreError`` when the store refuses; it is then tried again when the lease has run out. When the clock says
    that it was not done for very long, the clock may be wrong: that is said, and it is done a day later.
    """
    with database.write() as connection:
        since = _leap(connection, now)
        due = jobs.lease(connection, KIND, now=now, length=LEASE)
    if since is not None:
        raise StoreError(
            f"by the clock of this machine retention was due {since.days} days ago: nothing is removed today",
            todo="check the clock; if it is right there is nothing to do",
        )
    if not due:
        return None
    kept = apply_retention(store, Policy.of(settings), now)
    with database.write() as connection:
        jobs.finish(connection, due)
        jobs.put(connection, KIND, DAILY, now + EVERY)
    return kept


def _leap(connection: Connection, now: datetime) -> timedelta | None:
    """Put the job where the clock says it belongs; return how far the clock seems to have leapt ahead, if it has.

    What a clock put far ahead before it was set right is due now.
    """
    due = jobs.due_of(connection, KIND, DAILY)
    if due is None or due > now + EVERY:
        jobs.put(connection, KIND, DAILY, now)
    elif now - due > LEAP:
        jobs.put(connection, KIND, DAILY, now + EVERY)
        return now - due
    return None


def make_room(store: EventStore, settings: Settings, now: datetime) -> Removal:
    """Drop detail early when the disk of an embedded store fills; a cluster looks after its own disks."""
    if not isinstance(store, EmbeddedStore):
        return Removal(0, 0)
    return relieve_disk(store, Policy.of(settings), now)


def maintain(store: EventStore, database: Database, settings: Settings, now: datetime) -> str:
    """Do both; return what failed, so that it can be said without failing what the process is there for."""
    try:
        make_room(store, settings, now)
        retain_daily(store, database, settings, now)
    except StoreError as error:
        return str(error)
    return ""
