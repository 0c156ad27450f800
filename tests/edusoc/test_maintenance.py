"""Hold that retention runs once a day, where events are written, and hinders nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edusoc.composition import open_database, open_events
from edusoc.maintenance import maintain, retain_daily
from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE, EventStore
from tests.soc_core.store.test_keeping import flow

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=str(tmp_path / "state"))


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def store(settings: Settings, database: Database) -> Iterator[EventStore]:
    opened = open_events(settings, writer=True)
    yield opened
    opened.close()


def test_runs_once_a_day(store: EventStore, database: Database, settings: Settings) -> None:
    store.append([flow(1)])
    first = retain_daily(store, database, settings, NOW)
    assert first is not None
    assert first.removal.events == 1
    store.append([flow(2)])
    assert retain_daily(store, database, settings, NOW + timedelta(hours=23)) is None
    second = retain_daily(store, database, settings, NOW + timedelta(hours=24))
    assert second is not None
    assert second.removal.events == 1


def test_a_clock_that_leaps_removes_nothing_that_day(
    store: EventStore, database: Database, settings: Settings
) -> None:
    auth = flow(1, day="20261120") | {"event.dataset": "linux.auth"}
    assert retain_daily(store, database, settings, NOW) is not None
    store.append([auth])
    leap = NOW + timedelta(days=3_650)
    assert "clock" in maintain(store, database, settings, leap)
    assert [row.dataset for row in store.days(SYSTEM_SCOPE)] == ["linux.auth"]
    assert maintain(store, database, settings, leap + timedelta(hours=2)) == ""  # not every time anew
    # The clock is right again: what it put ten years ahead is done now.
    assert retain_daily(store, database, settings, NOW + timedelta(days=1)) is not None
    assert [row.dataset for row in store.days(SYSTEM_SCOPE)] == ["linux.auth"]
    # Who was really away so long gets it done a day later.
    assert "clock" in maintain(store, database, settings, leap)
    assert retain_daily(store, database, settings, leap + timedelta(days=1)) is not None
    assert store.days(SYSTEM_SCOPE) == []


def test_failing_is_said_and_tried_again(
    store: EventStore, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([flow(1)])

    def refuse(_cuts: object) -> None:
        raise StoreError("the disk refuses")

    with monkeypatch.context() as patched:
        patched.setattr(store, "remove", refuse)
        assert maintain(store, database, settings, NOW) == "the disk refuses"
    assert maintain(store, database, settings, NOW + timedelta(minutes=5)) == ""
    assert len(store.days(SYSTEM_SCOPE)) == 2  # the detail is still there: the lease of the failed run holds
    assert maintain(store, database, settings, NOW + timedelta(hours=2)) == ""
    assert [row.dataset for row in store.days(SYSTEM_SCOPE)] == ["rollup.flow"]
