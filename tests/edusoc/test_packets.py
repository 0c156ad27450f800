"""Cutting an alert's packets: few at once, nothing left behind, nothing said about files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import insert

from collectors.packets import session
from collectors.packets.session import Cut
from edusoc.migrating import upgrade
from edusoc.packets import AT_ONCE, LEFT_SECONDS, CaptureCutter
from intake.tables import sources
from soc_core.errors import InputError, StoreBusyError
from soc_core.model.event import Event
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE, Scope
from tests.conftest import NOW


class OneEvent:
    """Give one flow for any id."""

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def get(self, event_ids: Sequence[str], scope: Scope) -> Mapping[str, Event]:
        event: Event = {
            "@timestamp": "2026-11-20T00:00:00.000000Z",
            "event.dataset": "packets.flow",
            "network.community_id": "1:x",
            "edusoc.source": "identity",
            "organization.id": self._unit,
        }
        return dict.fromkeys(event_ids, event)


@pytest.fixture
def cutter(tmp_path: Path) -> Iterator[CaptureCutter]:
    database = Database.in_directory(tmp_path / "state")
    upgrade(database)
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(b"")
    with database.write() as connection:
        unit = put_unit(connection, [Attribute("code", "S")], {}, now=NOW)
        known = {"identity": "identity", "organization_id": unit, "path": str(capture)}
        rest = {column.name: _usual(column.type.python_type) for column in sources.c if not column.nullable}
        connection.execute(insert(sources).values({**rest, **known}))
    yield CaptureCutter(database, OneEvent(unit), tmp_path / "cut")  # type: ignore[arg-type]
    database.close()


def _usual(kind: type) -> object:
    return kind()


def cutting(monkeypatch: pytest.MonkeyPatch, job: Callable[[Path], Cut]) -> None:
    monkeypatch.setattr(
        session, "cut_session", lambda path, name, start, end, target, max_packets: job(target)
    )
    monkeypatch.setattr(session, "tree", lambda target: session.Tree())


def test_packets_are_given_and_not_kept(
    cutter: CaptureCutter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(target: Path) -> Cut:
        target.write_bytes(b"pcap")
        assert target.stat().st_mode & 0o077 == 0
        assert target.parent.stat().st_mode & 0o077 == 0
        return Cut(1)

    cutting(monkeypatch, job)
    found = cutter.cut(SYSTEM_SCOPE, ["e"])
    assert found is not None
    assert found.data == b"pcap"
    assert list((tmp_path / "cut").iterdir()) == []


def test_what_a_killed_process_left_is_removed(
    cutter: CaptureCutter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cut").mkdir()
    old, fresh = tmp_path / "cut" / "old.pcap", tmp_path / "cut" / "fresh.pcap"
    for file in (old, fresh):
        file.write_bytes(b"x")
    before = old.stat().st_mtime - LEFT_SECONDS - 60
    os.utime(old, (before, before))
    cutting(monkeypatch, lambda target: Cut(0))
    assert cutter.cut(SYSTEM_SCOPE, ["e"]) is None
    assert list((tmp_path / "cut").iterdir()) == [fresh]


def test_more_than_a_few_at_once_are_sent_away(
    cutter: CaptureCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = 0

    def job(target: Path) -> Cut:
        nonlocal depth
        depth += 1
        cutter.cut(SYSTEM_SCOPE, ["e"])
        return Cut(0)

    cutting(monkeypatch, job)
    with pytest.raises(StoreBusyError):
        cutter.cut(SYSTEM_SCOPE, ["e"])
    assert depth == AT_ONCE
    cutting(monkeypatch, lambda target: Cut(0))
    assert cutter.cut(SYSTEM_SCOPE, ["e"]) is None


def test_a_capture_that_is_damaged_meanwhile_has_no_packets(
    cutter: CaptureCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(target: Path) -> Cut:
        raise InputError("can't be read", where="/srv/captures/secret.pcap")

    cutting(monkeypatch, job)
    assert cutter.cut(SYSTEM_SCOPE, ["e"]) is None
