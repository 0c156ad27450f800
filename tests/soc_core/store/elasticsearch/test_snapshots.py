"""Elasticsearch keeps a snapshot of our indices and brings it back: on a real node."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from soc_core.backup.manifest import Snapshot
from soc_core.backup.meter import SilentMeter
from soc_core.errors import StoreError, UsageError
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.snapshots import Snapshots
from soc_core.store.elasticsearch.store import ElasticsearchStore
from tests.contract.elasticsearch_places import QUICK, new_prefix, place_at
from tests.contract.samples import make, question


@dataclass(frozen=True, slots=True)
class Kept:
    """Hold a place with events, and the path of a repository that its node reaches."""

    place: Place
    path: str

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.place.client, self.place.prefix, self.place.where, SilentMeter())


@pytest.fixture
def kept(elasticsearch_url: str) -> Iterator[Kept]:
    with new_prefix(elasticsearch_url) as prefix:
        place = place_at(elasticsearch_url, prefix)
        settings: Any = place.client.nodes.info(metric="settings").body["nodes"]
        allowed = next(iter(settings.values()))["settings"]["path"]["repo"]
        path = f"{allowed if isinstance(allowed, str) else allowed[0]}/{prefix}"
        yield Kept(place, path)
        name = f"{prefix}-backup"
        gone = place.client.options(ignore_status=404)
        for taken in gone.snapshot.get(repository=name, snapshot="*").body.get("snapshots", []):
            place.client.snapshot.delete(repository=name, snapshot=taken["snapshot"])
        gone.snapshot.delete_repository(name=name)
        place.client.close()
        shutil.rmtree(Path(path), ignore_errors=True)


def fill(kept: Kept, numbers: range) -> None:
    store = ElasticsearchStore(place_at(kept.place.where, kept.place.prefix), writer=True, how=QUICK)
    store.append([make(number) for number in numbers])
    store.close()


@pytest.mark.slow
def test_comes_back_under_another_prefix_with_every_event(kept: Kept, elasticsearch_url: str) -> None:
    fill(kept, range(120))
    repository = kept.snapshots.repository(kept.path)
    assert kept.snapshots.repository(repository) == repository
    taken = kept.snapshots.take(repository, "edusoc-20261124T020000Z-1a2b3c4d")
    assert taken.name == "edusoc-20261124t020000z-1a2b3c4d"
    events = {name: n for name, n in taken.documents.items() if "-events-" in name}
    assert sum(events.values()) == 120
    assert kept.snapshots.check(taken) == ""
    fill(kept, range(120, 130))
    with new_prefix(elasticsearch_url) as other:
        again = place_at(elasticsearch_url, other)
        back = Snapshots(again.client, other, again.where, SilentMeter())
        assert back.restore(taken) == sum(taken.documents.values())
        assert back.restore(taken) == sum(taken.documents.values())  # an attempt that was killed is taken up
        store = ElasticsearchStore(again, writer=True, how=QUICK)
        assert store.count(question()) == 120
        ack = store.append([make(number) for number in range(110, 130)])
        assert (ack.accepted, ack.duplicates) == (10, 10)
        assert store.count(question()) == 130
        assert store.verify() == []
        store.close()


@pytest.mark.slow
def test_what_does_not_fit_is_refused(kept: Kept, elasticsearch_url: str) -> None:
    fill(kept, range(10))
    with pytest.raises(UsageError, match="no snapshot repository"):
        kept.snapshots.repository("test-nobody-made-this")
    with pytest.raises(UsageError, match=r"can't keep snapshots in '/proc/edusoc'"):
        kept.snapshots.repository("/proc/edusoc")
    repository = kept.snapshots.repository(kept.path)
    taken = kept.snapshots.take(repository, "edusoc-1")
    with pytest.raises(UsageError, match="already"):
        kept.snapshots.restore(taken)
    missing = replace(taken, name="edusoc-2")
    assert "missing" in kept.snapshots.check(missing)
    name = next(name for name in taken.documents if "-events-" in name)
    assert "lacks the index" in kept.snapshots.check(
        replace(taken, documents={**taken.documents, f"{name}-x": 1})
    )
    with new_prefix(elasticsearch_url) as other:
        again = place_at(elasticsearch_url, other)
        back = Snapshots(again.client, other, again.where, SilentMeter())
        wrong = {**taken.documents, name: taken.documents[name] + 1}
        with pytest.raises(StoreError, match="documents came back"):
            back.restore(replace(taken, documents=wrong, most=wrong))
        again.client.close()


@pytest.mark.slow
def test_nothing_stored_is_no_snapshot(kept: Kept) -> None:
    repository = kept.snapshots.repository(kept.path)
    assert kept.snapshots.take(repository, "edusoc-1") == Snapshot("", "", kept.place.prefix)


def test_a_manifest_can_not_name_indices_of_others(elasticsearch_url: str) -> None:
    place = place_at(elasticsearch_url, "test-none")
    foreign = Snapshot("repository", "name", "test-old", {"test-old-state": 1, ".security-7": 1})
    with pytest.raises(StoreError, match="manifest is damaged"):
        Snapshots(place.client, place.prefix, place.where, SilentMeter()).restore(foreign)
    place.client.close()
