"""Ask history what rules would have found: ``edusoc rules hunt RULE-ID|PATH…``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import orjson

from edusoc.cli_language import language_of
from edusoc.commands.search import time_of
from edusoc.options import add_settings, explained, say, settings_of, shown_time
from edusoc.parser import NumberBetween, add_command
from edusoc.progress import StagesBar
from edusoc.rule_asking import place_name, rule_of, tree_of
from soc_core.errors import UsageError
from soc_core.printing import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from detectors.sigma.model import CorrelationRule, RuleSet
    from intake.hunting.model import Asked, Found, Hunt, Hunted, Means, Progress
    from intake.units import KnownUnits
    from soc_core.config import Settings
    from soc_core.model.detection import Detection
    from soc_core.organisations.repository import OrganisationTree
    from soc_core.state.database import Database
    from soc_core.store.interface import EventReader

DAYS: Final = 30
MOST_DAYS: Final = 4_000
MOST_SECONDS: Final = 7 * 86_400
SHOWN: Final = 5
_STEPS: Final = 1_000


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = add_command(actions, "hunt", "edusoc.rules.hunt")
    parser.add_argument("rules", nargs="*", metavar="RULE-ID|PATH", help=say("edusoc.rules.hunt.rules"))
    parser.add_argument("--from", dest="start", metavar="TIME", help=say("edusoc.search.from"))
    parser.add_argument("--to", dest="end", metavar="TIME", help=say("edusoc.search.to"))
    parser.add_argument(
        "--days", type=NumberBetween(1, MOST_DAYS), default=DAYS, help=say("edusoc.rules.hunt.days")
    )
    parser.add_argument("--organisation", metavar="CODE", help=say("edusoc.rules.hunt.organisation"))
    parser.add_argument("--anomalies", action="store_true", help=say("edusoc.rules.hunt.anomalies"))
    parser.add_argument(
        "--seconds",
        type=NumberBetween(1, MOST_SECONDS),
        default=86_400,
        help=say("edusoc.rules.hunt.seconds"),
    )
    parser.add_argument("--open-alerts", action="store_true", help=say("edusoc.rules.hunt.open_alerts"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class Place:
    """Hold where to hunt: the store, the operational database, and who takes detections (``None``: nobody)."""

    database: Database
    reader: EventReader
    take: Callable[[Sequence[Detection]], Sequence[Detection]] | None


def run(arguments: argparse.Namespace) -> int:
    """Hunt and tell; return 1 when a rule could not be loaded or the hunt ended early."""
    from intake.units import UnitBook
    from soc_core.clock import utc_now

    settings, now = settings_of(arguments), utc_now()
    with _opened(settings, writing=arguments.open_alerts) as place:
        tree = tree_of(place.database, now)
        rules = _chosen(arguments.rules, settings, UnitBook(place.database, utc_now))
        fatal = [problem for problem in rules.problems if problem.fatal] if arguments.rules else []
        for problem in fatal:
            print(f"{problem.where}: {explained(problem.reason)}", file=sys.stderr)
        asked = _asked(arguments, settings, tree, now)
        opened: list[int] = []
        hunt_ = _hunt(place, _hunted(rules, settings, arguments), asked, tree, (arguments, opened))
    _print(hunt_, rules, tree, arguments)
    if arguments.open_alerts and not arguments.json:
        print(say("edusoc.rules.hunt.taken", count=sum(opened)))
    return 1 if fatal or hunt_.partial is not None else 0


def _chosen(names: Sequence[str], settings: Settings, units: KnownUnits) -> RuleSet:
    """Return the rules that are named: files and folders, ids of the installation's; all of its without a name.

    A rule that only feeds a correlation speaks for itself when it is named by its id.
    """
    from detectors.sigma import RuleSet, SigmaRule, load_rules
    from intake.rules.library import RuleLibrary

    paths = [Path(name) for name in names if Path(name).exists()]
    ids = [name for name in names if not Path(name).exists()]
    given = load_rules(paths, units=units()) if paths else RuleSet()
    if names and not ids:
        return given
    shelf = RuleLibrary(settings, units).load()
    if not names:
        return shelf.rules
    rules: dict[str, SigmaRule] = {rule.id: rule for rule in given.rules if rule.alone}
    correlations: dict[str, CorrelationRule] = {rule.id: rule for rule in given.correlations}
    for name in ids:
        found = rule_of(shelf, name)
        if found is None:
            raise UsageError(f"there is no rule '{name[:64]}'", todo="see: edusoc rules list")
        if isinstance(found, SigmaRule):
            rules[found.id] = replace(found, alone=True)
        else:
            correlations[found.id] = found
    return RuleSet.of(tuple(rules.values()), tuple(correlations.values()), given.problems, given.filters)


def _hunted(rules: RuleSet, settings: Settings, arguments: argparse.Namespace) -> Hunted:
    """Return what judges history."""
    from detectors.anomaly.registry import default_detectors
    from detectors.base import WindowDetector
    from detectors.sigma import CorrelationDetector
    from intake.hunting.model import Hunted

    windows: list[WindowDetector] = [CorrelationDetector(rule) for rule in rules.correlations if rule.alone]
    if arguments.anomalies:
        windows.extend(default_detectors(settings.state_directory / "models"))
    return Hunted([rule for rule in rules.rules if rule.alone], windows)


def _asked(arguments: argparse.Namespace, settings: Settings, tree: OrganisationTree, now: datetime) -> Asked:
    from intake.hunting.model import Asked
    from soc_core.store.interface import SYSTEM_SCOPE, Scope

    zone = ZoneInfo(settings.time_zone)
    end = time_of(arguments.end, now, zone, at_end=True) if arguments.end else now + timedelta(minutes=5)
    start = time_of(arguments.start, now, zone) if arguments.start else end - timedelta(days=arguments.days)
    if start >= end:
        raise UsageError("--from is not before --to")
    scope = SYSTEM_SCOPE
    if arguments.organisation:
        scope = Scope(tree.subtree(tree.find(arguments.organisation).id))
    return Asked(scope, start, end)


@contextmanager
def _opened(settings: Settings, *, writing: bool) -> Iterator[Place]:
    """Open the store; to open alerts as its one writer: raises ``StoreBusyError`` while another process is it."""
    from edusoc.composition import open_services, open_writer

    if writing:
        with open_writer(settings) as writer:
            yield Place(writer.database, writer.store, writer.pipeline.take_found)
        return
    with open_services(settings) as services:
        yield Place(services.database, services.reader, None)


def _hunt(
    place: Place,
    hunted: Hunted,
    asked: Asked,
    tree: OrganisationTree,
    told: tuple[argparse.Namespace, list[int]],
) -> Hunt:
    from cases.alerts.attach import AlertSink
    from intake.hunting.hunt import hunt
    from intake.hunting.model import Means
    from soc_core.clock import utc_now

    arguments, opened = told
    sink = AlertSink(utc_now)

    def known(found: Sequence[Detection]) -> set[str]:
        with place.database.read() as connection:
            return sink.known(connection, found)

    def take(found: Sequence[Detection]) -> None:
        if place.take is not None:
            opened.append(len(place.take(found)))

    with StagesBar({"hunt": say("edusoc.rules.hunt.bar")}, hidden=arguments.json, unit="‰") as bar:
        bar.begin("hunt", _STEPS)
        done = [0]

        def progress(now: Progress) -> None:
            step = int(now.done * _STEPS)
            bar.advance(step - done[0])
            done[0] = step

        means: Means = Means(seconds=float(arguments.seconds), progress=progress, take=take, known=known)
        return hunt(place.reader, hunted, asked, tree, means)


def _print(hunt: Hunt, rules: RuleSet, tree: OrganisationTree, arguments: argparse.Namespace) -> None:
    titles = {one.id: one.head.words[language_of()].title for one in rules.everything}
    if arguments.json:
        print(orjson.dumps(_as_json(hunt, titles, tree)).decode())
        return
    named = bool(arguments.rules)
    shown = [one for one in hunt.found if one.detections or named]
    for found in sorted(shown, key=lambda one: (-one.detections, one.rule_id)):
        for line in _lines(found, titles.get(found.rule_id, found.rule_id), tree):
            print(printable(line))
    silent, zone = len(hunt.found) - len(shown), ZoneInfo(settings_of(arguments).time_zone)
    if silent:
        print(say("edusoc.rules.hunt.silent", count=silent))
    print(
        say(
            "edusoc.rules.hunt.summary",
            examined=hunt.examined,
            stored=hunt.stored,
            start=shown_time(hunt.asked.start, zone),
            end=shown_time(hunt.asked.end, zone),
            seconds=f"{hunt.seconds:.1f}",
        )
    )
    if hunt.partial is not None:
        since = shown_time(hunt.whole_since, zone)
        print(say("edusoc.rules.hunt.partial", reason=_said(hunt.partial), since=since))


def _lines(found: Found, title: str, tree: OrganisationTree) -> Iterator[str]:
    """Yield what is told of one rule."""
    if not found.detections:
        yield say("edusoc.rules.hunt.nothing", id=found.rule_id, title=title, examined=found.examined)
        return
    yield say(
        "edusoc.rules.hunt.found",
        id=found.rule_id,
        title=title,
        count=found.detections,
        known=found.known,
        first=found.first,
        last=found.last,
    )
    units = [f"{place_name(tree, unit)} {count}" for unit, count in list(found.by_unit.items())[:SHOWN]]
    yield "  " + say("edusoc.rules.hunt.units", number=len(found.by_unit), units=", ".join(units))
    entities = [f"{about.value} {count}" for about, count in found.entities[:SHOWN]]
    yield "  " + say("edusoc.rules.hunt.entities", entities=", ".join(entities))
    for one in found.samples[:2]:
        why = "; ".join(explained(reason) for reason in one.reasons[:2])
        yield "  " + say(
            "edusoc.rules.hunt.sample",
            time=one.last_seen,
            entity=one.entity.value,
            why=why,
            id=one.evidence[0],
        )


def _said(reason: object) -> str:
    from soc_core import i18n
    from soc_core.model.detection import Reason

    if not isinstance(reason, Reason):
        return ""
    i18n.load("intake")
    return explained(reason)


def _as_json(hunt: Hunt, titles: Mapping[str, str], tree: OrganisationTree) -> dict[str, object]:
    from soc_core.clock import format_instant

    return {
        "from": format_instant(hunt.asked.start),
        "to": format_instant(hunt.asked.end),
        "whole_since": format_instant(hunt.whole_since),
        "partial": _said(hunt.partial),
        "examined": hunt.examined,
        "stored": hunt.stored,
        "seconds": round(hunt.seconds, 3),
        "rules": [_row(found, titles.get(found.rule_id, found.rule_id), tree) for found in hunt.found],
    }


def _row(found: Found, title: str, tree: OrganisationTree) -> dict[str, object]:
    return {
        "id": found.rule_id,
        "title": title,
        "detections": found.detections,
        "known": found.known,
        "examined": found.examined,
        "first": found.first,
        "last": found.last,
        "units": [
            {"id": unit, "name": place_name(tree, unit), "detections": count}
            for unit, count in found.by_unit.items()
        ],
        "entities": [
            {"kind": about.kind, "value": about.value, "zone": about.zone, "detections": count}
            for about, count in found.entities
        ],
        "samples": [
            {
                "id": one.id,
                "time": one.last_seen,
                "organization_id": one.organization_id,
                "entity": one.entity.value,
                "reasons": [explained(reason) for reason in one.reasons],
                "evidence": one.evidence[:SHOWN],
            }
            for one in found.samples
        ],
    }
