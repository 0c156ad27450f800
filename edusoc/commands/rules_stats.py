"""Say what rules did and what runs: ``edusoc rules stats``, ``rules status``, ``rules coverage``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from edusoc.cli_language import language_of
from edusoc.options import said, say, shown_time
from edusoc.parser import NumberBetween
from edusoc.rule_asking import add_action, opened, tree_of, unit_of
from soc_core.printing import printable

if TYPE_CHECKING:
    from cases.rules.statistics import RuleStatistics
    from intake.rules.coverage import Covered, Rule, Sight
    from intake.rules.library import Shelf
    from intake.rules.standings import Standings
    from soc_core.config import Settings

DAYS: Final = 7


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions."""
    stats_ = add_action(actions, "edusoc.rules.stats", stats, organisation=True)
    stats_.add_argument("--days", type=NumberBetween(1, 400), default=DAYS, help=say("edusoc.rules.days"))
    add_action(actions, "edusoc.rules.status", status)
    covering = add_action(actions, "edusoc.rules.coverage", coverage, organisation=True)
    covering.add_argument("--navigator", type=Path, metavar="FILE", help=say("edusoc.rules.navigator"))


def stats(arguments: argparse.Namespace) -> int:
    """Print what each rule did in the last days, those with most hits first."""
    from cases.rules.statistics import RuleStatistics, statistics_of
    from intake.rules.counting import costs_of
    from intake.rules.library import RuleLibrary
    from soc_core.organisations.repository import today
    from soc_core.store.interface import SYSTEM_SCOPE, Scope

    with opened(arguments) as (settings, database, now):
        tree = tree_of(database, now)
        unit = unit_of(tree, arguments.organisation)
        scope = Scope(tree.subtree(unit)) if unit else SYSTEM_SCOPE
        with database.read() as connection:
            found = statistics_of(connection, scope, today(now) - timedelta(days=arguments.days - 1))
            costs = {} if unit else costs_of(connection)
        for rule_id, (cpu_us, judged) in costs.items():
            item = found.setdefault(rule_id, RuleStatistics(rule_id))
            item.cpu_us, item.judged = cpu_us, judged
        library = RuleLibrary(settings)
        for item in sorted(found.values(), key=lambda one: (-_hits(one), -one.cpu_us, one.rule_id)):
            words = library.describe(item.rule_id, language_of())
            _print(item, words.title if words else item.rule_id, arguments)
    if not arguments.json:
        print(say("edusoc.rules.stats_count", number=len(found), days=arguments.days))
    return 0


def _hits(item: RuleStatistics) -> int:
    return item.fired + item.silent + item.suppressed + item.over_budget


def _print(item: RuleStatistics, title: str, arguments: argparse.Namespace) -> None:
    rate = item.false_rate
    if arguments.json:
        names = (
            "rule_id",
            "fired",
            "silent",
            "suppressed",
            "over_budget",
            "opened",
            "last_at",
            "cpu_us",
            "judged",
        )
        row = {name: getattr(item, name) for name in names}
        more = {"title": title, "closed": dict(item.closed), "false_positive_rate": rate}
        print(orjson.dumps({**row, **more}).decode())
        return
    values: dict[str, str | int] = {
        "title": title,
        "fired": item.fired,
        "opened": item.opened,
        "silent": item.silent,
        "suppressed": item.suppressed,
        "over": item.over_budget,
        "false": "–" if rate is None else f"{rate:.0%} ({item.judged_alerts})",
        "last": shown_time(item.last_at),
        "cost": f"{item.cpu_us / 1e6:.2f} s" if item.judged else "–",
    }
    print(printable(say("edusoc.rules.stats_line", **values)))


