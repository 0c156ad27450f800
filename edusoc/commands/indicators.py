"""Look after lists of indicators: ``edusoc indicators import``, ``list``, ``show``, ``check``, ``allow`` and others."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from edusoc.commands.indicators_import import add as add_import
from edusoc.options import said, say, shown_time
from edusoc.parser import add_actions, add_command
from edusoc.progress import StagesBar
from edusoc.rule_asking import actor, add_action, opened
from soc_core.errors import UsageError
from soc_core.printing import printable

if TYPE_CHECKING:
    from detectors.indicators.model import Kind
    from detectors.indicators.table import Table
    from intake.indicators.model import Hunt, KeptList

MOST_SHOWN = 20


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "indicators", "edusoc.indicators"))
    add_import(actions)
    listing = _add(actions, "list", list_)
    listing.add_argument("--rebuild", action="store_true", help=say("edusoc.indicators.rebuild"))
    _add(actions, "show", show, name=True)
    check = _add(actions, "check", check_)
    check.add_argument("values", nargs="+", metavar="VALUE", help=say("edusoc.indicators.value"))
    _add(actions, "remove", remove, name=True, reason=True)
    for action, job in (("enable", enable), ("disable", disable)):
        _add(actions, action, job, name=True, reason=True)
    allow = _add(actions, "allow", allow_, reason=True)
    allow.add_argument("value", metavar="VALUE", help=say("edusoc.indicators.value"))
    allow.add_argument("--until", metavar="TIME", help=say("edusoc.indicators.until"))
    allow.add_argument("--exact", action="store_true", help=say("edusoc.indicators.exact_allowed"))
    allow.add_argument("--end", action="store_true", help=say("edusoc.indicators.end"))
    _add(actions, "allowed", allowed)
    hunt = _add(actions, "hunt", hunt_)
    hunt.add_argument("name", nargs="?", metavar="LIST", help=say("edusoc.indicators.name"))
    hunt.add_argument("--status", action="store_true", help=say("edusoc.indicators.status"))


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    action: str,
    job: Callable[[argparse.Namespace], int],
    *,
    name: bool = False,
    reason: bool = False,
) -> argparse.ArgumentParser:
    parser = add_action(actions, f"edusoc.indicators.{action}", job, reason=reason)
    if name:
        parser.add_argument("name", metavar="LIST", help=say("edusoc.indicators.name"))
    return parser


def list_(arguments: argparse.Namespace) -> int:
    """Print the lists; return 1 when a list's file is missing or damaged (found with ``--rebuild``)."""
    from intake.indicators.importing import ListKeeper
    from intake.indicators.repository import list_lists
    from intake.indicators.shelf import Shelf

    with opened(arguments) as (settings, database, now):
        lost = []
        if arguments.rebuild:
            lost = ListKeeper(Shelf(settings.state_directory), database).build(now, anyway=True)
        with database.read() as connection:
            found = list_lists(connection)
    for item in found:
        row = list_row(item)
        if arguments.json:
            print(orjson.dumps(row | {"damaged": item.name in lost}).decode())
            continue
        values: dict[str, str | int] = {
            name: value for name, value in row.items() if isinstance(value, str | int)
        }
        state = "allow" if item.allow and item.enabled else "on" if item.enabled else "off"
        values["state"] = say(f"edusoc.indicators.state_{state}")
        values["last"] = shown_time(item.last_hit_at)
        print(printable(say("edusoc.indicators.list.row", **values)))
    if not found and not arguments.json:
        print(say("edusoc.indicators.list.none"))
    for name in lost:
        print(printable(say("edusoc.indicators.list.lost", name=name)))
    return 1 if lost else 0


def list_row(item: KeptList) -> dict[str, object]:
    """Return what is told of a list."""
    names = (
        "id", "name", "source", "format", "version", "entries", "bad", "confidence", "severity", "valid_days",
        "subdomains", "allow", "enabled", "actor", "reason", "created_at", "updated_at", "hits", "last_hit_at",
        "sha256",
    )  # fmt: skip
    return {name: getattr(item, name) for name in names} | {"tlp": item.tlp.value}


