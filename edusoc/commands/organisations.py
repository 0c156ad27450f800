"""Keep units, assets and networks: ``edusoc organisations import FILE``, ``list`` and ``export FILE``."""

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
    exporter = add_command(actions, "export", "edusoc.organisations.export")
    exporter.add_argument("file", type=Path, metavar="FILE", help=say("edusoc.organisations.export_file"))
    for action, job in ((importer, import_), (lister, list_), (exporter, export)):
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
        counts = {
            "units": report.units,
            "assets": report.assets,
            "networks": report.networks,
            "bad": report.bad,
        }
        print(orjson.dumps(counts).decode() if arguments.json else say("edusoc.organisations.done", **counts))
    database.close()
    return 1 if bad else 0


def export(arguments: argparse.Namespace) -> int:
    """Write the address plan as a list that can be imported again: CSV, or XLSX by the file's name."""
    from edusoc.composition import open_database
    from soc_core.clock import utc_now
    from soc_core.organisations.lists import write_rows
    from soc_core.organisations.networks import list_networks
    from soc_core.organisations.repository import load_tree, today

    database = open_database(settings_of(arguments))
    with database.read() as connection:
        tree = load_tree(connection, today(utc_now()))
        found = list_networks(connection)
    database.close()
    rows: list[tuple[str, ...]] = [("organisation_code", "zone", "network", "valid_from", "valid_to")]
    for item in found:
        unit = tree.units.get(item.organization_id)
        days = (item.valid_from, item.valid_to)
        code = unit.code if unit else item.organization_id
        rows.append((code, item.zone, item.network, *(str(day) if day else "" for day in days)))
    write_rows(arguments.file, rows)
    counts = {"networks": len(found)}
    text = say("edusoc.organisations.exported", **counts)
    print(orjson.dumps(counts).decode() if arguments.json else text)
    return 0


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
