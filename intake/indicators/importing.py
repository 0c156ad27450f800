"""Import a list: read it, write its file, store it with the search of its new entries, and build the file of them all.

The order makes it safe to be killed anywhere: until the transaction commits the old list holds, and afterwards whoever
looks builds what is missing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from detectors.indicators.building import Builder
from detectors.indicators.model import Tlp
from detectors.indicators.reading import Defaults, Notes, read_list, recognise
from detectors.indicators.table import Table
from intake.indicators import repository
from intake.indicators.model import STREAM, Hunt, KeptList, Wanted
from intake.indicators.shelf import Shelf, own_networks, stamp_of
from soc_core.audit.journal import revision_of
from soc_core.clock import format_instant
from soc_core.errors import InputError, StoreError, UsageError
from soc_core.jobs import jobs
from soc_core.log.files import write_whole
from soc_core.organisations.repository import load_tree, today
from soc_core.state.database import Database

JOB: Final = "indicators.hunt"
DAY_SECONDS: Final = 86_400
USUAL_CONFIDENCE: Final = 50
MOST_DAYS: Final = 3_650
Report = Callable[[str, int], None]
"""Is told the stage (``read``, ``write``) and how many entries it has done."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Say what an import did: the list now, what was read, how many entries are new and gone, and the search begun."""

    kept: KeptList
    notes: Notes
    added: int
    gone: int
    hunt: Hunt | None
    unchanged: bool = False


class ListKeeper:
    """Import lists into an installation, and keep the file of them all up to date."""

    def __init__(self, shelf: Shelf, database: Database) -> None:
        """Take where files and tables are."""
        self.shelf, self._database = shelf, database

    def import_list(
        self, data: bytes, wanted: Wanted, now: datetime, report: Report = lambda _stage, _count: None
    ) -> Imported:
        """Import a file as a list or the next version of one.

        Raises ``InputError`` when nothing of it can be taken: then the list stays as it was. The same file with the
        same settings again changes nothing.
        """
        repository.require_reason(wanted.reason)
        repository.require_name(wanted.name)
        with self.shelf.locked():
            with self._database.read() as connection:
                before = repository.find_list(connection, wanted.name)
            kept = _next(before, data, wanted, now)
            if before is not None and _same(before, kept):
                return Imported(before, Notes(), 0, 0, None, unchanged=True)
            notes, made = self._write(data, kept, now, report)
            imported = self._store(made, notes, before, now)
            self._build(now)
        return imported

    def _write(self, data: bytes, kept: KeptList, now: datetime, report: Report) -> tuple[Notes, KeptList]:
        notes, builder = Notes(), Builder()
        builder.begin(kept.head)
        for number, item in enumerate(read_list(data, kept.format, _defaults(kept, now), notes), start=1):
            builder.add(item)
            if number % 10_000 == 0:
                report("read", 10_000)
        if not len(builder):
            raise _nothing(kept.source, next(iter(notes.reasons), ""))
        report("write", 0)
        entries = builder.write(self.shelf.list_path(kept.id, kept.version))
        self.shelf.put_bad(kept.id, kept.version, notes.kept)
        return notes, replace(kept, entries=entries, bad=notes.bad)

    def _store(self, kept: KeptList, notes: Notes, before: KeptList | None, now: datetime) -> Imported:
        added, gone = self._difference(kept, before)
        hunt = None
        with self._database.write() as connection:
            repository.put_list(connection, kept, new=before is None, now=now)
            if added and not kept.allow and kept.enabled:
                hunt = repository.add_hunt(connection, kept, added, now=now)
                jobs.put(connection, JOB, hunt.key, now)
        return Imported(kept, notes, added, gone, hunt)

    def _difference(self, kept: KeptList, before: KeptList | None) -> tuple[int, int]:
        """Write the file of what the old version did not have; return how many entries are new and gone."""
        table = Table(self.shelf.list_path(kept.id, kept.version))
        old = None
        if before is not None:
            try:
                old = Table(self.shelf.list_path(before.id, before.version))
            except StoreError:
                old = None
        if old is None:
            write_whole(self.shelf.hunt_path(kept.id, kept.version), table.path.read_bytes())
            return len(table), 0
        builder = Builder()
        builder.begin(kept.head)
        for number, key in enumerate(table.all_keys()):
            if not old.find(key):
                builder.add(table.entry(number))
        if len(builder):
            builder.write(self.shelf.hunt_path(kept.id, kept.version))
        return len(builder), sum(1 for key in old.all_keys() if not table.find(key))

    def hunt_again(self, name: str, now: datetime) -> Hunt:
        """Search all entries of a list in history once more. Raises ``UsageError`` for a list that does not match."""
        with self.shelf.locked():
            with self._database.read() as connection:
                kept = repository.need_list(connection, name)
            if kept.allow or not kept.enabled:
                raise UsageError("this list does not match anything", where=kept.name)
            table = Table(self.shelf.list_path(kept.id, kept.version))
            write_whole(self.shelf.hunt_path(kept.id, kept.version), table.path.read_bytes())
            with self._database.write() as connection:
                hunt = repository.add_hunt(connection, kept, len(table), now=now)
                jobs.put(connection, JOB, hunt.key, now)
        return hunt

    def build(self, now: datetime, *, anyway: bool = False) -> list[str]:
        """Build the file of them all when it is not of today's state; return the names of lists that are damaged."""
        if not anyway and self.is_current(now):
            return []
        with self.shelf.locked():
            return self._build(now, anyway=anyway)

    def is_current(self, now: datetime) -> bool:
        """Tell whether the file of them all is built from what holds now."""
        with self._database.read() as connection:
            stamp = current_stamp(connection, now)
        return self._stamp() == stamp

    def _stamp(self) -> str:
        try:
            return Table(self.shelf.whole).stamp
        except StoreError:
            return ""

    def _build(self, now: datetime, *, anyway: bool = True) -> list[str]:
        with self._database.read() as connection:
            kept = repository.list_lists(connection)
            allowed = repository.list_allowed(connection)
            hunts = repository.list_hunts(connection)
            own = own_networks(load_tree(connection, today(now)))
            stamp = current_stamp(connection, now)
        if not anyway and self._stamp() == stamp:
            return []
        lost = self.shelf.build(kept, allowed, own, stamp, now)
        self.shelf.tidy(kept, hunts)
        return lost


