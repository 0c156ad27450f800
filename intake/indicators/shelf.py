"""Hold the files of indicators in the state directory: one of each list, one of what is searched, one of them all.

Files never change; a new one takes the place of the old by its name. The file of them all bears a stamp of what it was
built from (the journal's number, the units' networks, what is known to be harmless), so whoever finds another stamp
builds it anew, whatever was interrupted before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from detectors.indicators import known
from detectors.indicators.building import Builder
from detectors.indicators.model import Head, Indicator, Kind, Tlp
from detectors.indicators.reading import BadEntry
from detectors.indicators.table import Table
from detectors.indicators.values import normalise
from intake.indicators.model import Allowed, Hunt, KeptList
from soc_core.clock import format_instant
from soc_core.errors import StoreBusyError, StoreError
from soc_core.log.files import write_whole
from soc_core.log.lock import WriterLock
from soc_core.organisations.repository import OrganisationTree

WAIT_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.1
SITE: Final = Head("site", "site", "edusoc", allow=True)
OWN: Final = Head("own", "own", "edusoc", allow=True)


class Shelf:
    """Name the files of a state directory, and write them."""

    def __init__(self, state: Path) -> None:
        """Take the state directory."""
        self.directory = state / "indicators"
        self.whole = self.directory / "all.indicators"

    def list_path(self, list_id: str, version: int) -> Path:
        """Return the file of a list's version."""
        return self.directory / f"{list_id}-{version}.indicators"

    def bad_path(self, list_id: str, version: int) -> Path:
        """Return the file of the entries that could not be taken."""
        return self.directory / f"{list_id}-{version}.bad.json"

    def hunt_path(self, list_id: str, version: int) -> Path:
        """Return the file of the entries that are searched in history."""
        return self.directory / f"{list_id}-{version}.hunt"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one that writes here; wait for another for a minute, then raise ``StoreBusyError``."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                lock = WriterLock(self.directory / "lock")
                break
            except StoreBusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(PAUSE_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def put_bad(self, list_id: str, version: int, bad: Iterable[BadEntry]) -> None:
        """Keep entries that could not be taken, with place and reason."""
        rows = [{"place": item.place, "reason": item.reason, "value": item.value} for item in bad]
        write_whole(self.bad_path(list_id, version), orjson.dumps(rows))

    def bad_entries(self, list_id: str, version: int) -> list[Mapping[str, str]]:
        """Return the kept bad entries, none where they can't be read."""
        try:
            found = orjson.loads(self.bad_path(list_id, version).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return []
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

    def tidy(self, kept: Iterable[KeptList], hunts: Iterable[Hunt]) -> None:
        """Remove files of versions that are gone, and of searches that are done. The caller holds the lock."""
        needed = {"lock", self.whole.name}
        for item in kept:
            needed |= {
                self.list_path(item.id, item.version).name,
                self.bad_path(item.id, item.version).name,
            }
        needed |= {
            self.hunt_path(item.list_id, item.version).name
            for item in hunts
            if item.state in {"waiting", "running"}
        }
        for path in list(self.directory.iterdir()):
            if path.name not in needed:
                path.unlink(missing_ok=True)

    def build(
        self,
        kept: Iterable[KeptList],
        allowed: Iterable[Allowed],
        own: Iterable[str],
        stamp: str,
        now: datetime,
    ) -> list[str]:
        """Write the file of them all; return the names of lists whose own file is missing or damaged.

        Those are left out, so that the others go on matching. The caller holds the lock.
        """
        builder = Builder()
        builder.stamp = stamp
        seconds = int(now.timestamp())
        lost = []
        for item in kept:
            if not item.enabled:
                continue
            try:
                table = Table(self.list_path(item.id, item.version))
            except StoreError:
                lost.append(item.name)
                continue
            builder.add_table(item.head, table, seconds)
        for head, items in ((SITE, _site(allowed, now)), (OWN, _own(own)), (known.HEAD, known.known())):
            builder.begin(head)
            for one in items:
                builder.add(one)
        builder.write(self.whole)
        return lost


def stamp_of(revision: int, ended: int, own: Iterable[str]) -> str:
    """Return what the file of them all must have been built from; ``ended`` is how many permissions are over."""
    digest = hashlib.sha256("\n".join(own).encode()).hexdigest()[:16]
    return f"{revision}.{ended}.{digest}.{known.known_digest()}"


def own_networks(tree: OrganisationTree) -> list[str]:
    """Return the networks of all units, ordered: nobody in them is a stranger."""
    return sorted(
        {block for unit in tree.units.values() for blocks in unit.zones.values() for block in blocks}
    )


def _site(allowed: Iterable[Allowed], now: datetime) -> Iterator[Indicator]:
    at = format_instant(now)
    for item in allowed:
        if not item.until or item.until > at:
            yield Indicator(Kind(item.kind), item.value, 100, Tlp.CLEAR, reason=item.reason)


def _own(networks: Iterable[str]) -> Iterator[Indicator]:
    for text in networks:
        try:
            kind, value = normalise(Kind.NETWORK, text)
        except ValueError:
            continue
        yield Indicator(kind, value, 100, Tlp.CLEAR)
