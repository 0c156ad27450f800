"""Say whose event it is and which known devices take part: unit, assets, direction.

What the database says is read anew at most every minute; assets that nobody entered leave no field.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from soc_core.clock import Clock
from soc_core.model.event import ORGANIZATION_ID, ZONE, Event
from soc_core.model.organisation import AddressPlan, Asset
from soc_core.organisations.repository import OrganisationTree, list_assets, load_tree, today
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE

_LOOK_AGAIN: Final = 60.0
_SIDES: Final = ("source", "destination", "host")
_DIRECTION: Final = "network.direction"
_INSIDE: Final = {
    (True, True): "internal",
    (True, False): "outbound",
    (False, True): "inbound",
    (False, False): "external",
}


class Directory:
    """Write ``organization.name``, ``edusoc.asset.<side>.name`` and ``.kind``, and ``network.direction``."""

    name = "directory"

    def __init__(self, database: Database, clock: Clock, ticks: Callable[[], float] = time.monotonic) -> None:
        """Take where units and assets are kept, the time of day and a clock that never jumps."""
        self._database, self._clock, self._ticks = database, clock, ticks
        self._next = 0.0
        self._tree = OrganisationTree({})
        self._assets: Mapping[tuple[str, str, str], Asset] = {}
        self._plan = lru_cache(4_096)(self._plan_of)

    def enrich(self, event: Event) -> None:
        """Add what is known about unit and devices."""
        if self._ticks() >= self._next:
            self._refresh()
        unit, zone = str(event.get(ORGANIZATION_ID, "")), str(event.get(ZONE, "default"))
        known = self._tree.units.get(unit)
        if known is not None:
            event.setdefault("organization.name", known.name)
        addresses = _addresses(event)
        for side, address in addresses.items():
            asset = self._assets.get((unit, zone, address))
            if asset is not None:
                event.setdefault(f"edusoc.asset.{side}.name", asset.name)
                if asset.kind:
                    event.setdefault(f"edusoc.asset.{side}.kind", asset.kind)
        if _DIRECTION not in event and "source" in addresses and "destination" in addresses:
            inside = self._plan(unit, zone).is_inside
            event[_DIRECTION] = _INSIDE[inside(addresses["source"]), inside(addresses["destination"])]

    def _refresh(self) -> None:
        """Read units and assets as they are now."""
        self._next = self._ticks() + _LOOK_AGAIN
        with self._database.read() as connection:
            self._tree = load_tree(connection, today(self._clock()))
            found = list_assets(connection, SYSTEM_SCOPE)
        self._assets = {(asset.organization_id, asset.zone, asset.address): asset for asset in found}
        self._plan.cache_clear()

    def _plan_of(self, unit: str, zone: str) -> AddressPlan:
        return self._tree.plan(unit, zone)


def _addresses(event: Event) -> dict[str, str]:
    """Return the address of each side; a host has its first."""
    found = dict[str, str]()
    for side in _SIDES:
        value = event.get(f"{side}.ip")
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, str):
            found[side] = value
    return found
