"""Say which rules can't see and why: ``edusoc rules blind``, for the whole installation or a unit."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from edusoc.cli_language import language_of
from edusoc.options import add_settings, explained, say, settings_of
from edusoc.parser import add_command
from soc_core.printing import printable

if TYPE_CHECKING:
    from detectors.sigma.model import CorrelationRule, RuleSet, SigmaRule
    from soc_core.config import Settings
    from soc_core.store.interface import Scope


@dataclass(frozen=True, slots=True)
class Blind:
    """Hold a rule that does not see: ``cause`` is unsupported, uncollected, unseen or privacy."""

    rule_id: str
    title: str
    cause: str
    reason: str


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = add_command(actions, "blind", "edusoc.rules.blind")
    parser.add_argument("paths", nargs="*", metavar="PATH", help=say("edusoc.rules.paths"))
    parser.add_argument("--organisation", metavar="CODE", help=say("edusoc.rules.organisation_below"))
    parser.add_argument("--policy", type=Path, metavar="FILE", help=say("edusoc.rules.blind_policy"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the rules that don't see: not usable, not collected, no such event of these units, hidden by privacy."""
    from detectors.sigma import load_rules
    from intake.rules.library import RuleLibrary

    settings = settings_of(arguments)
    paths = [Path(path) for path in arguments.paths] or RuleLibrary(settings).paths
    rules = load_rules(paths)
    found = list(_unsupported(rules)) + list(_blind(rules, settings, arguments))
    if arguments.policy is not None:
        found += _hidden(paths, arguments.policy, {item.rule_id for item in found})
    for item in found:
        if arguments.json:
            row = {"id": item.rule_id, "title": item.title, "cause": item.cause, "reason": item.reason}
            print(orjson.dumps({**row, "collected": item.cause != "uncollected"}).decode())
        else:
            print(printable(f"{item.rule_id}  {item.title}: {item.reason}"))
    if not arguments.json:
        print(say("edusoc.rules.blinded", blind=len(found), rules=len(rules.rules)))
    return 0


def _unsupported(rules: RuleSet) -> Iterator[Blind]:
    for item in rules.problems:
        if item.fatal:
            yield Blind(item.rule_id, item.where, "unsupported", explained(item.reason))


def _blind(rules: RuleSet, settings: Settings, arguments: argparse.Namespace) -> Iterator[Blind]:
    unseen = _unseen(rules, settings, arguments.organisation)
    for rule in rules.rules:
        if rule.blind is not None:
            yield Blind(rule.id, _title(rule), "uncollected", explained(rule.blind))
        elif rule.id in unseen:
            yield Blind(rule.id, _title(rule), "unseen", _nothing(rule))


def _unseen(rules: RuleSet, settings: Settings, organisation: str | None) -> frozenset[str]:
    """Return the rules of whose log source the units' store holds nothing; none when there is no store yet."""
    from detectors.sigma.blind import unseen_rules
    from edusoc.composition import open_events

    if not settings.elasticsearch_url and not (settings.state_directory / "events").is_dir():
        return frozenset()
    scope = _scope(settings, organisation)
    reader = open_events(settings, writer=False)
    try:
        return frozenset(unseen_rules(rules.rules, reader, scope))
    finally:
        reader.close()


def _scope(settings: Settings, organisation: str | None) -> Scope:
    from edusoc.composition import open_database
    from edusoc.rule_asking import tree_of
    from soc_core.clock import utc_now
    from soc_core.store.interface import SYSTEM_SCOPE, Scope

    if not organisation:
        return SYSTEM_SCOPE
    database = open_database(settings)
    try:
        tree = tree_of(database, utc_now())
    finally:
        database.close()
    return Scope(tree.subtree(tree.find(organisation).id))


def _hidden(paths: list[Path], policy: Path, known: set[str]) -> list[Blind]:
    """Return the rules that privacy blinds, measured by their samples or by what they look for."""
    from edusoc.blinding import blinded_rules
    from edusoc.commands.privacy import privacy_of, why_blinded

    return [
        Blind(found.rule.id, _title(found.rule), "privacy", why_blinded(found))
        for found in blinded_rules(paths, privacy_of(policy))
        if found.rule.id not in known
    ]


def _title(rule: SigmaRule | CorrelationRule) -> str:
    return rule.head.words[language_of()].title


def _nothing(rule: SigmaRule) -> str:
    from detectors.sigma.words import problem

    return explained(problem("unseen", source=str(rule.logsource)))
