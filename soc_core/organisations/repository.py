"""Read and write units and assets, and decide who may see which (``visible_to``): the only place that does."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, tuple_, update

from soc_core.clock import LOCAL_ZONE, format_instant, parse_instant
from soc_core.errors import UsageError
from soc_core.model.organisation import AddressPlan, Asset, Attribute, Organisation
from soc_core.organisations.networks import put_networks, zones_on
from soc_core.organisations.tables import assets, attributes, organisations, zones
from soc_core.state.among import among
from soc_core.store.interface import Scope

CODES = ("school_code", "credit_code", "region_code")
PEOPLE = ("leader", "deputy_leader", "contact", "contact_phone")
PLAIN = ("code", "name", "name_en", "level", "kind", "parent_id")


def today(now: datetime) -> date:
    """Return the local calendar day of ``now``: validity dates are local days."""
    return now.astimezone(LOCAL_ZONE).date()


def new_id() -> str:
    """Return a fresh immutable unit id."""
    return "u" + secrets.token_hex(8)


class OrganisationTree:
    """Hold all units as of one day, with their tree. A snapshot: load it again to see changes."""

    def __init__(self, units: Mapping[str, Organisation]) -> None:
        """Take units by id; a parent that is not among them makes the unit a root."""
        self.units = dict(units)
        self._children: dict[str | None, list[str]] = {}
        for unit in self.units.values():
            parent = unit.parent_id if unit.parent_id in self.units else None
            self._children.setdefault(parent, []).append(unit.id)
        self._by_code = {unit.code: unit.id for unit in self.units.values()}
        for unit in self.units.values():
            for value in unit.codes.values():
                self._by_code.setdefault(value, unit.id)

    def children(self, organisation_id: str | None) -> list[Organisation]:
        """Return the direct children ordered by code; ``None`` gives the roots."""
        found = [self.units[child] for child in self._children.get(organisation_id, ())]
        return sorted(found, key=lambda unit: unit.code)

    def find(self, code: str) -> Organisation:
        """Return the unit with an id or any of its codes; raise ``UsageError`` naming the code otherwise."""
        unit = self.units.get(code) or self.units.get(self._by_code.get(code, ""))
        if unit is None:
            raise UsageError(
                f"no unit has the code '{code}'", todo="import units first: edusoc organisations import FILE"
            )
        return unit

    def subtree(self, organisation_id: str) -> frozenset[str]:
        """Return the ids of a unit and everything below it; cycles in the data end the walk, not the program."""
        seen: set[str] = set()
        waiting = [organisation_id]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting.extend(self._children.get(current, ()))
        return frozenset(seen)

    def path(self, organisation_id: str) -> list[Organisation]:
        """Return the units from the root down to ``organisation_id``."""
        found: list[Organisation] = []
        current = self.units.get(organisation_id)
        while current is not None and current not in found:
            found.append(current)
            current = self.units.get(current.parent_id or "")
        return found[::-1]

    def visible_to(self, root_id: str | None) -> Scope:
        """Return what a person rooted at ``root_id`` may see: that unit and all below it, as the tree is today.

        A person without a unit sees nothing. Scope is resolved when asking, never stored in events, because units
        move and merge.
        """
        if root_id is None or root_id not in self.units:
            return Scope(frozenset())
        return Scope(self.subtree(root_id))

    def plan(self, organisation_id: str, zone: str) -> AddressPlan:
        """Return the address plan of a unit's network zone."""
        unit = self.units.get(organisation_id)
        return AddressPlan(unit.zones.get(zone, ()) if unit else ())


def load_tree(connection: Connection, day: date) -> OrganisationTree:
    """Return all units with the attributes that hold on ``day``."""
    held: dict[str, dict[str, str]] = {row.id: {} for row in connection.execute(select(organisations.c.id))}
    for row in connection.execute(select(attributes).order_by(attributes.c.number)):
        if Attribute(row.name, row.value, row.valid_from, row.valid_to).holds_on(day):
            held[row.organisation_id][row.name] = row.value
    places = zones_on(connection, day)
    return OrganisationTree({id_: _unit(id_, values, places.get(id_, {})) for id_, values in held.items()})


def known_since(connection: Connection) -> dict[str, datetime]:
    """Return when each unit was entered here: nothing older can be expected of it."""
    rows = connection.execute(select(organisations.c.id, organisations.c.created_at))
    return {row.id: parse_instant(row.created_at) for row in rows}


class TreeCache:
    """Keep the tree of today until an attribute, a unit or a zone is added, closed or removed.

    Attributes and networks are never changed in place (``put_unit``), so a few counts tell whether the tree is still
    the same. They are read anew with each use: what a person may see follows the units as they are now. Only an end
    that moves is not noticed before the day is over; who needs address plans loads the tree.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._held: tuple[tuple[object, ...], OrganisationTree] | None = None

    def current(self, connection: Connection, day: date) -> OrganisationTree:
        """Return the tree of ``day`` as the connection's snapshot has it."""
        known = select(func.count(), func.max(attributes.c.number), func.count(attributes.c.valid_to))
        parts = connection.execute(known.select_from(attributes)).one()
        units = connection.scalar(select(func.count()).select_from(organisations))
        counts = select(func.count(), func.max(zones.c.number), func.count(zones.c.valid_to))
        networks = connection.execute(counts.select_from(zones)).one()
        state = (day, *parts, units, *networks)
        held = self._held
        if held is None or held[0] != state:
            held = self._held = (state, load_tree(connection, day))
        return held[1]


