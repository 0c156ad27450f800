"""Put the demo's fictional units, assets and accounts into an installation, by the importers that users use."""

from __future__ import annotations

import csv
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from soc_core.access.accounts import Role, User, add_user, list_users
from soc_core.errors import InputError
from soc_core.organisations.importing import import_file
from soc_core.organisations.repository import OrganisationTree, load_tree, today

PASSWORD: Final = "edusoc-demo-2026"  # noqa: S105 - it is shown on the screen: the demo has nothing to protect
LISTS: Final = ("units.csv", "assets.csv")


def world_directory() -> Path:
    """Return the directory of the world's lists."""
    return Path(str(resources.files("edusoc.demo").joinpath("world")))


def load_world(connection: Connection, language: str, *, now: datetime) -> OrganisationTree:
    """Import units, assets and accounts; repeating it changes nothing. Raises ``InputError`` for a bad row."""
    for name in LISTS:
        report = import_file(connection, world_directory() / name, now=now)
        if report.bad:
            raise InputError(f"{report.bad} bad rows, the first: {report.problems[0]}", where=name)
    tree = load_tree(connection, today(now))
    known = {user.name: user for user in list_users(connection, demo_only=True)}
    for user in accounts(tree, language):
        if known.get(user.name) != user:
            add_user(connection, user, PASSWORD, now=now)
    return tree


def accounts(tree: OrganisationTree, language: str) -> list[User]:
    """Return the demo's accounts, one or more a role, speaking ``language``."""
    with (world_directory() / "accounts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = "display_name_en" if language == "en" else "display_name"
    return [
        User(
            row["name"],
            row[shown],
            Role(row["role"]),
            tree.find(row["organisation_code"]).id,
            language,
            demo=True,
        )
        for row in rows
    ]
