"""The demo's world: loaded by the importers, plainly made up, complete for every role, the same after a second load."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from edusoc.demo.history import load_pasts
from edusoc.demo.world import PASSWORD, accounts, load_world, world_directory
from edusoc.migrating import upgrade
from soc_core.access.accounts import Role, check_password, list_users
from soc_core.clock import Clock
from soc_core.organisations.repository import OrganisationTree, list_assets
from soc_core.organisations.tables import attributes
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE
from tests.conftest import NOW


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Return a database that tests only read: loading the world hashes six passwords, which takes its time."""
    opened = Database.in_directory(tmp_path_factory.mktemp("world"))
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def world(kept: Database) -> OrganisationTree:
    with kept.write() as connection:
        return load_world(connection, "zh", now=NOW)


def rows(name: str) -> list[dict[str, str]]:
    with (world_directory() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_tree_has_all_levels_and_kinds(world: OrganisationTree) -> None:
    (root,) = world.children(None)
    assert root.level == "province"
    levels = Counter(unit.level for unit in world.units.values())
    assert levels["city"] == levels["county"] == 1
    assert levels["point"] == 1
    assert levels["school"] >= 6
    assert [unit.level for unit in world.path(world.find("991210000101").id)] == [
        "province", "city", "county", "school", "point",
    ]  # fmt: skip


def test_everything_says_that_it_is_made_up() -> None:
    for unit in rows("units.csv"):
        assert unit["code"].startswith("99")
        assert unit["region_code"].startswith("99")
        assert "演示" in unit["name"]
        assert "emo" in unit["name_en"]
        assert all("演示" in unit[role] for role in ("leader", "deputy_leader", "contact"))
        assert re.fullmatch(r"000\*{4}\d{4}", unit["contact_phone"])
    assert all("演示" in account["display_name"] for account in rows("accounts.csv"))


def test_assets_have_three_duty_holders_and_lie_in_known_zones(
    kept: Database, world: OrganisationTree
) -> None:
    with kept.read() as connection:
        assets = list_assets(connection, SYSTEM_SCOPE)
    assert len(assets) == len(rows("assets.csv"))
    for asset in assets:
        assert asset.supervisor, asset
        assert asset.operator, asset
        assert asset.user, asset
        assert asset.zone in world.units[asset.organization_id].zones
    same = [asset.organization_id for asset in assets if asset.address == "192.168.1.10"]
    assert len(set(same)) >= 3


def test_there_is_an_account_for_each_role_and_the_password_opens_it(
    kept: Database, world: OrganisationTree
) -> None:
    people = accounts(world, "zh")
    assert {person.role for person in people} == set(Role)
    assert all(person.demo for person in people)
    with kept.read() as connection:
        user = check_password(connection, people[0].name, PASSWORD, now=NOW)
    assert user == people[0]


def test_a_second_load_changes_nothing_but_the_language(database: Database, clock: Clock) -> None:
    def count() -> int:
        with database.read() as connection:
            return connection.scalar(select(func.count()).select_from(attributes)) or 0

    with database.write() as connection:
        world = load_world(connection, "zh", now=clock())
    before = count()
    with database.write() as connection:
        again = load_world(connection, "en", now=clock())
    assert count() == before
    assert again.units == world.units
    with database.read() as connection:
        users = list_users(connection, demo_only=True)
    assert {user.language for user in users} == {"en"}
    assert users == sorted(accounts(world, "en"), key=lambda user: user.name)


def test_every_past_belongs_to_a_unit_and_zone(world: OrganisationTree) -> None:
    for past in load_pasts():
        assert past.zone in world.find(past.unit).zones