def _unit(id_: str, values: Mapping[str, str], places: Mapping[str, Sequence[str]]) -> Organisation:
    return Organisation(
        id=id_,
        code=values.get("code", id_),
        name=values.get("name", id_),
        name_en=values.get("name_en", values.get("name", id_)),
        level=values.get("level", ""),
        kind=values.get("kind", ""),
        parent_id=values.get("parent_id"),
        codes={name: values[name] for name in CODES if name in values},
        people={name: values[name] for name in PEOPLE if name in values},
        zones={zone: tuple(networks) for zone, networks in places.items()},
    )


def put_unit(
    connection: Connection,
    values: Iterable[Attribute],
    networks: Mapping[str, Sequence[str]],
    *,
    now: datetime,
) -> str:
    """Create the unit, or bring the one with the same ``code`` up to date; return its id.

    An attribute whose value changed is closed at its successor's ``valid_from`` (today when none is given), never
    overwritten, so that the past stays as it was; networks likewise, and where none are given they stay.
    """
    given = {value.name: value for value in values}
    code = given["code"].value
    found = connection.scalar(
        select(attributes.c.organisation_id).where(attributes.c.name == "code", attributes.c.value == code)
    )
    unit_id = found or new_id()
    if found is None:
        connection.execute(insert(organisations).values(id=unit_id, created_at=format_instant(now)))
    for value in given.values():
        _put_attribute(connection, unit_id, value, today(now))
    start = next((value.valid_from for value in given.values() if value.valid_from), None)
    put_networks(connection, unit_id, networks, start=start, day=today(now))
    return unit_id


def _put_attribute(connection: Connection, unit_id: str, value: Attribute, day: date) -> None:
    current = connection.execute(
        select(attributes.c.number, attributes.c.value).where(
            attributes.c.organisation_id == unit_id,
            attributes.c.name == value.name,
            attributes.c.valid_to.is_(None),
        )
    ).first()
    if current is not None and current.value == value.value:
        return
    if current is not None:
        closed = update(attributes).where(attributes.c.number == current.number)
        connection.execute(closed.values(valid_to=value.valid_from or day))
    start = value.valid_from if current is None else value.valid_from or day
    connection.execute(
        insert(attributes).values(
            organisation_id=unit_id,
            name=value.name,
            value=value.value,
            valid_from=start,
            valid_to=value.valid_to,
        )
    )


def put_asset(connection: Connection, asset: Asset) -> None:
    """Create or replace an asset; its key is (unit, zone, address)."""
    key = (
        assets.c.organisation_id == asset.organization_id,
        assets.c.zone == asset.zone,
        assets.c.address == asset.address,
    )
    connection.execute(delete(assets).where(*key))
    connection.execute(
        insert(assets).values(
            organisation_id=asset.organization_id,
            **{name: getattr(asset, name) for name in Asset.__slots__ if name != "organization_id"},
        )
    )


def find_asset(connection: Connection, organization_id: str, zone: str, address: str) -> Asset | None:
    """Return the asset at (unit, zone, address), or ``None``."""
    row = connection.execute(
        select(assets).where(
            assets.c.organisation_id == organization_id, assets.c.zone == zone, assets.c.address == address
        )
    ).first()
    return None if row is None else _asset(row._mapping)


def find_assets(
    connection: Connection, keys: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Asset]:
    """Return the assets at the keys (unit, zone, address) in one question; unknown keys are left out."""
    key = tuple_(assets.c.organisation_id, assets.c.zone, assets.c.address)
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = connection.execute(select(assets).where(key.in_(wanted)))
    found = (_asset(row._mapping) for row in rows)
    return {(asset.organization_id, asset.zone, asset.address): asset for asset in found}


def find_assets_at(connection: Connection, address: str, scope: Scope) -> list[Asset]:
    """Return the assets with an address inside ``scope``, ordered by unit and zone: each school may have one."""
    question = (
        select(assets).where(assets.c.address == address).order_by(assets.c.organisation_id, assets.c.zone)
    )
    if scope.ids is not None:
        question = question.where(among(connection, assets.c.organisation_id, scope.ids))
    return [_asset(row._mapping) for row in connection.execute(question)]


def list_assets(connection: Connection, scope: Scope) -> list[Asset]:
    """Return the assets inside ``scope``, ordered by key."""
    question = select(assets).order_by(assets.c.organisation_id, assets.c.zone, assets.c.address)
    if scope.ids is not None:
        question = question.where(among(connection, assets.c.organisation_id, scope.ids))
    return [_asset(row._mapping) for row in connection.execute(question)]


def _asset(row: RowMapping) -> Asset:
    values = {str(name): value for name, value in row.items()}
    return Asset(
        organization_id=str(values["organisation_id"]),
        zone=str(values["zone"]),
        address=str(values["address"]),
        name=str(values["name"]),
        name_en=str(values["name_en"]),
        kind=str(values["kind"]),
        mac=str(values["mac"]),
        location=str(values["location"]),
        supervisor=str(values["supervisor"]),
        operator=str(values["operator"]),
        user=str(values["user"]),
        protection_level=int(str(values["protection_level"])),
        importance=int(str(values["importance"])),
    )