def show(arguments: argparse.Namespace) -> int:
    """Print everything known of a list: how it was imported, its bad entries, hits and searches."""
    from intake.indicators import repository
    from intake.indicators.shelf import Shelf
    from soc_core.store.interface import SYSTEM_SCOPE

    with opened(arguments) as (settings, database, _now):
        with database.read() as connection:
            item = repository.need_list(connection, arguments.name)
            hunts = repository.list_hunts(connection, item.id)
            hits = [dict(row) for row in repository.list_hits(connection, SYSTEM_SCOPE, item.id)]
        bad = Shelf(settings.state_directory).bad_entries(item.id, item.version)
    if arguments.json:
        row = list_row(item) | {
            "bad_entries": bad,
            "hits_by_indicator": hits,
            "hunts": [hunt_row(one) for one in hunts],
        }
        print(orjson.dumps(row, option=orjson.OPT_INDENT_2).decode())
        return 0
    for name, value in list_row(item).items():
        print(printable(f"{name}: {value}"))
    for entry in bad[:MOST_SHOWN]:
        print_bad(str(entry.get("place", "")), str(entry.get("reason", "")), str(entry.get("value", "")))
    for hit in hits[:MOST_SHOWN]:
        values = {name: str(hit[name]) for name in ("value", "hits", "first_at", "last_at")}
        print(printable(say("edusoc.indicators.show.hit", **values)))
    for one in hunts[:MOST_SHOWN]:
        print_hunt(one)
    return 0


def print_bad(place: str, reason: str, value: str) -> None:
    """Print an entry that could not be taken."""
    values = {"place": place, "reason": said(reason), "value": value}
    print(printable(say("edusoc.indicators.bad_entry", **values)))


def hunt_row(hunt: Hunt) -> dict[str, object]:
    """Return what is told of a search."""
    return {name: getattr(hunt, name) for name in type(hunt).__slots__}


def print_hunt(hunt: Hunt) -> None:
    """Print how far a search is."""
    values: dict[str, str | int] = {
        "state": say(f"edusoc.indicators.hunt_{hunt.state}"),
        "version": hunt.version,
        "entries": hunt.entries,
        "done": hunt.done,
        "steps": hunt.steps,
        "events": hunt.events,
        "hits": hunt.hits,
        "fault": said(hunt.fault),
    }
    print(printable(say("edusoc.indicators.hunt.row", **values).rstrip()))


def check_(arguments: argparse.Namespace) -> int:
    """Print of values which lists hold them, and what allows them; return 0 whatever is found."""
    from detectors.indicators.table import Table
    from intake.indicators.importing import ListKeeper
    from intake.indicators.shelf import Shelf

    with opened(arguments) as (settings, database, now):
        keeper = ListKeeper(Shelf(settings.state_directory), database)
        keeper.build(now)
        table = Table(keeper.shelf.whole)
    for text in arguments.values:
        _check_one(table, text, arguments)
    return 0


def _check_one(table: Table, text: str, arguments: argparse.Namespace) -> None:
    from detectors.indicators.checking import check

    result = check(table, text)
    if arguments.json:
        print(orjson.dumps(result.as_row()).decode())
        return
    if result.kind is None:
        print(printable(say("edusoc.indicators.check.unknown", value=text, reason=said(result.fault))))
        return
    key = "listed" if result.matches else "allowed" if result.listed else "none"
    print(printable(say(f"edusoc.indicators.check.{key}", value=result.value, kind=_kind_word(result.kind))))
    for head, entry in (*result.listed, *result.allowed):
        values: dict[str, str | int] = {
            "list": say(f"edusoc.indicators.head_{head.id}")
            if head.id in {"site", "own", "known"}
            else head.name,
            "value": entry.value,
            "confidence": entry.confidence,
            "tlp": entry.tlp.value.upper(),
            "reason": entry.reason,
        }
        print(
            printable(
                say(
                    "edusoc.indicators.check.allows" if head.allow else "edusoc.indicators.check.row",
                    **values,
                )
            )
        )


def _kind_word(kind: Kind) -> str:
    return say(f"edusoc.indicators.kind_{kind.value}")


def remove(arguments: argparse.Namespace) -> int:
    """Remove a list; its detections stay."""
    from intake.indicators import repository
    from intake.indicators.importing import ListKeeper
    from intake.indicators.shelf import Shelf

    with opened(arguments) as (settings, database, now):
        with database.write() as connection:
            item = repository.need_list(connection, arguments.name)
            repository.remove_list(connection, item, actor(), arguments.reason, now=now)
        ListKeeper(Shelf(settings.state_directory), database).build(now)
    _done(arguments, "remove", {"name": item.name, "entries": item.entries})
    return 0


def enable(arguments: argparse.Namespace) -> int:
    """Let a list match again."""
    return _set_enabled(arguments, enabled=True)


def disable(arguments: argparse.Namespace) -> int:
    """Let a list match nothing for the time being."""
    return _set_enabled(arguments, enabled=False)


def _set_enabled(arguments: argparse.Namespace, *, enabled: bool) -> int:
    from intake.indicators import repository
    from intake.indicators.importing import ListKeeper
    from intake.indicators.shelf import Shelf

    with opened(arguments) as (settings, database, now):
        with database.write() as connection:
            item = repository.need_list(connection, arguments.name)
            who = (actor(), arguments.reason)
            repository.set_enabled(connection, item, enabled, who, now=now)
        ListKeeper(Shelf(settings.state_directory), database).build(now)
    _done(arguments, "enable" if enabled else "disable", {"name": item.name, "entries": item.entries})
    return 0


