"""Keep the address plan: which networks belong to which unit and zone, from which day to which.

Networks move: a school closes and another gets its block. A network that ends is closed, never overwritten, so that
what was collected then is still understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_network

from sqlalchemy import Connection, insert, select, update

from soc_core.model.organisation import Attribute
from soc_core.organisations.tables import zones


@dataclass(frozen=True, slots=True)
class PlannedNetwork:
    """Hold one line of the plan; ``network`` is a canonical CIDR block, ``valid_to`` exclusive, ``None`` open."""

    organization_id: str
    zone: str
    network: str
    valid_from: date | None = None
    valid_to: date | None = None

    def holds_on(self, day: date) -> bool:
        """Tell whether the unit had the network on ``day``."""
        return Attribute("network", self.network, self.valid_from, self.valid_to).holds_on(day)


def canonical_network(text: str) -> str:
    """Return a CIDR block with its host bits cleared. Raises ``ValueError`` for what is none."""
    return str(ip_network(text.strip(), strict=False))


def list_networks(connection: Connection) -> list[PlannedNetwork]:
    """Return the whole plan, ordered by unit, zone, network and beginning."""
    found = [
        PlannedNetwork(row.organisation_id, row.zone, row.network, row.valid_from, row.valid_to)
        for row in connection.execute(select(zones))
    ]
    return sorted(found, key=_order)


def _order(item: PlannedNetwork) -> tuple[str, str, str, date]:
    return item.organization_id, item.zone, item.network, item.valid_from or date.min


def zones_on(connection: Connection, day: date) -> dict[str, dict[str, list[str]]]:
    """Return unit → zone → networks that hold on ``day``, in order."""
    found: dict[str, dict[str, list[str]]] = {}
    for item in list_networks(connection):
        if item.holds_on(day):
            held = found.setdefault(item.organization_id, {}).setdefault(item.zone, [])
            if item.network not in held:
                held.append(item.network)
    return found


def put_network(connection: Connection, item: PlannedNetwork) -> None:
    """Enter one line of a dated plan; the same line with another end moves that end."""
    same = (
        zones.c.organisation_id == item.organization_id,
        zones.c.zone == item.zone,
        zones.c.network == item.network,
        zones.c.valid_from.is_(None) if item.valid_from is None else zones.c.valid_from == item.valid_from,
    )
    moved = connection.execute(update(zones).where(*same).values(valid_to=item.valid_to))
    if not moved.rowcount:
        connection.execute(insert(zones), [_row(item)])


def put_networks(
    connection: Connection,
    organization_id: str,
    networks: Mapping[str, Sequence[str]],
    *,
    start: date | None,
    day: date,
) -> None:
    """Make these the unit's networks from ``day`` on; the others end there.

    An empty mapping changes nothing: a list without that column says nothing of networks. Those of a unit that had none
    begin at ``start``; a change at another day than today is a line of the dated plan.
    """
    given = set(_pairs(networks))
    if not given:
        return
    of_unit = zones.c.organisation_id == organization_id
    rows = connection.execute(select(zones).where(of_unit)).all()
    running = {(row.zone, row.network): row.number for row in rows if row.valid_to is None}
    for pair, number in running.items():
        if pair not in given:
            ended = update(zones).where(zones.c.number == number)
            connection.execute(ended.values(valid_to=day))
    begins = day if rows else start
    fresh = [PlannedNetwork(organization_id, *pair, begins) for pair in sorted(given - running.keys())]
    if fresh:
        connection.execute(insert(zones), [_row(item) for item in fresh])


def _pairs(networks: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    for zone, blocks in networks.items():
        for block in blocks:
            yield zone, block


def _row(item: PlannedNetwork) -> dict[str, object]:
    return {
        "organisation_id": item.organization_id,
        "zone": item.zone,
        "network": item.network,
        "valid_from": item.valid_from,
        "valid_to": item.valid_to,
    }
