"""Get the packets that an agent sent for an order: ``edusoc agents packets AGENT NUMBER``."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import orjson

from edusoc.options import add_settings, say, settings_of
from edusoc.parser import NumberBetween, add_command
from soc_core.errors import UsageError
from soc_core.printing import printable


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = add_command(actions, "packets", "edusoc.agents.packets")
    parser.add_argument("agent", metavar="AGENT", help=say("edusoc.agents.agent"))
    parser.add_argument(
        "number", type=NumberBetween(1, 2**53), metavar="NUMBER", help=say("edusoc.agents.number")
    )
    parser.add_argument("--to", type=Path, metavar="FILE", help=say("edusoc.agents.packets.to"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy the capture of an order to a file; raise ``UsageError`` when it has not come."""
    from edusoc.composition import open_database
    from intake.agents.repository import need_agent
    from intake.agents.shelf import Shelf

    settings = settings_of(arguments)
    database = open_database(settings)
    with database.read() as connection:
        agent = need_agent(connection, arguments.agent)
    database.close()
    source = Shelf(settings.state_directory).path(agent.id, arguments.number)
    target = arguments.to or Path(f"{agent.id}-{arguments.number}.pcap")
    if not source.exists():
        raise UsageError(
            "the packets of this order are not here",
            where=f"order {arguments.number}",
            todo="see what became of it: edusoc agents orders AGENT",
        )
    if target.exists():
        raise UsageError("the file exists already", where=str(target), todo="choose another --to")
    shutil.copyfile(source, target)
    target.chmod(0o600)
    row = {"file": str(target), "bytes": target.stat().st_size}
    text = say("edusoc.agents.packets.done", path=str(target), bytes=row["bytes"])
    print(orjson.dumps(row).decode() if arguments.json else printable(text))
    return 0
