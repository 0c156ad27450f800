"""Read units and assets from CSV or XLSX lists, as bureaus keep them.

The first row names the columns (any order, English or Chinese; unknown ones are named and left out). One bad row is
reported with file, line and column and left out; the rest is imported. Importing the same list twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from soc_core.errors import EdusocError, InputError, UsageError
from soc_core.model.organisation import Asset, Attribute
from soc_core.organisations.lists import COLUMNS_ZH, Row, read_rows
from soc_core.organisations.networks import PlannedNetwork, canonical_network, put_network
from soc_core.organisations.repository import (
    CODES,
    PEOPLE,
    OrganisationTree,
    load_tree,
    put_asset,
    put_unit,
    today,
)

LEVELS: Final = {
    "省": "province",
    "市": "city",
    "县": "county",
    "区": "district",
    "学校": "school",
    "校区": "campus",
    "教学点": "point",
}
"""Levels by their Chinese names."""
UNIT_COLUMNS: Final = ("code", "name")
NETWORK_COLUMNS: Final = ("organisation_code", "network")
ASSET_COLUMNS: Final = ("organisation_code", "address", "name")
KNOWN_COLUMNS: Final = frozenset(COLUMNS_ZH.values())


@dataclass(slots=True)
class ImportReport:
    """Count what an import did; ``problems`` say ``file:line: what is wrong``, at most 200 bad rows of them."""

    units: int = 0
    assets: int = 0
    networks: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)

    def reject(self, error: EdusocError) -> None:
        """Count a bad row and keep its message."""
        self.bad += 1
        if len(self.problems) < 200:
            self.problems.append(str(error))


def import_file(connection: Connection, path: Path, *, now: datetime) -> ImportReport:
    """Import a list of units, of assets or of networks (the dated address plan), told apart by its columns.

    Raises ``InputError`` when the file can't be read at all, ``UsageError`` when its columns are neither.
    """
    rows = read_rows(path)
    first = next(rows, None)
    if first is None:
        raise InputError("the list has no rows", where=str(path))
    columns = set(first.cells)
    report = ImportReport()
    if unknown := sorted(name for name in columns - KNOWN_COLUMNS if name):
        # A misspelt column would otherwise lose what it holds without a word.
        report.problems.append(
            str(InputError(f"unknown columns are left out: {', '.join(unknown)}", where=f"{path}:1"))
        )
    if columns.issuperset(ASSET_COLUMNS):
        tree = load_tree(connection, today(now))
        _each(_chain(first, rows), report, lambda row: _put_asset_row(connection, row, report, tree))
    elif columns.issuperset(NETWORK_COLUMNS):
        tree = load_tree(connection, today(now))
        _each(_chain(first, rows), report, lambda row: _put_network_row(connection, row, report, tree))
    elif columns.issuperset(UNIT_COLUMNS):
        _import_units(connection, list(_chain(first, rows)), report, now)
    else:
        wanted = (
            f"{', '.join(UNIT_COLUMNS)} (units), {', '.join(ASSET_COLUMNS)} (assets) or "
            f"{', '.join(NETWORK_COLUMNS)} (networks)"
        )
        raise UsageError("the columns are of no known list", where=f"{path}:1", todo=f"needed are: {wanted}")
    return report


def _chain(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _each(rows: Iterator[Row], report: ImportReport, put: Callable[[Row], None]) -> None:
    for row in rows:
        try:
            put(row)
        except EdusocError as error:
            report.reject(error)


def _import_units(connection: Connection, rows: list[Row], report: ImportReport, now: datetime) -> None:
    """Create all units first, then hang them under their parents: a list may name a child before its parent."""
    good: list[tuple[Row, dict[str, Attribute]]] = []

    def put(row: Row) -> None:
        values = _unit_values(row)
        put_unit(connection, values.values(), _zones(row), now=now)
        report.units += 1
        good.append((row, values))

    _each(iter(rows), report, put)
    tree = load_tree(connection, today(now))
    ids = {unit.code: unit.id for unit in tree.units.values()}

    def hang(item: tuple[Row, dict[str, Attribute]]) -> None:
        row, values = item
        parent = row.text("parent_code")
        if not parent:
            return
        parent_id = ids.get(parent)
        if parent_id is None or parent == row.text("code"):
            raise InputError(f"column 'parent_code': there is no unit '{parent}'", where=row.where)
        values["parent_id"] = Attribute("parent_id", parent_id, row.day("valid_from"), None)
        put_unit(connection, values.values(), _zones(row), now=now)

    for item in good:
        try:
            hang(item)
        except EdusocError as error:
            report.reject(error)


def _unit_values(row: Row) -> dict[str, Attribute]:
    start, end = row.day("valid_from"), row.day("valid_to")
    level = LEVELS.get(row.text("level"), row.text("level"))
    if level and level not in LEVELS.values():
        raise InputError(
            f"column 'level': '{level}' is none of {', '.join(LEVELS.values())}", where=row.where
        )
    given = {"code": row.need("code"), "name": row.need("name"), "level": level}
    given |= {name: row.text(name) for name in ("name_en", "kind", *CODES, *PEOPLE)}
    return {name: Attribute(name, value, start, end) for name, value in given.items() if value}


def _zones(row: Row) -> dict[str, list[str]]:
    """Return zone → CIDR blocks of ``zone=cidr;cidr|zone2=cidr``."""
    found: dict[str, list[str]] = {}
    for part in filter(None, (piece.strip() for piece in row.text("zones").split("|"))):
        zone, _, blocks = part.partition("=")
        try:
            networks = [
                str(ip_network(block.strip(), strict=False)) for block in blocks.split(";") if block.strip()
            ]
        except ValueError as error:
            raise InputError(f"column 'zones': {error}", where=row.where) from None
        found.setdefault(zone.strip() or "default", []).extend(networks)
    return found


def _put_asset_row(connection: Connection, row: Row, report: ImportReport, tree: OrganisationTree) -> None:
    put_asset(connection, _asset(row, _unit_of(row, tree)))
    report.assets += 1


def _put_network_row(connection: Connection, row: Row, report: ImportReport, tree: OrganisationTree) -> None:
    start, end = row.day("valid_from"), row.day("valid_to")
    if start is not None and end is not None and end <= start:
        raise InputError(f"column 'valid_to': {end} is not after {start}", where=row.where)
    unit, zone = _unit_of(row, tree), row.text("zone") or "default"
    blocks = [block for block in row.need("network").split(";") if block.strip()]
    try:
        networks = [canonical_network(block) for block in blocks]
    except ValueError as error:
        raise InputError(f"column 'network': {error}", where=row.where) from None
    for network in networks:
        put_network(connection, PlannedNetwork(unit, zone, network, start, end))
        report.networks += 1


def _unit_of(row: Row, tree: OrganisationTree) -> str:
    """Return the id of the unit a row names. Raises ``InputError`` when there is none."""
    try:
        return tree.find(row.need("organisation_code")).id
    except UsageError as error:
        raise InputError(error.what, where=row.where, todo=error.todo) from None


def _asset(row: Row, organisation_id: str) -> Asset:
    address = row.need("address")
    try:
        address = ip_address(address).compressed
    except ValueError:
        raise InputError(f"column 'address': '{address}' is no IP address", where=row.where) from None
    return Asset(
        organization_id=organisation_id,
        zone=row.text("zone") or "default",
        address=address,
        name=row.need("name"),
        mac=row.text("mac").lower(),
        protection_level=row.number("protection_level", 0),
        importance=row.number("importance", 1),
        name_en=row.text("name_en"),
        kind=row.text("kind"),
        location=row.text("location"),
        supervisor=row.text("supervisor"),
        operator=row.text("operator"),
        user=row.text("user"),
    )
