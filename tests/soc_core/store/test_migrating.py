"""Hold that a migration loses and doubles nothing, wherever it stops, and that it notices what differs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from soc_core.errors import StoreError, UsageError
from soc_core.model.event import Event
from soc_core.store import migrating
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.interface import SYSTEM_SCOPE, Ack, EventStore
from soc_core.store.migrating import Checkpoint, compare, copy
from tests.contract.elasticsearch_places import opener
from tests.contract.samples import all_of, make

SMALL = Limits(seal_events=400, reserve=0)


class Silent:
    def begin(self, stage: str, total: int) -> None:
        """Show nothing."""

    def advance(self, size: int) -> None:
        """Show nothing."""


METER = Silent()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "CHUNK", 64)


def events(count: int = 1_000) -> list[Event]:
    """Return events of three days and units; the ids of late ones go before those of earlier ones."""
    return [make(number, day=18 + (number * 7) % 3, organization=f"o{number % 3}") for number in range(count)]


def open_embedded(path: Path) -> EmbeddedStore:
    return EmbeddedStore(path, writer=True, limits=SMALL)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = open_embedded(tmp_path / "source")
    for start in range(0, 1_000, 130):
        store.append(events()[start : start + 130])
    store.seal()
    yield store
    store.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = open_embedded(tmp_path / "target")
    yield store
    store.close()


def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "state" / "migration.json", "one", "other")


class Interrupted:
    """Be a store whose appends fail after some time, before or after they did their work."""

    def __init__(self, store: EventStore, after: int, *, done: bool) -> None:
        self._store, self._left, self._done = store, after, done

    def append(self, batch: Sequence[Event]) -> Ack:
        self._left -= 1
        if self._left < 0:
            if self._done:
                self._store.append(batch[: len(batch) // 2])
            raise StoreError("killed")
        return self._store.append(batch)

    def end_offset(self) -> int:
        return self._store.end_offset()


def test_copies_in_append_order_and_leaves_the_source_alone(
    source: EmbeddedStore, target: EmbeddedStore, tmp_path: Path
) -> None:
    before = all_of(source)
    kept = checkpoint(tmp_path)
    assert copy(source, target, kept, cursor=0, meter=METER) == []
    assert all_of(target) == before == all_of(source)
    assert (kept.progress.accepted, kept.progress.duplicates, kept.progress.cursor) == (1_000, 0, 0)
    assert compare(source, target, METER) == []


@pytest.mark.parametrize("cursor", [0, 1, 63, 64, 65, 500, 999, 1_000])
def test_detection_goes_on_where_it_was(
    source: EmbeddedStore, target: EmbeddedStore, tmp_path: Path, cursor: int
) -> None:
    kept = checkpoint(tmp_path)
    copy(source, target, kept, cursor=cursor, meter=METER)
    rest, _ = source.read_from(cursor)
    assert target.read_from(kept.progress.cursor)[0] == rest


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("after", [0, 1, 7, 15])
@pytest.mark.parametrize("moved", [0, 200])
def test_goes_on_after_an_interruption(
    source: EmbeddedStore, target: EmbeddedStore, tmp_path: Path, after: int, done: bool, moved: int
) -> None:
    """Also when detectors went on with the source meanwhile."""
    cursor = 470
    with pytest.raises(StoreError):
        copy(
            source,
            Interrupted(target, after, done=done),
            checkpoint(tmp_path),
            cursor=cursor,
            meter=METER,  # type: ignore[arg-type]
        )
    cursor += moved
    again = checkpoint(tmp_path)
    copy(source, target, again, cursor=cursor, meter=METER)
    assert all_of(target) == all_of(source)
    assert compare(source, target, METER) == []
    todo = {str(event["event.id"]) for event in source.read_from(cursor)[0]}
    seen = {str(event["event.id"]) for event in target.read_from(again.progress.cursor)[0]}
    assert todo <= seen  # nothing is skipped …
    assert len(seen - todo) <= (moved + 2 * 64)  # … and little examined again


def test_copies_what_came_since_when_repeated(
    source: EmbeddedStore, target: EmbeddedStore, tmp_path: Path
) -> None:
    copy(source, target, checkpoint(tmp_path), cursor=1_000, meter=METER)
    source.append(events(1_100)[1_000:])
    again = checkpoint(tmp_path)
    copy(source, target, again, cursor=1_050, meter=METER)
    assert all_of(target) == all_of(source)
    assert again.progress.accepted == 1_100
    assert len(target.read_from(again.progress.cursor)[0]) == 50


def test_what_others_stored_in_the_target_meanwhile_is_not_passed_by(
    source: EmbeddedStore, target: EmbeddedStore, tmp_path: Path
) -> None:
    copy(source, target, checkpoint(tmp_path), cursor=1_000, meter=METER)
    target.append([make(5_000)])
    source.append(events(1_100)[1_000:])
    again = checkpoint(tmp_path)
    copy(source, target, again, cursor=1_100, meter=METER)
    assert len(target.read_from(again.progress.cursor)[0]) == 101
    (finding,) = [
        item for item in compare(source, target, METER) if item.what.endswith("missing in the source")
    ]
    assert finding.where == make(5_000)["event.id"]


def test_refuses_a_target_that_holds_other_events(
    source: EmbeddedStore, target: EmbeddedStore, tmp_path: Path
) -> None:
    target.append([make(5_000)])
    with pytest.raises(UsageError, match="holds events already"):
        copy(source, target, checkpoint(tmp_path), cursor=0, meter=METER)


def test_refuses_the_record_of_another_migration(tmp_path: Path) -> None:
    kept = checkpoint(tmp_path)
    kept.save(kept.progress)
    with pytest.raises(UsageError, match="from one to other is not finished"):
        Checkpoint(tmp_path / "state" / "migration.json", "other", "one")
    (tmp_path / "state" / "migration.json").write_bytes(b"{")
    with pytest.raises(StoreError, match="can't be read"):
        checkpoint(tmp_path)


def test_names_what_differs(source: EmbeddedStore, target: EmbeddedStore) -> None:
    changed = all_of(source)
    changed[10] = {**changed[10], "message": "another"}
    del changed[20]
    missing = str(all_of(source)[20]["event.id"])
    target.append(changed)
    found = {(item.where, item.what) for item in compare(source, target, METER)}
    assert (str(changed[10]["event.id"]), "the event is another in the target") in found
    assert (missing, "the event is missing in the target") in found
    (counted,) = [item for item in found if "in the source," in item[1]]
    assert counted[0].endswith(missing[:8])
    assert len(found) == 3


def test_names_at_most_ten_events_of_a_day(source: EmbeddedStore, target: EmbeddedStore) -> None:
    target.append([{**event, "message": "another"} for event in all_of(source)])
    found = compare(source, target, METER)
    assert len(found) == 3 * 11


_CHILD = """
import sys
from pathlib import Path
from soc_core.store import migrating
from soc_core.store.embedded import EmbeddedStore, Limits
from tests.soc_core.store.test_migrating import METER, SMALL, checkpoint, open_embedded
migrating.CHUNK = 16
path = Path(sys.argv[1])
source, target = open_embedded(path / "source"), open_embedded(path / "target")
class Shown:
    def begin(self, stage, total): print("begun", flush=True)
    def advance(self, size): print(size, flush=True)
