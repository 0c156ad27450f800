"""Search events: ``edusoc search 'QUERY'``."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

import orjson

from edusoc.options import add_settings, instant_of, say, settings_of
from edusoc.parser import NumberBetween, add_command
from soc_core.printing import printable

MOST = 1_000_000
SHOWN = (
    "event.dataset",
    "source.ip",
    "destination.ip",
    "destination.port",
    "user.name",
    "dns.question.name",
    "url.original",
)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "search", "edusoc.search")
    parser.add_argument("query", nargs="?", default="", metavar="QUERY", help=say("edusoc.search.query"))
    parser.add_argument("--from", dest="start", metavar="TIME", help=say("edusoc.search.from"))
    parser.add_argument("--to", dest="end", metavar="TIME", help=say("edusoc.search.to"))
    parser.add_argument("--organisation", metavar="CODE", help=say("edusoc.search.organisation"))
    parser.add_argument(
        "--limit", type=NumberBetween(1, MOST), default=50, metavar="N", help=say("edusoc.search.limit")
    )
    parser.add_argument("--count", action="store_true", help=say("edusoc.search.count"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the newest matching events."""
    from edusoc.composition import open_services
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today
    from soc_core.query.language import parse_query
    from soc_core.query.tree import Everything
    from soc_core.store.interface import SYSTEM_SCOPE, Scope, Search

    settings = settings_of(arguments)
    end = instant_of(arguments.end, settings) if arguments.end else utc_now() + timedelta(minutes=5)
    start = instant_of(arguments.start, settings) if arguments.start else end - timedelta(days=1)
    query = parse_query(arguments.query) if arguments.query.strip() else Everything()
    with open_services(settings) as services:
        scope = SYSTEM_SCOPE
        if arguments.organisation:
            with services.database.read() as connection:
                tree = load_tree(connection, today(utc_now()))
            scope = Scope(tree.subtree(tree.find(arguments.organisation).id))
        search = Search(scope=scope, start=start, end=end, query=query, limit=arguments.limit)
        if arguments.count:
            count = services.reader.count(search)
            if not count and not arguments.start:
                print(say("edusoc.search.nothing"), file=sys.stderr)
            print(orjson.dumps({"count": count}).decode() if arguments.json else count)
            return 0
        found = services.reader.search(search).events
        if not found and not arguments.start:
            print(say("edusoc.search.nothing"), file=sys.stderr)
        for event in found:
            if arguments.json:
                sys.stdout.buffer.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            else:
                shown = "  ".join(f"{name}={event[name]}" for name in SHOWN if name in event)
                print(printable(f"{event['@timestamp']}  {shown}"))
    return 0
