from datetime import UTC, date, datetime, timedelta

import pytest

from soc_core.errors import UsageError
from soc_core.model.organisation import AddressPlan, Asset, Attribute
from soc_core.organisations.repository import OrganisationTree, find_asset, load_tree, put_asset, put_unit
from soc_core.state.database import Database

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def test_a_person_sees_their_unit_and_all_below(tree: OrganisationTree) -> None:
    county, school, other = (tree.find(code).id for code in ("C", "S1", "S3"))
    assert tree.visible_to(county).ids == tree.subtree(county)
    assert school in (tree.visible_to(county).ids or ())
    assert not tree.visible_to(county).allows(other)
    assert tree.visible_to(school).ids == {school}


@pytest.mark.parametrize("root", [None, "", "u-gone"])
def test_a_person_without_unit_sees_nothing(tree: OrganisationTree, root: str | None) -> None:
    assert tree.visible_to(root).ids == frozenset()


def test_a_renamed_unit_keeps_its_id_and_its_past(database: Database, tree: OrganisationTree) -> None:
    before = tree.find("S1")
    renamed = [Attribute("code", "S1"), Attribute("name", "新校名", date(2026, 12, 1))]
    with database.write() as connection:
        assert put_unit(connection, renamed, {}, now=NOW) == before.id
        assert load_tree(connection, date(2026, 11, 30)).units[before.id].name == "单位S1"
        assert load_tree(connection, date(2026, 12, 1)).units[before.id].name == "新校名"


def test_a_moved_unit_is_seen_by_its_new_parent_only(database: Database, tree: OrganisationTree) -> None:
    school = tree.find("S1")
    moved = [
        Attribute("code", "S1"),
        Attribute("name", school.name),
        Attribute("parent_id", tree.find("D").id),
    ]
    with database.write() as connection:
        put_unit(connection, moved, {}, now=NOW)
        after = load_tree(connection, NOW.date() + timedelta(days=1))
    assert not after.visible_to(tree.find("C").id).allows(school.id)
    assert after.visible_to(tree.find("D").id).allows(school.id)


def test_a_cycle_in_the_data_does_not_hang(database: Database, tree: OrganisationTree) -> None:
    county, school = tree.find("C"), tree.find("S1")
    looped = [Attribute("code", "C"), Attribute("name", "单位C"), Attribute("parent_id", school.id)]
    with database.write() as connection:
        put_unit(connection, looped, {}, now=NOW)
        after = load_tree(connection, NOW.date() + timedelta(days=1))
    assert county.id in after.subtree(school.id)
    assert len(after.path(school.id)) == 2


def test_an_unknown_code_is_named(tree: OrganisationTree) -> None:
    with pytest.raises(UsageError, match="ZZ"):
        tree.find("ZZ")


def test_the_same_address_in_two_schools_is_two_assets(database: Database, tree: OrganisationTree) -> None:
    with database.write() as connection:
        for code in ("S1", "S2"):
            put_asset(connection, Asset(tree.find(code).id, "default", "192.168.1.10", f"服务器{code}"))
        found = [
            find_asset(connection, tree.find(code).id, "default", "192.168.1.10") for code in ("S1", "S2")
        ]
    assert [asset.name if asset else "" for asset in found] == ["服务器S1", "服务器S2"]


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.168.1.10", True),
        ("10.1.2.3", True),
        ("203.0.113.9", False),
        ("198.51.100.7", True),
        ("fe80::1", True),
        ("2001:db8::5", False),
        ("not an address", False),
    ],
)
def test_the_plan_tells_inside_from_outside(address: str, inside: bool) -> None:
    assert AddressPlan(["198.51.100.0/24"]).is_inside(address) is inside