def _done(arguments: argparse.Namespace, action: str, values: dict[str, str | int]) -> None:
    text = say(f"edusoc.indicators.{action}.done", **values)
    print(orjson.dumps(values).decode() if arguments.json else printable(text))


def allow_(arguments: argparse.Namespace) -> int:
    """Allow a value, or with ``--end`` no longer."""
    from intake.indicators import repository
    from intake.indicators.importing import ListKeeper
    from intake.indicators.model import Allowed
    from intake.indicators.shelf import Shelf
    from soc_core.clock import format_instant

    kind, value = _read_value(arguments.value, exact=arguments.exact)
    with opened(arguments) as (settings, database, now):
        until = _until(arguments, settings) if arguments.until else ""
        with database.write() as connection:
            if arguments.end:
                who = (actor(), arguments.reason)
                if not repository.take_back(connection, kind, value, who, now=now):
                    raise UsageError(f"'{value[:80]}' is not allowed", todo="see: edusoc indicators allowed")
            else:
                at = format_instant(now)
                item = Allowed(kind.value, value, actor(), arguments.reason, at, until)
                repository.allow(connection, item, now=now)
        ListKeeper(Shelf(settings.state_directory), database).build(now)
    named = kind.value if arguments.json else _kind_word(kind)
    _done(arguments, "taken_back" if arguments.end else "allow", {"value": value, "kind": named})
    return 0


def _until(arguments: argparse.Namespace, settings: object) -> str:
    from edusoc.options import instant_of
    from soc_core.clock import format_instant
    from soc_core.config import Settings

    if not isinstance(settings, Settings):
        raise TypeError("settings are needed")
    return format_instant(instant_of(arguments.until, settings))


def _read_value(text: str, *, exact: bool) -> tuple[Kind, str]:
    """Return kind and form of a value given on the command line; raise ``UsageError``."""
    from detectors.indicators.reading.plain import kind_and_value
    from detectors.indicators.values import normalise

    guessed, plain, _ = kind_and_value(text, not exact)
    try:
        kind, value = normalise(guessed, plain)
    except ValueError as error:
        raise UsageError(str(error), where=text[:80]) from None
    if len(value) > 512:
        raise UsageError("the value is too long", where=text[:80])
    return kind, value


def allowed(arguments: argparse.Namespace) -> int:
    """Print what the site allows."""
    from intake.indicators.repository import list_allowed

    with opened(arguments) as (_settings, database, _now), database.read() as connection:
        found = list_allowed(connection)
    for item in found:
        row = {name: getattr(item, name) for name in type(item).__slots__}
        if arguments.json:
            print(orjson.dumps(row).decode())
        else:
            row["until"] = shown_time(item.until)
            print(printable(say("edusoc.indicators.allowed.row", **row)))
    if not found and not arguments.json:
        print(say("edusoc.indicators.allowed.none"))
    return 0


def hunt_(arguments: argparse.Namespace) -> int:
    """Search history for a list once more, or carry out what waits; return 1 when a search failed."""
    from edusoc.composition import open_events, open_hunter
    from intake.indicators import repository
    from intake.indicators.importing import ListKeeper
    from intake.indicators.shelf import Shelf

    with opened(arguments) as (settings, database, now):
        if arguments.name and not arguments.status:
            ListKeeper(Shelf(settings.state_directory), database).hunt_again(arguments.name, now)
        if not arguments.status:
            reader = open_events(settings, writer=False)
            try:
                with _HuntBar(hidden=arguments.json) as bar:
                    open_hunter(settings, database, reader).run_some(report=bar.show)
            finally:
                reader.close()
        with database.read() as connection:
            chosen = repository.need_list(connection, arguments.name).id if arguments.name else ""
            found = repository.list_hunts(connection, chosen)
    for one in found[:MOST_SHOWN]:
        if arguments.json:
            print(orjson.dumps(hunt_row(one)).decode())
        else:
            print_hunt(one)
    if not found and not arguments.json:
        print(say("edusoc.indicators.hunt.none"))
    return 1 if any(one.state == "failed" for one in found) else 0


class _HuntBar(StagesBar):
    """Draw how far a search is."""

    def __init__(self, *, hidden: bool) -> None:
        super().__init__({"hunt": say("edusoc.indicators.hunt.bar")}, hidden=hidden, unit="")
        self._key, self._done = "", 0

    def __enter__(self) -> _HuntBar:
        return self

    def show(self, hunt: Hunt) -> None:
        """Move on to where a search is."""
        if hunt.key != self._key:
            self._key, self._done = hunt.key, 0
            self.begin("hunt", hunt.steps)
        self.advance(hunt.done - self._done)
        self._done = hunt.done
