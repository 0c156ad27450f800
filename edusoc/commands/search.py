"""Search events: ``edusoc search 'QUERY'``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import orjson

from edusoc.cli_language import language_of
from edusoc.options import add_settings, say, settings_of
from edusoc.parser import NumberBetween, add_command
from soc_core.errors import UsageError
from soc_core.model.event import Event
from soc_core.printing import printable
from soc_core.reasons import parts_text

if TYPE_CHECKING:
    from soc_core.config import Settings
    from soc_core.store.interface import Aggregation, Buckets, EventReader, Search

MOST: Final = 1_000_000
MOST_TOP: Final = 10_000
PAGE: Final = 1_000
"""Events fetched at a time: whatever is asked for, no more than these are held."""
SHOWN: Final = (
    "event.dataset",
    "source.ip",
    "destination.ip",
    "destination.port",
    "user.name",
    "dns.question.name",
    "url.original",
)
_AGO: Final = re.compile(r"-?(\d{1,6}[yMwdhHms])")
_WIDTH: Final = re.compile(r"(\d{1,6})([wdhms])")
_SECONDS: Final = {"w": 7 * 86_400, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LONGEST_BAR: Final = 40


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "search", "edusoc.search")
    # A query may begin with a minus ("-user.name:root"), and so may a time ("-7d").
    parser._negative_number_matcher = re.compile(r"^-(?:\d|\w*\.\w)")
    parser.add_argument("query", nargs="?", default="", metavar="QUERY", help=say("edusoc.search.query"))
    parser.add_argument("--from", dest="start", metavar="TIME", help=say("edusoc.search.from"))
    parser.add_argument("--to", dest="end", metavar="TIME", help=say("edusoc.search.to"))
    parser.add_argument("--organisation", metavar="CODE", help=say("edusoc.search.organisation"))
    parser.add_argument(
        "--limit", type=NumberBetween(1, MOST), default=50, metavar="N", help=say("edusoc.search.limit")
    )
    parser.add_argument("--all", action="store_true", help=say("edusoc.search.all"))
    parser.add_argument("--oldest", action="store_true", help=say("edusoc.search.oldest"))
    parser.add_argument("--fields", metavar="FIELD,…", help=say("edusoc.search.fields"))
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--count", action="store_true", help=say("edusoc.search.count"))
    asked.add_argument("--top", metavar="FIELD", help=say("edusoc.search.top"))
    asked.add_argument("--distinct", metavar="FIELD", help=say("edusoc.search.distinct"))
    asked.add_argument("--histogram", metavar="WIDTH", help=say("edusoc.search.histogram"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the matching events, or what was counted of them."""
    from edusoc.composition import open_services
    from soc_core.organisations.repository import load_tree, today
    from soc_core.store.interface import SYSTEM_SCOPE, Scope

    settings = settings_of(arguments)
    search = _search_of(arguments, settings)
    with open_services(settings) as services:
        scope = SYSTEM_SCOPE
        if arguments.organisation:
            with services.database.read() as connection:
                tree = load_tree(connection, today(services.clock()))
            scope = Scope(tree.subtree(tree.find(arguments.organisation).id))
        search = replace(search, scope=scope)
        aggregation = _aggregation_of(arguments, settings, search)
        if aggregation is not None:
            found = _print_counts(services.reader, search, aggregation, as_json=arguments.json)
        else:
            found = _print_events(services.reader, search, arguments)
    if not found and not arguments.start:
        print(say("edusoc.search.nothing"), file=sys.stderr)
    return 0


def _search_of(arguments: argparse.Namespace, settings: Settings) -> Search:
    """Return the question, of everything that may be seen; raise ``UsageError`` for one that can't be read."""
    from soc_core.clock import utc_now
    from soc_core.fields import FIELDS
    from soc_core.query.language import parse_query
    from soc_core.store.interface import SYSTEM_SCOPE, Search

    now, zone = utc_now(), ZoneInfo(settings.time_zone)
    end = time_of(arguments.end, now, zone, at_end=True) if arguments.end else now + timedelta(minutes=5)
    start = time_of(arguments.start, now, zone) if arguments.start else end - timedelta(days=1)
    if start >= end:
        raise UsageError("--from is not before --to")
    fields = tuple(name.strip() for name in arguments.fields.split(",")) if arguments.fields else None
    unknown = [name for name in fields or () if name not in FIELDS]
    if unknown:
        raise UsageError(f"there is no field '{unknown[0]}'", todo="see the field list")
    query = parse_query(arguments.query, now=now, zone=zone)
    return Search(
        SYSTEM_SCOPE, start, end, query, limit=arguments.limit, ascending=arguments.oldest, fields=fields
    )