def status(arguments: argparse.Namespace) -> int:
    """Say what the pipeline runs and whether it lags behind the files or what was set; return 1 when it does."""
    from intake.rules.library import RuleLibrary
    from intake.rules.running import list_runs
    from intake.units import UnitBook

    with opened(arguments) as (settings, database, now):
        library = RuleLibrary(settings, UnitBook(database, lambda: now))
        here = library.fingerprint()
        with database.read() as connection:
            runs = list_runs(connection)
    bad = False
    for run in runs:
        stale = run.fingerprint != here
        bad = bad or bool(run.fault) or stale
        if arguments.json:
            row = {name: getattr(run, name) for name in type(run).__slots__}
            print(orjson.dumps({**row, "stale": stale}).decode())
            continue
        at = shown_time(run.loaded_at, seconds=True)
        print(say("edusoc.rules.status_line", name=run.name, rules=run.rules, problems=run.problems, at=at))
        if run.fault:
            print(printable(say("edusoc.rules.status_fault", fault=said(run.fault))))
        elif stale:
            print(say("edusoc.rules.status_stale"))
    if not runs and not arguments.json:
        print(say("edusoc.rules.status_none"))
    return 1 if bad else 0


def coverage(arguments: argparse.Namespace) -> int:
    """Print what techniques and graded-protection clauses rules cover, or write a layer for the ATT&CK Navigator."""
    from intake.rules.coverage import Sight, by_clause, by_technique, navigator_layer
    from intake.rules.library import RuleLibrary
    from intake.rules.repository import list_settings
    from intake.rules.standings import Standings
    from soc_core.errors import UsageError

    with opened(arguments) as (settings, database, now):
        tree, shelf = tree_of(database, now), RuleLibrary(settings).load()
        unit = unit_of(tree, arguments.organisation)
        with database.read() as connection:
            book = Standings(list_settings(connection), (), tree, shelf.defaults)
    seen = list(sights(shelf, book, unit, unseen_of(settings, shelf, tree.subtree(unit) if unit else None)))
    techniques, clauses = by_technique(seen), by_clause(seen)
    words = {sight: say(f"edusoc.rules.sight_{sight.value}") for sight in Sight}
    if arguments.navigator:
        layer = navigator_layer(techniques, say("edusoc.rules.layer"), words)
        try:
            arguments.navigator.write_bytes(orjson.dumps(layer, option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise UsageError(
                f"the file can't be written: {error.strerror}", where=str(arguments.navigator)
            ) from error
    for kind, items in (("technique", techniques), ("clause", clauses)):
        for item in items:
            _print_covered(kind, item, words, arguments)
    if not arguments.json:
        print(say("edusoc.rules.coverage_count", techniques=len(techniques), clauses=len(clauses)))
    return 0


def sights(
    shelf: Shelf, book: Standings, unit: str, unseen: Callable[[str], bool]
) -> Iterator[tuple[Rule, Sight]]:
    """Yield each rule and how it stands in a unit (empty: the whole installation)."""
    from intake.rules.coverage import sight_of

    for rule in shelf.rules.everything:
        yield rule, sight_of(rule, book.standing(rule.id, unit).state, unseen)


def unseen_of(settings: Settings, shelf: Shelf, units: frozenset[str] | None) -> Callable[[str], bool]:
    """Return what tells of a rule's id whether the store holds no event of its log source from these units.

    Where there is no store yet nothing is unseen.
    """
    from detectors.sigma.blind import unseen_rules
    from edusoc.composition import open_events
    from soc_core.store.interface import Scope

    if not settings.elasticsearch_url and not (settings.state_directory / "events").is_dir():
        return lambda _id: False
    reader = open_events(settings, writer=False)
    try:
        found = set(unseen_rules(shelf.rules.rules, reader, Scope(units)))
    finally:
        reader.close()
    return found.__contains__


def _print_covered(kind: str, item: Covered, words: dict[Sight, str], arguments: argparse.Namespace) -> None:
    from intake.rules.coverage import Sight

    counts = {sight.value: item.count(sight) for sight in Sight}
    if arguments.json:
        rules = [rule.id for rule, _sight in item.rules]
        print(
            orjson.dumps(
                {"kind": kind, "name": item.name, "best": item.best.value, **counts, "rules": rules}
            ).decode()
        )
        return
    told = ", ".join(f"{words[sight]} {counts[sight.value]}" for sight in Sight if counts[sight.value])
    print(f"{item.name:<12} {told}")
