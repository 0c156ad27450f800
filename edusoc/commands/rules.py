"""Look after Sigma rules: ``edusoc rules lint``, ``test``, ``list``; other actions have files of their own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from edusoc.cli_language import language_of
from edusoc.commands.rules_blind import add as add_blind
from edusoc.commands.rules_convert import add as add_convert
from edusoc.commands.rules_hunt import add as add_hunt
from edusoc.commands.rules_import import add as add_import
from edusoc.commands.rules_setting import add as add_setting
from edusoc.commands.rules_stats import add as add_stats
from edusoc.commands.rules_suppress import add as add_suppress
from edusoc.options import add_settings, explained, say, settings_of
from edusoc.parser import add_actions, add_command

if TYPE_CHECKING:
    from detectors.sigma import RuleSet
    from detectors.sigma.model import CorrelationRule, Problem, SigmaRule
    from detectors.sigma.samples import Case
    from intake.rules.standings import Standings


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "rules", "edusoc.rules"))
    for name, job in (("lint", lint), ("test", test), ("list", list_)):
        action = add_command(actions, name, f"edusoc.rules.{name}")
        action.add_argument("paths", nargs="*", metavar="PATH", help=say("edusoc.rules.paths"))
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)
        action.set_defaults(run=job)
    add_blind(actions)
    add_convert(actions)
    add_hunt(actions)
    add_import(actions)
    add_setting(actions)
    add_suppress(actions)
    add_stats(actions)


def lint(arguments: argparse.Namespace) -> int:
    """Print everything wrong with rules; return 1 when there is something."""
    from detectors.sigma.lint import lint as check

    paths = _paths(arguments)
    rules = _load(paths)
    found = check(paths, rules)
    _print_problems(found, arguments)
    if not arguments.json:
        print(say("edusoc.rules.linted", rules=_count(rules), problems=len(found)))
    return 1 if found else 0


def test(arguments: argparse.Namespace) -> int:
    """Try rules on the samples beside them; return 1 when one is judged wrongly or a rule can't be loaded."""
    from detectors.sigma.files import find_files
    from detectors.sigma.samples import run_cases

    paths = _paths(arguments)
    problems: list[Problem] = []
    passed = failed = without = 0
    for file in find_files(paths, problems):
        rules = _load([file])
        problems.extend(item for item in rules.problems if item.fatal)
        cases = _cases(file, problems)
        without += not cases
        for outcome in run_cases(rules, cases):
            passed, failed = passed + outcome.passed, failed + (not outcome.passed)
            if not outcome.passed or arguments.json:
                _print_outcome(outcome.case, outcome.fired, outcome.passed, arguments)
    _print_problems(problems, arguments)
    if not arguments.json:
        print(say("edusoc.rules.tested", passed=passed, failed=failed, without=without))
    return 1 if failed or problems else 0


def _cases(file: Path, problems: list[Problem]) -> list[Case]:
    from detectors.sigma.model import Problem
    from detectors.sigma.samples import read_cases, samples_of
    from detectors.sigma.words import problem
    from soc_core.errors import InputError

    path = samples_of(file)
    if not path.is_file():
        return []
    try:
        return read_cases(path)
    except InputError as fault:
        problems.append(Problem(str(path), 0, problem("samples", detail=fault.what)))
        return []


def _print_outcome(case: Case, fired: Sequence[str], passed: bool, arguments: argparse.Namespace) -> None:
    if arguments.json:
        row = {"file": case.file, "number": case.number, "positive": case.positive, "why": case.why}
        print(orjson.dumps({**row, "fired": list(fired), "passed": passed}).decode())
        return
    name = "positive" if case.positive else "negative"
    key = "edusoc.rules.not_fired" if case.positive else "edusoc.rules.fired"
    where = f"{case.file}: {name} {case.number}"
    print(f"{where}: {say(key, why=case.why, rules=', '.join(fired))}")


def list_(arguments: argparse.Namespace) -> int:
    """Print rules with state and log source, then the problems; return 1 when a rule could not be loaded."""
    rules = _load(_paths(arguments))
    standings = None if arguments.paths else _standings(arguments)
    for rule in rules.everything:
        row = _row(rule, standings)
        if arguments.json:
            print(orjson.dumps(row).decode())
        else:
            state = say(f"edusoc.rules.state_{row['state']}")
            print(f"{row['id']}  {row['level']:<13}  {state}  {row['source']}  {_title(rule)}")
    fatal = [item for item in rules.problems if item.fatal]
    _print_problems(fatal, arguments)
    if not arguments.json:
        print(say("edusoc.rules.listed", rules=_count(rules), problems=len(fatal)))
    return 1 if fatal else 0


def _standings(arguments: argparse.Namespace) -> Standings:
    """Return how the installation's rules stand; without operational state as they start."""
    from edusoc.composition import open_database
    from edusoc.rule_asking import tree_of
    from intake.rules.library import RuleLibrary
    from intake.rules.repository import list_settings
    from intake.rules.standings import Standings
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import OrganisationTree

    settings = settings_of(arguments)
    defaults = RuleLibrary(settings).load().defaults
    if not settings.database_url and not (settings.state_directory / "state.sqlite").is_file():
        return Standings((), (), OrganisationTree({}), defaults)
    database = open_database(settings)
    try:
        tree = tree_of(database, utc_now())
        with database.read() as connection:
            return Standings(list_settings(connection), (), tree, defaults)
    finally:
        database.close()


def _row(rule: SigmaRule | CorrelationRule, standings: Standings | None) -> dict[str, object]:
    from detectors.sigma.model import SigmaRule

    stands = standings.standing(rule.id, "").state.value if standings else "on"
    if isinstance(rule, SigmaRule):
        reason, source = rule.blind, str(rule.logsource)
        state = "feeding" if not rule.alone else "blind" if reason and stands != "off" else stands
    else:
        reason, source = None, f"correlation={rule.type.value}"
        state = stands if rule.alone else "feeding"
    row: dict[str, object] = {
        "id": rule.id,
        "title": _title(rule),
        "level": rule.head.severity.value,
        "status": rule.head.status,
        "state": state,
        "source": source,
        "kind": rule.head.kind,
        "file": f"{rule.head.file}:{rule.head.line}",
    }
    return row | ({"reason": explained(reason)} if reason else {})


def _title(rule: SigmaRule | CorrelationRule) -> str:
    return rule.head.words[language_of()].title


def _count(rules: RuleSet) -> int:
    return len(rules.everything)


def _paths(arguments: argparse.Namespace) -> list[Path]:
    from edusoc.composition import rules_directory
    from intake.rules.library import RuleLibrary

    if arguments.paths:
        return [Path(path) for path in arguments.paths]
    settings = settings_of(arguments)
    return RuleLibrary(settings).paths if arguments.action == "list" else [rules_directory(settings)]


def _load(paths: Sequence[Path]) -> RuleSet:
    from detectors.sigma import load_rules

    return load_rules(paths)


def _print_problems(problems: Sequence[Problem], arguments: argparse.Namespace) -> None:
    for item in problems:
        if arguments.json:
            row = {"file": item.file, "line": item.line, "rule": item.rule_id, "fatal": item.fatal}
            print(orjson.dumps({**row, "problem": explained(item.reason)}).decode())
        else:
            print(f"{item.where}: {explained(item.reason)}")