def current_stamp(connection: Connection, now: datetime) -> str:
    """Return the stamp that the file of them all must have."""
    own = own_networks(load_tree(connection, today(now)))
    return stamp_of(revision_of(connection, STREAM), repository.count_ended(connection, now), own)


def _nothing(source: str, why: str) -> InputError:
    """Return the error that nothing of a list can be taken; ``why`` is the reason of its first bad entry, if any."""
    todo = "look at its format and columns; the list stays as it was"
    if why:
        return InputError(f"nothing of this list can be taken: {why}", where=source, todo=todo)
    return InputError("nothing of this list can be taken", where=source, todo=todo)


def _defaults(kept: KeptList, now: datetime) -> Defaults:
    seconds = int(now.timestamp())
    return Defaults(
        now=seconds,
        confidence=kept.confidence,
        tlp=kept.tlp,
        expires=seconds + kept.valid_days * DAY_SECONDS if kept.valid_days else 0,
        subdomains=kept.subdomains,
        accuse=not kept.allow,
        columns=kept.columns,
    )


def _next(before: KeptList | None, data: bytes, wanted: Wanted, now: datetime) -> KeptList:
    """Return the list as it will be, without counts."""
    at = format_instant(now)
    old = before or KeptList(
        id=secrets.token_hex(8), name=wanted.name, source="", format="", version=0, sha256="", entries=0, bad=0,
        confidence=USUAL_CONFIDENCE, tlp=Tlp.AMBER, severity="", valid_days=0, subdomains=True, allow=False,
        enabled=True, columns={}, actor="", reason="", created_at=at, updated_at=at,
    )  # fmt: skip
    given = {
        name: value
        for name in ("confidence", "tlp", "severity", "valid_days", "subdomains", "allow")
        if (value := getattr(wanted, name)) is not None
    }
    kept = replace(
        old,
        **given,
        source=wanted.source[:1_024],
        format=wanted.format or recognise(data),
        version=old.version + 1,
        sha256=hashlib.sha256(data).hexdigest(),
        columns=wanted.columns or old.columns,
        actor=wanted.actor[:64],
        reason=wanted.reason.strip(),
        updated_at=at,
    )
    if not 0 <= kept.confidence <= 100 or not 0 <= kept.valid_days <= MOST_DAYS:
        raise UsageError(f"confidence goes from 0 to 100, days from 0 to {MOST_DAYS}", where=wanted.name)
    return kept


def _same(before: KeptList, after: KeptList) -> bool:
    """Tell whether an import would change nothing."""
    names = ("sha256", "format", "confidence", "tlp", "severity", "valid_days", "subdomains", "allow")
    same = all(getattr(before, name) == getattr(after, name) for name in names)
    return same and dict(before.columns) == dict(after.columns) and not before.valid_days
