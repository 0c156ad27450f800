"""Keep units and assets: ``edusoc organisations import FILE``, ``edusoc organisations list``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_actions, add_command
from soc_core.printing import printable


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "organisations", "edusoc.organisations"))
    importer = add_command(actions, "import", "edusoc.organisations.import")
    importer.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help=say("edusoc.organisations.files")
    )
    lister = add_command(actions, "list", "edusoc.organisations.list")
    for action, job in ((importer, import_), (lister, list_)):
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)
        action.set_defaults(run=job)


def import_(arguments: argparse.Namespace) -> int:
    """Import lists; return 1 when rows were bad."""
    from edusoc.composition import open_database
    from soc_core.clock import utc_now
    from soc_core.organisations.importing import import_file

    database = open_database(settings_of(arguments))
    bad = 0
    for path in arguments.files:
        with database.write() as connection:
            report = import_file(connection, path, now=utc_now())
        bad += report.bad
        for problem in report.problems:
            print(printable(said(problem)), file=sys.stderr)
        counts = {"units": report.units, "assets": report.assets, "bad": report.bad}
        print(orjson.dumps(counts).decode() if arguments.json else say("edusoc.organisations.done", **counts))
    database.close()
    return 1 if bad else 0


def list_(arguments: argparse.Namespace) -> int:
    """Print the tree of units."""
    from edusoc.composition import open_database
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today

    database = open_database(settings_of(arguments))
    with database.read() as connection:
        tree = load_tree(connection, today(utc_now()))
    database.close()
    waiting = [(0, unit) for unit in reversed(tree.children(None))]
    while waiting:
        depth, unit = waiting.pop()
        waiting.extend((depth + 1, child) for child in reversed(tree.children(unit.id)))
        if arguments.json:
            row = {
                "id": unit.id,
                "code": unit.code,
                "name": unit.name,
                "level": unit.level,
                "parent_id": unit.parent_id,
            }
            print(orjson.dumps(row).decode())
        else:
            print(f"{'  ' * depth}{unit.name}  {unit.code}  {unit.level}")
    return 0
