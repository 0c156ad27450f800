"""Hold how lists are imported, renewed, switched off, allowed against, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from detectors.indicators.model import Kind, Tlp
from detectors.indicators.table import Table
from intake.indicators import repository
from intake.indicators.importing import JOB, Imported, ListKeeper
from intake.indicators.model import STREAM, Allowed, Wanted
from intake.indicators.shelf import Shelf
from intake.indicators.watching import IndicatorWatch
from soc_core.audit.journal import read_links
from soc_core.clock import format_instant
from soc_core.errors import InputError, StoreError, UsageError
from soc_core.jobs import jobs
from soc_core.model.event import Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from tests.conftest import NOW

LIST = b"45.9.1.2 # bot\nevil.cn\n10.0.0.1\n"
SEEN: Event = {
    "@timestamp": "2026-11-20T01:02:03.000000Z", "event.id": "20261120-1", "organization.id": "u1",
    "source.ip": "10.0.0.5",
}  # fmt: skip


@pytest.fixture
def keeper(tmp_path: Path, database: Database) -> ListKeeper:
    return ListKeeper(Shelf(tmp_path / "state"), database)


def put(keeper: ListKeeper, data: bytes = LIST, now: datetime = NOW, **more: object) -> Imported:
    return keeper.import_list(data, Wanted("feed", "file", "wang", "weekly", **more), now)  # type: ignore[arg-type]


def whole(keeper: ListKeeper) -> Table:
    return Table(keeper.shelf.whole)


def test_a_list_is_kept_with_what_was_bad(keeper: ListKeeper, database: Database) -> None:
    done = put(keeper, confidence=80, tlp=Tlp.GREEN, severity="high")
    assert (done.kept.entries, done.kept.bad, done.added, done.gone) == (2, 1, 2, 0)
    assert keeper.shelf.bad_entries(done.kept.id, 1)[0]["place"] == "line 3"
    (number,) = whole(keeper).find(b"i45.9.1.2")
    entry, head = whole(keeper).entry(number), whole(keeper).head(number)
    assert (entry.confidence, entry.tlp, head.severity, head.name) == (80, Tlp.GREEN, "high", "feed")
    with database.read() as connection:
        assert jobs.waiting(connection, JOB) == [f"{done.kept.id}@1"]
        (link,) = read_links(connection, STREAM)
        assert (link.kind, '"actor":"wang"' in link.body.replace(" ", "")) == ("list.imported", True)


def test_a_new_version_takes_the_place_of_the_old(keeper: ListKeeper, database: Database) -> None:
    first = put(keeper)
    assert put(keeper).unchanged
    second = put(keeper, b"45.9.1.2\n45.9.9.9\n", NOW + timedelta(days=1))
    assert (second.kept.id, second.kept.version, second.added, second.gone) == (first.kept.id, 2, 1, 1)
    assert not whole(keeper).find(b"devil.cn")
    hunted = Table(keeper.shelf.hunt_path(first.kept.id, 2))
    assert list(hunted.all_keys()) == [b"i45.9.9.9"]
    assert not keeper.shelf.list_path(first.kept.id, 1).exists()


def test_what_can_not_be_taken_leaves_the_old_list(keeper: ListKeeper) -> None:
    put(keeper)
    for garbage in (b"", b"\x00\xff" * 500, b"{", b"10.0.0.1\n"):
        with pytest.raises(InputError):
            put(keeper, garbage)
    assert whole(keeper).find(b"i45.9.1.2")
    for wanted in (Wanted("", "f", "w", "why"), Wanted("../x", "f", "w", "why"), Wanted("x", "f", "w", " ")):
        with pytest.raises(UsageError):
            keeper.import_list(LIST, wanted, NOW)


def test_lists_are_switched_off_and_removed(keeper: ListKeeper, database: Database) -> None:
    done = put(keeper)
    for enabled in (False, True):
        with database.write() as connection:
            repository.set_enabled(connection, done.kept, enabled, ("wang", "why"), now=NOW)
        keeper.build(NOW)
        assert bool(whole(keeper).find(b"i45.9.1.2")) is enabled
    with database.write() as connection:
        repository.remove_list(connection, done.kept, "wang", "why", now=NOW)
    keeper.build(NOW)
    assert not whole(keeper).find(b"i45.9.1.2")
    with database.read() as connection, pytest.raises(UsageError):
        repository.need_list(connection, "feed")


def test_entries_expire_by_the_lists_days(keeper: ListKeeper) -> None:
    put(keeper, valid_days=2)
    assert whole(keeper).find(b"i45.9.1.2")
    keeper.build(NOW + timedelta(days=3), anyway=True)
    assert not whole(keeper).find(b"i45.9.1.2")


def watch_of(keeper: ListKeeper, database: Database, now: datetime = NOW) -> IndicatorWatch:
    return IndicatorWatch(keeper.shelf, database, lambda: now)


def test_a_running_pipeline_takes_what_changed(
    keeper: ListKeeper, database: Database, tree: OrganisationTree
) -> None:
    watch = watch_of(keeper, database)
    event = SEEN | {"destination.ip": "45.9.1.2"}
    assert not watch.look()
    assert watch.detect([event]) == []
    assert not keeper.shelf.directory.exists()  # nobody keeps lists: nothing is made
    put(keeper)
    assert watch.look()
    assert not watch.look()
    assert len(watch.detect([event])) == 1
    until = format_instant(NOW + timedelta(hours=1))
    item = Allowed(Kind.IP.value, "45.9.1.2", "wang", "a partner", format_instant(NOW), until)
    with database.write() as connection:
        repository.allow(connection, item, now=NOW)
    assert watch.look()
    assert watch.detect([event]) == []
    later = watch_of(keeper, database, NOW + timedelta(hours=2))  # the permission is over
    assert later.look()
    assert len(later.detect([event])) == 1
    with database.write() as connection:
        assert repository.take_back(connection, Kind.IP, "45.9.1.2", ("wang", "over"), now=NOW)
        assert not repository.take_back(connection, Kind.IP, "45.9.1.2", ("wang", "over"), now=NOW)


def test_own_networks_are_never_accused(
    keeper: ListKeeper, database: Database, tree: OrganisationTree
) -> None:
    from soc_core.organisations.networks import put_networks

    with database.write() as connection:
        unit = next(iter(tree.units))
        put_networks(connection, unit, {"default": ["45.9.0.0/16"]}, start=None, day=NOW.date())
    put(keeper)
    watch = watch_of(keeper, database)
    assert watch.look()
    assert watch.detect([SEEN | {"destination.ip": "45.9.1.2"}]) == []


def test_damage_is_said_and_the_rest_goes_on(keeper: ListKeeper, database: Database) -> None:
    first = put(keeper)
    keeper.import_list(b"45.9.2.2\n", Wanted("other", "file", "wang", "why"), NOW)
    keeper.shelf.list_path(first.kept.id, 1).write_bytes(b"EDUSOCI1 nonsense")
    keeper.shelf.whole.write_bytes(b"")
    watch = watch_of(keeper, database)
    assert watch.look()
    assert "feed" in watch.fault
    assert len(watch.detect([SEEN | {"destination.ip": "45.9.2.2"}])) == 1
    keeper.shelf.whole.write_bytes(b"x")
    with pytest.raises(StoreError):
        whole(keeper)


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from intake.indicators import importing, shelf
from intake.indicators.model import Wanted
from soc_core.state.database import Database

def die(*_arguments, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

state, where = Path(sys.argv[1]), sys.argv[2]
if where == "reading":
    importing.read_list = die
elif where == "stored":
    importing.ListKeeper._store = die
elif where == "committed":
    importing.ListKeeper._build = die
elif where == "writing":
    importing.Builder.write = die
database = Database.in_directory(state)
keeper = importing.ListKeeper(shelf.Shelf(state), database)
keeper.import_list(b"45.9.9.9\\n", Wanted("feed", "file", "wang", "why"), datetime(2026, 11, 24, tzinfo=UTC))
"""


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("reading", b"i45.9.1.2"),
        ("writing", b"i45.9.1.2"),
        ("stored", b"i45.9.1.2"),
        ("committed", b"i45.9.9.9"),
    ],
)
def test_killed_in_the_middle_one_list_holds_whole(tmp_path: Path, where: str, holds: bytes) -> None:
    from edusoc.migrating import upgrade

    database = Database.in_directory(tmp_path)
    upgrade(database)
    keeper = ListKeeper(Shelf(tmp_path), database)
    put(keeper)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), where], env=dict(os.environ), timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert IndicatorWatch(keeper.shelf, database, lambda: NOW + timedelta(days=1)).look()
    table = whole(keeper)
    assert [key for key in (b"i45.9.1.2", b"i45.9.9.9") if table.find(key)] == [holds]
    database.close()
