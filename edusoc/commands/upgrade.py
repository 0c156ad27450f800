"""Bring the operational database to this program's tables: ``edusoc upgrade``."""

from __future__ import annotations

import argparse

import orjson

from edusoc.options import add_settings, say, settings_of
from edusoc.parser import add_command


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "upgrade", "edusoc.upgrade")
    parser.add_argument("--check", action="store_true", help=say("edusoc.upgrade.check"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Upgrade, or with ``--check`` only tell whether there is something to do (1) or not (0)."""
    from edusoc.migrating import newest, revision, upgrade
    from soc_core.state.database import Database

    settings = settings_of(arguments)
    settings.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database.of(settings)
    try:
        found, target = revision(database), newest()
        changed = False if arguments.check else upgrade(database)
    finally:
        database.close()
    pending = arguments.check and found != target
    if arguments.json:
        told = {"database": database.name, "found": found, "newest": target, "upgraded": changed}
        print(orjson.dumps(told).decode())
    else:
        how = "done" if changed else "pending" if pending else "current"
        print(say(f"edusoc.upgrade.{how}", database=database.name, found=found or "–", newest=target))
    return 1 if pending else 0
