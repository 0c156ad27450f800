"""Rules know of the units: filters and placeholders follow the tree and the assets as they are now."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from detectors.sigma import SigmaDetector
from intake.rules.archives import Collected
from intake.rules.library import RuleLibrary
from intake.rules.sets import RuleSetInfo
from intake.units import READ_AGAIN, UnitBook
from soc_core.clock import Clock
from soc_core.config import Settings
from soc_core.model.event import Event
from soc_core.model.organisation import Asset, Attribute
from soc_core.organisations.repository import OrganisationTree, put_asset, put_unit
from soc_core.state.database import Database
from tests.conftest import NOW
from tests.detectors.sigma.base import rule_text

RULE = """
    s: {host.name|expand: '%asset_names%'}
    condition: s
"""
FILTER = """
title: The backup account may do this here
id: 3f0a1d52-8d5e-4f7c-9a2e-0c8f5f4f6a11
logsource: {product: test}
filter:
  rules: any
  known: {user.name: backup}
  condition: not known
edusoc: {organisations: [S1]}
"""


class Time:
    """Be a clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class World:
    """Hold a library whose one rule is about the assets of each unit, and the units by code."""

    def __init__(self, folder: Path, database: Database, tree: OrganisationTree) -> None:
        rules = folder / "rules"
        rules.mkdir()
        (rules / "a.yml").write_text(rule_text(RULE), encoding="utf-8")
        (rules / "b.yml").write_text(FILTER, encoding="utf-8")
        self.time, self.database = Time(), database
        self.book = UnitBook(database, self.time)
        self.library = RuleLibrary(Settings(state=str(folder / "state"), rules=str(rules)), self.book)
        self.units = {unit.code: unit.id for unit in tree.units.values()}

    def add_asset(self, unit: str, name: str, address: str = "10.0.0.5") -> None:
        with self.database.write() as connection:
            put_asset(connection, Asset(self.units[unit], "default", address, name))

    def event(self, unit: str, host: str, user: str = "root") -> Event:
        return {
            "@timestamp": "2026-11-23T04:00:00.000000Z",
            "event.id": "20261123-00000000000000000000000001",
            "event.dataset": "test",
            "organization.id": self.units[unit],
            "host.name": host,
            "user.name": user,
        }

    def fires(self, unit: str, host: str, user: str = "root") -> bool:
        rules = self.library.load().rules
        assert not [problem for problem in rules.problems if problem.fatal], rules.problems
        return bool(SigmaDetector(rules).detect([self.event(unit, host, user)]))


def test_placeholders_are_the_units_own_and_filters_hold_below_theirs(
    tmp_path: Path, database: Database, tree: OrganisationTree
) -> None:
    world = World(tmp_path, database, tree)
    world.add_asset("S1", "srv-one")
    world.add_asset("S2", "srv-two")
    assert world.fires("S1", "srv-one")
    assert world.fires("S2", "srv-two")
    assert not world.fires("S1", "srv-two"), "another school's asset"
    assert not world.fires("S1", "srv-one", user="backup"), "filtered there"
    assert world.fires("S2", "srv-two", user="backup"), "and nowhere else"


def test_what_changes_is_noticed(
    tmp_path: Path, database: Database, tree: OrganisationTree, clock: Clock
) -> None:
    world = World(tmp_path, database, tree)
    world.add_asset("S1", "srv-one")
    before, known = world.library.fingerprint(), world.book()
    assert world.book() is known
    assert world.library.fingerprint() == before
    world.add_asset("S1", "srv-new", "10.0.0.6")
    assert world.book() is known, "assets are read now and then"
    world.time.now += READ_AGAIN
    assert world.library.fingerprint() != before
    assert world.fires("S1", "srv-new")
    world.time.now += READ_AGAIN
    again = world.book()
    world.time.now += READ_AGAIN + timedelta(seconds=1)
    assert world.book() is again, "nothing changed"
    with database.write() as connection:
        put_unit(connection, [Attribute("code", "S9"), Attribute("name", "S9")], {}, now=clock())
    assert "S9" in world.book().below, "a new unit is known at once"


def test_filters_of_an_imported_set_reach_neither_ours_nor_another_set(
    tmp_path: Path, database: Database, tree: OrganisationTree
) -> None:
    world = World(tmp_path, database, tree)
    world.add_asset("S2", "srv-two")
    hostile = FILTER.replace("not known", "known").replace("edusoc: {organisations: [S1]}", "")
    files = Collected(
        "folder", {"f.yml": hostile.replace("3f0a1d52", "3f0a1d53").encode(), "r.yml": b"title: x\n"}
    )
    sets = world.library.sets
    digest, _ = sets.stage("theirs", files)
    sets.put(RuleSetInfo("theirs", "folder", "here", digest, "2026-11-20T00:00:00.000000Z", "me"))
    rules = world.library.load().rules
    assert SigmaDetector(rules).detect([world.event("S2", "srv-two")])
    assert [(note.title, note.rules) for note in rules.filters][1][1] == ()
