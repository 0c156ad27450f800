"""Fixtures that many tests share: a fixed clock, an empty migrated database, a small tree of units, real servers."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

from edusoc.migrating import upgrade
from soc_core.clock import Clock
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import OrganisationTree, load_tree, put_unit, today
from soc_core.state.database import Database
from tests.demo_run import DemoRun, run_demo
from tests.elasticsearch_security import Secured, secured
from tests.elasticsearch_server import log_sections
from tests.postgresql_server import fill, new_database, settings_of

pytest_plugins = ["tests.workers"]
# The suite says the same today and tomorrow; new examples are looked for by hand, with --hypothesis-profile=explore.
settings.register_profile("suite", derandomize=True)
settings.register_profile("explore", max_examples=1_000)
settings.load_profile("suite")
NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
STATES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
"""The kinds of operational database that tests run on."""


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let what killed programs leave lie among pytest's own temporary files, which it removes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture
def clock() -> Clock:
    return lambda: NOW


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_url: str) -> Iterator[tuple[Database, Database]]:
    """Return two migrated databases that tests share, one after another; each empties them first."""
    with new_database(postgresql_url) as url, new_database(postgresql_url) as other:
        opened = Database.of(settings_of(url)), Database.of(settings_of(other))
        for each in opened:
            upgrade(each)
        yield opened
        for each in opened:
            each.close()


@pytest.fixture(params=STATES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return an empty operational database, of each kind in turn."""
    if request.param == "postgresql":
        shared: Database = request.getfixturevalue("postgresql_databases")[0]
        fill(shared, {})
        yield shared
        return
    opened = Database.in_directory(tmp_path / "state")
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def other_database(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return a second empty database of the same kind as ``database``."""
    if database.is_postgresql:
        shared: Database = request.getfixturevalue("postgresql_databases")[1]
        fill(shared, {})
        yield shared
        return
    opened = Database.in_directory(tmp_path / "other-state")
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def tree(database: Database) -> OrganisationTree:
    """Return county C with schools S1 and S2, and a county D with school S3."""
    with database.write() as connection:
        ids: dict[str, str] = {}
        for code, parent in (("C", ""), ("D", ""), ("S1", "C"), ("S2", "C"), ("S3", "D")):
            values = [
                Attribute("code", code),
                Attribute("name", f"单位{code}"),
                Attribute("name_en", f"Unit {code}"),
            ]
            if parent:
                values.append(Attribute("parent_id", ids[parent]))
            zones = {"default": ["192.168.1.0/24"]} if parent else {}
            ids[code] = put_unit(connection, values, zones, now=NOW)
        return load_tree(connection, today(NOW))


@pytest.fixture(scope="session")
def secured_elasticsearch() -> Iterator[Secured]:
    """Return an Elasticsearch with TLS and users that tests share."""
    with secured() as running:
        yield running


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """Return the whole demo, run once in Chinese; tests that would change its state take a copy."""
    state = tmp_path_factory.mktemp("demo") / "state"
    return DemoRun(state, run_demo(state, "--language", "zh"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Make the tests without looking for garbage among them, now or ever: they stay. It takes half the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let Python end with everything in order."""
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test what the Elasticsearch it asked last said."""
    report = yield
    if report.failed:
        report.sections += log_sections(getattr(item, "fixturenames", ()))
    return report
