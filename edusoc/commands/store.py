"""Look after the store: ``edusoc store stats``, ``edusoc store verify``."""

from __future__ import annotations

import argparse

import orjson

from edusoc.commands.backup import add as add_backup
from edusoc.commands.cluster import add as add_cluster
from edusoc.commands.repair import add as add_repair
from edusoc.commands.retention import add as add_retention
from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_actions, add_command


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "store", "edusoc.store"))
    for name, job in (("stats", stats), ("verify", verify)):
        action = add_command(actions, name, f"edusoc.store.{name}")
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)
        action.set_defaults(run=job)
    add_repair(actions)
    add_retention(actions)
    add_backup(actions)
    add_cluster(actions)


def stats(arguments: argparse.Namespace) -> int:
    """Print counts per unit and data set."""
    from edusoc.composition import open_services
    from edusoc.condition import warn
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today
    from soc_core.store.interface import SYSTEM_SCOPE

    with open_services(settings_of(arguments)) as services:
        warn(services.reader.health())
        found = services.reader.statistics(SYSTEM_SCOPE)
        with services.database.read() as connection:
            tree = load_tree(connection, today(utc_now()))
    for row in found:
        unit = tree.units.get(row.organization_id)
        name = unit.name if unit else row.organization_id
        if arguments.json:
            body = {"organisation_id": row.organization_id, "dataset": row.dataset, "events": row.events}
            print(orjson.dumps({**body, "first": row.first, "last": row.last}).decode())
        else:
            print(f"{name}  {row.dataset}  {row.events}  {row.first} – {row.last}")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check everything stored; return 1 when something is wrong."""
    from edusoc.composition import open_services

    with open_services(settings_of(arguments)) as services:
        found = services.reader.verify()
    for finding in found:
        row = {"what": finding.what, "where": finding.where}
        print(orjson.dumps(row).decode() if arguments.json else f"{finding.where}: {said(finding.what)}")
    if not found and not arguments.json:
        print(say("edusoc.store.sound"))
    return 1 if found else 0
