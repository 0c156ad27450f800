"""Tell Sigma rules of the units: which lie below which, and the values of placeholders that are known of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from detectors.sigma.units import NOBODY, Units
from soc_core.clock import Clock
from soc_core.model.organisation import PRIVATE_NETWORKS, Asset
from soc_core.organisations.repository import OrganisationTree, TreeCache, list_assets, today
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE

NETWORKS: Final = "internal_networks"
ADDRESSES: Final = "asset_addresses"
NAMES: Final = "asset_names"
READ_AGAIN: Final = timedelta(minutes=10)
"""Assets are replaced in place, so that nothing tells but reading them: rules know of changes after so long."""
KnownUnits = Callable[[], Units]
"""Return what is known of the units now; the same object while nothing changed."""


def nobody() -> Units:
    """Return what is known where nobody says."""
    return NOBODY


class UnitBook:
    """Keep what rules may know of the units of an installation up to date; threads may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Take where units and assets are."""
        self._database, self._clock = database, clock
        self._trees = TreeCache()
        self._lock = threading.Lock()
        self._tree: OrganisationTree | None = None
        self._read_at: datetime | None = None
        self._units = NOBODY

    def __call__(self) -> Units:
        """Return what is known; the same object until the tree, or after ``READ_AGAIN`` an asset, is another."""
        now = self._clock()
        with self._lock, self._database.read() as connection:
            tree = self._trees.current(connection, today(now))
            fresh = self._read_at is not None and timedelta(0) <= now - self._read_at < READ_AGAIN
            if tree is not self._tree or not fresh:
                found = units_of(tree, list_assets(connection, SYSTEM_SCOPE))
                self._tree, self._read_at = tree, now
                if found != self._units:
                    self._units = found
            return self._units


def units_of(tree: OrganisationTree, assets: Iterable[Asset] = ()) -> Units:
    """Return what filters and placeholders may know of the units of a tree.

    ``internal_networks`` are a unit's networks in all its zones and the private ones, ``asset_addresses`` and
    ``asset_names`` those of its assets.
    """
    below: dict[str, tuple[str, ...]] = {}
    units = sorted(tree.units.values(), key=attrgetter("id"))
    for unit in units:
        ids = tuple(sorted(tree.subtree(unit.id)))
        for name in (unit.id, unit.code, *unit.codes.values()):
            if tree.find(name).id == unit.id:
                below[name] = ids
    values: dict[str, dict[str, tuple[str, ...]]] = {NETWORKS: {}, ADDRESSES: {}, NAMES: {}}
    for unit in units:
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
