"""Make state directories to back up, and compare what came back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

from edusoc.migrating import upgrade
from soc_core.backup.making import Made, Order, Source, make_backup
from soc_core.backup.meter import SilentMeter
from soc_core.backup.package import PackageReader
from soc_core.backup.restoring import Means, Restored, restore_backup
from soc_core.clock import EPOCH, utc_now
from soc_core.config import Settings
from soc_core.model.event import Event
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.interface import SYSTEM_SCOPE, Search
from tests.contract.samples import make

SECRET: Final = b"correct horse battery staple"
EVER: Final = timedelta(days=80_000)


def settings_in(directory: Path) -> Settings:
    return Settings(state=str(directory))


def fill_store(state: Path, sealed: Iterable[int], tail: Iterable[int]) -> None:
    """Put events into a state directory's store: some into segments, some into the log only."""
    store = EmbeddedStore(state / "events", writer=True, limits=Limits(reserve=0))
    store.append([make(number, day=20 + number % 3) for number in sealed])
    store.seal()
    store.append([make(number, day=20 + number % 3) for number in tail])
    store.close()


def make_state(state: Path) -> Path:
    """Return a state directory with events, an empty operational database, a model, a key and passing files."""
    database = Database.in_directory(state)
    upgrade(database)
    database.close()
    fill_store(state, range(200), range(200, 260))
    for name, text in (
        ("models/flows/model.skops", "a model"),
        ("keys/cursors.key", "hmac-sha256 " + "ab" * 32 + "\n"),
        ("cut/session.pcap", "passing"),
        ("demo.lock", "1"),
    ):
        path = state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return state


def back_up(state: Path, order: Order) -> Made:
    settings = settings_in(state)
    database = Database.of(settings)
    try:
        return make_backup(Source(settings, database), order, utc_now, SilentMeter())
    finally:
        database.close()


def restore(made: Path, into: Path, passphrase: bytes | None = None, *, replace: bool = False) -> Restored:
    package = PackageReader(made, passphrase)
    try:
        means = Means(Database.in_directory, upgrade)
        return restore_backup(package, into, means, SilentMeter(), replace=replace)
    finally:
        package.close()


def events_of(state: Path) -> dict[str, Event]:
    """Return all events by id; fail when one is there twice or the store is not sound."""
    store = EmbeddedStore(state / "events", writer=False)
    try:
        found: dict[str, Event] = {}
        for batch in store.scan(Search(SYSTEM_SCOPE, EPOCH, EPOCH + EVER)):
            for event in batch:
                assert event["event.id"] not in found
                found[str(event["event.id"])] = event
        assert store.verify() == []
        return found
    finally:
        store.close()
