"""Importing adds each record once, however often and under whatever name it comes, and survives being killed."""

from __future__ import annotations

import gzip
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import func, select

from cases.alerts.attach import AlertSink
from collectors.opening import open_bytes
from intake.importing import Importer, ImportReport, Place, source_identity
from intake.pipeline import Detectors, Pipeline
from intake.tables import quarantine, sources
from soc_core.clock import Clock, parse_instant
from soc_core.model.event import Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Search

ROOT = Path(__file__).parents[2]
LINE = "Nov 20 10:03:{:02d} gw sshd[5]: Failed password for root from 203.0.113.9 port 4022 ssh2\n"
LINES = "".join(LINE.format(second // 2) for second in range(60))  # each line stands twice

Import = Callable[..., ImportReport]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "events", writer=True)
    yield opened
    opened.close()


@pytest.fixture
def importing(store: EmbeddedStore, database: Database, tree: OrganisationTree, clock: Clock) -> Import:
    work = Pipeline(store, database, Detectors([], []), AlertSink(clock), clock)
    importer = Importer(work, database, clock)

    def run(paths: Sequence[Path], unit: str = "S1", zone: str = "default") -> ImportReport:
        place = Place(tree.find(unit).id, zone)
        return importer.import_paths([str(path) for path in paths], place, lambda _batch: None)

    return run


def everything(store: EmbeddedStore) -> list[Event]:
    start = parse_instant("2000-01-01T00:00:00Z")
    asked = Search(SYSTEM_SCOPE, start, start + timedelta(days=40_000))
    return [event for batch in store.scan(asked) for event in batch]


def test_equal_lines_are_two_and_a_second_reading_adds_nothing(tmp_path: Path, importing: Import) -> None:
    path = tmp_path / "auth.log"
    path.write_text(LINES)
    first = importing([path])
    again = importing([path])
    assert (first.accepted, first.duplicates) == (60, 0)
    assert (again.accepted, again.duplicates) == (0, 60)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.compress, bytes])
def test_renamed_and_compressed_copies_add_nothing(
    tmp_path: Path, importing: Import, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "auth.log").write_text(LINES)
    importing([tmp_path / "auth.log"])
    (tmp_path / "other-name").write_bytes(pack(LINES.encode()))
    os.utime(tmp_path / "other-name", (1_000_000_000, 1_000_000_000))  # the year is guessed as it was first
    report = importing([tmp_path / "other-name"])
    assert (report.accepted, report.duplicates) == (0, 60)


def test_of_a_grown_copy_only_what_is_new_is_added(tmp_path: Path, importing: Import) -> None:
    (tmp_path / "auth.log").write_text(LINES)
    importing([tmp_path / "auth.log"])
    (tmp_path / "copy").write_text(LINES + LINE.format(45) * 3)
    report = importing([tmp_path / "copy"])
    assert (report.accepted, report.duplicates) == (3, 60)


def test_the_same_file_at_another_school_or_zone_is_another_source(tmp_path: Path, importing: Import) -> None:
    (tmp_path / "auth.log").write_text(LINES)
    reports = [
        importing([tmp_path / "auth.log"], unit=unit, zone=zone)
        for unit, zone in (("S1", "default"), ("S2", "default"), ("S1", "监控网"))
    ]
    assert [report.accepted for report in reports] == [60, 60, 60]


def test_bad_records_are_kept_aside_once(tmp_path: Path, importing: Import, database: Database) -> None:
    (tmp_path / "auth.log").write_text(LINES + "no header here\n" + LINE.format(59))
    reports = [importing([tmp_path / "auth.log", tmp_path / "nowhere"]) for _ in range(2)]
    assert [(report.read.bad, report.accepted) for report in reports] == [(2, 61), (2, 0)]
    with database.read() as connection:
        kept = connection.execute(select(quarantine)).all()
    assert sorted(Path(row.source).name for row in kept) == ["auth.log", "nowhere"]
    assert {row.raw for row in kept} == {b"no header here", b""}


def test_names_in_no_encoding_are_taken(tmp_path: Path, importing: Import, database: Database) -> None:
    good, bad = (os.fsencode(tmp_path) + name for name in (b"/caf\xe9.log", b"/\xff"))
    for path, text in ((good, LINES), (bad, "nothing known\n")):
        Path(os.fsdecode(path)).write_text(text)
    report = importing([Path(os.fsdecode(good)), Path(os.fsdecode(bad))])
    assert (report.accepted, report.read.bad) == (60, 1)
    with database.read() as connection:
        assert connection.scalar(select(sources.c.path)) == f"{tmp_path}/caf\\xe9.log"
        assert connection.scalar(select(quarantine.c.source)) == f"{tmp_path}/\\xff"


def test_names_as_long_as_the_system_has_them_are_taken(
    tmp_path: Path, importing: Import, database: Database
) -> None:
    chance = random.Random(1)
    path = tmp_path
    while len(os.fsencode(path)) < 3_700:
        path /= "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(80))
    path.mkdir(parents=True)
    (path / "bad.log").write_text("nothing known\n")
    for _ in range(2):
        assert importing([path / "bad.log"]).read.bad == 1
    with database.read() as connection:
        (name,) = connection.scalars(select(quarantine.c.source))
    assert str(path / "bad.log").endswith(name)


def test_sources_are_remembered_under_their_latest_name(
    tmp_path: Path, importing: Import, database: Database
) -> None:
    (tmp_path / "a").write_text(LINES)
    importing([tmp_path / "a"])
    shutil.move(tmp_path / "a", tmp_path / "b")
    importing([tmp_path / "b"])
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(sources)) == 1
        assert connection.scalar(select(sources.c.path)) == str(tmp_path / "b")


def test_logs_that_begin_with_the_same_comment_are_two_sources() -> None:
    place = Place("u1")
    first, second = (
        source_identity(open_bytes(b"#separator \\x09\n#path " + name + b"\n1\t2\n" + name + b"\t3\n"), place)
        for name in (b"conn", b"dns")
    )
    assert first == second  # the first record tells sources apart, and here it is the same
    third = source_identity(open_bytes(b"#separator \\x09\n#path dns\n7\t2\n"), place)
    assert third != first


KILLED = """
import sys
from pathlib import Path
from cases.alerts.attach import AlertSink
from intake.importing import Importer, Place
from intake.pipeline import Detectors, Pipeline
from soc_core.clock import utc_now
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore

state, unit, path = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = EmbeddedStore(state / "events", writer=True)
database = Database(sys.argv[4])
work = Pipeline(store, database, Detectors([], []), AlertSink(utc_now), utc_now)
work.release_leases()
def report(batch):
    print(len(batch.events), flush=True)
Importer(work, database, utc_now).import_paths([path], Place(unit), report)
store.close()
"""


@pytest.mark.slow
def test_killed_half_way_and_repeated_is_the_same_as_once(
    tmp_path: Path, database: Database, tree: OrganisationTree
) -> None:
    database.close()
    unit, path = tree.find("S1").id, tmp_path / "auth.log"
    path.write_text("".join(LINE.format(number % 60) for number in range(20_000)))
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", KILLED, str(tmp_path), unit, str(path), url]
    for batches in (1, 6, 13):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(batches):
                assert process.stdout.readline()
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=120)
    store = EmbeddedStore(tmp_path / "events", writer=True)
    events = everything(store)
    assert len(events) == len({event["event.id"] for event in events}) == 20_000
    assert store.verify() == []
    store.close()