migrating.copy(source, target, checkpoint(path), cursor=500, meter=Shown())
print("end", flush=True)
"""


@pytest.mark.slow
def test_killed_anywhere_and_repeated_loses_and_doubles_nothing(
    source: EmbeddedStore, tmp_path: Path
) -> None:
    whole = all_of(source)
    source.close()
    kills = 0
    for lines in range(2, 200, 9):
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            told = [child.stdout.readline() for _ in range(lines)]
            child.kill()
        kills += 1
        if "end\n" in told or "" in told:
            break
    assert kills > 3
    with (
        opened(open_embedded, tmp_path / "source") as one,
        opened(open_embedded, tmp_path / "target") as other,
    ):
        last = checkpoint(tmp_path)
        copy(one, other, last, cursor=500, meter=METER)
        assert all_of(other) == whole
        assert compare(one, other, METER) == []
        assert 500 <= len(other.read_from(last.progress.cursor)[0]) <= 500 + 2 * 64


@contextmanager
def opened(open_: Callable[[Path], EmbeddedStore], path: Path) -> Iterator[EmbeddedStore]:
    store = open_(path)
    try:
        yield store
    finally:
        store.close()


class TestElasticsearch:
    """Migrate to a real Elasticsearch and back."""

    @pytest.fixture
    def cluster(self, elasticsearch_url: str) -> Iterator[ElasticsearchStore]:
        with opener(elasticsearch_url) as reopen:
            yield reopen()

    def test_there_and_back(
        self, source: EmbeddedStore, target: EmbeddedStore, cluster: ElasticsearchStore, tmp_path: Path
    ) -> None:
        there = Checkpoint(tmp_path / "there.json", "embedded", "elasticsearch")
        with pytest.raises(StoreError):
            copy(source, Interrupted(cluster, 5, done=True), there, cursor=700, meter=METER)  # type: ignore[arg-type]
        there = Checkpoint(tmp_path / "there.json", "embedded", "elasticsearch")
        assert copy(source, cluster, there, cursor=700, meter=METER) == []
        assert compare(source, cluster, METER) == []
        assert len(cluster.read_from(there.progress.cursor)[0]) == 300
        back = Checkpoint(tmp_path / "back.json", "elasticsearch", "embedded")
        assert copy(cluster, target, back, cursor=there.progress.cursor, meter=METER) == []
        assert compare(cluster, target, METER) == []
        assert compare(source, target, METER) == []
        assert len(target.read_from(back.progress.cursor)[0]) == 300
        assert cluster.days(SYSTEM_SCOPE) == target.days(SYSTEM_SCOPE)
