"""Set rules by unit: ``edusoc rules on|silent|off|inherit RULE``, ``rules severity``, ``rules budget``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import orjson

from edusoc.options import say
from edusoc.parser import NumberBetween
from edusoc.rule_asking import actor, add_action, need_rule_id, opened, place_name, tree_of, unit_of
from soc_core.printing import printable

if TYPE_CHECKING:
    from intake.rules.repository import SettingChange

INHERIT = "inherit"


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions."""
    for name in ("on", "silent", "off", INHERIT):
        parser = add_action(actions, f"edusoc.rules.{name}", run, organisation=True, reason=True)
        parser.add_argument("rule", metavar="RULE", help=say("edusoc.rules.rule"))
        parser.set_defaults(part="state", wanted=name)
    severity = add_action(actions, "edusoc.rules.severity", run, organisation=True, reason=True)
    severity.add_argument("rule", metavar="RULE", help=say("edusoc.rules.rule"))
    levels = ("informational", "low", "medium", "high", "critical", INHERIT)
    severity.add_argument("wanted", choices=levels, metavar="LEVEL", help=say("edusoc.rules.level"))
    severity.set_defaults(part="severity")
    budget = add_action(actions, "edusoc.rules.budget", run, organisation=True, reason=True)
    budget.add_argument("rule", metavar="RULE", help=say("edusoc.rules.rule_or_all"))
    budget.add_argument("wanted", type=budget_of, metavar="NUMBER", help=say("edusoc.rules.alerts_a_day"))
    budget.set_defaults(part="budget")


def budget_of(text: str) -> int | str:
    """Read a budget or ``inherit``."""
    return INHERIT if text == INHERIT else NumberBetween(0, 1_000_000)(text)


def run(arguments: argparse.Namespace) -> int:
    """Set one part of a rule at a unit and say what holds there now."""
    from intake.rules.library import RuleLibrary
    from intake.rules.repository import change_setting, list_settings, list_suppressions
    from intake.rules.standings import Standings
    from soc_core.store.interface import SYSTEM_SCOPE

    with opened(arguments) as (settings, database, now):
        shelf, tree = RuleLibrary(settings).load(), tree_of(database, now)
        change = _change(
            arguments, need_rule_id(shelf, arguments.rule), unit_of(tree, arguments.organisation)
        )
        with database.write() as connection:
            change_setting(connection, SYSTEM_SCOPE, change, now=now)
            held = list_settings(connection), list_suppressions(connection, SYSTEM_SCOPE)
        standing = Standings(*held, tree, shelf.defaults).standing(change.rule_id, change.organization_id)
    place = place_name(tree, change.organization_id)
    row = {
        "rule": change.rule_id,
        "organisation": change.organization_id,
        "state": standing.state.value,
        "severity": standing.severity.value if standing.severity else None,
        "budget": standing.budget,
    }
    if arguments.json:
        print(orjson.dumps(row).decode())
        return 0
    words = shelf.rules.describe(change.rule_id, _language())
    title = words.title if words else change.rule_id
    state = say(f"edusoc.rules.is_{standing.state.value}")
    print(printable(say("edusoc.rules.set", rule=title, place=place, state=state, budget=standing.budget)))
    return 0


def _change(arguments: argparse.Namespace, rule_id: str, organization_id: str) -> SettingChange:
    from intake.rules.model import RuleState
    from intake.rules.repository import SettingChange
    from soc_core.model.detection import Severity

    part, value = arguments.part, None if arguments.wanted == INHERIT else arguments.wanted
    return SettingChange(
        rule_id=rule_id,
        organization_id=organization_id,
        actor=actor(),
        reason=arguments.reason,
        parts=frozenset({part}),
        state=RuleState(value) if part == "state" and value else None,
        severity=Severity(value) if part == "severity" and value else None,
        budget=value if part == "budget" else None,
    )


def _language() -> str:
    from edusoc.cli_language import language_of

    return language_of()