def time_of(text: str, now: datetime, zone: ZoneInfo, *, at_end: bool = False) -> datetime:
    """Return the instant of ``-7d``, ``now/d``, ``2026-11-20`` and the like; ``at_end`` takes the end of a span."""
    from soc_core.query.times import parse_moment

    ago = _AGO.fullmatch(text)
    try:
        moment = parse_moment(f"now-{ago[1]}" if ago else text, now, zone)
    except ValueError:
        raise UsageError(
            f"'{text}' is no time", todo="write it like -7d, 2026-11-20 or 2026-11-20T08:00"
        ) from None
    exact = moment.end - moment.start <= timedelta(microseconds=1)
    return moment.end if at_end and not exact else moment.start


def _aggregation_of(arguments: argparse.Namespace, settings: Settings, search: Search) -> Aggregation | None:
    """Return what is to be counted, if that is asked for."""
    from soc_core.store.interface import Aggregation

    if arguments.top:
        return Aggregation("terms", arguments.top, min(arguments.limit, MOST_TOP))
    if arguments.distinct:
        return Aggregation("distinct", arguments.distinct)
    if arguments.count:
        return Aggregation("count")
    if not arguments.histogram:
        return None
    width = _WIDTH.fullmatch(arguments.histogram)
    if width is None or not int(width[1]):
        raise UsageError(f"'{arguments.histogram}' is no length of time", todo="write it like 15m, 1h or 1d")
    offset = search.start.astimezone(ZoneInfo(settings.time_zone)).utcoffset() or timedelta()
    seconds = int(width[1]) * _SECONDS[width[2]]
    return Aggregation("histogram", interval_seconds=seconds, offset_seconds=int(offset.total_seconds()))


def _print_counts(reader: EventReader, search: Search, asked: Aggregation, *, as_json: bool) -> int:
    """Print what was counted; return how much there was."""
    if asked.kind == "count":
        count = reader.count(search)
        print(orjson.dumps({"count": count}).decode() if as_json else count)
        return count
    found = reader.aggregate(search, asked)
    _warn(found.partial)
    if not found.exact and not found.partial:
        print(say("edusoc.search.inexact"), file=sys.stderr)
    if asked.kind == "distinct":
        number = found.buckets[0].count
        print(orjson.dumps({"distinct": number, "exact": found.exact}).decode() if as_json else number)
        return number
    _print_buckets(found, as_json=as_json, bars=asked.kind == "histogram")
    return len(found.buckets)


def _print_buckets(found: Buckets, *, as_json: bool, bars: bool) -> None:
    most = max((bucket.count for bucket in found.buckets), default=1)
    for bucket in found.buckets:
        if as_json:
            _print_json({"key": bucket.key, "count": bucket.count})
        else:
            bar = "  " + "█" * max(1, bucket.count * _LONGEST_BAR // most) if bars else ""
            print(printable(f"{bucket.count:>10}  {bucket.key}{bar}"))


def _print_events(reader: EventReader, search: Search, arguments: argparse.Namespace) -> int:
    """Print events a page at a time; return how many there were."""
    shown = search.fields or SHOWN
    if search.fields is None and not arguments.json:
        search = replace(search, fields=("@timestamp", *SHOWN))
    elif search.fields is not None:
        search = replace(search, fields=tuple(dict.fromkeys(("@timestamp", *search.fields))))
    number = 0
    for event in _pages(reader, search, sys.maxsize if arguments.all else search.limit):
        number += 1
        if arguments.json:
            _print_json(event)
        else:
            listed = "  ".join(
                f"{name}={event[name]}" for name in shown if name in event and name != "@timestamp"
            )
            print(printable(f"{event['@timestamp']}  {listed}"))
    return number


def _pages(reader: EventReader, search: Search, left: int) -> Iterator[Event]:
    """Yield events page by page, ``left`` at most."""
    cursor = ""
    while True:
        page = reader.search(replace(search, limit=min(left, PAGE), cursor=cursor))
        yield from page.events
        left -= len(page.events)
        cursor = page.cursor
        if not cursor or left <= 0:
            _warn(page.partial)
            return


def _warn(partial: str) -> None:
    if partial:
        print(say("edusoc.search.partial", why=parts_text(partial, language_of())), file=sys.stderr)


def _print_json(value: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
