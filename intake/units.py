"""Tell Sigma rules of the units: which lie below which, and the values of placeholders that are known of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from detectors.sigma.units import Units
from soc_core.model.organisation import PRIVATE_NETWORKS, Asset
from soc_core.organisations.repository import OrganisationTree

NETWORKS: Final = "internal_networks"
ADDRESSES: Final = "asset_addresses"
NAMES: Final = "asset_names"


def units_of(tree: OrganisationTree, assets: Iterable[Asset] = ()) -> Units:
    """Return what filters and placeholders may know of the units of a tree.

    ``internal_networks`` are a unit's networks in all its zones and the private ones, ``asset_addresses`` and
    ``asset_names`` those of its assets.
    """
    below: dict[str, tuple[str, ...]] = {}
    for unit in tree.units.values():
        ids = tuple(sorted(tree.subtree(unit.id)))
        for name in (unit.id, unit.code, *unit.codes.values()):
            if tree.find(name).id == unit.id:
                below[name] = ids
    values: dict[str, dict[str, tuple[str, ...]]] = {NETWORKS: {}, ADDRESSES: {}, NAMES: {}}
    for unit in tree.units.values():
        own = {network for networks in unit.zones.values() for network in networks}
        values[NETWORKS][unit.id] = tuple(sorted(own.union(PRIVATE_NETWORKS)))
    found: dict[tuple[str, str], set[str]] = {}
    for asset in assets:
        for kind, text in ((ADDRESSES, asset.address), (NAMES, asset.name)):
            if text:
                found.setdefault((kind, asset.organization_id), set()).add(text)
    for (kind, unit_id), texts in found.items():
        values[kind][unit_id] = tuple(sorted(texts))
    return Units(below, {kind: by_unit for kind, by_unit in values.items() if by_unit})
