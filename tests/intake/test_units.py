"""What Sigma rules know of the units: the tree by id and code, networks and assets."""

from __future__ import annotations

from pathlib import Path

from detectors.sigma import load_rules
from intake.units import units_of
from soc_core.model.organisation import Asset, Organisation
from soc_core.organisations.repository import OrganisationTree
from tests.detectors.sigma.base import fires, rule_text


def unit(id_: str, code: str, parent: str | None = None, **zones: tuple[str, ...]) -> Organisation:
    return Organisation(id_, code, code, code, "", "", parent, {"school_code": f"{code}-9"}, {}, dict(zones))


TREE = OrganisationTree(
    {one.id: one for one in (unit("u1", "county"), unit("u2", "school", "u1", lan=("203.0.113.0/24",)))}
)


def test_units_are_known_by_id_and_by_every_code() -> None:
    below = units_of(TREE).below
    assert below["county"] == below["u1"] == below["county-9"] == ("u1", "u2")
    assert below["school"] == below["u2"] == ("u2",)


def test_rules_see_the_networks_and_assets_of_each_unit(tmp_path: Path) -> None:
    detection = """
        s: {host.name|expand: '%asset_names%'}
        f: {source.ip|expand: '%internal_networks%'}
        condition: s and not f
    """
    (tmp_path / "a.yml").write_text(rule_text(detection), encoding="utf-8")
    units = units_of(TREE, [Asset("u2", "lan", "10.0.0.5", "srv*")])
    rules = load_rules([tmp_path], units=units)
    assert rules.problems == ()
    (rule,) = rules.rules
    event = {"host.name": "srv*", "organization.id": "u2"}
    assert fires(rule, event | {"source.ip": "8.8.8.8"})
    assert not fires(rule, event | {"host.name": "srv1", "source.ip": "8.8.8.8"})
    assert not fires(rule, event | {"source.ip": "203.0.113.7"})
    assert not fires(rule, event | {"source.ip": "192.168.1.1"})
    assert not fires(rule, event | {"source.ip": "8.8.8.8", "organization.id": "u1"})
